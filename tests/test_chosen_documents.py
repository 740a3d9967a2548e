"""Runs on documents that the user chose with ``--samples``."""

from pathlib import Path

from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from lm_eval_tasks import TASKS_FOLDER
from lm_eval_tasks.results.rows import read_scores
from tests.result_files import result_file
from tests.scripted import Scripted, look_up

TASK = "phone_book_20"


def recorded(indices: list[int] | None) -> str | None:
    results = simple_evaluate(
        model=Scripted(look_up),
        tasks=[TASK],
        task_manager=TaskManager(include_path=TASKS_FOLDER, include_defaults=False, metadata={"num_docs": 8}),
        samples=None if indices is None else {TASK: indices},
        bootstrap_iters=1,
    )
    found: str | None = results["configs"][TASK]["metadata"].get("samples")
    return found


def test_runs_on_other_documents_are_rows_of_their_own(tmp_path: Path) -> None:
    chosen = [recorded(indices) for indices in ([0, 3], [3, 0], [5, 6])]
    assert chosen[0] == chosen[1] != chosen[2] and recorded(None) is None
    for number, one in enumerate(chosen):
        options = {"config": {"limit": None}, "metadata": {"samples": one}, "date": 1.7e9 + number}
        result_file(tmp_path, {TASK: number / 2}, documents=2, **options)
    found = {score.label: score.main_value for score in read_scores([tmp_path])}
    assert found == {f"model, samples={chosen[1]}": 0.5, f"model, samples={chosen[2]}": 1.0}
