"""Which scores may stand on a leaderboard; no network, no files.

A score gets there if it is of the benchmark's own documents, all of them, none cut by the model's window,
of the model itself, prompted as the benchmark prompts it, and if its numbers can be those of such a run.
Everything else is refused with the remedy.
"""

import math
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dataset_builders import InputError
from dataset_builders.registry import default_release
from dataset_builders.release.checksums import known_checksums
from lm_eval_tasks.results.identity import as_text, differences_from_task
from lm_eval_tasks.results.intervals import BINARY_METRICS
from lm_eval_tasks.results.known_tasks import task_config
from lm_eval_tasks.results.score import MAIN_METRICS, Score
from lm_eval_tasks.results.text import shortened

PACKAGE_VERSIONS = ("0.1.0",)
"""Versions of this package, beside the one installed, that prompted and scored as it does."""

_ON_HUB = re.compile(r"[\w.-]+/[\w.-]+")
_PAPER = 1706745600.0  # 1 February 2024, when the benchmark's paper came out
_DAY = 86400.0


def kept_checksums() -> dict[str, str | None]:
    """Checksum of each released config's documents; None where this version does not know it."""
    return {name: known_checksums().get(name) for name in default_release()}


def check(
    scores: Sequence[Score],
    model: str,
    *,
    allow_limited: bool = False,
    checksums: Mapping[str, str | None] | None = None,
) -> None:
    """Refuse what may not stand on a leaderboard.

    Args:
        scores: of tasks that the released data set has.
        model: name on the Hub of the model that they are submitted for.
        allow_limited: let scores of a part of the documents pass.
        checksums: of each task's documents, None where unknown; by default those kept with the tasks.

    Raises:
        InputError: the first reason found, with the task and the remedy.
    """
    _check_model(scores, model)
    known = kept_checksums() if checksums is None else checksums
    for score in scores:
        for problem in _problems(score, model, known.get(score.task), allow_limited):
            raise InputError(f"{score.task}: {problem}")
    rows = sorted({score.label for score in scores})
    if len(rows) > 1:
        raise InputError(
            f"the results are of runs that differ ({'; '.join(rows)}); give the result files of one of them"
        )


def _check_model(scores: Sequence[Score], model: str) -> None:
    names = sorted({score.run.model for score in scores})
    if len(names) > 1:
        raise InputError(f"the results are of {len(names)} models ({', '.join(names)}); submit one at a time")
    (name,) = names
    if is_on_hub(name) and name.lower() != model.lower():
        raise InputError(
            f"the results are of {name}, not of {model}; pass --model {name}, or where that was a folder, "
            "run submit beside it"
        )


def is_on_hub(name: str) -> bool:
    """Whether a model's name is one on the Hub, and no folder here."""
    return _ON_HUB.fullmatch(name) is not None and not Path(name).exists()


def _problems(score: Score, model: str, known: str | None, allow_limited: bool) -> Iterator[str]:
    yield from _of_version(score.metadata)
    yield from _of_task(score)
    if known is not None and score.document_set != known:
        yield (
            f"the documents are not the benchmark's (their checksum is {score.document_set[:12]}, and "
            f"{known[:12]} is the benchmark's); run lm_eval again without the documents' keys (num_docs, "
            "seed, ...) in --metadata"
        )
    yield from _of_model(score, model)
    yield from _of_prompt(score)
    yield from _of_counts(score, allow_limited)
    if not _PAPER <= score.run.date <= time.time() + _DAY:
        yield "the date of the run is in the future, or before the benchmark existed; run lm_eval again"
    yield from _of_window(score)
    yield from _of_value(score)


def _of_version(metadata: Mapping[str, Any]) -> Iterator[str]:
    installed = _installed_version()
    known = list(dict.fromkeys((*PACKAGE_VERSIONS, installed)))
    if metadata.get("repeat_after_me") not in known:
        yield (
            f"the results are of repeat-after-me {_short(metadata.get('repeat_after_me'))}, and "
            f"{' or '.join(known)} is known here; install the version that made them, or run lm_eval again "
            "with this one"
        )


def _installed_version() -> str:
    return version("repeat-after-me")


def _of_task(score: Score) -> Iterator[str]:
    task = (task_config(score.task) or {})["metadata"]
    if score.metadata.get("version") != task["version"]:
        yield (
            f"the results are of version {_short(score.metadata.get('version'))} of the task, and version "
            f"{task['version']} is known here; install the repeat-after-me that made them"
        )
    if score.benchmark != task["benchmark"]:
        yield (
            f"the results are of the benchmark {score.benchmark}, not of {task['benchmark']}; run lm_eval "
            "again"
        )
    length = default_release()[score.task].arguments[task["length_of"]]
    if score.length != length:
        yield f"the length is {score.length}, where the task's is {length}; run lm_eval again"


def _of_model(score: Score, model: str) -> Iterator[str]:
    for kind in ("peft", "delta"):
        adapter = score.run.model_arguments.get(kind)
        if adapter is not None and str(adapter).lower() != model.lower():
            yield (
                f"the results are of the model with the adapter {_short(adapter)} ({kind}=), not of {model} "
                "itself; run lm_eval again without it, or submit to the adapter's own repository"
            )


def _of_prompt(score: Score) -> Iterator[str]:
    if score.shots:
        yield (
            f"the prompts had {score.shots} few-shot examples, where the benchmark has none; run lm_eval "
            "again without --num_fewshot"
        )
    if score.run.system_instruction is not None:
        yield (
            "the prompts had a system instruction, where the benchmark has none; run lm_eval again without "
            "--system_instruction"
        )
    if score.run.gen_kwargs:
        yield (
            "the answers were not generated as the benchmark asks, greedily and to the answer's end; run "
            "lm_eval again without --gen_kwargs"
        )
    if score.metadata.get("ended_prompts"):
        yield (
            "the model's tokenizer ended each prompt with end-of-text, so the answers do not follow the "
            "prompts; run lm_eval again with add_bos_token=False in --model_args, or with another tokenizer"
        )
    for name, (found, wanted) in differences_from_task(score).items():
        yield (
            f"{name} is {_short(found)}, where the benchmark's is {_short(wanted)}; run lm_eval on the task "
            "as it is"
        )


def _of_counts(score: Score, allow_limited: bool) -> Iterator[str]:
    wanted = default_release()[score.task].arguments.get("num_docs")
    if score.asked_for is None:
        yield "the results do not say how many documents the task has; run lm_eval again"
    elif wanted is not None and score.asked_for != wanted:
        yield (
            f"the task had {score.asked_for} documents, where the benchmark's has {wanted}; run lm_eval again"
        )
    elif score.documents > score.asked_for:
        yield (
            f"{score.documents} of {score.asked_for} documents cannot have been evaluated; run lm_eval again"
        )
    elif score.limited and not allow_limited:
        yield (
            f"{score.documents} of {score.asked_for} documents were evaluated; run lm_eval again without "
            "--limit and --samples, or pass --allow-limited for an entry that is marked as limited"
        )


def _of_window(score: Score) -> Iterator[str]:
    for metric, what in (
        ("truncated", "did not fit the model's window"),
        ("misaligned", "could not be scored"),
    ):
        share = score.values.get(metric, (0.0, None))[0]
        if share is None:
            yield f"{metric} is no share of documents; run lm_eval again"
        elif share:
            yield (
                f"{share:.1%} of the documents {what}; run lm_eval again with max_length= in --model_args if "
                "the model can read more, or choose others with --tasks"
            )


def _of_value(score: Score) -> Iterator[str]:
    metric = score.main_metric
    if metric not in MAIN_METRICS:
        yield (
            f"the results hold none of {' or '.join(MAIN_METRICS)}; run lm_eval again without --predict_only"
        )
        return
    value, error = score.values[metric]
    if value is None:
        yield f"{metric} is no score from 0 to 1; run lm_eval again"
        return
    if error is None:
        yield (
            f"{metric} has no standard error; run lm_eval again on more than one document and with "
            "--bootstrap_iters above 0"
        )
        return
    yield from _of_numbers(metric, value, error, score.documents)


def _of_numbers(metric: str, value: float, error: float, documents: int) -> Iterator[str]:
    """Whether a mean and its standard error can be of so many documents."""
    right = value * documents
    if metric in BINARY_METRICS and not math.isclose(right, round(right), abs_tol=1e-6 * documents):
        yield f"{metric} {value:g} is no share of {documents} documents; run lm_eval again"
        return
    # the standard error of values that are 0 or 1; that of other values between them is smaller
    most = math.sqrt(value * (1 - value) / max(1, documents - 1))
    exact = metric in BINARY_METRICS and not math.isclose(error, most, rel_tol=1e-6, abs_tol=1e-9)
    if exact or error > most * (1 + 1e-6) + 1e-9:
        yield (
            f"{metric} {value:g} of {documents} documents cannot have the standard error {error:.3g} "
            f"({'it is' if metric in BINARY_METRICS else 'at most'} {most:.3g}); run lm_eval again"
        )


def of_the_benchmark(
    scores: Sequence[Score], tasks: Collection[str] | None = None
) -> tuple[list[Score], list[str]]:
    """The scores of tasks that the released data set has, and the names of the other tasks.

    Forced twins and tasks of any length (``_n``) are others: no leaderboard has them.

    Args:
        scores: what the result files hold.
        tasks: take these alone; None for all.

    Raises:
        InputError: a task that was asked for is not there, or nothing is left.
    """
    names = list(dict.fromkeys(score.task for score in scores))
    for name in tasks or ():
        if name not in names:
            raise InputError(f"the results hold no task {name!r}, but {', '.join(names)}")
    chosen = [score for score in scores if tasks is None or score.task in tasks]
    released = default_release()
    found = [score for score in chosen if score.task in released]
    others = list(dict.fromkeys(score.task for score in chosen if score.task not in released))
    if not found:
        raise InputError(
            f"the results hold no task of the leaderboard, but {', '.join(others)}; forced tasks and "
            "those of any length (_n) have no entries: run the generated ones, such as phone_book_20"
        )
    return found, others


def _short(value: Any) -> str:
    return shortened(as_text(value), 60)
