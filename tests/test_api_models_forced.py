"""Given answers that lm-eval's API models score, with a scripted server."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from lm_eval import simple_evaluate
from lm_eval.tasks import TaskManager

from dataset_builders import InputError
from lm_eval_tasks import TASKS_FOLDER
from tests.api_models import answering, run, scores
from tests.completions_server import CompletionsServer, RefusedError
from tests.models import byte_tokenizer
from tests.scripted import look_up


@pytest.fixture(scope="module")
def tokenizer_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("tokenizer")
    byte_tokenizer().save_pretrained(folder)
    return folder


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
