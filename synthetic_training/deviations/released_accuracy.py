"""How often a model copies strings with a duplicate that are drawn in the released way.

    python -m synthetic_training.deviations.released_accuracy RUN --length 20 --out released_accuracy.json

Beside it stands the estimate of ``deviations.duplicates``, which needs only the accuracy on our strings.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import tyro

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from dataset_builders.command_line import cli, command_errors
from dataset_builders.files import check_new_file, write_json
from dataset_builders.markdown import markdown_table
from dataset_builders.string_tasks import Copy
from synthetic_training.deviations.duplicates import (
    expected_accuracy,
    measured,
    our_strings,
    released_strings,
)

_ROWS = 250


def string_accuracy(model: Any, strings: Sequence[str]) -> float:
    """The fraction of strings of one length that a model copies, given the correct letters so far."""
    import torch

    length = len(strings[0])
    symbols = Copy(length, length).symbols
    right = 0
    for first in range(0, len(strings), _ROWS):
        rows = [symbols.encode(f"${string}|{string}") for string in strings[first : first + _ROWS]]
        ids = torch.tensor(rows, device=model.device)
        with torch.no_grad():
            found = model(input_ids=ids, use_cache=False).logits.argmax(-1)
        right += int((found[:, length + 1 : -1] == ids[:, length + 2 :]).all(1).sum())
    return right / len(strings)


def measure(model: Any, length: int, ns: Sequence[int], count: int, seed: int) -> list[dict[str, Any]]:
    """The accuracy on our strings and on released ones, and the estimate of the latter, for each n.

    Args:
        model: a model in evaluation mode that was trained to copy letters.
        length: length of the strings in letters.
        ns: lengths of the duplicates in letters, from 1 to half of ``length``.
        count: number of strings per sampler and n.
        seed: random seed of the strings.
    """
    found = {n: string_accuracy(model, [*our_strings(n, length, count, seed)]) for n in range(max(ns) + 1)}
    rows = []
    for n in ns:
        strings = [*released_strings(n, length, count, seed)]
        expected = expected_accuracy(measured(strings, n)["by_longest_repeat"], found)
        rows.append(
            {"n": n, "ours": found[n], "released": string_accuracy(model, strings), "expected": expected}
        )
    return rows


def _measure(
    run: Annotated[Path, tyro.conf.Positional],
    out: Path,
    length: int = 20,
    ns: tuple[int, ...] = (3, 4, 5, 6),
    strings: int = 4000,
    seed: int = 0,
) -> None:
    """Measure how often a model copies strings with a duplicate, drawn in two ways.

    Args:
        run: Folder of a run that was trained to copy letters.
        out: JSON file for the results; it must not exist.
        length: Length of the strings in letters.
        ns: Lengths of the duplicates in letters.
        strings: Number of strings per sampler and n.
        seed: Random seed of the strings.
    """
    from transformers.utils import logging

    from synthetic_training.evaluation.saved_model import load_symbol_model, model_folder, training_settings
    from synthetic_training.provenance import provenance

    check_integer("strings", strings, 1)
    check_integer("seed", seed, 0)
    check_integer("length", length, 2)
    if not ns:
        raise InputError("pass at least one number of letters to --ns")
    for n in ns:
        check_integer("ns", n, 1, length // 2)
    check_new_file(out)
    logging.disable_progress_bar()
    folder = model_folder(run)
    rows = measure(load_symbol_model(folder).eval(), length, ns, strings, seed)
    config = {"length": length, "strings": strings, "seed": seed}
    content = {"kind": "released_accuracy", "config": config, "training": training_settings(folder)}
    write_json(out, {**content, "results": rows, **provenance()})
    cells = [
        [str(row["n"]), *(f"{row[key]:.3f}" for key in ("ours", "released", "expected"))] for row in rows
    ]
    print(markdown_table(["n", "our strings", "released strings", "expected"], cells))
    print(f"written: {out}")


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the command. For invalid input, print one sentence and exit with status 1."""
    with command_errors():
        cli(_measure, prog="python -m synthetic_training.deviations.released_accuracy", args=arguments)


if __name__ == "__main__":
    main()
