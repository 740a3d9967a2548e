"""Sources of texts, questions and tokenizers: read errors are one sentence, and bugs keep their traceback."""

import gzip
import json
from collections.abc import Callable
from pathlib import Path

import pytest
from tokenizers import Tokenizer

from dataset_builders import InputError
from dataset_builders.command_line import command_errors
from dataset_builders.sources.squad import DEFAULT_SOURCE, read_squad
from dataset_builders.sources.texts import read_texts
from dataset_builders.sources.tokenizer import load_tokenizer
from tests.material import neox_tokenizer

LINES = gzip.compress("".join(json.dumps({"text": f"line {i}"}) + "\n" for i in range(1000)).encode())


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("cut.json.gz", LINES[:-50]),
        ("damaged.json.gz", LINES[:50] + bytes(50) + LINES[100:]),
        ("none.json.gz", b"no gzip"),
        ("latin.jsonl", b'{"text": "caf\xe9"}\n'),
        ("latin.txt", b"caf\xe9"),
        ("number.json", b"1"),
        ("deep.json", b"[" * 100_000),
        ("deep.jsonl", b'{"text": ' + b"[" * 100_000),
        ("empty.jsonl", b""),
        ("cut.parquet", b"PAR1 and no more PAR1"),
        ("empty.parquet", b""),
    ],
)
def test_a_damaged_file_of_texts_is_one_sentence(name: str, content: bytes, tmp_path: Path) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match="cannot be read|contains no text") as refused:
        read_texts(str(tmp_path / name))
    assert "\n" not in str(refused.value)


def test_a_damaged_file_in_a_folder_of_texts_is_named(tmp_path: Path) -> None:
    (tmp_path / "good.txt").write_text("good")
    (tmp_path / "latin.txt").write_bytes(b"caf\xe9")
    with pytest.raises(InputError, match=r"latin\.txt' cannot be read as UTF-8 text"):
        read_texts(str(tmp_path))
    (tmp_path / "latin.txt").unlink()
    (tmp_path / "folder.txt").mkdir()
    with pytest.raises(InputError, match=r"folder\.txt cannot be read: it is not a file"):
        read_texts(str(tmp_path))


@pytest.mark.parametrize(
    ("read", "broken"),
    [
        (lambda _: list(read_squad(DEFAULT_SOURCE)), "datasets.load_dataset"),
        (lambda _: read_texts("org/name"), "huggingface_hub.HfApi.dataset_info"),
        (lambda _: read_texts("allenai/c4"), "datasets.load_dataset"),
        (lambda folder: read_texts(str(folder / "a.jsonl")), "datasets.load_dataset"),
        (lambda _: load_tokenizer("org/none"), "huggingface_hub.hf_hub_download"),
    ],
)
def test_a_bug_is_not_taken_for_a_bad_source(
    read: Callable[[Path], object], broken: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def bug(*_: object, **__: object) -> None:
        raise AttributeError("a bug")

    (tmp_path / "a.jsonl").write_text('{"text": "a"}\n')
    monkeypatch.setattr(broken, bug)
    with pytest.raises(AttributeError, match="a bug"):
        read(tmp_path)


@pytest.mark.parametrize(
    ("name", "problem"),
    [
        ("x" * 5000, "File name too long"),
        (f"/{'x' * 300}.jsonl", "File name too long"),
        ("~nobody_of_this_name/x", "is not a path: Could not determine home"),
        ("a\0b", "is not a path: .*embedded null"),
    ],
)
@pytest.mark.parametrize("read", [read_texts, load_tokenizer, lambda name: list(read_squad(name))])
def test_names_that_cannot_be_looked_up_are_one_short_sentence(
    name: str, problem: str, read: Callable[[str], object]
) -> None:
    with pytest.raises(InputError, match=problem) as refusal:
        read(name)
    assert len(str(refusal.value)) < 300


def test_what_may_not_be_read_is_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def denied(path: Path, *_: object, **__: object) -> None:
        raise PermissionError(13, "Permission denied", str(path))

    for method in ("iterdir", "stat"):
        with monkeypatch.context() as patch:
            patch.setattr(Path, method, denied)
            with pytest.raises(InputError, match="cannot be read: Permission denied"):
                read_texts(str(tmp_path))


def test_a_name_that_is_too_long_is_one_sentence_of_every_command() -> None:
    """For such names, pathlib raises OSError instead of reporting that they do not exist."""
    with pytest.raises(SystemExit, match="^error: the name 'xxx.* is too long$"), command_errors():
        Path("x" * 5000).is_file()
    with pytest.raises(PermissionError), command_errors():  # others are not expected
        raise PermissionError(13, "denied", "file")


def test_padding_and_truncation_in_a_tokenizers_file_do_not_change_lengths(tmp_path: Path) -> None:
    """As in the files of tokenizers that were saved after they had encoded a batch."""
    file = tmp_path / "tokenizer.json"
    saved = Tokenizer.from_file(str(neox_tokenizer()))
    saved.enable_padding(length=20, pad_token="<|endoftext|>")
    saved.enable_truncation(10)
    saved.save(str(file))
    texts = ["a short text", "a long text " * 20]
    expected = load_tokenizer(str(neox_tokenizer()))
    found = load_tokenizer(str(file))
    assert found.encode_batch(texts) == expected.encode_batch(texts)
    assert list(map(found.encode, texts)) == list(map(expected.encode, texts))
