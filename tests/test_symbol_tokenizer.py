"""The 30 symbols as token ids, computed by hand and by the tokenizer that is saved with a model."""

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import AutoTokenizer, PreTrainedTokenizerFast

from dataset_builders import InputError
from dataset_builders.string_tasks.symbols import Symbols
from synthetic_training.data.documents.byte_tokenizer import byte_tokenizer
from synthetic_training.data.mqar.number_tokenizer import number_tokenizer
from synthetic_training.data.symbol_tokenizer import (
    END_ID,
    PAD_ID,
    SYMBOLS,
    VOCAB_SIZE,
    decode,
    encode,
    symbol_tokenizer,
)
from synthetic_training.models.saved import save_tokenizer

TEXTS = st.text(alphabet=SYMBOLS, max_size=40)


def test_the_worked_example() -> None:
    assert encode("$ab|ab.*") == [26, 0, 1, 27, 0, 1, 28, 29]
    assert decode([26, 0, 1, 27, 0, 1, 28, 29]) == "$ab|ab.*"
    assert encode("abcdefghijklmnopqrstuvwxyz") == list(range(26))


@given(TEXTS)
def test_every_text_comes_back(text: str) -> None:
    assert decode(encode(text)) == text


def test_a_large_vocabulary_is_written_as_numbers() -> None:
    symbols = Symbols(512)
    assert symbols.encode("$ 7 503 | 7 503 . *") == [512, 7, 503, 513, 7, 503, 514, 515]
    assert symbols.decode([512, 7, 503, 513, 7, 503, 514, 515]) == "$ 7 503 | 7 503 . *"
    with pytest.raises(InputError, match=r"'512' is not one of the 516 symbols 0 to 511 \$\|\.\*"):
        symbols.encode("512")
    assert [symbols.start_id, symbols.bar_id, symbols.end_id, symbols.pad_id] == symbols.encode("$ | . *")


@pytest.mark.parametrize(("text", "named"), [("a b", "' '"), ("aB", "'B'"), ("é", "'é'"), ("a\n", r"'\\n'")])
def test_other_characters_are_refused(text: str, named: str) -> None:
    with pytest.raises(InputError, match=f"^{named} is not one of the 30 symbols"):
        encode(text)


@pytest.mark.parametrize("number", [-1, 30, 1000])
def test_other_numbers_are_refused(number: int) -> None:
    with pytest.raises(InputError, match=f"token ids must be 0 to 29, not {number}"):
        decode([0, number])


@given(TEXTS)
def test_the_tokenizer_is_the_same_map(text: str) -> None:
    tokenizer = symbol_tokenizer(64)
    ids = tokenizer(text)["input_ids"]
    assert ids == encode(text)
    assert tokenizer.decode(ids) == text


def test_the_tokenizer_is_saved_with_its_length_and_ends(tmp_path: Path) -> None:
    save_tokenizer(symbol_tokenizer(512), tmp_path)
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    assert tokenizer("$qwerty|")["input_ids"] == encode("$qwerty|")
    assert len(tokenizer) == tokenizer.vocab_size == VOCAB_SIZE
    assert (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id) == (None, END_ID, PAD_ID)
    assert tokenizer.model_max_length == 512


def test_a_batch_is_padded_on_the_left() -> None:
    batch = symbol_tokenizer(64)(["$a|", "$abc|"], padding=True)
    assert [decode(row) for row in batch["input_ids"]] == ["**$a|", "$abc|"]
    assert batch["attention_mask"] == [[0, 0, 1, 1, 1], [1, 1, 1, 1, 1]]


def test_what_is_no_symbol_is_padding() -> None:
    assert symbol_tokenizer(64)("$A| \n")["input_ids"] == [*encode("$*|"), PAD_ID, PAD_ID]


@pytest.mark.parametrize(
    "tokenizer",
    [byte_tokenizer(64), symbol_tokenizer(64), number_tokenizer(32, 64)],
    ids=["bytes", "symbols", "numbers"],
)
def test_every_saved_tokenizer_gives_what_models_take(
    tokenizer: PreTrainedTokenizerFast, tmp_path: Path
) -> None:
    """Without these names in the file, transformers 4 adds token types, which the models refuse."""
    save_tokenizer(tokenizer, tmp_path)
    names = ["input_ids", "attention_mask"]
    assert json.loads((tmp_path / "tokenizer_config.json").read_text())["model_input_names"] == names
    batch = AutoTokenizer.from_pretrained(tmp_path)(["1", "1 2"], padding=True)
    assert list(batch) == names
    assert batch["attention_mask"][0][0] == 0 and all(batch["attention_mask"][1])
