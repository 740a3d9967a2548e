"""Copies with spaces before punctuation marks are right, whatever the tokenizer does to such spaces."""

import json
import logging
from pathlib import Path
from typing import Any

import pytest
from lm_eval.models.huggingface import HFLM
from transformers import GenerationMixin

from lm_eval_tasks.cleaned_spaces import keep_spaces
from tests.evaluation import evaluate, scores
from tests.material import neox_tokenizer
from tests.models import byte_tokenizer
from tests.ngram_model import NgramConfig, NgramModel

SWITCH = "clean_up_tokenization_spaces"


class Copier(NgramModel, GenerationMixin):
    """Continues a text as it went on after the last eight bytes before."""

    def prepare_inputs_for_generation(
        self, input_ids: Any, attention_mask: Any = None, **_: Any
    ) -> dict[str, Any]:
        return {"input_ids": input_ids, "attention_mask": attention_mask}


def copier(*, cleans: bool, obeys: bool = True) -> HFLM:
    tokenizer = byte_tokenizer()
    setattr(tokenizer, SWITCH, cleans)
    # as in versions of transformers before this setting, which clean every tokenizer's text
    setattr(tokenizer, f"{SWITCH}_for_bpe_even_though_it_will_corrupt_output", obeys)
    return HFLM(pretrained=Copier(NgramConfig(n=8, num_hidden_layers=1)), tokenizer=tokenizer, device="cpu")


@pytest.mark.parametrize("cleans", [False, True])
@pytest.mark.parametrize("text", ["A cat , a dog ! What , on day {} , is it ? It is {} .", "Day {}, day {}"])
def test_the_tokenizer_does_not_change_copies(
    cleans: bool, text: str, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source = tmp_path / "texts.jsonl"
    source.write_text("\n".join(json.dumps({"text": text.format(k * 3391, k * k * 77)}) for k in range(50)))
    lm = copier(cleans=cleans)
    arguments = {"tokens": 16, "num_docs": 4, "source": str(source), "tokenizer": str(neox_tokenizer())}
    with caplog.at_level(logging.WARNING):
        found = scores(evaluate(lm, "c4_copy_n", **arguments), "c4_copy_n")
    assert found["exact_match"] == 1.0
    is_changed = cleans and " ," in text
    assert any("switched off" in record.getMessage() for record in caplog.records) == is_changed
    assert getattr(lm.tokenizer, SWITCH) == (cleans and not is_changed)


def test_a_setting_that_is_ignored_is_no_warning() -> None:
    """A version of transformers that ignores it keeps the spaces, so there is nothing to warn about."""
    lm, text = copier(cleans=True, obeys=False), "the cat , sat ."
    decoded = lm.tokenizer.decode(lm.tokenizer(text, add_special_tokens=False)["input_ids"])
    assert (keep_spaces(lm, [text]) is None) == (decoded == text) == getattr(lm.tokenizer, SWITCH)
