"""Converts checked scores to leaderboard entries with notes, without network or files."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from huggingface_hub import EvalResultEntry

from dataset_builders.checks import printable, shortened
from lm_eval_tasks.publish.eligibility import is_on_hub
from lm_eval_tasks.results.intervals import score_interval
from lm_eval_tasks.results.labels import PUBLIC_ARGUMENTS
from lm_eval_tasks.results.score import Run, Score


def entries(
    scores: Sequence[Score], dataset: str, *, revision: str | None = None, source: str | None = None
) -> list[EvalResultEntry]:
    """The entries of checked scores.

    Args:
        scores: checked scores.
        dataset: name of the released data set on the Hub.
        revision: commit of the data set.
        source: address of the entry's source, such as a log of the run.
    """
    return [
        EvalResultEntry(
            dataset_id=dataset,
            task_id=score.task,
            value=score.main_value,
            dataset_revision=revision,
            date=iso_date(score.run.date),
            source_url=source,
            notes=notes(score),
        )
        for score in scores
    ]


def iso_date(seconds: float) -> str:
    """Seconds since 1970 as ``2026-11-22T05:59:05Z``."""
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def notes(score: Score) -> str:
    """Everything that readers of the entry need to judge the value, in one line."""
    metric = score.main_metric or ""
    ends = score_interval(score, metric)
    parts = [
        f"LIMITED to {score.documents} of {score.task_documents} documents" if score.limited else "",
        f"{metric}, 95% interval {ends[0]:.3f} to {ends[1]:.3f}" if ends else metric,
        "" if score.limited else f"{score.documents} documents",
        "" if "truncated" in score.values else "window unknown to lm-eval",
        *score.run.prompt_wrapping,
        *model_notes(score.run),
        *(f"{name} {of}" for name, of in score.run.versions.items()),
        f"repeat-after-me {score.metadata['repeat_after_me']}",
    ]
    return "; ".join(part for part in parts if part)


def model_notes(run: Run) -> list[str]:
    """Notes on how the model was loaded, without possible secrets and details of the machine."""
    arguments = run.model_arguments
    shown = [f"{key}={_short(arguments[key])}" for key in PUBLIC_ARGUMENTS if key in arguments]
    named = ("pretrained", "model", "revision", "device")
    hidden = sorted(key for key in arguments if key not in (*PUBLIC_ARGUMENTS, *named))
    which = [f"revision {_short(run.revision)}" if run.revision else ""]
    which += [f"commit {_short(run.commit)}" if run.commit else ""]
    parts = [
        f"--model {_short(run.backend)}" if run.backend else "",
        "" if is_on_hub(run.model) else "read from a local copy",
        ", ".join(part for part in which if part) if is_on_hub(run.model) else "",
        " ".join(shown),
        f"other arguments: {' '.join(map(_short, hidden))}" if hidden else "",
        f"batch size {_short(run.batch_size)}" if run.batch_size else "",
    ]
    return [part for part in parts if part]


def _short(value: Any) -> str:
    text = printable(" ".join(str(value).split()))
    return shortened(Path(text).name if text.startswith(("/", "~")) else text, 60)
