"""Read our tasks' scores from the result files that lm-eval writes."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from dataset_builders import InputError

MAIN_METRICS = ("exact_match", "f1")
"""A benchmark's main metric is the first of these that it has."""

_FAR_FUTURE = 2.0**33  # seconds since 1970; what is later, or no number, is no date


@dataclass(frozen=True)
class Run:
    """How lm-eval asked a model, as far as its result file says.

    Attributes:
        date: when the run began, in seconds since 1970.
        model: the model as it was given: a name on the Hub, a folder, or the kind of model.
        settings: lm-eval's ``config``, e.g. ``model_args``, ``batch_size``, ``gen_kwargs``.
        versions: package -> its version.
        dressed: what stood around the prompts: ``chat template``, ``system instruction``.
    """

    date: float
    model: str
    settings: Mapping[str, Any]
    versions: Mapping[str, str]
    dressed: tuple[str, ...]

    @property
    def model_arguments(self) -> dict[str, Any]:
        """``--model_args`` as a dictionary, however lm-eval was given them."""
        given = self.settings.get("model_args") or {}
        if isinstance(given, Mapping):
            return dict(given)
        return {key: value for key, _, value in (pair.partition("=") for pair in str(given).split(","))}


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
        asked_for: number of documents that the task has; None where the file does not say it.
        metadata: what the file says of the task and its documents.
        directions: metric -> whether higher is better.
        generation: the task's ``generation_kwargs``, empty where nothing was generated.
        run: the run that it is from.
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
    asked_for: int | None
    metadata: Mapping[str, Any]
    directions: Mapping[str, bool]
    generation: Mapping[str, Any]
    run: Run

    @property
    def main_metric(self) -> str | None:
        """The metric that stands for the score where there is room for one; None where it is missing."""
        return next((metric for metric in MAIN_METRICS if metric in self.values), None)

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
        model = _model_name(content)
        run = _run(content)
        scores = [
            (run.date, _score(file, task, model, run, content))
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


def _score(file: Path, task: str, model: str, run: Run, content: Mapping[str, Any]) -> Score:
    result, config = content["results"][task], content["configs"][task]
    metadata = config["metadata"]
    if type(metadata["benchmark"]) is not str or type(metadata["length"]) is not int:
        raise TypeError(task)
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
        asked_for=_part(_part(content, "n-samples"), task).get("original"),
        metadata=metadata,
        directions=_part(_part(content, "higher_is_better"), task),
        generation=_part(config, "generation_kwargs"),
        run=run,
    )


def _run(content: Mapping[str, Any]) -> Run:
    versions = {"lm-eval": "lm_eval_version", "transformers": "transformers_version"}
    around = {"chat template": "chat_template", "system instruction": "system_instruction"}
    date = float(content["date"])
    if not 0 <= date < _FAR_FUTURE:
        raise ValueError(date)
    return Run(
        date=date,
        model=_given_model(content),
        settings=_part(content, "config"),
        versions={name: str(content[key]) for name, key in versions.items() if content.get(key)},
        dressed=tuple(name for name, key in around.items() if content.get(key)),
    )


def _part(content: Mapping[str, Any], key: str) -> Mapping[str, Any]:
    """An object of the file, empty where it is null or missing.

    Raises:
        TypeError: it is something else.
    """
    part = content.get(key) or {}
    if not isinstance(part, Mapping):
        raise TypeError(key)
    return part


def _given_model(content: Mapping[str, Any]) -> str:
    return str(content.get("model_name") or content["config"]["model"])


def _model_name(content: Mapping[str, Any]) -> str:
    """The model's name: a name on the Hub as it is, a folder by its last part, else the kind of model."""
    name = _given_model(content)
    return Path(name).name if Path(name).is_absolute() or Path(name).exists() else name
