"""Trains a model to copy with the released code's own training loop, data and evaluation.

    git clone https://github.com/sjelassi/transformers_ssm_copy released
    python -m synthetic_training.deviations.released_training released/synthetic_exps --out run.json

Only the model is built here, with the same settings, because that code needs earlier versions of
``mamba_ssm`` and transformers. Training is in float32 on one GPU, and for Mamba it needs mamba-ssm. The file
is written again after each evaluation. A run that was cut off cannot be continued, because the released code
saves no checkpoints.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib
import os
import random
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from types import ModuleType
from typing import Annotated, Any, Literal

import tyro

from dataset_builders import InputError
from dataset_builders.checks import check_integer, check_positive
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_new_file, write_json

_FILES = ("train_utils", "data_utils", "test_utils")


def _modules(folder: Path) -> dict[str, ModuleType]:
    """The released modules for training, data and evaluation."""
    for name in _FILES:
        if not (folder / f"{name}.py").is_file():
            raise InputError(
                f"{folder} has no {name}.py; pass the folder synthetic_exps of a clone of "
                "https://github.com/sjelassi/transformers_ssm_copy"
            )
    sys.path.insert(0, str(folder.resolve()))
    try:
        return {name: importlib.import_module(name) for name in _FILES}
    finally:
        sys.path.pop(0)


def build(args: Namespace, vocabulary: int) -> Any:
    """The model of the released code's ``get_model``; Mamba has the defaults of ``mamba_ssm`` 1.0.

    Args:
        args: arguments as in the released code.
        vocabulary: number of tokens.

    Raises:
        InputError: ``mamba_ssm`` is needed and cannot be imported.
    """
    if args.model == "T_rope":
        from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

        return GPTNeoXForCausalLM(
            GPTNeoXConfig(
                bos_token_id=0,
                eos_token_id=0,
                hidden_size=args.hidden_size,
                intermediate_size=4 * args.hidden_size,
                num_attention_heads=args.heads,
                num_hidden_layers=args.layers,
                vocab_size=vocabulary,
            )
        )
    try:
        from mamba_ssm.models.config_mamba import MambaConfig
        from mamba_ssm.models.mixer_seq_simple import MambaLMHeadModel
    except ImportError as error:
        raise InputError(f"mamba_ssm cannot be imported: {error}; install mamba-ssm 2, on a GPU") from error

    return MambaLMHeadModel(
        MambaConfig(
            d_model=args.hidden_size,
            n_layer=args.layers,
            vocab_size=vocabulary,
            ssm_cfg={"d_state": args.state_dim},
            rms_norm=False,
            residual_in_fp32=False,
            fused_add_norm=False,
            pad_vocab_size_multiple=1,
        )
    )


def _check_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        raise InputError("there is no GPU that PyTorch can use, and the released code trains only on a GPU")


class _Watched:
    """The batches of a data set, with a function that is called before each of them."""

    def __init__(self, batches: Any, before: Callable[[int], bool]) -> None:
        """``before`` receives the number of finished steps, and returns whether to continue."""
        self._batches, self._before = batches, before

    def __iter__(self) -> Iterator[Any]:
        step = 0
        while self._before(step):
            yield self._batches[step]
            step += 1


def run(
    released: dict[str, ModuleType],
    args: Namespace,
    model: Any,
    eval_every: int,
    minutes: float,
    save: Callable[[list[dict[str, float]]], None],
) -> None:
    """Train and evaluate.

    Args:
        released: the released modules, by name.
        args: arguments as in the released code.
        model: untrained model.
        eval_every: number of steps between evaluations.
        minutes: time after which training ends.
        save: called after each evaluation with one row for each so far: finished steps, seconds since the
            start, and the accuracies of strings and letters at the longest length of training.
    """
    data, rows, start = released["data_utils"], list[dict[str, float]](), time.monotonic()
    tokenizer, to_token, _ = data.get_tokenizer(args)

    def evaluate(step: int) -> None:
        model.eval()
        with Path(os.devnull).open("w") as silent, contextlib.redirect_stdout(silent):
            strings, _, letters = released["test_utils"].evaluation(args, model, tokenizer, to_token)
        model.train()
        row = {
            "step": step,
            "seconds": round(time.monotonic() - start, 1),
            "string_accuracy": float(strings[0]),
            "letter_accuracy": float(letters[0]),
        }
        rows.append(row)
        print(" ".join(f"{key}={value:g}" for key, value in row.items()), flush=True)
        save(rows)

    def before(step: int) -> bool:
        ended = step >= args.steps or time.monotonic() - start > 60 * minutes
        if ended or (step and step % eval_every == 0):
            evaluate(step)
        return not ended

    batches = _Watched(data.get_train_dataset(args, tokenizer), before)
    released["train_utils"].train(args, model, batches, to_token)


def _train(
    folder: Annotated[Path, tyro.conf.Positional],
    out: Path,
    model: Literal["mamba", "T_rope"] = "mamba",
    max_length: int = 50,
    layers: int = 24,
    lr: float = 3e-4,
    batch_size: int = 16,
    steps: int = 5000,
    eval_every: int = 1000,
    seed: int = 0,
    minutes: float = 60.0,
    revision: str | None = None,
) -> None:
    """Train a model to copy strings with the released code, and evaluate it on the longest strings.

    This needs a GPU, and for Mamba the package mamba-ssm.

    Args:
        folder: Folder synthetic_exps of a clone of https://github.com/sjelassi/transformers_ssm_copy.
        out: JSON file for the results, written after each evaluation; it must not exist.
        model: Name of the model in the released code.
        max_length: Maximum length of the strings in letters; the minimum is 5.
        layers: Number of layers.
        lr: Peak learning rate.
        batch_size: Number of rows of 220 tokens per step.
        steps: Number of steps; the learning rate falls linearly to 0.
        eval_every: Number of steps between evaluations, each on 256 strings.
        seed: Random seed of weights and strings.
        minutes: Time limit, after which training ends with one more evaluation.
        revision: Code revision to record (default: from git).
    """
    import numpy as np
    import torch

    from synthetic_training.provenance import provenance

    check_integer("max_length", max_length, 6, 109)
    for name, value in (("layers", layers), ("batch_size", batch_size), ("steps", steps)):
        check_integer(name, value, 1)
    check_integer("eval_every", eval_every, 1)
    check_integer("seed", seed, 0, 2**32 - 1)
    check_positive("lr", lr)
    check_positive("minutes", minutes)
    check_new_file(out)
    released = _modules(folder)
    _check_gpu()
    for set_seed in (random.seed, np.random.seed, torch.manual_seed):
        set_seed(seed)
    args = Namespace(
        model=model, train_task="copy", eval_task="copy", vocab_size=26, n_gram=0, length_answer=0,
        hidden_size=1024, layers=layers, heads=16, state_dim=32, lr=lr, epochs=1, steps=steps,
        train_batch_size=batch_size, eval_batch_size=16, eval_num_batches=16,
        min_train_len=5, max_train_len=max_length, min_eval_len=max_length, max_eval_len=max_length + 1,
        context_len=220, eval_context_len=220,
    )  # fmt: skip
    untrained = build(args, len(released["data_utils"].get_tokenizer(args)[0]))
    parameters = sum(one.numel() for one in untrained.parameters())
    digests = {name: hashlib.sha256((folder / f"{name}.py").read_bytes()).hexdigest() for name in _FILES}
    config = {**vars(args), "seed": seed, "float32_matmul_precision": torch.get_float32_matmul_precision()}
    head = {"kind": "released_training", "config": config, "parameters": parameters}
    tail = {"released_files": digests, **provenance(revision)}

    def save(rows: list[dict[str, float]]) -> None:
        write_json(out, {**head, "results": rows, **tail})

    run(released, args, untrained, eval_every, minutes, save)
    print(f"written: {out}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command. For invalid input, print one sentence and exit with status 1."""
    with command_errors("interrupted; the file has the evaluations so far, if there were any"):
        cli(_train, prog="python -m synthetic_training.deviations.released_training", args=arguments)


if __name__ == "__main__":
    main()
