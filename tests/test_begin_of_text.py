"""A warning about prompts without the token with which their tokenizer begins texts."""

import logging
from pathlib import Path
from typing import Any

import pytest
from lm_eval.models.huggingface import HFLM
from tokenizers.processors import TemplateProcessing
from transformers import PreTrainedTokenizerFast

from tests.api_models import answering, run, scores
from tests.completions_server import CompletionsServer
from tests.evaluation import evaluate
from tests.models import byte_tokenizer, tiny_model
from tests.scripted import look_up

BEGIN = "<begin>"


def beginning_tokenizer() -> PreTrainedTokenizerFast:
    tokenizer = byte_tokenizer()
    tokenizer.add_special_tokens({"bos_token": BEGIN})
    number = tokenizer.convert_tokens_to_ids(BEGIN)
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, number)]
    )
    return tokenizer


def lost_without_a_begin(prompt: str) -> str:
    return look_up(prompt.removeprefix(BEGIN)) if prompt.startswith(BEGIN) else " 1\n"


@pytest.mark.parametrize(
    ("arguments", "exact", "warned"),
    [
        ({}, 0.0, 1),
        ({"add_bos_token": True}, 1.0, 0),
        ({"add_bos_token": False}, 0.0, 0),
        ({"tokenized_requests": False}, 0.0, 0),  # a real server would add the token itself
    ],
)
def test_a_server_that_gets_token_ids(
    arguments: dict[str, Any], exact: float, warned: int, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    tokenizer = beginning_tokenizer()
    tokenizer.save_pretrained(tmp_path)
    with (
        caplog.at_level(logging.WARNING),
        CompletionsServer(answering(lost_without_a_begin), tokenizer) as server,
    ):
        given = {"tokenizer": str(tmp_path), **arguments}
        results = run(server, "phone_book_20", "phone_book_40", model_args=given, metadata={})
    assert scores(results, "phone_book_20")["exact_match"] == exact
    assert warnings(caplog) == warned


@pytest.mark.parametrize("tokenizer", [beginning_tokenizer, byte_tokenizer])
def test_models_that_get_the_token_or_have_none(tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    model = tiny_model("gpt_neox", vocab_size=260)
    lm = HFLM(pretrained=model, tokenizer=tokenizer(), device="cpu", max_length=4096)
    with caplog.at_level(logging.WARNING):
        evaluate(lm, "phone_book_n", "phone_book_n_forced", entries=3, num_docs=1)
    assert warnings(caplog) == 0


def warnings(caplog: pytest.LogCaptureFixture) -> int:
    return sum("pass add_bos_token=True" in record.getMessage() for record in caplog.records)
