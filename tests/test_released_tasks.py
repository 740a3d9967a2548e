"""Tasks whose documents come from a released data set in a folder."""

from pathlib import Path

import pytest
from datasets import Dataset

from dataset_builders import InputError
from dataset_builders.phone_book import rows
from tests.evaluation import evaluate, scores
from tests.scripted import Scripted, look_up, wrong_last_digit


@pytest.fixture
def release(tmp_path: Path) -> Path:
    folder = tmp_path / "release"
    (folder / "phone_book_20").mkdir(parents=True)
    Dataset.from_list(list(rows(20, 500, 0))).to_parquet(folder / "phone_book_20" / "test-00000.parquet")
    return folder


def test_a_release_in_a_folder_gives_the_same_scores(release: Path) -> None:
    built = evaluate(Scripted(wrong_last_digit), "phone_book_20", num_docs=20)
    read = evaluate(Scripted(wrong_last_digit), "phone_book_20", num_docs=20, dataset=str(release))
    assert scores(built, "phone_book_20") == scores(read, "phone_book_20")
    assert [s["doc_hash"] for s in built["samples"]["phone_book_20"]] == [
        s["doc_hash"] for s in read["samples"]["phone_book_20"]
    ]
    assert read["configs"]["phone_book_20"]["metadata"]["dataset"] == str(release)


def test_a_release_that_is_not_the_benchmark_is_refused(release: Path) -> None:
    file = release / "phone_book_20" / "test-00000.parquet"
    with pytest.raises(InputError, match="from 1 to 500, the size of the data set, not 501"):
        evaluate(Scripted(look_up), "phone_book_20", num_docs=501, dataset=str(release))
    with pytest.raises(InputError, match=r"has no file phone_book_40/test\*.parquet"):
        evaluate(Scripted(look_up), "phone_book_40", dataset=str(release))
    changed = list(rows(20, 500, 0))
    changed[250]["answer"] = "6000000000"
    Dataset.from_list(changed).to_parquet(file)
    with pytest.raises(InputError, match="does not have this version's documents"):
        evaluate(Scripted(look_up), "phone_book_20", dataset=str(release))
    Dataset.from_list([{"text": "a"}]).to_parquet(file)
    with pytest.raises(
        InputError, match="is not a release of this benchmark: .* lacks the columns id, prompt"
    ):
        evaluate(Scripted(look_up), "phone_book_20", dataset=str(release))
    file.write_bytes(b"PAR1 damaged PAR1")
    with pytest.raises(InputError, match="cannot read the data set '.*': one of its files is damaged"):
        evaluate(Scripted(look_up), "phone_book_20", dataset=str(release))
