"""Verifying with the sources of a folder: which are needed, and which are refused."""

from pathlib import Path
from typing import Any

import pytest

from dataset_builders import InputError
from dataset_builders.release.build import build
from dataset_builders.release.verify import verify
from tests.material import neox_tokenizer
from tests.squad_sample import squad_sample, write_squad
from tests.verified_folder import CONFIGS, copied, edit_manifest, original, wrong


@pytest.mark.parametrize(
    ("lost", "named"),
    [
        (
            "source",
            "was built from the local source 'texts.txt'; pass it, as in --source texts.txt",
        ),
        (
            "squad_source",
            "from the local source 'squad.json'; pass it, as in --squad-source squad.json",
        ),
        (
            "tokenizer",
            "from the local source '20B_tokenizer.json'; pass it, as in --tokenizer 20B_tokenizer.json",
        ),
    ],
)
def test_a_local_source_must_be_given_again(
    original: tuple[Path, dict[str, str]], lost: str, named: str
) -> None:
    folder, sources = original
    with pytest.raises(InputError, match=named):
        verify(folder, {**sources, lost: None})


def test_another_source_or_tokenizer_is_refused(
    original: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, sources = original
    assert sources["tokenizer"]
    texts = tmp_path / "other.txt"
    texts.write_text("The cat sat on the mat. " * 50)
    with pytest.raises(InputError, match=r"from 'texts.txt' with the checksum \w{12}, but 'other.txt' has"):
        verify(folder, {**sources, "source": str(texts)})
    squad = write_squad(tmp_path / "other.json", squad_sample(seed=1))
    with pytest.raises(InputError, match="'other.json' has the checksum .*; pass the same --squad-source"):
        verify(folder, {**sources, "squad_source": str(squad)})
    tokenizer = tmp_path / "tokenizer.json"
    tokenizer.write_text(Path(sources["tokenizer"]).read_text() + "\n")
    with pytest.raises(InputError, match=r"'20B_.*, but 'tokenizer.json' has .*; pass the same --tokenizer"):
        verify(folder, {**sources, "tokenizer": str(tokenizer)})


def test_the_same_questions_in_another_file_format_are_the_same(
    original: tuple[Path, dict[str, str]], tmp_path: Path
) -> None:
    folder, sources = original
    lines = write_squad(tmp_path / "lines.jsonl")
    assert wrong(folder, {**sources, "squad_source": str(lines)}) == {}


def test_what_no_source_is_needed_for_is_verified_without(tmp_path: Path) -> None:
    sources = {"tokenizer": str(neox_tokenizer())}
    build([*CONFIGS[:1], *CONFIGS[3:]], tmp_path, sources)
    assert wrong(tmp_path, {}) == {}


def test_a_data_set_without_a_tokenizer_is_verified_with_and_without(tmp_path: Path) -> None:
    build(CONFIGS[:1], tmp_path, {})
    for tokenizer in (None, str(neox_tokenizer())):
        assert wrong(tmp_path, {"tokenizer": tokenizer}) == {}


def test_a_tokenizer_on_the_hub_need_not_be_given_again(copied: tuple[Path, dict[str, str]]) -> None:
    folder, sources = copied

    def as_on_the_hub(content: Any) -> None:
        for entry in content["configs"].values():
            entry["tokenizer"].update(name=sources["tokenizer"], on_hub=True)

    edit_manifest(folder, as_on_the_hub)
    assert wrong(folder, {**sources, "tokenizer": None}) == {}
