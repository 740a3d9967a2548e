"""Result files that lm-eval itself wrote, for a model that answers by a rule."""

import json
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from tests.scripted import Scripted, look_up

MODEL = "org/model"
TASKS = ("phone_book_20", "phone_book_40", "phone_book_20_forced")


def seven_in_ten(prompt: str) -> str:
    """Right for about seven books in ten, depending on the letters of the queried name."""
    name = prompt.rsplit("\n", 1)[1]
    return look_up(prompt) if sum(map(ord, name)) % 10 < 7 else " 1\n"


@cache
def _text(limit: int | None, metadata: str) -> str:
    """What lm-eval writes for a run of ``TASKS`` on a model called ``MODEL``."""
    from lm_eval import simple_evaluate
    from lm_eval.api.registry import register_model
    from lm_eval.loggers import EvaluationTracker
    from lm_eval.tasks import TaskManager

    from lm_eval_tasks import TASKS_FOLDER

    @register_model(f"seven-in-ten-{limit}-{metadata}")
    class SevenInTen(Scripted):
        def __init__(self, pretrained: str, **_: Any) -> None:
            super().__init__(seven_in_ten)

    with TemporaryDirectory() as folder:
        tracker = EvaluationTracker(output_path=folder)
        asked = json.loads(metadata)
        results = simple_evaluate(
            model=f"seven-in-ten-{limit}-{metadata}",
            model_args={"pretrained": MODEL, "dtype": "float32", "api_key": "hf_secret"},
            tasks=list(TASKS),
            task_manager=TaskManager(include_path=TASKS_FOLDER, include_defaults=False, metadata=asked),
            limit=limit,
            batch_size=8,
            log_samples=False,
            evaluation_tracker=tracker,
        )
        tracker.save_results_aggregated(results=results, samples=None)
        (file,) = Path(folder).glob("**/results_*.json")
        return file.read_text()


def real_results(*, limit: int | None = None, **metadata: Any) -> dict[str, Any]:
    """A fresh copy of the content of the result file."""
    content: dict[str, Any] = json.loads(_text(limit, json.dumps(metadata)))
    return content


def as_task(content: dict[str, Any], task: str) -> dict[str, Any]:
    """The results of phone_book_20, renamed as those of another task."""
    from dataset_builders.registry import default_release
    from lm_eval_tasks.results.known_tasks import task_configs

    for part in ("configs", "results", "n-samples", "n-shot"):
        content[part] = {task: content[part]["phone_book_20"]}
    config, own = content["configs"][task], task_configs()[task]
    config["generation_kwargs"] = dict(own["generation_kwargs"])
    config["metadata"] |= own["metadata"]
    config["metadata"]["length"] = default_release()[task].arguments[own["metadata"]["length_of"]]
    return content


def written(folder: Path, content: dict[str, Any], name: str = "results_1.json") -> Path:
    """Write the content as a result file into a folder."""
    file = folder / name
    file.write_text(json.dumps(content))
    return file
