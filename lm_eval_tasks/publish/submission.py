"""Which scores may stand on a leaderboard, and what an entry says of them; no network, no files.

A score gets there if it is of the benchmark's own documents, all of them, none cut by the model's window,
asked as the benchmark asks them. Everything else is refused with the remedy.
"""

import math
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResultEntry

from dataset_builders import InputError
from dataset_builders.registry import default_release
from dataset_builders.release.checksums import known_checksums
from lm_eval_tasks.results.reader import MAIN_METRICS, Run, Score

TASK_VERSIONS = (1.0,)
"""Versions of the tasks whose scores compare with those of the tasks installed."""

PACKAGE_VERSIONS = ("0.1.0",)
"""Versions of this package, beside the one installed, that asked and scored as it does."""

_ON_HUB = re.compile(r"[\w.-]+/[\w.-]+")

_TOLD = (
    "dtype", "softmax_dtype", "mixed_precision_dtype", "quantization", "load_in_8bit", "load_in_4bit",
    "kv_cache_dtype", "gguf_file", "subfolder", "attn_implementation", "trust_remote_code", "add_bos_token",
    "prefix_token_id", "max_length", "max_model_len", "truncation", "enable_thinking",
)  # fmt: skip
"""Model arguments that an entry shows; others may hold paths, addresses or keys, so only their names are."""


def kept_checksums() -> dict[str, str | None]:
    """Checksum of each released config's documents; None where this version does not know it."""
    return {name: known_checksums().get(name) for name in default_release()}


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
    names = [score.task for score in scores]
    for name in tasks or ():
        if name not in names:
            raise InputError(f"the results hold no task {name!r}, but {', '.join(names)}")
    chosen = [score for score in scores if tasks is None or score.task in tasks]
    released = default_release()
    found = [score for score in chosen if score.task in released]
    others = [score.task for score in chosen if score.task not in released]
    if not found:
        raise InputError(
            f"the results hold no task of the leaderboard, but {', '.join(others)}; forced tasks and "
            "those of any length (_n) have no entries: run the generated ones, such as phone_book_20"
        )
    return found, others


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
        model: name on the Hub of the model that they are said to be of.
        allow_limited: let scores of a part of the documents pass.
        checksums: of each task's documents, None where unknown; by default those kept with the tasks.

    Raises:
        InputError: the first reason found, with the task and the remedy.
    """
    _check_model({score.run.model for score in scores}, model)
    known = kept_checksums() if checksums is None else checksums
    for score in scores:
        for problem in _problems(score, known.get(score.task), allow_limited):
            raise InputError(f"{score.task}: {problem}")


def _check_model(names: Collection[str], model: str) -> None:
    if len(names) > 1:
        raise InputError(
            f"the results are of {len(names)} models ({', '.join(sorted(names))}); submit one at a time"
        )
    (name,) = names
    if is_on_hub(name) and name.lower() != model.lower():
        raise InputError(
            f"the results are of {name}, not of {model}; pass --model {name}, or where that was a folder, "
            "run submit beside it"
        )


def is_on_hub(name: str) -> bool:
    """Whether a model's name is one on the Hub, and no folder here."""
    return _ON_HUB.fullmatch(name) is not None and not Path(name).exists()


def _problems(score: Score, known: str | None, allow_limited: bool) -> Iterator[str]:
    yield from _of_version(score.metadata)
    if known is not None and score.document_set != known:
        yield (
            f"the documents are not the benchmark's (their checksum is {str(score.document_set)[:12]}, and "
            f"{known[:12]} is the benchmark's); run lm_eval again without the documents' keys (num_docs, "
            "seed, ...) in --metadata"
        )
    yield from _of_asking(score)
    if type(score.asked_for) is not int or type(score.documents) is not int:
        yield "the results do not say how many documents the task has; run lm_eval again"
    elif score.documents != score.asked_for and not allow_limited:
        yield (
            f"{score.documents} of {score.asked_for} documents were asked; run lm_eval again without "
            "--limit and --samples, or pass --allow-limited for an entry that is marked as limited"
        )
    yield from _of_value(score)


def _of_version(metadata: Mapping[str, Any]) -> Iterator[str]:
    if metadata.get("version") not in TASK_VERSIONS:
        yield (
            f"the results are of version {metadata.get('version')!r} of the task, and version "
            f"{_listed(TASK_VERSIONS)} is known here; install the repeat-after-me that made them"
        )
    known = list(dict.fromkeys((*PACKAGE_VERSIONS, version("repeat-after-me"))))
    if metadata.get("repeat_after_me") not in known:
        yield (
            f"the results are of repeat-after-me {metadata.get('repeat_after_me')!r}, and {_listed(known)} "
            "is known here; install the version that made them, or run lm_eval again with this one"
        )


def _of_asking(score: Score) -> Iterator[str]:
    if score.run.settings.get("gen_kwargs"):
        yield (
            "the answers were not generated as the benchmark asks, greedily and to the answer's end; run "
            "lm_eval again without --gen_kwargs"
        )
    if not is_number(score.truncated):
        yield f"truncated is {score.truncated!r}, which is no share; run lm_eval again"
    elif score.truncated:
        yield (
            f"{score.truncated:.1%} of the documents did not fit the model's window; run lm_eval again with "
            "max_length= in --model_args if the model can read more, or choose others with --tasks"
        )


def _of_value(score: Score) -> Iterator[str]:
    metric = score.main_metric
    if metric is None:
        yield f"the results hold none of {_listed(MAIN_METRICS)}; run lm_eval again without --predict_only"
        return
    value, error = score.values[metric]
    if not is_number(value) or not 0 <= value <= 1:
        yield f"{metric} is {value!r}, which is no score from 0 to 1; run lm_eval again"
    if error is None or not is_number(error):
        yield (
            f"{metric} has no standard error; run lm_eval again on more than one document and with "
            "--bootstrap_iters above 0"
        )


def is_number(value: Any) -> bool:
    """Whether a value of a result file is a finite number."""
    return isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)


def _listed(items: Collection[Any]) -> str:
    return " or ".join(map(str, items))


def entries(
    scores: Sequence[Score], dataset: str, *, revision: str | None = None, source: str | None = None
) -> list[EvalResultEntry]:
    """The entries of checked scores.

    Args:
        dataset: name of the released data set on the Hub.
        revision: commit of it.
        source: address of what the entry is taken from, such as a log of the run.
    """
    return [
        EvalResultEntry(
            dataset_id=dataset,
            task_id=score.task,
            value=main_value(score)[0],
            dataset_revision=revision,
            date=iso_date(score.run.date),
            source_url=source,
            notes=notes(score),
        )
        for score in scores
    ]


def main_value(score: Score) -> tuple[float, float | None]:
    """A checked score's main metric: mean and standard error."""
    assert score.main_metric is not None, "an unchecked score"  # noqa: S101
    return score.values[score.main_metric]


def iso_date(seconds: float) -> str:
    """Seconds since 1970 as ``2026-11-22T05:59:05Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def notes(score: Score) -> str:
    """What a reader of the entry needs to trust the value, in one line."""
    _, error = main_value(score)
    limited = score.documents != score.asked_for
    parts = [
        f"LIMITED to {score.documents} of {score.asked_for} documents" if limited else "",
        f"{score.main_metric}, standard error {error:.2g}",
        "" if limited else f"{score.documents} documents",
        "" if "truncated" in score.values else "window unknown to lm-eval",
        *score.run.dressed,
        *model_notes(score.run),
        *(f"{name} {of}" for name, of in score.run.versions.items()),
        f"repeat-after-me {score.metadata['repeat_after_me']}",
    ]
    return "; ".join(part for part in parts if part)


def model_notes(run: Run) -> list[str]:
    """How the model was loaded, without anything that may be secret or is of the machine alone."""
    arguments, settings = run.model_arguments, run.settings
    said = [f"{key}={_short(arguments[key])}" for key in _TOLD if key in arguments]
    named = ("pretrained", "model", "revision", "device")
    unsaid = sorted(key for key in arguments if key not in (*_TOLD, *named))
    revision, commit = settings.get("model_revision") or arguments.get("revision"), settings.get("model_sha")
    which = [f"revision {_short(revision)}" if revision else "", f"commit {_short(commit)}" if commit else ""]
    parts = [
        f"--model {_short(settings['model'])}" if settings.get("model") else "",
        "" if is_on_hub(run.model) else "read from a local copy",
        ", ".join(part for part in which if part) if is_on_hub(run.model) else "",
        " ".join(said),
        f"other arguments: {' '.join(map(_short, unsaid))}" if unsaid else "",
        f"batch size {_short(settings['batch_size'])}" if settings.get("batch_size") else "",
    ]
    return [part for part in parts if part]


def _short(value: Any) -> str:
    text = " ".join(str(value).split())
    if text.startswith(("/", "~")):
        text = Path(text).name
    return text if len(text) <= 60 else f"{text[:59]}…"
