"""A training run: from settings to a folder with its metrics, checkpoints and model."""

import inspect
import logging
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch
from transformers import PreTrainedModel

from dataset_builders import InputError
from dataset_builders.files import write_json
from synthetic_training.config import DOCUMENTS, TrainConfig
from synthetic_training.data.documents.rows import TOKEN_BYTES
from synthetic_training.data.symbol_tokenizer import encode
from synthetic_training.data.training_data import TrainingData, training_data
from synthetic_training.evaluation.accuracy import Shard
from synthetic_training.memory import check_bytes, check_memory, enough_memory
from synthetic_training.models.bare_module import BareModuleForCausalLM
from synthetic_training.models.behaviour import check_own_model
from synthetic_training.models.code_files import code_digests
from synthetic_training.models.construction import MISFITS, bf16_advice, own_code_error, reraise_bug
from synthetic_training.models.embeddings import draw_embeddings
from synthetic_training.models.model_types import check_device, is_of_package, package_of
from synthetic_training.models.registry import build_model, is_own_code, preset_hint
from synthetic_training.models.sizes import check_forward, preset_arguments, window
from synthetic_training.models.slow_paths import slow_path_warning
from synthetic_training.models.user_code import import_packages
from synthetic_training.provenance import provenance
from synthetic_training.seeding import seed_everything
from synthetic_training.training.compilation import resolve_compile
from synthetic_training.training.determinism import deterministic_algorithms
from synthetic_training.training.device import resolve_device
from synthetic_training.training.loop import TrainingRun
from synthetic_training.training.precision import float32_precision, resolve_precision
from synthetic_training.training.processes import Processes, connect
from synthetic_training.training.run_folder import MODEL, RUN, check_code, check_folder, locked
from synthetic_training.training.step import StepConfig
from synthetic_training.training.tracker import Tracker, check_tracker

log = logging.getLogger(__name__)

_TRAINING_BYTES = 16
"""Minimum per parameter: a weight, a gradient and two averages of AdamW, in fp32."""

_BATCH_BYTES = 16
"""Minimum per token of a batch: its id and its label, as 64-bit integers."""


def train(config: TrainConfig, out: Path, *, resume: bool = False) -> Path:
    """Train a model, and return its folder; ``run_folder`` describes the other content of ``out``.

    Under ``torchrun`` or ``accelerate launch``, the processes share the rows of each batch; batches, losses
    and weights are the same as with one process, except for rounding, dropout, auxiliary losses and layers
    that normalise over rows, such as BatchNorm, whose running statistics are those of process 0.

    Args:
        config: settings of the run.
        out: the run's folder, new or empty.
        resume: continue the run in ``out`` from its newest undamaged checkpoint.

    Raises:
        InputError: the settings are invalid or do not fit into memory, ``out`` is in use or not empty, the
            run in ``out`` has other settings, a file cannot be written, or the loss is not finite.
        Interrupted: Ctrl-C or SIGTERM; a checkpoint was written.
    """
    processes = connect()
    with ExitStack() as stack:
        stack.enter_context(processes.connected())
        advice = "reduce batch_size or context_length, raise accumulation_steps, or end other processes on it"
        stack.enter_context(enough_memory(advice))
        with processes.agree():
            device = resolve_device(config.device)
            precision = resolve_precision(config.precision, device)
            compiled = resolve_compile(config.compile, device, config.steps)
            config = replace(
                config, device=device, precision=precision, compile=compiled, model_args=_model_args(config)
            )
            step = StepConfig(precision, compiled == "on", config.accumulation_steps, config.isolate_examples)
            check_folder(out, config, resume=resume)
            check_tracker(config.tracker)
            data = training_data(config)
            stack.enter_context(deterministic_algorithms(config.deterministic))
            finished = resume and (out / MODEL).exists()
            model = None if finished else _model(config, data, processes, processes.device(device))
            code = {} if model is None else code_digests(model)
            if resume and model is not None:
                check_code(out, code)
        if model is None:
            return out / MODEL
        stack.enter_context(float32_precision(precision))
        # no process writes before all have checked the folder
        with processes.agree():
            if processes.is_main:
                stack.enter_context(locked(out))
                check_folder(out, config, resume=resume)
                if not resume:
                    size = sum(parameter.numel() for parameter in model.parameters())
                    content = {"config": config.as_json(), "parameters": size, "processes": processes.count}
                    write_json(out / RUN, {**content, "code": code, **provenance()})
        tracker = Tracker(config.tracker if processes.is_main else "none", out.name, config.as_json())
        stack.callback(tracker.finish)
        with processes.agree():
            run = TrainingRun(config, step, out, processes, data, model, tracker, resume=resume)
        return run.finish()


def _model_args(config: TrainConfig) -> dict[str, Any]:
    """The model's arguments, including those from the preset, as recorded in ``run.json``.

    Raises:
        InputError: there is no such preset, or it has no sizes for this model.
    """
    if config.preset is not None:
        import_packages(config.imports)
    return preset_arguments(config.preset, config.model, config.model_args)


def _model(
    config: TrainConfig, data: TrainingData, processes: Processes, device: torch.device
) -> PreTrainedModel:
    """The untrained model on its device.

    Raises:
        InputError: the settings are invalid for this number of processes or this model, or do not fit into
            memory.
    """
    passes = processes.count * config.accumulation_steps
    if config.batch_size % passes:
        raise InputError(
            f"a batch_size of {config.batch_size} rows cannot be split among {processes.count} processes in "
            f"{config.accumulation_steps} passes each; make it a multiple of {passes}"
        )
    advice = "batch_size or context_length, or raise accumulation_steps"
    rows, tokens = config.batch_size // passes, config.context_length
    check_memory(rows, tokens, data.tokens["vocab_size"], device, advice)
    size = _BATCH_BYTES * (config.batch_size // processes.count) * tokens
    what = f"a batch of {config.batch_size} rows of {tokens} tokens"
    check_bytes(size, device, what, "reduce batch_size or context_length")
    if config.task == DOCUMENTS:
        size = TOKEN_BYTES * config.pool_rows * config.context_length
        check_bytes(size, device, f"a pool of pool_rows = {config.pool_rows} rows", "reduce pool_rows")
    check_device(config.model, config.model.partition(":")[0], device)  # before advice to install packages
    import_packages(config.imports)
    seed_everything(config.seed)
    model = build_model(
        config.model, data.tokens, trust_remote_code=config.trust_remote_code, **config.model_args
    )
    check_device(config.model, package_of(model), device)
    size = sum(parameter.numel() for parameter in model.parameters())
    what, advice = f"training {config.model} of {size:,} parameters", "reduce the sizes in --model-args"
    check_bytes(_TRAINING_BYTES * size, device, what, advice + preset_hint(config.model))
    if config.embedding_std is not None:
        draw_embeddings(model, config.embedding_std)
    room, longest = window(model), data.longest_row
    if room is not None and longest > room:
        advice = f"pass --model-args max_position_embeddings={longest}"
        if isinstance(model, BareModuleForCausalLM):
            advice = "reduce --context-length or --eval-lengths, or set a larger window in your module"
        raise InputError(
            f"{config.model} has a context window of {room} tokens, but rows have up to {longest}; {advice}"
        )
    if processes.is_main and is_of_package(model):
        log.warning(
            "%s compiles and tunes its kernels before the first step, which can take ten minutes; later runs "
            "on this machine reuse the result",
            config.model,
        )
    own, bf16 = is_own_code(config.model), config.precision == "bf16"
    if config.isolate_examples and not own:
        _check_isolation(config, model, bf16=False)
    model = model.to(device)
    if own:
        try:
            warnings = check_own_model(
                config.model, model, config.context_length, bf16=bf16, saves=processes.is_main
            )
            _check_evaluation(config, model, bf16=bf16)
            if config.isolate_examples:
                _check_isolation(config, model, bf16=bf16)
        except InputError:
            raise
        except MISFITS as error:
            reraise_bug(error)
            refusal = own_code_error(config.model, "run", config.model_args, type(model), error)
            raise InputError(f"{refusal}{bf16_advice(error, device) if bf16 else ''}") from error
        if processes.is_main:
            for sentence in warnings:
                log.warning(sentence)
    else:
        check_forward(config.model, model, config.context_length, bf16=bf16)
        _check_evaluation(config, model, bf16=bf16)
    if device.type == "cuda" and processes.is_main and (warning := slow_path_warning(config.model, model)):
        log.warning(warning)
    return model


def _check_evaluation(config: TrainConfig, model: PreTrainedModel, *, bf16: bool) -> None:
    """Raise InputError unless a model reads examples of each evaluated length."""
    few = training_data(replace(config, eval_examples=2))
    try:
        few.evaluate(model.eval(), batch_tokens=1, bf16=bf16, shard=Shard(0, 1))
    except InputError as error:
        raise InputError(f"{error}; pass other --eval-lengths, or others in --model-args") from error
    model.train()


@torch.no_grad()
def _check_isolation(config: TrainConfig, model: PreTrainedModel, *, bf16: bool) -> None:
    """Raise InputError unless a model starts afresh where positions restart; recurrent models do not."""
    examples = torch.tensor([encode("$ab|ab.$cd|cd."), encode("$ef|ef.$cd|cd.")], device=model.device)
    length = examples.shape[1] // 2
    positions = torch.arange(length, device=model.device).repeat(2).expand_as(examples)
    parameters = inspect.signature(model.forward).parameters
    isolated = "position_ids" in parameters or any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    if isolated:
        with torch.autocast(model.device.type, torch.bfloat16, enabled=bf16):
            logits = model.eval()(input_ids=examples, position_ids=positions, use_cache=False).logits
        one, other = logits[:, length:].float()
        # in bfloat16, one rounding step of the largest logit
        isolated = bool((one - other).abs().max() <= (2**-8 if bf16 else 1e-5) * one.abs().max())
        model.train()
    if not isolated:
        raise InputError(
            f"{config.model} cannot isolate the examples of a row from each other; omit --isolate-examples"
        )
