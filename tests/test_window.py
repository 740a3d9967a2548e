"""Sizes are exactly those that lm-eval's own model classes count and score, in tokens."""

from typing import Any

import pytest
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tokenizers.processors import TemplateProcessing
from transformers import T5Config, T5ForConditionalGeneration

from lm_eval_tasks.alignment import scored_tokens
from lm_eval_tasks.context_window import (
    NOT_RUN,
    ContextWindow,
    forced_needs,
    generated_needs,
    leave_out,
    run_shortest,
    window_tokens,
)
from lm_eval_tasks.token_cache import cached_ids
from lm_eval_tasks.tokens import counts_tokens, encode_all
from tests.models import END, byte_tokenizer, tiny_model

PROMPTS = ["Ada Doe:", "a longer prompt, é 😀:", "ends in white space \n", "x"]


def requests_of(kind: str, extra: Any) -> list[Instance]:
    return [Instance(kind, {}, (prompt, extra), i) for i, prompt in enumerate(PROMPTS)]


def begins_texts() -> Any:
    """A tokenizer that adds a token at the start of each text."""
    tokenizer = byte_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{END} $A", special_tokens=[(END, 256)]
    )
    return tokenizer


def model(**options: Any) -> HFLM:
    return HFLM(pretrained=tiny_model("gpt_neox"), tokenizer=begins_texts(), device="cpu", **options)


def tiny_t5() -> HFLM:
    config = T5Config(
        vocab_size=257, d_model=16, d_kv=8, d_ff=16, num_layers=1, num_heads=2, decoder_start_token_id=256
    )
    return HFLM(
        pretrained=T5ForConditionalGeneration(config).eval(),
        tokenizer=begins_texts(),
        backend="seq2seq",
        device="cpu",
        max_length=512,
    )


def scored_by_lm_eval(
    lm: HFLM, requests: list[Instance], monkeypatch: pytest.MonkeyPatch
) -> list[tuple[list[int], list[int]]]:
    seen: list[tuple[list[int], list[int]]] = []
    monkeypatch.setattr(lm, "_loglikelihood_tokens", lambda reqs, **_: seen.extend(r[1:] for r in reqs))
    lm.loglikelihood(requests, True)
    return seen


@pytest.mark.parametrize("options", [{}, {"add_bos_token": True}, {"add_bos_token": False}])
def test_counts_are_those_of_lm_eval(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    lm = model(**options)
    bos = 0 if options.get("add_bos_token") is False else 1
    assert list(encode_all(lm, PROMPTS)) == [lm.tok_encode(prompt) for prompt in PROMPTS]
    generated = generated_needs(lm, requests_of("generate_until", {"max_gen_toks": 7}))
    assert generated == [len(prompt.encode()) + bos + 7 for prompt in PROMPTS]

    forced = requests_of("loglikelihood", " answer\n")
    scored = scored_tokens(lm, forced)
    seen = scored_by_lm_eval(lm, forced, monkeypatch)
    assert [(one.context, one.answer, one.aligned) for one in scored] == [
        (len(context), len(answer), True) for context, answer in seen
    ]
    assert forced_needs(lm, scored) == [len(context) + len(answer) - 1 for context, answer in seen]


def test_encoder_decoder_models_read_and_write_two_texts(monkeypatch: pytest.MonkeyPatch) -> None:
    lm = tiny_t5()
    forced = requests_of("loglikelihood", " answer\n")
    scored = scored_tokens(lm, forced)
    seen = scored_by_lm_eval(lm, forced, monkeypatch)
    assert [(one.context, one.answer) for one in scored] == [(len(c), len(a)) for c, a in seen]
    assert not any(one.aligned for one in scored)
    assert forced_needs(lm, scored) == [max(len(c), len(a)) for c, a in seen]
    generated = generated_needs(lm, requests_of("generate_until", {"max_gen_toks": 7}))
    assert generated == [len(lm.tok_encode(prompt)) for prompt in PROMPTS]


class SlowTokenizer:
    """A model whose ``tok_encode`` differs from its tokenizer with both settings."""

    tokenizer = byte_tokenizer()

    def tok_encode(self, text: str) -> list[int]:
        return [7, *text.encode(), 8]


def test_tokens_are_lm_evals_where_the_tokenizer_gives_others() -> None:
    assert list(encode_all(SlowTokenizer(), ["ab", "c"])) == [[7, 97, 98, 8], [7, 99, 8]]
    assert list(encode_all(SlowTokenizer(), [])) == []


def test_the_window_is_lm_evals() -> None:
    assert window_tokens(model(max_length=77)) == 77
    assert window_tokens(object()) is None
    assert window_tokens(None) is None


@pytest.mark.parametrize("answer", ["a", ["a"], None])
def test_a_text_that_comes_back_is_no_token(answer: Any) -> None:
    """lm-eval's API models return the text itself if they have no tokenizer, and chat models always do."""
    lm = type("Lm", (), {"max_length": 2047, "tok_encode": lambda self, text: answer})()
    assert not counts_tokens(lm)
    assert window_tokens(lm) is None


def test_a_window_holds_what_needs_no_more_than_it_has() -> None:
    window = ContextWindow(tokens=10, needed={"a": 10, "b": 11, "c": 3})
    assert [window.truncates(name) for name in "abc"] == [False, True, False]
    assert "1 of 3 prompts do not fit the model's context window of 10 tokens" in (window.warning or "")
    assert ContextWindow(tokens=11, needed={"a": 10, "b": 11}).warning is None


def test_what_does_not_fit_is_not_run_and_takes_no_memory() -> None:
    lm = model()
    for kind, extra in (("generate_until", {"max_gen_toks": 50}), ("loglikelihood", " answer\n")):
        requests = requests_of(kind, extra)
        _ = generated_needs(lm, requests) if kind == "generate_until" else scored_tokens(lm, requests)
        assert any(cached_ids(lm, prompt) for prompt in PROMPTS)
        leave_out(lm, requests)
        assert [request.args for request in requests] == [(prompt, extra) for prompt in PROMPTS]
        assert [request.repeats for request in requests] == [0] * len(PROMPTS)
        assert all(NOT_RUN in str(request.resps) for request in requests)
        assert lm.tok_encode._texts == {} and lm.tok_encode._tokens == 0


def test_the_shortest_request_keeps_its_settings() -> None:
    options = {"until": ["\n"], "do_sample": True, "temperature": 0.7, "max_gen_toks": 50}
    (request, *_) = requests_of("generate_until", options)
    run_shortest(request)
    assert request.args == ("Doe:", {**options, "max_gen_toks": 1})
    assert options["max_gen_toks"] == 50
    (request, *_) = requests_of("loglikelihood", " answer\n")
    run_shortest(request)
    assert request.args == ("Doe:", " ans")
