"""Documents with characters that a tokenizer does not know."""

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest
from lm_eval.models.huggingface import HFLM
from tokenizers import Tokenizer, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from dataset_builders import InputError
from lm_eval_tasks.unknown_tokens import UnknownCharacters, unknown_characters, unknown_warning
from synthetic_training.data.mqar.number_tokenizer import number_tokenizer
from synthetic_training.data.symbol_tokenizer import PAD, SYMBOLS, VOCAB_SIZE, symbol_tokenizer
from tests.evaluation import evaluate, scores
from tests.models import byte_tokenizer, tiny_model


def spelled_by(tokenizer: object, **document: object) -> UnknownCharacters:
    found = unknown_characters(SimpleNamespace(tokenizer=tokenizer), [document])
    assert found is not None
    return found[0]


def test_characters_outside_the_vocabulary_are_unknown() -> None:
    tokenizer = symbol_tokenizer(64)
    assert spelled_by(tokenizer, prompt="$ab|", answer="ab") == UnknownCharacters(0, 6)
    assert spelled_by(tokenizer, prompt="Ada: 5\n", answer="12") == UnknownCharacters(7, 9)
    assert spelled_by(tokenizer, prompt="$ab|", answers=["ab", "B"]) == UnknownCharacters(1, 7)


def test_the_unknown_token_itself_can_be_spelled() -> None:
    tokenizer = symbol_tokenizer(64)
    assert spelled_by(tokenizer, prompt=f"ab{PAD}{PAD}", answer="a") == UnknownCharacters(0, 5)
    assert spelled_by(tokenizer, prompt=f"ab{PAD} ", answer="a") == UnknownCharacters(1, 5)


def test_another_spelling_of_the_unknown_token_is_known() -> None:
    tokenizer = number_tokenizer(64, 64)
    assert spelled_by(tokenizer, prompt="10 0 20 <blank>", answer="30") == UnknownCharacters(0, 17)
    assert spelled_by(tokenizer, prompt="10 0 | 64 -> 70", answer="30") == UnknownCharacters(7, 17)


def test_characters_that_leave_no_token_are_unknown() -> None:
    tokenizer = Tokenizer(models.BPE(vocab={"a": 0, "b": 1}, merges=[]))
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer)
    assert spelled_by(fast, prompt="ab ab", answer="a") == UnknownCharacters(0, 6)
    assert spelled_by(fast, prompt="a1b1", answer="a2") == UnknownCharacters(3, 6)


def test_bytes_spell_everything() -> None:
    assert spelled_by(byte_tokenizer(), prompt="Ada é 😀\n", answer="7") == UnknownCharacters(0, 9)


def test_nothing_is_said_without_a_tokenizer_of_transformers() -> None:
    assert unknown_characters(object(), [{"prompt": "a", "answer": "b"}]) is None
    assert unknown_warning([UnknownCharacters(0, 5), UnknownCharacters(0, 6)]) is None


@pytest.mark.parametrize("task", ["phone_book_n", "phone_book_n_forced"])
def test_a_model_without_a_tokenizer_is_refused(task: str, tmp_path: Path) -> None:
    model = tiny_model("gpt_neox")
    model.save_pretrained(tmp_path)  # transformers loads an empty tokenizer from this folder
    lm = HFLM(pretrained=str(tmp_path), device="cpu")
    with pytest.raises(
        InputError, match=f"{task}: the model's tokenizer returns no tokens .* tokenizer=FOLDER"
    ):
        evaluate(lm, task, entries=4, num_docs=3)


def test_a_vocabulary_of_symbols_is_asked_for_a_phone_book(caplog: pytest.LogCaptureFixture) -> None:
    lm = HFLM(
        pretrained=tiny_model("gpt_neox", vocab_size=VOCAB_SIZE, bos_token_id=28, eos_token_id=28),
        tokenizer=symbol_tokenizer(4096),
        max_length=4096,
        device="cpu",
    )
    with caplog.at_level(logging.WARNING):
        results = evaluate(lm, "phone_book_n", "phone_book_n_forced", entries=4, num_docs=3)
    for task in ("phone_book_n", "phone_book_n_forced"):
        assert scores(results, task)["unknown_tokens"] == 1.0
    (warning, _) = [r.getMessage() for r in caplog.records if "does not know" in r.getMessage()]
    text = "".join(s["doc"]["prompt"] + s["doc"]["answer"] for s in results["samples"]["phone_book_n"])
    share = sum(character not in SYMBOLS for character in text) / len(text)
    assert f"tokenizer does not know {share:.0%} of the characters" in warning
    assert "3 of 3 have such characters" in warning
    results = evaluate(lm, "string_copy_10", num_docs=3, spelling="symbols")
    assert scores(results, "string_copy_10")["unknown_tokens"] == 0.0
