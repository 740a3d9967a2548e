"""The real commands, in processes of their own."""

import json
import os
import re
import shutil
from functools import partial
from pathlib import Path

import lm_eval
import pytest

from dataset_builders import InputError
from dataset_builders.phone_book import rows
from lm_eval_tasks import TASKS_FOLDER, register
from lm_eval_tasks.catalog import entries
from tests.conftest import Run


def ask(run: Run, model: Path, *options: str):
    return run(
        "-m", "lm_eval", "--model", "hf", "--model_args", f"pretrained={model}", "--device", "cpu",
        "--include_path", TASKS_FOLDER, *options,
    )  # fmt: skip


def test_a_run_with_a_window_of_512(run: Run, model_folder: Path, tmp_path: Path) -> None:
    result = ask(
        run, model_folder, "--tasks", "phone_book_n,phone_book_n_forced,phone_book_20", "--limit", "4",
        "--batch_size", "4", "--metadata", '{"num_docs": 5, "entries": 4}', "--output_path", "out",
    )  # fmt: skip
    # phone_book_20 has 20 entries, and may not be given another number
    assert result.returncode == 1
    assert "phone_book_20: 'entries' is 20 in this task" in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()

    result = ask(
        run, model_folder, "--tasks", "phone_book_20,phone_book_20_forced", "--limit", "4",
        "--batch_size", "4", "--metadata", '{"num_docs": 5, "seed": 2}', "--output_path", "out",
        "--log_samples",
    )  # fmt: skip
    assert result.returncode == 0, result.stderr
    assert "phone_book_20: 4 of 4 prompts do not fit the model's window of 512 tokens" in result.stderr
    (file,) = tmp_path.glob("out/**/results_*.json")
    content = json.loads(file.read_text())
    assert content["results"]["phone_book_20"]["truncated,none"] == 1.0
    assert content["results"]["phone_book_20"]["exact_match,none"] == 0.0
    assert content["n-samples"]["phone_book_20"] == {"original": 5, "effective": 4}
    (samples,) = tmp_path.glob("out/**/samples_phone_book_20_2*.jsonl")
    shown = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [sample["doc"]["answer"] for sample in shown] == [row["answer"] for row in rows(20, 4, 2)]

    report = run("-m", "lm_eval_tasks", "report", "out", "--out", "drawn")
    assert report.returncode == 0, report.stderr
    assert re.search(r"tiny-neox *\| exact_match *\| 0.000 ± 0.000 \*", report.stdout)
    assert {file.name for file in (tmp_path / "drawn").iterdir()} == {
        "phone_book.png", "phone_book.svg", "phone_book_forced.png", "phone_book_forced.svg",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("metadata", "said"),
    [('{"num_docs": 0}', "at least 1, not 0"), ('{"num_doc": 5}', "unknown metadata key 'num_doc'")],
)
def test_a_slip_is_one_sentence(run: Run, model_folder: Path, metadata: str, said: str) -> None:
    result = ask(run, model_folder, "--tasks", "phone_book", "--metadata", metadata)
    assert result.returncode == 1
    assert said in result.stderr.splitlines()[-1]
    assert "Traceback" not in result.stderr


# ---- being found


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where ``register`` writes in this process: a folder of the test's own."""
    folder = tmp_path / "tasks" / "repeat_after_me"
    folder.parent.mkdir()
    monkeypatch.setattr(register, "STUBS", folder)
    return folder


@pytest.fixture
def own_lm_eval(tmp_path: Path) -> Path:
    """A folder for PYTHONPATH that holds an lm-eval of the test's own: no other test sees it change."""
    installed = Path(lm_eval.__file__).parent
    shutil.copytree(installed, tmp_path / "own" / "lm_eval", copy_function=_link)
    return tmp_path / "own"


def _link(source: str, target: str) -> None:
    try:
        os.link(source, target)
    except OSError:  # another file system
        shutil.copy2(source, target)


def test_register_and_unregister(own_lm_eval: Path, run: Run, model_folder: Path) -> None:
    run = partial(run, PYTHONPATH=str(own_lm_eval))
    tasks = own_lm_eval / "lm_eval" / "tasks"
    before = sorted(tasks.iterdir())
    asked = ("-m", "lm_eval", "--model", "hf", "--model_args", f"pretrained={model_folder}",
             "--tasks", "phone_book_20", "--limit", "2", "--device", "cpu")  # fmt: skip

    first = run("-m", "lm_eval_tasks", "register")
    assert first.returncode == 0, first.stderr
    assert first.stdout.startswith(f"registered {len(entries())} tasks and groups")
    again = run("-m", "lm_eval_tasks", "register")
    assert again.stdout.startswith("already registered")

    listed = run("-m", "lm_eval", "ls", "tasks").stdout
    assert all(re.search(rf"^\|{entry.name} *\|", listed, re.MULTILINE) for entry in entries())
    names = ",".join(entry.name for entry in entries())
    validated = run("-m", "lm_eval", "validate", "--tasks", names)
    assert validated.returncode == 0, validated.stdout
    evaluated = run(*asked)
    assert evaluated.returncode == 0, evaluated.stderr
    assert "exact_match" in evaluated.stdout

    gone = run("-m", "lm_eval_tasks", "unregister")
    assert gone.returncode == 0
    assert sorted(tasks.iterdir()) == before
    assert run("-m", "lm_eval_tasks", "unregister").stdout.startswith("nothing to do")
    refused = run(*asked)
    assert refused.returncode != 0
    assert "phone_book_20" in refused.stderr + refused.stdout


def test_register_refuses_a_name_that_is_taken(stubs: Path, tmp_path, monkeypatch) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("task: phone_book_20\n")
    from lm_eval.tasks import TaskManager

    monkeypatch.setattr(
        register, "TaskManager", lambda: TaskManager(include_path=tmp_path, include_defaults=False)
    )
    with pytest.raises(InputError, match=f"has a task 'phone_book_20' already, in {other}"):
        register.register()
    assert not stubs.exists()


def test_register_leaves_an_lm_eval_alone_that_finds_plugins(stubs: Path, monkeypatch) -> None:
    from lm_eval.tasks import TaskManager

    monkeypatch.setattr(
        register, "TaskManager", lambda: TaskManager(include_path=TASKS_FOLDER, include_defaults=False)
    )
    assert register.register().startswith("nothing to do")
    assert not stubs.exists()


def test_register_where_nothing_can_be_written(stubs: Path, monkeypatch) -> None:
    monkeypatch.setattr(register, "STUBS", Path("/proc/repeat_after_me"))
    with pytest.raises(InputError, match="/proc cannot be written .*--include_path"):
        register.register()


def test_a_folder_of_somebody_else_is_left(stubs: Path) -> None:
    stubs.mkdir()
    (stubs / "mine.yaml").write_text("task: mine\n")
    for command in (register.register, register.unregister):
        with pytest.raises(InputError, match=r"mine.yaml was not written by `register`"):
            command()
    assert (stubs / "mine.yaml").exists()


def test_path_and_list(run: Run) -> None:
    assert run("-m", "lm_eval_tasks", "path").stdout == f"{TASKS_FOLDER}\n"
    listed = run("-m", "lm_eval_tasks", "list").stdout
    assert "phone_book_long" in listed
    assert "phone_book_n_forced" in listed
