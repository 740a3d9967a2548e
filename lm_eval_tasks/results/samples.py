"""The samples that ``lm_eval --log_samples`` writes next to a result file, one line per document."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from dataset_builders import InputError
from dataset_builders.checks import first_problem, printable
from lm_eval_tasks.results.score import Score, is_number

_MAX_LINE = 64 * 2**20  # bytes per line, which contains its prompt several times
_MAX_LINES = 1_000_000
_MAX_BYTES = 4 * 2**30  # bytes per file, which is kept in memory; 500 prompts of 100,000 tokens take 0.6 GB


@dataclass(frozen=True)
class Sample:
    """One document of a task.

    Attributes:
        name: id of the document.
        document: checksum of the document.
        values: values of the metrics by name.
        text: generated text, for tasks that generate.
        row: columns of the document by name; not checked.
    """

    name: str
    document: str
    values: dict[str, float]
    text: str
    row: Mapping[str, Any] = field(default_factory=dict)

    @property
    def truncated(self) -> bool:
        """Whether the document did not fit the model's context window, so that it was not run."""
        return bool(self.values.get("truncated"))


class _Document(BaseModel):
    model_config = ConfigDict(extra="allow")

    id: str = Field(max_length=1000)


class _Line(BaseModel):
    model_config = ConfigDict(extra="allow")

    doc: _Document
    doc_hash: str = Field("", max_length=1000)
    filtered_resps: list[Any] = Field(min_length=1)


def samples_file(score: Score) -> Path:
    """The file in which lm-eval logs the samples of a score."""
    date = score.file.stem.removeprefix("results_")
    return score.file.with_name(f"samples_{score.task}_{date}.jsonl")


def logged(scores: Iterable[Score]) -> list[tuple[Score, list[Sample]]]:
    """The scores whose samples were logged, with their samples.

    Raises:
        InputError: a file of samples is damaged or incomplete.
    """
    return [(score, list(read_samples(score).values())) for score in scores if samples_file(score).is_file()]


def read_samples(score: Score) -> dict[str, Sample]:
    """The logged samples of a score, by document id.

    Raises:
        InputError: no samples were logged, or the file is damaged or incomplete.
    """
    file = samples_file(score)
    name = printable(str(file))
    if not file.is_file():
        raise InputError(f"{name} does not exist; run lm_eval with --log_samples")
    found: dict[str, Sample] = {}
    try:
        if file.stat().st_size > _MAX_BYTES:
            raise InputError(
                f"{name} has more than {_MAX_BYTES // 2**30} GiB; run lm_eval with fewer documents"
            )
        with file.open("rb") as stream:
            while line := stream.readline(_MAX_LINE + 1):
                if len(line) > _MAX_LINE or len(found) >= _MAX_LINES:
                    raise InputError(f"{name} is too large for lm-eval's samples")
                row = _Line.model_validate_json(line)
                found[row.doc.id] = _sample(row)
    except OSError as error:
        raise InputError(f"{name} cannot be read: {error.strerror}") from None
    except ValidationError as error:
        raise InputError(
            f"{name} is not a complete file of lm-eval's samples: {first_problem(error)}; run lm_eval again"
        ) from None
    if len(found) < score.documents:
        raise InputError(
            f"{name} is not a complete file of lm-eval's samples: it has {len(found)} of {score.documents} "
            "documents; run lm_eval again"
        )
    return found


def _sample(row: _Line) -> Sample:
    extra = row.model_extra or {}
    values = {name: float(value) for name, value in extra.items() if is_number(value)}
    response = row.filtered_resps[0]
    text = response if isinstance(response, str) else ""
    return Sample(row.doc.id, row.doc_hash, values, text, row.doc.model_extra or {})
