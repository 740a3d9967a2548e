"""Reads scores and labels their rows, as input of every report."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import replace
from itertools import groupby
from pathlib import Path

from dataset_builders import InputError
from lm_eval_tasks.results.identity import Identity, merged
from lm_eval_tasks.results.labels import labels, training_step, without_step
from lm_eval_tasks.results.reader import read_results
from lm_eval_tasks.results.score import Checkpoint, Score


def read_scores(paths: Iterable[Path], names: Sequence[str] = ()) -> list[Score]:
    """The scores in result files, or in folders that contain them, each with its row's label.

    Runs of the same model with the same prompts share a row; of several scores on one task, the score with
    the most documents is kept, with the seconds and bytes of state of any of these scores. Scores are
    sorted by benchmark, label and length.

    Args:
        paths: result files of lm-eval, or folders that contain them.
        names: labels to use, see :func:`lm_eval_tasks.results.labels.labels`.

    Raises:
        InputError: a path contains no results of this package's tasks, or a label does not match exactly one
            row.
    """
    given = tuple(paths)
    if not given:
        raise InputError("pass at least one result file of lm_eval, or a folder that contains result files")
    found = merged(read_results(given))
    identities = sorted({identity for identity, _ in found}, key=lambda one: (one.source, one.settings))
    label_of = labels(identities, names)
    scores = [
        replace(score, label=label_of[identity], checkpoint=_checkpoint(identity))
        for identity, score in found
    ]
    return sorted(scores, key=lambda score: (score.benchmark, natural(score.label), score.length))


def _checkpoint(identity: Identity) -> Checkpoint | None:
    """The training run and step of a row whose revision, subfolder or path names a step."""
    for text in (identity.get("revision"), identity.get("subfolder"), identity.source):
        step = training_step(text or "")
        if step is not None:
            settings = tuple(
                (name, without_step(value, step)) for name, value in identity.settings if name != "commit"
            )
            return Checkpoint((without_step(identity.source, step), settings), step)
    return None


def natural(label: str) -> list[tuple[int, str]]:
    """A key that sorts ``step2000`` before ``step10000``."""
    return [(int(part), "") if part.isdecimal() and part.isascii() else (-1, part.lower())
            for part in re.split(r"([0-9]{1,18})", label)]  # fmt: skip


def by_benchmark(scores: Sequence[Score]) -> dict[str, list[Score]]:
    """The scores of each benchmark, from sorted scores."""
    return {name: list(group) for name, group in groupby(scores, key=lambda score: score.benchmark)}


def row_labels(scores: Sequence[Score]) -> list[str]:
    """The labels of the rows, in the order of reports."""
    return sorted({score.label for score in scores}, key=natural)
