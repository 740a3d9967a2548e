"""The byte tokenizer: any text is decoded unchanged, also by a saved tokenizer."""

from pathlib import Path

from hypothesis import example, given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from dataset_builders.files import read_json
from synthetic_training.data.documents.byte_tokenizer import END, END_ID, VOCAB_SIZE, byte_tokenizer
from synthetic_training.models.saved import save_tokenizer


@settings(deadline=None)
@example(END)
@example(f"a{END} b")
@given(st.text())
def test_any_text_comes_back_from_the_tokenizer(text: str) -> None:
    tokenizer = byte_tokenizer(4096)
    ids = tokenizer(text, split_special_tokens=True)["input_ids"]
    assert ids == list(text.encode())
    assert tokenizer.decode(ids) == tokenizer.decode([*ids, END_ID], skip_special_tokens=True) == text
    # the end-of-text token can be written in a text, as with other tokenizers
    assert tokenizer(text)["input_ids"] == (ids if END not in text else _with_end_tokens(text))
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


def _with_end_tokens(text: str) -> list[int]:
    first, *others = [list(part.encode()) for part in text.split(END)]
    return first + [token for part in others for token in (END_ID, *part)]


def test_a_saved_tokenizer_is_the_same_and_pads_on_the_left(tmp_path: Path) -> None:
    save_tokenizer(byte_tokenizer(4096), tmp_path)
    # transformers 4 does not know the name that transformers 5 writes
    assert read_json(tmp_path / "tokenizer_config.json")["tokenizer_class"] == "PreTrainedTokenizerFast"
    tokenizer = AutoTokenizer.from_pretrained(tmp_path)
    every = bytes(range(128)).decode() + "".join(map(chr, range(128, 0x3000)))
    assert tokenizer(every)["input_ids"] == list(every.encode())
    assert tokenizer.decode(tokenizer(every)["input_ids"]) == every
    assert len(tokenizer) == VOCAB_SIZE and tokenizer.model_max_length == 4096
    assert {tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id} == {END_ID}
    assert tokenizer(["a", "bcd"], padding=True)["input_ids"] == [[END_ID, END_ID, 97], [98, 99, 100]]
    assert tokenizer.tokenize("a b") and tokenizer.convert_tokens_to_ids("<|endoftext|>") == END_ID
