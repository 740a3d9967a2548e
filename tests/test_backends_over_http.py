"""Models behind a server on every family of tasks: the same scores as ``hf``, or an error.

Each case is a cell of the table in ``lm_eval_tasks/BACKENDS.md``.
"""

import shutil
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest

from dataset_builders import InputError
from tests.backends import FORCED, GENERATED, TRANSFORMER, Samples, check_same, evaluated, hf, metadata
from tests.completions_server import CompletionsServer
from tests.served_model import prompt_logprobs, served_tokenizer, transformers_serve, write


@pytest.fixture(scope="module")
def chatty(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The transformer with a chat template that returns the message unchanged."""
    folder = tmp_path_factory.mktemp("chatty") / "transformer"
    shutil.copytree(TRANSFORMER, folder)
    (folder / "chat_template.jinja").write_text("{% for m in messages %}{{ m['content'] }}{% endfor %}")
    return str(folder)


COUNTED = set[str]()
UNCOUNTED = {"truncated", "unknown_tokens"}
SERVED: dict[str, tuple[dict[str, Any], bool, set[str]]] = {
    "local-completions, token ids": ({"tokenizer": TRANSFORMER, "max_length": 4097}, False, COUNTED),
    "local-completions, text": (
        {"tokenizer": TRANSFORMER, "max_length": 4097, "tokenized_requests": False},
        False,
        COUNTED,
    ),
    "local-completions, no tokenizer": ({"tokenizer_backend": None}, False, UNCOUNTED),
    "local-chat-completions": ({}, True, UNCOUNTED),
}


def served(
    url: Callable[[str], str],
    backend: str,
    tasks: tuple[str, ...],
    metadata: dict[str, Any],
    model: str = "m",
    **options: Any,
) -> Samples:
    arguments, chat, _ = SERVED[backend]
    name = "local-chat-completions" if chat else "local-completions"
    given = {"model": model, "base_url": url("chat/completions" if chat else "completions"), "max_retries": 1}
    return evaluated(name, given | arguments, tasks, metadata, apply_chat_template=chat, **options)


@pytest.fixture(scope="module")
def scripted() -> Iterator[CompletionsServer]:
    with CompletionsServer(write, served_tokenizer(), prompt_logprobs) as server:
        yield server


@pytest.fixture(scope="module")
def over_http(scripted: CompletionsServer, metadata: dict[str, Any]) -> Callable[[str], Samples]:
    @cache
    def samples(backend: str) -> Samples:
        tasks = GENERATED if SERVED[backend][2] else (*GENERATED, *FORCED)
        return served(scripted.url, backend, tasks, metadata)

    return samples


@pytest.mark.parametrize("task", GENERATED)
@pytest.mark.parametrize("backend", SERVED)
def test_answers_over_http(backend: str, task: str, over_http: Any, hf: Any) -> None:
    check_same(over_http(backend)[task], hf(TRANSFORMER, task), SERVED[backend][2])


@pytest.mark.parametrize("task", FORCED)
@pytest.mark.parametrize("backend", ["local-completions, token ids", "local-completions, text"])
def test_given_answers_over_http(backend: str, task: str, over_http: Any, hf: Any) -> None:
    check_same(over_http(backend)[task], hf(TRANSFORMER, task), COUNTED)


@pytest.mark.parametrize("task", FORCED)
@pytest.mark.parametrize(
    ("backend", "said"),
    [
        ("local-completions, no tokenizer", "needs the model's tokenizer"),
        ("local-chat-completions", "chat endpoints do not return log-probabilities"),
    ],
)
def test_given_answers_are_refused(
    backend: str, said: str, task: str, scripted: CompletionsServer, metadata: dict[str, Any]
) -> None:
    with pytest.raises(InputError, match=f"^{task}: .*{said}"):
        served(scripted.url, backend, (task,), metadata)


@pytest.fixture(scope="module")
def real(chatty: str) -> Iterator[Callable[[str], str]]:
    pytest.importorskip("uvicorn")
    pytest.importorskip("fastapi")
    pytest.importorskip("openai")
    with transformers_serve(chatty) as url:
        yield url


@pytest.fixture(scope="module")
def from_transformers(real: Any, chatty: str, metadata: dict[str, Any]) -> Callable[[str], Samples]:
    return cache(lambda backend: served(real, backend, GENERATED, metadata, model=chatty))


@pytest.mark.parametrize("task", GENERATED)
@pytest.mark.parametrize("backend", [name for name in SERVED if name != "local-completions, token ids"])
def test_answers_of_transformers_serve(backend: str, task: str, from_transformers: Any, hf: Any) -> None:
    """The server takes only text, no token ids."""
    check_same(from_transformers(backend)[task], hf(TRANSFORMER, task), SERVED[backend][2])


@pytest.mark.parametrize("backend", ["local-completions, text"])
def test_given_answers_are_refused_by_transformers_serve(
    backend: str, real: Any, chatty: str, metadata: dict[str, Any]
) -> None:
    """The server ignores requests for log-probabilities of the prompt."""
    with pytest.raises(InputError, match="returns no log-probabilities of the prompt; run the task without"):
        served(real, backend, FORCED[:1], metadata, model=chatty)


@pytest.mark.parametrize("backend", ["local-completions, no tokenizer", "local-chat-completions"])
def test_the_settings_for_reasoning_models_are_understood(
    backend: str, real: Any, chatty: str, hf: Any, metadata: dict[str, Any]
) -> None:
    """The answer is cut by lm-eval, since this server ends in an error if there is no stop string."""
    settings = {"until": ["<|endoftext|>"], "max_gen_toks": 40}
    found = served(real, backend, GENERATED[:1], metadata, model=chatty, gen_kwargs=dict(settings))
    local = evaluated("hf", {"pretrained": TRANSFORMER}, GENERATED[:1], metadata, gen_kwargs=dict(settings))
    for samples in (found[GENERATED[0]], local[GENERATED[0]]):
        expected = hf(TRANSFORMER, GENERATED[0])
        assert [s["exact_match"] for s in samples] == [s["exact_match"] for s in expected]
