"""Checks whether a leaderboard accepts scores, without network or files.

A score is accepted if the run evaluated all of the benchmark's own documents, none of them truncated to the
context window, if it evaluated the model itself with the benchmark's own prompts, and if the numbers are
possible for such a run. Everything else is rejected with a message that says what to do.
"""

import math
import re
import time
from collections.abc import Collection, Iterator, Mapping, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

from dataset_builders import InputError
from dataset_builders.checks import shortened
from dataset_builders.registry import default_release
from dataset_builders.release.checksums import known_checksums
from lm_eval_tasks.results.identity import as_text, differences_from_task
from lm_eval_tasks.results.intervals import BINARY_METRICS
from lm_eval_tasks.results.known_tasks import task_config
from lm_eval_tasks.results.score import MAIN_METRICS, Score

PACKAGE_VERSIONS = ("0.1.0",)
"""Versions of this package, besides the installed one, that prompt and score in the same way."""

_ON_HUB = re.compile(r"[\w.-]+/[\w.-]+")
_PAPER = 1706745600.0  # 1 February 2024, when the benchmark's paper appeared
_DAY = 86400.0


def kept_checksums() -> dict[str, str | None]:
    """Checksum of each released config's documents; None if this version does not know it."""
    return {name: known_checksums().get(name) for name in default_release()}


def check(
    scores: Sequence[Score],
    model: str,
    *,
    allow_limited: bool = False,
    checksums: Mapping[str, str | None] | None = None,
) -> None:
    """Check that a leaderboard may accept scores.

    Args:
        scores: scores of tasks in the released data set.
        model: name on the Hub of the model for which they are submitted.
        allow_limited: accept scores of a part of the documents.
        checksums: checksums of the documents by task, None if unknown (default: the checksums that come with
            the tasks).

    Raises:
        InputError: a score is not acceptable; the message has the first reason, the task and the remedy.
    """
    _check_model(scores, model)
    known = kept_checksums() if checksums is None else checksums
    for score in scores:
        for problem in _problems(score, model, known.get(score.task), allow_limited):
            raise InputError(f"{score.task}: {problem}")
    rows = sorted({score.label for score in scores})
    if len(rows) > 1:
        raise InputError(
            f"the results are from runs with different settings ({'; '.join(rows)}); pass the result files "
            "of one of them"
        )


def _check_model(scores: Sequence[Score], model: str) -> None:
    names = sorted({score.run.model for score in scores})
    if len(names) > 1:
        raise InputError(
            f"the results are from {len(names)} models ({', '.join(names)}); submit one model at a time: "
            "pass the subfolder with its result files"
        )
    (name,) = names
    if is_on_hub(name) and name.lower() != model.lower():
        raise InputError(
            f"the results are from {name}, not from {model}; pass --model {name}, or, if that is a folder, "
            "run submit from the folder that contains it"
        )


def is_on_hub(name: str) -> bool:
    """Whether a name has the form of a name on the Hub, and no local folder has it."""
    return _ON_HUB.fullmatch(name) is not None and not Path(name).exists()


def _problems(score: Score, model: str, known: str | None, allow_limited: bool) -> Iterator[str]:
    yield from _of_version(score.metadata)
    yield from _of_task(score)
    if known is not None and score.document_set != known:
        yield (
            f"the documents are not the benchmark's (their checksum is {score.document_set[:12]}, not "
            f"{known[:12]}); run lm_eval again without the documents' keys (num_docs, seed, ...) in "
            "--metadata"
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
            f"the results are from repeat-after-me {_short(metadata.get('repeat_after_me'))}, but this "
            f"installation knows {' and '.join(known)}; install the version that wrote them, or run lm_eval "
            "again with this one"
        )


def _installed_version() -> str:
    return version("repeat-after-me")


def _of_task(score: Score) -> Iterator[str]:
    task = (task_config(score.task) or {})["metadata"]
    if score.metadata.get("version") != task["version"]:
        yield (
            f"the results are from version {_short(score.metadata.get('version'))} of the task, but this "
            f"installation has version {task['version']}; install the version of repeat-after-me that wrote "
            "them"
        )
    if score.benchmark != task["benchmark"]:
        yield (
            f"the results are from the benchmark {score.benchmark}, not from {task['benchmark']}; run "
            "lm_eval again"
        )
    length = default_release()[score.task].arguments[task["length_of"]]
    if score.length != length:
        yield f"the length is {score.length}, but the task has the length {length}; run lm_eval again"


def _of_model(score: Score, model: str) -> Iterator[str]:
    for kind in ("peft", "delta"):
        adapter = score.run.model_arguments.get(kind)
        if adapter is not None and str(adapter).lower() != model.lower():
            yield (
                f"the results are from the model with the adapter {_short(adapter)} ({kind}=), not from "
                f"{model} itself; run lm_eval again without it, or submit to the adapter's own repository"
            )


def _of_prompt(score: Score) -> Iterator[str]:
    if score.shots:
        yield (
            f"the prompts had {score.shots} few-shot examples, but the benchmark has none; run lm_eval "
            "again without --num_fewshot"
        )
    if score.run.system_instruction is not None:
        yield (
            "the prompts had a system instruction, but the benchmark has none; run lm_eval again without "
            "--system_instruction"
        )
    if score.run.gen_kwargs:
        yield (
            "the answers were not generated with the benchmark's settings (greedy decoding to the end of the "
            "answer); run lm_eval again without --gen_kwargs"
        )
    if score.metadata.get("ended_prompts"):
        yield (
            "the model's tokenizer ended each prompt with end-of-text, so the answers do not follow the "
            "prompts; run lm_eval again with add_bos_token=False in --model_args, or with another tokenizer"
        )
    for name, (found, wanted) in differences_from_task(score).items():
        yield (
            f"{name} is {_short(found)}, but the benchmark's is {_short(wanted)}; run lm_eval on the "
            "unchanged task"
        )


def _of_counts(score: Score, allow_limited: bool) -> Iterator[str]:
    wanted = default_release()[score.task].arguments.get("num_docs")
    if score.task_documents is None:
        yield "the results do not say how many documents the task has; run lm_eval again"
    elif wanted is not None and score.task_documents != wanted:
        yield (
            f"the task had {score.task_documents} documents, but the benchmark's has {wanted}; run lm_eval "
            "again"
        )
    elif score.documents > score.task_documents:
        yield (
            f"the results claim {score.documents} evaluated documents of {score.task_documents}, which is "
            "impossible; run lm_eval again"
        )
    elif score.limited and not allow_limited:
        yield (
            f"only {score.documents} of {score.task_documents} documents were evaluated; run lm_eval again "
            "without --limit and --samples, or pass --allow-limited for an entry that is marked as limited"
        )


def _of_window(score: Score) -> Iterator[str]:
    for metric, what in (
        ("truncated", "did not fit the model's context window"),
        ("misaligned", "could not be scored"),
    ):
        share = score.values.get(metric, (0.0, None))[0]
        if share is None:
            yield f"{metric} is not a fraction of documents; run lm_eval again"
        elif share:
            yield (
                f"{share:.1%} of the documents {what}; run lm_eval again with max_length= in --model_args if "
                "the model can read more, or choose other tasks with --tasks"
            )


def _of_value(score: Score) -> Iterator[str]:
    metric = score.main_metric
    if metric not in MAIN_METRICS:
        yield (
            f"the results contain neither {' nor '.join(MAIN_METRICS)}; run lm_eval again without "
            "--predict_only"
        )
        return
    value, error = score.values[metric]
    if value is None:
        yield f"{metric} is not a score from 0 to 1; run lm_eval again"
        return
    if error is None:
        yield (
            f"{metric} has no standard error; run lm_eval again on more than one document and with "
            "--bootstrap_iters above 0"
        )
        return
    yield from _of_numbers(metric, value, error, score.documents)


def _of_numbers(metric: str, value: float, error: float, documents: int) -> Iterator[str]:
    """Problems of a mean and standard error that are impossible with this number of documents."""
    right = value * documents
    if metric in BINARY_METRICS and not math.isclose(right, round(right), abs_tol=1e-6 * documents):
        yield f"{metric} {value:g} is not a fraction of {documents} documents; run lm_eval again"
        return
    # the standard error if all values are 0 or 1; with values between 0 and 1, it is smaller
    most = math.sqrt(value * (1 - value) / max(1, documents - 1))
    exact = metric in BINARY_METRICS and not math.isclose(error, most, rel_tol=1e-6, abs_tol=1e-9)
    if exact or error > most * (1 + 1e-6) + 1e-9:
        yield (
            f"{metric} {value:g} on {documents} documents cannot have the standard error {error:.3g} "
            f"(it must be {'' if metric in BINARY_METRICS else 'at most '}{most:.3g}); run lm_eval again"
        )


def leaderboard_scores(
    scores: Sequence[Score], tasks: Collection[str] | None = None
) -> tuple[list[Score], list[str]]:
    """The scores of tasks in the released data set, and the names of the other tasks.

    The other tasks, which no leaderboard lists, are twins (``_forced``, ``_gain``) and tasks of any length
    (``_n``).

    Args:
        scores: scores in the result files.
        tasks: keep only these tasks; None for all.

    Raises:
        InputError: a requested task is missing, or no score is left.
    """
    names = list(dict.fromkeys(score.task for score in scores))
    for name in tasks or ():
        if name not in names:
            raise InputError(f"the results do not contain the task {name!r}; they contain {', '.join(names)}")
    chosen = [score for score in scores if tasks is None or score.task in tasks]
    released = default_release()
    found = [score for score in chosen if score.task in released]
    others = list(dict.fromkeys(score.task for score in chosen if score.task not in released))
    if not found:
        raise InputError(
            f"the results contain no task of the leaderboard, only {', '.join(others)}; forced tasks and "
            "tasks of any length (_n) have no entries: run tasks that generate, such as phone_book_20"
        )
    return found, others


def _short(value: Any) -> str:
    return shortened(as_text(value), 60)
