"""The tasks on lm-eval's API models, with a scripted server.

Length: all cases share one function that runs a task on the server.
"""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from dataset_builders import InputError
from lm_eval_tasks import TASKS_FOLDER
from tests.completions_server import CompletionsServer, RefusedError
from tests.material import neox_tokenizer, prose
from tests.models import byte_tokenizer
from tests.scripted import look_up

LET_IT_FINISH = {"until": ["<|endoftext|>"], "max_gen_toks": 4096}


def answering(rule: Callable[[str], str | None]) -> Callable[[str, int], str | None]:
    return lambda prompt, _: rule(prompt)


def reasons_first(prompt: str) -> str:
    return f"<think>\nLooking for it.\n</think>\n\n{look_up(prompt).strip()}"


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    byte_tokenizer().save_pretrained(folder)
    return folder


def run(
    server: CompletionsServer, *tasks: str, chat: bool = False, metadata: dict[str, Any], **options: Any
) -> dict[str, Any]:
    """What ``lm_eval --model local-completions`` or ``local-chat-completions`` does."""
    given = {"model": "m", "max_retries": 1, **options.pop("model_args", {})}
    url = server.url("chat/completions" if chat else "completions")
    return simple_evaluate(
        model="local-chat-completions" if chat else "local-completions",
        model_args={"base_url": url, **given},
        tasks=list(tasks),
        apply_chat_template=options.pop("apply_chat_template", chat),
        task_manager=TaskManager(include_path=TASKS_FOLDER, include_defaults=False),
        metadata={"num_docs": 3, **metadata},
        bootstrap_iters=1,
        **options,
    )


def scores(results: dict[str, Any], task: str) -> dict[str, Any]:
    found = results["results"][task].items()
    return {k.removesuffix(",none"): v for k, v in found if k.endswith(",none") and "_stderr" not in k}


def sentences(caplog: pytest.LogCaptureFixture, part: str) -> list[str]:
    return [
        r.getMessage()
        for r in caplog.records
        if r.name.endswith("repeat_after_me") and part in r.getMessage()
    ]


RIGHT = {"exact_match": 1.0, "char_accuracy": 1.0, "copied_fraction": 1.0, "unanswered": 0.0}
SILENT = {"exact_match": 0.0, "char_accuracy": 0.0, "copied_fraction": 0.0, "unanswered": 1.0}

# ---- generated answers


@pytest.mark.parametrize("tokens", [True, False], ids=["token-ids", "text"])
def test_completions_with_a_tokenizer(tokenizer_folder: Path, tokens: bool) -> None:
    with CompletionsServer(answering(look_up), byte_tokenizer()) as server:
        arguments = {"tokenizer": str(tokenizer_folder), "tokenized_requests": tokens, "batch_size": 2}
        results = run(server, "phone_book_20", model_args=arguments, metadata={})
    assert scores(results, "phone_book_20") == RIGHT | {"truncated": 0.0, "unknown_tokens": 0.0}
    assert {body["max_tokens"] for body in server.bodies} == {50}
    assert isinstance(server.bodies[0]["prompt"][0], list if tokens else str)


def test_completions_without_a_tokenizer(caplog: pytest.LogCaptureFixture) -> None:
    """The server silently keeps only the end of a prompt, so nothing is known about what it cut."""

    def look_up_in_the_last_characters(prompt: str) -> str:
        book, _, query = prompt[-1500:].split("\n\n")
        known = dict(line.split(":", 1) for line in book.split("\n") if ":" in line)
        return known.get(query.removesuffix(":"), " 1") + "\n"

    with (
        caplog.at_level(logging.WARNING),
        CompletionsServer(answering(look_up_in_the_last_characters)) as server,
    ):
        results = run(
            server,
            "phone_book_20",
            "phone_book_200",
            model_args={"tokenizer_backend": None},
            metadata={"num_docs": 6},
        )
    assert scores(results, "phone_book_20") == RIGHT
    found = scores(results, "phone_book_200")
    assert 0.0 <= found["exact_match"] < 1.0
    assert "truncated" not in found and found["unanswered"] == 0.0
    assert len(sentences(caplog, "does not know this model's context window")) == 1


def test_room_for_the_answer_is_estimated_safely(caplog: pytest.LogCaptureFixture) -> None:
    """The server copies with one token per byte, and cuts at the requested number of tokens."""

    def copy(prompt: str, tokens: int) -> str:
        if prompt.endswith("->"):
            answer = " " + prompt.splitlines()[-1].removesuffix(" ->")
        else:
            text, _, cue = prompt.split("\n\n")
            answer = text[len(cue) :]
        return answer.encode()[:tokens].decode(errors="ignore")

    with caplog.at_level(logging.WARNING), CompletionsServer(copy) as server:
        results = run(
            server,
            "c4_copy_300",
            "string_copy_10",
            model_args={"tokenizer_backend": None},
            metadata={"source": str(prose()), "tokenizer": str(neox_tokenizer())},
        )
    assert scores(results, "c4_copy_300") == scores(results, "string_copy_10") == RIGHT
    (warning,) = sentences(caplog, "c4_copy_300: the model's tokens cannot be counted")
    room = server.bodies[0]["max_tokens"]
    assert f"{room} tokens" in warning and "--gen_kwargs max_gen_toks=N" in warning
    assert {body["max_tokens"] for body in server.bodies[:3]} == {room}


def test_chat(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING), CompletionsServer(answering(look_up)) as server:
        results = run(server, "phone_book_20", chat=True, metadata={})
    assert scores(results, "phone_book_20") == RIGHT
    assert [message["role"] for message in server.bodies[0]["messages"]] == ["user"]
    assert server.bodies[0]["stop"] == ["\n"] and server.bodies[0]["max_tokens"] == 50


@pytest.mark.parametrize("chat", [True, False])
def test_a_model_that_reasons_first(chat: bool, caplog: pytest.LogCaptureFixture) -> None:
    with CompletionsServer(answering(reasons_first)) as server:
        arguments = {"tokenizer_backend": None}
        with caplog.at_level(logging.WARNING):
            results = run(server, "phone_book_20", chat=chat, model_args=arguments, metadata={})
        assert scores(results, "phone_book_20") == SILENT
        (warning,) = sentences(caplog, "stopped before the model had finished reasoning")
        assert """--gen_kwargs '{"until": ["<|endoftext|>"], "max_gen_toks": 4096}'""" in warning
        results = run(
            server,
            "phone_book_20",
            chat=chat,
            model_args=arguments,
            metadata={},
            gen_kwargs=dict(LET_IT_FINISH),
        )
        assert scores(results, "phone_book_20") == RIGHT


@pytest.mark.parametrize(
    "rule",
    [lambda prompt: "\n\n" + look_up(prompt), lambda prompt: None, lambda prompt: ""],
    ids=["blank lines first", "null", "empty"],
)
def test_documents_without_an_answer_are_counted(rule: Callable[[str], str | None]) -> None:
    with CompletionsServer(answering(rule)) as server:
        results = run(server, "phone_book_20", chat=True, metadata={})
    assert scores(results, "phone_book_20") == SILENT


@pytest.mark.parametrize(
    ("chat", "model_args", "template", "said"),
    [
        (True, {}, False, "a chat endpoint needs messages; pass --apply_chat_template"),
        (False, {"tokenizer_backend": None}, True, "use --model local-chat-completions"),
    ],
)
def test_prompts_of_the_wrong_form_are_refused(
    chat: bool, model_args: dict[str, Any], template: bool, said: str
) -> None:
    with CompletionsServer(answering(look_up)) as server, pytest.raises(InputError, match=said):
        run(
            server,
            "phone_book_20",
            chat=chat,
            model_args=model_args,
            apply_chat_template=template,
            metadata={},
        )
    assert server.bodies == []


# ---- given answers


def logprobs_of(rule: Callable[[str], str], extra: int = 1) -> Callable[[list[int]], dict[str, Any]]:
    """Log-probabilities of a model that follows the rule: -0.25 for a right token, -9 for a wrong one."""
    tokenizer = byte_tokenizer()

    def logprobs(ids: list[int]) -> dict[str, Any]:
        text = tokenizer.decode(ids)
        end = text.rfind(":") + 1
        right = text[:end] + (rule(text[:end]) if text.count("\n\n") == 2 else "")
        greedy = [a == b for a, b in zip(text.ljust(len(ids)), right.ljust(len(ids)), strict=False)]
        own = [-0.25 if good else -9.0 for good in greedy[: len(ids)]] + [-0.5] * extra
        return {
            "token_logprobs": [None, *own[1:]],
            "top_logprobs": [None, *({"x": max(value, -0.25)} for value in own[1:])],
        }

    return logprobs


@pytest.mark.parametrize("tokens", [True, False], ids=["token-ids", "text"])
@pytest.mark.parametrize(("rule", "exact"), [(look_up, 1.0), (lambda prompt: " 1\n", 0.0)])
def test_a_given_answer_is_scored_where_the_server_can(
    tokenizer_folder: Path, tokens: bool, rule: Callable[[str], str], exact: float
) -> None:
    with CompletionsServer(answering(rule), byte_tokenizer(), logprobs_of(rule)) as server:
        results = run(
            server,
            "phone_book_20_forced",
            model_args={"tokenizer": str(tokenizer_folder), "tokenized_requests": tokens},
            metadata={},
        )
    found = scores(results, "phone_book_20_forced")
    assert found["exact_match"] == exact
    assert found["logprob_per_token"] == pytest.approx(-0.25) if exact else found["logprob_per_token"] < -5
    assert (found["truncated"], found["misaligned"], found["unknown_tokens"]) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("window", [400, 629])
def test_documents_that_do_not_fit_are_not_sent(tokenizer_folder: Path, window: int) -> None:
    sent: list[str] = []

    def answer(prompt: str, _: int) -> str:
        sent.append(prompt)
        return look_up(prompt)

    tasks = ("phone_book_20", "phone_book_20_forced")
    with CompletionsServer(answer, byte_tokenizer(), logprobs_of(look_up)) as server:
        results = run(
            server,
            *tasks,
            model_args={"tokenizer": str(tokenizer_folder), "max_length": window},
            metadata={"num_docs": 5, "seed": 3},
        )
    assert max(map(len, sent)) <= window
    for task in tasks:
        found = scores(results, task)
        assert found["exact_match"] == pytest.approx(1 - found["truncated"])
    assert scores(results, "phone_book_20_forced")["truncated"] == (1.0 if window == 400 else 0.0)


def ignores_echo(ids: list[int]) -> dict[str, Any]:
    return {"token_logprobs": [-0.5], "top_logprobs": [{"x": -0.5}]}


def forgets_the_first_tokens(ids: list[int]) -> dict[str, Any]:
    count = len(ids) + 1
    return {"token_logprobs": [None] * count, "top_logprobs": [None] * count}


def refuses(ids: list[int]) -> dict[str, Any]:
    raise RefusedError("echo is not supported")


@pytest.mark.parametrize(
    ("logprobs", "said"),
    [
        (None, "returns no log-probabilities of the prompt"),
        (ignores_echo, "returns log-probabilities of 1 tokens for a prompt of 25 tokens and one new token"),
        (logprobs_of(look_up, extra=0), "not of the new token, so lm-eval would not score the last token"),
        (forgets_the_first_tokens, "omits some log-probabilities of the prompt"),
        (refuses, "does not score a given answer .400 Client Error: .*: echo is not supported"),
    ],
    ids=["null", "echo ignored", "no new token", "holes", "status 400"],
)
def test_a_server_that_cannot_score_a_given_answer_is_refused(
    tokenizer_folder: Path, logprobs: Any, said: str
) -> None:
    """lm-eval itself would score 1.000 if ``echo`` is ignored, and end in a traceback otherwise."""
    with (
        CompletionsServer(answering(look_up), byte_tokenizer(), logprobs) as server,
        pytest.raises(InputError, match=f"^phone_book_20_forced: the server at .*{said}.*without _forced"),
    ):
        run(server, "phone_book_20_forced", model_args={"tokenizer": str(tokenizer_folder)}, metadata={})
    assert len(server.bodies) == 1


@pytest.mark.parametrize(
    ("chat", "model_args", "said"),
    [
        (True, {}, "chat endpoints do not return log-probabilities of a given answer"),
        (False, {"tokenizer_backend": None}, "needs the model's tokenizer; pass tokenizer="),
    ],
)
def test_given_answers_are_refused_without_tokens(chat: bool, model_args: dict[str, Any], said: str) -> None:
    with CompletionsServer(answering(look_up)) as server, pytest.raises(InputError, match=said):
        run(server, "phone_book_20_forced", chat=chat, model_args=model_args, metadata={})
    assert server.bodies == []


def test_the_gguf_model_is_refused() -> None:
    """It sends no maximum of new tokens, so a server's default of 16 would cut answers without a word."""
    for task in ("phone_book_20", "phone_book_20_forced"):
        with (
            CompletionsServer(answering(look_up)) as server,
            pytest.raises(
                InputError, match=f"^{task}: .*use --model local-completions with base_url=http.*/v1/"
            ),
        ):
            simple_evaluate(
                model="gguf",
                model_args={"base_url": server.url("").removesuffix("/v1/")},
                tasks=[task],
                task_manager=TaskManager(include_path=TASKS_FOLDER, include_defaults=False),
                metadata={"num_docs": 1},
            )
        assert server.bodies == []


def test_a_server_that_is_not_there(tokenizer_folder: Path) -> None:
    with CompletionsServer(answering(look_up)) as server:
        pass
    with pytest.raises(InputError, match="phone_book_20_forced: the server at http://127.0.0.1"):
        run(server, "phone_book_20_forced", model_args={"tokenizer": str(tokenizer_folder)}, metadata={})
