"""Sizes must be those that lm-eval's own model class counts, to the token."""

from typing import Any

import pytest
from lm_eval.api.instance import Instance
from lm_eval.models.huggingface import HFLM
from tokenizers.processors import TemplateProcessing

from lm_eval_tasks.context_window import Size, sizes_of, window_of
from tests.models import END, byte_tokenizer, tiny_model

PROMPTS = ["Ada Doe:", "a longer prompt, é 😀:", "ends in white space \n", "x"]


def requests_of(kind: str, extra: Any) -> list[Instance]:
    return [Instance(kind, {}, (prompt, extra), i) for i, prompt in enumerate(PROMPTS)]


def model(**options: Any) -> HFLM:
    tokenizer = byte_tokenizer()
    tokenizer.backend_tokenizer.post_processor = TemplateProcessing(
        single=f"{END} $A", special_tokens=[(END, 256)]
    )
    return HFLM(pretrained=tiny_model("gpt_neox"), tokenizer=tokenizer, device="cpu", **options)


@pytest.mark.parametrize("options", [{}, {"add_bos_token": True}, {"add_bos_token": False}])
def test_counts_are_those_of_lm_eval(options: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> None:
    lm = model(**options)
    bos = 0 if options.get("add_bos_token") is False else 1
    generated = sizes_of(lm, requests_of("generate_until", {"max_new_tokens": 7}))
    assert generated == [Size(len(prompt.encode()) + bos + 7, 0) for prompt in PROMPTS]

    seen: list[tuple[list[int], list[int]]] = []
    monkeypatch.setattr(lm, "_loglikelihood_tokens", lambda reqs, **_: seen.extend(r[1:] for r in reqs))
    forced = requests_of("loglikelihood", " answer\n")
    lm.loglikelihood(forced, True)
    assert sizes_of(lm, forced) == [Size(len(c) + len(a) - 1, len(a)) for c, a in seen]


def test_the_window_is_lm_evals() -> None:
    assert window_of(model(max_length=77)) == 77
    assert window_of(object()) is None
    assert window_of(None) is None
