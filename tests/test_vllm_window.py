"""lm-eval's own class for vLLM, with a stand-in for the package: documents that it cuts are counted."""

import importlib
import sys
from functools import cache
from importlib import metadata
from types import SimpleNamespace
from typing import Any
from unittest import mock

import pytest
from lm_eval.api.model import TemplateLM

from dataset_builders.phone_book import rows
from tests.evaluation import evaluate, scores
from tests.models import byte_tokenizer


@cache
def vllm_class() -> type[TemplateLM]:
    """The class, imported without the package, of which it needs names alone."""
    names = ("vllm", "vllm.lora.request", "vllm.renderers.hf", "vllm.tokenizers")
    installed = metadata.version
    with (
        mock.patch.dict(sys.modules, {name: mock.MagicMock() for name in names}),
        mock.patch.object(metadata, "version", lambda name: "0.32.0" if name == "vllm" else installed(name)),
    ):
        return importlib.import_module("lm_eval.models.vllm_causallms").VLLM  # type: ignore[no-any-return]


def model(window: int, sent: list[list[int]]) -> Any:
    """A model with this window to which every token of a prompt is the most likely one."""

    def score(requests: list[list[int]], **_: Any) -> list[Any]:
        sent.extend(requests)
        return [SimpleNamespace(prompt_logprobs=[None, *({t: -0.5} for t in ids[1:])]) for ids in requests]

    lm: Any = object.__new__(vllm_class())
    TemplateLM.__init__(lm)
    attributes = {"tokenizer": byte_tokenizer(), "_max_length": window, "batch_size": "auto"}
    attributes |= {"add_bos_token": None, "custom_prefix_token_id": None, "enable_thinking": False}
    for name, value in attributes.items():
        setattr(lm, name, value)
    lm._model_generate = score
    return lm


@pytest.mark.parametrize("more", [0, 1])
def test_vllm_needs_room_for_one_token_after_a_given_answer(more: int) -> None:
    row = next(rows(20, 1, 0))
    needed = len(row["prompt"]) + len(f" {row['answer']}\n")
    sent: list[list[int]] = []
    results = evaluate(model(needed + more, sent), "phone_book_20_forced", num_docs=1)
    got = scores(results, "phone_book_20_forced")
    assert (got["exact_match"], got["truncated"]) == (more, 1 - more)
    if more:
        assert needed in map(len, sent)
        assert got["logprob_per_token"] == pytest.approx(-0.5)
