"""The files of a run of ``paper`` (lm_eval's results and log), and the released code's statistics."""

import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from dataset_builders import InputError
from lm_eval_tasks.paper import batches
from lm_eval_tasks.paper.execute import accept, answered
from lm_eval_tasks.paper.experiments import experiments
from lm_eval_tasks.paper.figures import read_scores
from lm_eval_tasks.paper.model_list import Model, read_model_list
from lm_eval_tasks.paper.plan import Files, Run, plan
from tests import mamba_ssm_stand_in
from tests.paper_results import write_results
from tests.result_files import result_file


def a_run() -> Run:
    return Run(read_model_list("paper").models[0], experiments()["phone_book"], {}, None)


def test_results_get_their_name_only_if_they_are_whole(tmp_path: Path) -> None:
    files, one = Files(tmp_path), a_run()
    tasks = dict.fromkeys(one.experiment.tasks, (20, 1.0))
    output = tmp_path / "runs" / f".{one.name}.partial"
    files.unfinished.mkdir()
    answers = files.unfinished / f"{one.name}_rank0.db"
    answers.write_text("")
    write_results(output, "m", dict(list(tasks.items())[:-1]), 4)
    with pytest.raises(InputError, match="lm_eval wrote no results or samples of phone_book_120"):
        accept(one, files)
    write_results(output / "sub", "m", {"phone_book_120": (120, 1.0)}, 4)
    (sample,) = (output / "sub").glob("samples_*")
    text = sample.read_text()
    sample.unlink()
    with pytest.raises(InputError, match="lm_eval wrote no results or samples of phone_book_120"):
        accept(one, files)
    assert not files.is_complete(one) and answers.exists()
    sample.write_text(text)
    accept(one, files)
    assert files.is_complete(one) and not output.exists() and not answers.exists()


def test_progress_is_read_from_the_log(tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert answered(log) == 0.0
    first = b"Running generate_until requests: 100%|##########| 40/40 [00:01<00:00]\n"
    log.write_bytes(first)
    assert answered(log) == 1.0
    assert answered(log, begin=len(first)) == 0.0
    with log.open("ab") as file:
        file.write(b"Running generate_until requests:  25%|##5       | 10/40 [00:01<00:03,  9.8it/s]\r")
        file.write(b"Running generate_until requests:  50%|#####     | 20/40 [00:02<00:02,  9.8it/s]\r")
    assert answered(log, begin=len(first)) == 0.5


def test_a_job_ends_with_the_process_that_started_it() -> None:
    """Its standard input is then closed, so that it does not continue next to a new one."""
    code = "; ".join([
        "import sys, time, types",
        "from lm_eval_tasks.paper import job",
        "lm_eval = types.ModuleType('lm_eval.__main__')",
        "lm_eval.cli_evaluate = lambda: time.sleep(60)",
        "sys.modules['lm_eval.__main__'] = lm_eval",
        "job.main()",
    ])  # fmt: skip
    with subprocess.Popen([sys.executable, "-c", code], stdin=subprocess.PIPE) as process:
        process.communicate(timeout=30)
        assert process.returncode == 1


@pytest.mark.parametrize("backend", ["hf", "mamba_ssm"])
def test_lm_eval_takes_the_arguments_and_its_results_are_accepted(
    lm_eval_command: Callable[..., subprocess.CompletedProcess[str]],
    model_folder: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    backend: Literal["hf", "mamba_ssm"],
) -> None:
    mamba_ssm_stand_in.install(monkeypatch)
    model = Model(
        name="tiny",
        pretrained=str(model_folder),
        backend=backend,
        model_type="gpt_neox",
        kind="transformer",
        dtype="float32",
        window=512,
        batch_size=1,
        parameters=1,
        layers=1,
        width=1,
        cache_per_token=1,
        tokenizer=str(model_folder) if backend == "mamba_ssm" else None,
        add_bos_token=False,
    )
    files, one = Files(tmp_path), Run(model, experiments()["phone_book"], {"num_docs": 2}, 1)
    files.unfinished.mkdir()
    output = files.runs / f".{one.name}.partial"
    result = lm_eval_command(*one.arguments("cpu", output, files.cache(one)))
    assert result.returncode == 0, result.stderr
    (tmp_path / "log").write_text(result.stderr)
    assert answered(tmp_path / "log") == 1.0
    assert list(files.unfinished.iterdir())
    accept(one, files)
    assert not list(files.unfinished.iterdir())
    scores = read_scores([one], files)
    assert [score.task for score in scores] == list(one.experiment.tasks)
    assert {score.label for score in scores} == {"tiny"}
    assert {score.run.model_arguments["max_length"] for score in scores} == {512}


def test_runs_of_a_model_that_was_replaced_are_not_shown_as_one_model(tmp_path: Path) -> None:
    """As one in a folder that was trained on between two experiments."""
    files, model = Files(tmp_path), read_model_list("paper").models[0]
    runs = plan([model], [experiments()[name] for name in ("phone_book", "c4_copy")], {}, None)
    for run, weights in zip(runs, ("aaaa", "bbbb"), strict=True):
        result_file(files.results(run), {run.experiment.tasks[0]: 0.5}, metadata={"weights": weights})
    with pytest.raises(InputError, match=r"pythia-410m have different weights, for example .*-phone_book-"):
        read_scores(runs, files)
    assert [score.task for score in read_scores(runs[1:], files)] == [runs[1].experiment.tasks[0]]


def test_a_batch_is_as_in_the_released_code(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 2, 500).astype(float).tolist()
    accuracies = np.zeros(3)
    for batch in range(3):
        for number in range(32):
            accuracies[batch] += values[32 * batch + number]
    accuracies /= 32
    assert batches.batch_statistics(values) == pytest.approx((np.mean(accuracies), np.std(accuracies)))
    assert batches.batch_statistics(values[:95]) is None
    assert batches.paragraph_statistics(values[:14]) is None
    assert batches.paragraph_statistics(values) == pytest.approx((np.mean(values[:30]), np.std(values[:30])))
