"""Generated answers of lm-eval's API models, with a scripted server."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import InputError
from tests.api_models import answering, run, scores
from tests.completions_server import CompletionsServer
from tests.material import neox_tokenizer, prose
from tests.models import byte_tokenizer
from tests.scripted import look_up

LET_IT_FINISH = {"until": ["<|endoftext|>"], "max_gen_toks": 4096}
RIGHT = {"exact_match": 1.0, "char_accuracy": 1.0, "copied_fraction": 1.0, "unanswered": 0.0}
SILENT = {"exact_match": 0.0, "char_accuracy": 0.0, "copied_fraction": 0.0, "unanswered": 1.0}


def reasons_first(prompt: str) -> str:
    return f"<think>\nLooking for it.\n</think>\n\n{look_up(prompt).strip()}"


def sentences(caplog: pytest.LogCaptureFixture, part: str) -> list[str]:
    return [
        r.getMessage()
        for r in caplog.records
        if r.name.endswith("repeat_after_me") and part in r.getMessage()
    ]


@pytest.mark.parametrize("tokens", [True, False], ids=["token-ids", "text"])
def test_completions_with_a_tokenizer(tmp_path: Path, tokens: bool) -> None:
    byte_tokenizer().save_pretrained(tmp_path)
    with CompletionsServer(answering(look_up), byte_tokenizer()) as server:
        arguments = {"tokenizer": str(tmp_path), "tokenized_requests": tokens, "batch_size": 2}
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
