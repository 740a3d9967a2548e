"""Read our tasks' scores from the result files that lm-eval writes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builders import InputError


@dataclass(frozen=True)
class Score:
    """One model's scores on one task.

    Attributes:
        file: the result file.
        task: the task's name in lm-eval, e.g. ``phone_book_20``.
        model: what the model is called, e.g. ``EleutherAI/pythia-410m``.
        benchmark: whose tasks differ in their length alone, e.g. ``phone_book``.
        length: the length, in units of ``unit``.
        values: metric -> (mean, standard error or None where lm-eval gives none).
        documents: number of documents scored.
        document_set: checksum of the task's documents.
    """

    file: Path
    task: str
    model: str
    benchmark: str
    length: int
    unit: str
    values: Mapping[str, tuple[float, float | None]]
    documents: int
    document_set: str

    @property
    def truncated(self) -> float:
        """Share of the documents that did not fit the model's window; 0 where it is unknown."""
        return self.values.get("truncated", (0.0, None))[0]


def read_scores(paths: Iterable[Path]) -> list[Score]:
    """All scores of our tasks in result files, or in folders that hold them; of repeated ones the newest.

    Raises:
        InputError: a path does not exist, is no result file of lm-eval, or holds none of our tasks.
    """
    newest: dict[tuple[str, str, int], tuple[float, Score]] = {}
    for path in paths:
        for file in _files(path):
            for date, score in _scores_of(file):
                key = (score.model, score.benchmark, score.length)
                if key not in newest or newest[key][0] < date:
                    newest[key] = (date, score)
    scores = [score for _, score in newest.values()]
    return sorted(scores, key=lambda s: (s.benchmark, s.model, s.length))


def _files(path: Path) -> list[Path]:
    if path.is_dir():
        files = sorted(path.glob("**/results_*.json"))
        if not files:
            raise InputError(f"{path} holds no results_*.json; give lm_eval an --output_path")
        return files
    if not path.exists():
        raise InputError(f"{path} does not exist; give a result file of lm-eval or its folder")
    return [path]


def _scores_of(file: Path) -> list[tuple[float, Score]]:
    try:
        content = json.loads(file.read_text(encoding="utf-8"))
        configs: Mapping[str, Any] = content["configs"]
        results: Mapping[str, Any] = content["results"]
        model = _model_name(content)
        date = float(content["date"])
        scores = [
            (date, _score(file, task, model, results[task], config["metadata"]))
            for task, config in configs.items()
            if "length_of" in (config.get("metadata") or {})
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        raise InputError(f"{file} is not a whole result file of lm-eval (results_*.json)") from None
    if not scores:
        raise InputError(
            f"{file} holds none of our tasks, but {', '.join(sorted(configs)) or 'nothing'}; "
            "`python -m lm_eval_tasks list` shows ours"
        )
    return scores


def _score(
    file: Path, task: str, model: str, result: Mapping[str, Any], metadata: Mapping[str, Any]
) -> Score:
    values: dict[str, tuple[float, float | None]] = {}
    for key, value in result.items():
        metric, _, metric_filter = key.partition(",")
        if metric_filter and not metric.endswith("_stderr"):
            error = result.get(f"{metric}_stderr,{metric_filter}")
            values[metric] = (value, error if isinstance(error, float) else None)
    return Score(
        file=file,
        task=task,
        model=model,
        benchmark=metadata["benchmark"],
        length=metadata["length"],
        unit=metadata.get("unit", metadata["length_of"]),
        values=values,
        documents=result["sample_len"],
        document_set=metadata["documents_sha256"],
    )


def _model_name(content: Mapping[str, Any]) -> str:
    """The model's name: a name on the Hub as it is, a folder by its last part, else the kind of model."""
    name = content.get("model_name") or content["config"]["model"]
    return Path(name).name if Path(name).is_absolute() or Path(name).exists() else name
