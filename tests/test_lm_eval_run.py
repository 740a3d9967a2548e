"""What a task finds out about its lm-eval run, and how invalid input ends."""

import asyncio
import json
import sys
import types
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path
from typing import Any

import lm_eval.api.registry
import lm_eval.models  # its own models, which lm-eval imports only into an empty registry
import pytest
from lm_eval import evaluator, simple_evaluate
from lm_eval.tasks import TaskManager

from dataset_builders import InputError
from lm_eval_tasks import TASKS_FOLDER, lm_eval_run
from lm_eval_tasks.recall_task import RecallTask
from tests.completions_server import CompletionsServer, RefusedError
from tests.conftest import Run
from tests.models import byte_tokenizer
from tests.scripted import Scripted, look_up

MODEL = "scripted-for-lm-eval-run"
COMMAND = ("--model", MODEL, "--include_path", TASKS_FOLDER, "--tasks", "phone_book_20")
ANY_LENGTH = (*COMMAND[:-1], "phone_book_n")


@lm_eval.api.registry.register_model(MODEL)
class Registered(Scripted):
    tokenizer_name = "bytes"

    def __init__(self, seed: int = 0, colour: str = "", **_: Any) -> None:
        super().__init__(look_up)

    def apply_chat_template(self, chat_history: list[dict[str, str]], **_: Any) -> str:
        return str(byte_tokenizer().apply_chat_template(chat_history, tokenize=False))


@pytest.fixture
def learnt(monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The results of the functions under test inside the run, by name."""
    found: dict[str, Any] = {}
    download, build = RecallTask.download, RecallTask.build_all_requests

    def probe_download(task: RecallTask, *arguments: Any, **options: Any) -> None:
        found["metadata"], found["model"] = lm_eval_run.run_metadata(), lm_eval_run.model_arguments()
        download(task, *arguments, **options)

    def probe_build(task: RecallTask, **options: Any) -> None:
        found["running"] = lm_eval_run.running_model()
        build(task, **options)

    monkeypatch.setattr(RecallTask, "download", probe_download)
    monkeypatch.setattr(RecallTask, "build_all_requests", probe_build)
    return found


def manager(**metadata: Any) -> TaskManager:
    return TaskManager(include_path=TASKS_FOLDER, include_defaults=False, metadata=metadata)


def test_the_command_tells_metadata_from_model_arguments(
    learnt: dict[str, Any], lm_eval_command: Run
) -> None:
    result = lm_eval_command(
        *COMMAND, "--model_args", "seed=1,colour=red", "--metadata", '{"num_docs": 2, "seed": 1}'
    )
    assert result.returncode == 0, result.stderr
    assert learnt["metadata"] == {"num_docs": 2, "seed": 1}
    assert learnt["model"] == {"seed": 1, "colour": "red"}
    assert isinstance(learnt["running"], Registered)


@pytest.mark.parametrize(
    ("typed", "metadata"), [((), {"num_docs": 3}), (("--metadata", '{"num_docs": 2}'), {"num_docs": 2})]
)
def test_metadata_in_a_config_file(
    learnt: dict[str, Any], lm_eval_command: Run, tmp_path: Path, typed: tuple[str, ...], metadata: dict
) -> None:
    (tmp_path / "run.yaml").write_text(
        json.dumps({"model": MODEL, "model_args": {"seed": 1}, "metadata": {"num_docs": 3}})
    )
    result = lm_eval_command("--config", "run.yaml", *COMMAND, *typed)
    assert result.returncode == 0, result.stderr
    assert learnt["metadata"] == metadata


@pytest.mark.parametrize("model_args", [{"seed": 1, "colour": "red"}, "seed=1,colour=red"])
def test_simple_evaluate_tells_metadata_from_model_arguments(
    learnt: dict[str, Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path, model_args: dict | str
) -> None:
    monkeypatch.setattr(evaluator, "TaskManager", lambda metadata: manager(**metadata))
    simple_evaluate(
        model=MODEL, model_args=model_args, tasks=["phone_book_20"], metadata={"num_docs": 2, "seed": 1},
        use_cache=str(tmp_path / "answers"), bootstrap_iters=0,
    )  # fmt: skip
    assert learnt["metadata"] == {"num_docs": 2, "seed": 1}
    assert learnt["model"] == {"seed": 1, "colour": "red"}
    assert isinstance(learnt["running"], Registered)


def test_metadata_of_a_task_manager(learnt: dict[str, Any]) -> None:
    def run(**options: Any) -> None:
        simple_evaluate(model=Registered(), tasks=["phone_book_20"], bootstrap_iters=0, **options)

    run(task_manager=manager(num_docs=2), metadata={"num_docs": 2})
    assert learnt["metadata"] == {"num_docs": 2}
    assert learnt["model"] == {}
    with pytest.raises(InputError, match=r"'num_docs' is 3 in metadata= and 2 in the TaskManager"):
        run(task_manager=manager(num_docs=2), metadata={"num_docs": 3})


def test_frames_of_python_3_13_list_their_variables(monkeypatch: pytest.MonkeyPatch) -> None:
    class Variables(dict[str, Any]):
        def keys(self) -> list[str]:
            return list(super().keys())

    frame = types.SimpleNamespace(
        f_globals={"__name__": "lm_eval.utils"},
        f_locals=Variables(
            fn=simple_evaluate.__wrapped__, args=("hf",), kwargs={"model_args": "pretrained=x"}
        ),
    )
    monkeypatch.setattr(lm_eval_run, "_stack", lambda: iter([frame]))
    assert lm_eval_run.model_arguments() == {"pretrained": "x"}


def test_outside_a_run_there_is_none(learnt: dict[str, Any]) -> None:
    task = manager(num_docs=2).load(["phone_book_20"])["tasks"]["phone_book_20"]
    task.build_all_requests(limit=None, rank=0, world_size=1)
    assert learnt == {"metadata": None, "model": None, "running": None}


def in_lm_eval(module: str, function: Callable[[], object]) -> object:
    """Call a function from a module of lm-eval that this version does not have."""
    code = compile("def caller(function):\n    return function()\n", "runner.py", "exec")
    namespace = types.ModuleType(module).__dict__
    exec(code, namespace)
    return namespace["caller"](function)


@pytest.mark.parametrize(
    "function", [lm_eval_run.run_metadata, lm_eval_run.model_arguments, lm_eval_run.running_model]
)
def test_an_lm_eval_that_is_built_otherwise_is_refused_by_its_version(
    function: Callable[[], object],
) -> None:
    assert in_lm_eval("lm_eval.tasks.manager", function) is None
    with pytest.raises(InputError) as refusal:
        in_lm_eval("lm_eval.runner", function)
    assert f"lm-eval {version('lm-eval')} is not supported" in str(refusal.value)
    assert "pip install 'lm-eval<0.5,>=0.4." in str(refusal.value)


# ---- invalid input, in both worlds

INVALID = pytest.mark.parametrize(
    ("metadata", "message"),
    [({"num_docs": 0}, "at least 1, not 0"), ({"num_doc": 5}, "unknown metadata key 'num_doc'")],
)


@INVALID
def test_the_command_ends_with_one_sentence(
    lm_eval_command: Run, metadata: dict[str, Any], message: str
) -> None:
    result = lm_eval_command(*COMMAND, "--metadata", json.dumps(metadata))
    assert result.returncode == 1
    *_, last = result.stderr.splitlines()
    assert last.startswith("error: phone_book_20: ")
    assert message in last
    assert "Traceback" not in result.stderr


def test_lengths_that_cannot_be_read_end_with_one_sentence(lm_eval_command: Run) -> None:
    result = lm_eval_command(*ANY_LENGTH, "--metadata", '{"entries": "twenty"}')
    assert result.returncode == 1
    assert result.stderr.splitlines()[-1].startswith("error: phone_book_n: ")
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize("concurrent", [1, 2])
def test_a_servers_refusal_ends_with_one_sentence(lm_eval_command: Run, concurrent: int) -> None:
    """As when a prompt exceeds the context window of a server without a tokenizer."""

    def refuse(prompt: str, tokens: int) -> str:
        raise RefusedError("This model's maximum context length is 512 tokens")

    with CompletionsServer(refuse) as server:
        arguments = f"model=m,base_url={server.url('completions')},tokenizer_backend=None,max_retries=1"
        result = lm_eval_command(
            *("--model", "local-completions", "--model_args", f"{arguments},num_concurrent={concurrent}"),
            *("--include_path", TASKS_FOLDER, "--tasks", "phone_book_20", "--metadata", '{"num_docs": 1}'),
        )
    assert result.returncode == 1
    *before, last = result.stderr.splitlines()
    assert last.startswith("error: the model's server did not answer a request: 400")
    assert "maximum context length is 512 tokens" in (last if concurrent == 1 else "".join(before))
    assert "Traceback" not in result.stderr


def test_an_error_says_how_to_send_text_instead_of_token_ids(lm_eval_command: Run, tmp_path: Path) -> None:
    def refuse(prompt: str, tokens: int) -> str:
        raise RefusedError("prompt must be a string.")

    byte_tokenizer().save_pretrained(tmp_path)
    with CompletionsServer(refuse, byte_tokenizer()) as server:
        arguments = f"model=m,base_url={server.url('completions')},tokenizer={tmp_path},max_retries=1"
        result = lm_eval_command(
            *("--model", "local-completions", "--model_args", arguments),
            *("--include_path", TASKS_FOLDER, "--tasks", "phone_book_20", "--metadata", '{"num_docs": 1}'),
        )
    last = result.stderr.splitlines()[-1]
    assert "prompt must be a string; if it accepts only text, pass tokenized_requests=False in" in last


def test_a_model_without_a_chat_template_ends_with_one_sentence(lm_eval_command: Run) -> None:
    result = lm_eval_command(*COMMAND, "--metadata", '{"num_docs": 1}', "--apply_chat_template")
    assert result.returncode == 1
    last = result.stderr.splitlines()[-1]
    assert last.startswith("error: phone_book_20: the model has no chat template (Cannot use chat template")
    assert last.endswith("omit --apply_chat_template")
    assert "Traceback" not in result.stderr


def test_other_exceptions_of_the_command_keep_their_traceback(
    lm_eval_command: Run, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: object) -> None:
        raise ValueError("a programming error")

    monkeypatch.setattr(RecallTask, "process_results", fail)
    result = lm_eval_command(*COMMAND, "--metadata", '{"num_docs": 2}')
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert result.stderr.splitlines()[-1] == "ValueError: a programming error"


@INVALID
def test_python_calls_raise_a_value_error_and_live_on(metadata: dict[str, Any], message: str) -> None:
    hook = sys.excepthook

    async def notebook() -> str:
        try:
            simple_evaluate(model=Registered(), tasks=["phone_book_20"], task_manager=manager(**metadata))
        except ValueError as error:
            await asyncio.sleep(0)
            return str(error)
        return ""

    assert message in asyncio.run(notebook())
    assert sys.excepthook is hook
