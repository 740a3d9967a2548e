"""The real commands, as a user types them."""

import importlib
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from dataset_builders import InputError
from dataset_builders.command_line import BROKEN_PIPE, command_errors, interrupt_quietly
from dataset_builders.phone_book import rows
from lm_eval_tasks import TASKS_FOLDER, register
from lm_eval_tasks.catalog import task_files
from tests.conftest import Run, missing

ROOT = Path(__file__).parents[1]


def lm_eval_arguments(model: Path, *options: str) -> tuple[str | Path, ...]:
    return (
        "--model", "hf", "--model_args", f"pretrained={model}", "--device", "cpu",
        "--include_path", TASKS_FOLDER, *options,
    )  # fmt: skip


def test_a_run_with_a_window_of_512(run_here: Run, model_folder: Path, tmp_path: Path) -> None:
    arguments = lm_eval_arguments(
        model_folder, "--tasks", "phone_book_20,phone_book_20_forced", "--limit", "4",
        "--batch_size", "4", "--metadata", '{"num_docs": 5, "seed": 2}', "--output_path", "out",
        "--log_samples",
    )  # fmt: skip
    result = run_here("lm_eval", *arguments)
    assert result.returncode == 0, result.stderr
    assert (
        "phone_book_20: 4 of 4 prompts do not fit the model's context window of 512 tokens" in result.stderr
    )
    (file,) = tmp_path.glob("out/**/results_*.json")
    content = json.loads(file.read_text())
    assert content["results"]["phone_book_20"]["truncated,none"] == 1.0
    assert content["results"]["phone_book_20"]["exact_match,none"] == 0.0
    assert content["n-samples"]["phone_book_20"] == {"original": 5, "effective": 4}
    (samples,) = tmp_path.glob("out/**/samples_phone_book_20_2*.jsonl")
    shown = [json.loads(line) for line in samples.read_text().splitlines()]
    assert [sample["doc"]["answer"] for sample in shown] == [row["answer"] for row in rows(20, 4, 2)]

    report = run_here("lm_eval_tasks", "report", "out", "--out", "drawn")
    assert report.returncode == 0, report.stderr
    assert re.search(r"tiny-neox *\| exact_match *\| 0.000 \[0.00, 0.49\] \*", report.stdout)
    assert {file.name for file in (tmp_path / "drawn").iterdir()} == {
        "phone_book.png", "phone_book.svg", "phone_book_forced.png", "phone_book_forced.svg",
        "phone_book_errors.png", "phone_book_errors.svg",
    }  # fmt: skip


def test_invalid_input_under_the_installed_command(run: Run, own_lm_eval: Path, tmp_path: Path) -> None:
    """A real process, because the interpreter decides how ``lm_eval`` ends."""
    result = run(
        *(Path(sys.executable).with_name("lm_eval"), "--model", "dummy", "--include_path", TASKS_FOLDER),
        *("--tasks", "phone_book_n,phone_book_20", "--limit", "4", "--output_path", "out"),
        *("--metadata", '{"num_docs": 5, "entries": 4}'),
        PYTHONPATH=f"{own_lm_eval}{os.pathsep}{ROOT}",
    )
    # phone_book_20 has 20 entries, and may not be given another number
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: phone_book_20: 'entries' is 20 in this task")
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "out").exists()


# ---- being found


@pytest.fixture
def stubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The folder to which ``register`` writes in this process."""
    folder = tmp_path / "tasks" / "repeat_after_me"
    folder.parent.mkdir()
    monkeypatch.setattr(register, "STUBS", folder)
    return folder


ONE_PROCESS = """
import json, sys
from tests.in_process import run_module
done = [run_module(*command) for command in json.loads(sys.argv[1])]
print(json.dumps([(result.returncode, result.stdout, result.stderr) for result in done]))
"""


def _without_bytecode(folder: Path) -> list[Path]:
    return sorted(path for path in folder.iterdir() if path.name != "__pycache__")


def test_register_and_unregister(own_lm_eval: Path, run_forked: Run, model_folder: Path) -> None:
    tasks = own_lm_eval / "lm_eval" / "tasks"
    before = _without_bytecode(tasks)
    evaluate = ["lm_eval", "--model", "hf", "--model_args", f"pretrained={model_folder}",
                "--tasks", "phone_book_20", "--limit", "2", "--device", "cpu"]  # fmt: skip
    names = ",".join(entry.name for entry in task_files())
    commands = [
        ["lm_eval_tasks", "register"],
        ["lm_eval_tasks", "register"],
        ["lm_eval", "ls", "tasks"],
        ["lm_eval", "validate", "--tasks", names],
        evaluate,
        ["lm_eval_tasks", "unregister"],
        ["lm_eval_tasks", "unregister"],
        evaluate,
    ]
    process = run_forked(
        *("-c", ONE_PROCESS, json.dumps(commands)),
        anew=("lm_eval", "lm_eval_tasks", "dataset_builders", "tests"),
        PYTHONPATH=f"{own_lm_eval}{os.pathsep}{ROOT}",
    )
    assert process.returncode == 0, process.stderr
    first, again, listed, validated, evaluated, gone, nothing, refused = json.loads(process.stdout)

    assert first[0] == 0, first
    assert first[1].startswith(f"registered {len(task_files())} tasks and groups in {tasks}")
    assert again[1].startswith("already registered")
    assert all(re.search(rf"^\|{entry.name} *\|", listed[1], re.MULTILINE) for entry in task_files())
    assert validated[0] == 0, validated
    assert evaluated[0] == 0, evaluated
    assert "exact_match" in evaluated[1]
    assert gone[0] == 0, gone
    assert _without_bytecode(tasks) == before
    assert nothing[1].startswith("nothing to do")
    assert refused[0] != 0
    assert "phone_book_20" in refused[1] + refused[2]


def test_register_refuses_a_name_that_is_taken(stubs: Path, tmp_path, monkeypatch) -> None:
    other = tmp_path / "other.yaml"
    other.write_text("task: phone_book_20\n")
    from lm_eval.tasks import TaskManager

    monkeypatch.setattr(
        register, "TaskManager", lambda: TaskManager(include_path=tmp_path, include_defaults=False)
    )
    with pytest.raises(InputError, match=f"already has a task 'phone_book_20', in {other}"):
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
    from lm_eval.tasks import TaskManager

    monkeypatch.setattr(register, "TaskManager", lambda: TaskManager(include_defaults=False))
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


def test_path_and_list(run_here: Run) -> None:
    assert run_here("lm_eval_tasks", "path").stdout == f"{TASKS_FOLDER}\n"
    listed = run_here("lm_eval_tasks", "list").stdout
    assert "phone_book_long" in listed
    assert "phone_book_n_forced" in listed


def test_output_that_nobody_reads_ends_quietly() -> None:
    read, write = os.pipe()
    os.close(read)
    command = [sys.executable, "-m", "lm_eval_tasks", "path"]
    buffered = {**os.environ, "PYTHONUNBUFFERED": ""}  # as Python is by itself
    result = subprocess.run(
        command, stdout=write, stderr=subprocess.PIPE, text=True, check=False, env=buffered
    )
    os.close(write)
    assert (result.stderr, result.returncode) == ("", 141)


def test_help_and_a_slip_are_quick() -> None:
    code = (
        "import sys; sys.argv[1:] = ['submit', '--help']\n"
        "import lm_eval_tasks.__main__ as m\n"
        "try: m.main()\n"
        "finally: print(*sorted({'torch', 'datasets', 'lm_eval', 'huggingface_hub'} & set(sys.modules)))\n"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert "--every-eval-ever" in result.stdout
    assert result.stdout.endswith("\n\n"), "help imports what it does not need"


@pytest.mark.parametrize(
    ("command", "sentence"),
    [
        (
            "dataset_builders biuld phone_book --out o",
            "there is no command 'biuld'; .*; did you mean 'build'",
        ),
        (
            "dataset_builders build phonebook --out o",
            "there is no benchmark 'phonebook'; .*; did you mean 'phone_book'",
        ),
        ("lm_eval_tasks reprot results", "there is no command 'reprot'; .*; did you mean 'report'"),
        (
            "synthetic_training trian --out o",
            "there is no command 'trian'; the commands are train, .* 'train'",
        ),
        ("synthetic_training.theory bound --n 3", "there is no command 'bound'; .*; did you mean 'bounds'"),
    ],
)
def test_a_command_that_does_not_exist_is_named(command: str, sentence: str) -> None:
    module, *words = command.split()
    if module.startswith("synthetic_training") and missing("train"):
        pytest.skip(missing("train"))
    with pytest.raises(SystemExit, match=f"error: {sentence}") as ended:
        importlib.import_module(f"{module}.__main__").main(words)
    assert "\n" not in str(ended.value)


def test_a_full_disk_behind_the_output_is_one_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path("/dev/full").open("w") as full:
        monkeypatch.setattr(sys, "stdout", full)
        said = "^error: the output cannot be written: No space left"
        with pytest.raises(SystemExit, match=said), command_errors():
            print("a result")


def test_an_output_that_is_closed_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdout", None)
    with command_errors():
        print("a result")
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        with pytest.raises(SystemExit) as stopped, command_errors():
            print("a result")
            sys.exit(0)  # as after --help
        assert stopped.value.code == BROKEN_PIPE


def test_ctrl_c_during_imports_prints_one_word(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    passed: list[BaseException] = []
    monkeypatch.setattr(sys, "excepthook", lambda _, error, __: passed.append(error))
    interrupt_quietly()
    bug = KeyError("bug")
    sys.excepthook(KeyboardInterrupt, KeyboardInterrupt(), None)
    sys.excepthook(KeyError, bug, None)
    assert capsys.readouterr().err == "interrupted\n"
    assert passed == [bug]


def test_a_message_shows_no_control_characters(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(SystemExit) as refused, command_errors():
        raise InputError("\x1b[31mred\x07 " + "x" * 10_000)
    message = str(refused.value.code)
    assert message.startswith("error: \\x1b[31mred\\x07 xxx") and len(message) < 5000
