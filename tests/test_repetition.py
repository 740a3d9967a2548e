"""Warnings about models and servers that avoid repetition, although a right answer repeats the prompt."""

import logging
from typing import Any

import pytest
from lm_eval.models.huggingface import HFLM

from tests.backends import TRANSFORMER, evaluated
from tests.completions_server import CompletionsServer
from tests.scripted import Scripted, look_up


def warnings(caplog: pytest.LogCaptureFixture) -> list[str]:
    return [one for record in caplog.records if "counts against copied" in (one := record.getMessage())]


def test_a_penalty_of_the_model_lowers_the_score_and_the_advice_restores_it(
    caplog: pytest.LogCaptureFixture,
) -> None:
    lm = HFLM(pretrained=TRANSFORMER, dtype="float32", device="cpu")
    lm.model.generation_config.repetition_penalty = 5.0
    lm.model.generation_config.no_repeat_ngram_size = 3

    def score(**options: Any) -> list[float]:
        found = evaluated(lm, None, ("string_copy_10",), {"num_docs": 2}, **options)
        return [sample["exact_match"] for sample in found["string_copy_10"]]

    with caplog.at_level(logging.WARNING):
        assert score() == [0.0, 0.0]
    (warning,) = warnings(caplog)
    assert "sets repetition_penalty=5.0 and no_repeat_ngram_size=3, which" in warning
    advice = "repetition_penalty=1,no_repeat_ngram_size=0"
    assert f"pass --gen_kwargs {advice} to" in warning
    caplog.clear()
    assert score(gen_kwargs=f"max_gen_toks=24,{advice}") == [1.0, 1.0]
    assert warnings(caplog) == []


@pytest.mark.parametrize("penalty", [None, "repeat_penalty", "frequency_penalty"])
def test_a_servers_default_is_warned_of_once_unless_a_penalty_is_set(
    penalty: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    options = {} if penalty is None else {"gen_kwargs": f"max_gen_toks=24,{penalty}=1.0"}
    tasks = ("phone_book_20", "phone_book_40")
    with caplog.at_level(logging.WARNING), CompletionsServer(lambda prompt, _: look_up(prompt)) as server:
        arguments = {"model": "m", "base_url": server.url("completions"), "tokenizer_backend": None}
        evaluated("local-completions", arguments, tasks, {"num_docs": 2}, **options)
    if penalty is None:
        (warning,) = warnings(caplog)
        assert "--gen_kwargs repeat_penalty=1.0" in warning
    else:
        assert warnings(caplog) == []
        assert {body[penalty] for body in server.bodies} == {1.0}


def test_other_models_are_not_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    lm = HFLM(pretrained=TRANSFORMER, dtype="float32", device="cpu")
    with caplog.at_level(logging.WARNING):
        evaluated(Scripted(look_up), None, ("phone_book_20",), {"num_docs": 2}, gen_kwargs="max_gen_toks=1")
        assert warnings(caplog) == []
        caplog.clear()
        # nothing is said about an ordinary model, whether the task or a rule limits its answers
        evaluated(lm, None, ("phone_book_20", "string_copy_10"), {"num_docs": 2})
    assert [one.getMessage() for one in caplog.records if one.name == "lm_eval.repeat_after_me"] == []
