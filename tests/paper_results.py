"""Writes the files of an ``lm_eval`` run of ``paper``, with given accuracies."""

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from dataset_builders.workers import Job, Watcher
from tests.result_files import content

Accuracy = Callable[[str, str, int], float]
"""(model, experiment, length) -> share of right answers."""


def write_results(folder: Path, model: str, tasks: Mapping[str, tuple[int, float]], documents: int) -> None:
    """Write results and samples.

    Args:
        tasks: task -> its length and the fraction of right answers; the first documents are right.
    """
    folder.mkdir(parents=True)
    for number, (task, (length, accuracy)) in enumerate(tasks.items()):
        metric = "f1" if task.startswith("squad") else "exact_match"
        right = round(accuracy * documents)
        values = spread(right, documents)
        share = right / documents
        error = (share * (1 - share) / documents) ** 0.5
        whole = content(
            {task: share}, model=model, documents=documents, error=error, metadata={"length": length}
        )
        own = whole["results"][task]
        own[f"{metric},none"] = own.pop("exact_match,none")
        own[f"{metric}_stderr,none"] = own.pop("exact_match_stderr,none")
        (folder / f"results_{number}.json").write_text(json.dumps(whole))
        lines = [
            {"doc": {"id": f"{task}/{i}"}, "doc_hash": f"h{i}", "filtered_resps": [""], metric: value}
            for i, value in enumerate(values)
        ]
        text = "".join(json.dumps(line) + "\n" for line in lines)
        (folder / f"samples_{task}_{number}.jsonl").write_text(text)


def spread(right: int, documents: int) -> list[float]:
    """A list with this number of ones, spread evenly over the documents."""
    return [float((i + 1) * right // documents - i * right // documents) for i in range(documents)]


class FakeRunner:
    """Replaces ``run_jobs``: writes what lm_eval would write, one job after another.

    Args:
        accuracy: accuracy of each model on each task.
        failing: models whose runs fail.
        stop_after: number of jobs after which Ctrl-C is pressed.
    """

    def __init__(
        self,
        accuracy: Accuracy,
        documents: int = 96,
        failing: Sequence[str] = (),
        stop_after: int | None = None,
    ) -> None:
        self.done: list[str] = []
        self.places: Sequence[Mapping[str, str]] = ()
        self._accuracy, self._documents = accuracy, documents
        self._failing, self._stop_after = failing, stop_after

    def __call__(self, jobs: Sequence[Job], at: Sequence[Mapping[str, str]], watcher: Watcher) -> None:
        from lm_eval_tasks.paper.experiments import experiments

        self.places = at
        for number, job in enumerate(jobs):
            if number == self._stop_after:
                watcher.stopping()
                raise KeyboardInterrupt
            words = list(job.command)
            given: dict[str, Any] = {
                name: words[words.index(f"--{name}") + 1] for name in ("model_args", "tasks", "output_path")
            }
            model = json.loads(given["model_args"])["pretrained"]
            experiment = experiments()[given["tasks"]]
            job.log.write_text("loading\nerror: it does not fit\n")
            watcher.started(job, 0)
            self.done.append(f"{model} {experiment.name}")
            if model in self._failing:
                watcher.ended(job, 1)
                continue
            tasks = {
                task: (length, self._accuracy(model, experiment.name, length))
                for task, length in zip(experiment.tasks, experiment.lengths, strict=True)
            }
            write_results(Path(given["output_path"]) / "sub", model, tasks, self._documents)
            watcher.ended(job, 0)
