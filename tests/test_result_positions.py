"""Accuracy by position, and where copies go wrong, from logged samples."""

import json
import sys
from pathlib import Path

import pytest

from dataset_builders import InputError, phone_book
from dataset_builders.registry import find
from lm_eval_tasks import __main__ as command_line
from lm_eval_tasks.results.plots import styles
from lm_eval_tasks.results.position_plots import draw_by_tenth
from lm_eval_tasks.results.positions import (
    QueriedDocument,
    cells,
    copied_fractions,
    first_error_table,
    position_table,
    queried_documents,
)
from lm_eval_tasks.results.rows import read_scores
from lm_eval_tasks.results.sample_plots import draw_first_errors
from lm_eval_tasks.results.samples import logged
from tests.result_files import log_answers, result_file


def recent(folder: Path, kept: int, sizes: tuple[int, ...] = (10, 20)) -> Path:
    """The results of a model that knows the last entries of each book."""
    file = result_file(folder, {f"phone_book_{size}": 0.5 for size in (20, 40)}, model="recent", documents=40)
    for size in (20, 40):
        rows = list(phone_book.rows(size, num_docs=40))
        texts = [row["answer"] if row["query_position"] >= size - kept else "6" for row in rows]
        log_answers(file, f"phone_book_{size}", rows, texts)
    return folder


def test_a_memory_of_recent_entries_fails_at_the_beginning(tmp_path: Path) -> None:
    documents = queried_documents(logged(read_scores([recent(tmp_path, 10)])))
    assert len(documents) == 80
    assert {one.right for one in documents if one.distance <= 10} == {True}
    assert {one.right for one in documents if one.distance > 10} == {False}
    assert {one.tenth for one in documents} == set(range(10))
    first, last = QueriedDocument("", 40, 40, 0, True), QueriedDocument("", 40, 40, 39, True)
    assert (first.tenth, first.distance, last.tenth, last.distance) == (0, 40, 9, 1)
    (row,) = [line for line in position_table(documents).splitlines() if line.startswith("| recent")]
    lengths, *cells = [cell.strip() for cell in row.split("|")[2:-1]]
    assert lengths == "20, 40"
    assert cells[0].startswith("0.000 [0.00") and cells[9].startswith("1.000 [")
    assert cells[6].startswith("0.500 [")  # known in the books of 20, and not in those of 40


def test_rows_of_given_positions_have_these_tenths(tmp_path: Path) -> None:
    """One row with equally many documents per position; one panel per length, with one line per model."""
    for model, right in (("a", "first"), ("b", "all")):
        file = result_file(tmp_path, {"phone_book_20": 0.5, "phone_book_40": 0.5}, model=model, documents=40)
        for size in (20, 40):
            rows = list(phone_book.rows(size, num_docs=40, position=[0, 0.5]))
            texts = [row["answer"] if right == "all" or row["query_position"] == 0 else "6" for row in rows]
            log_answers(file, f"phone_book_{size}", rows, texts)
    documents = queried_documents(logged(read_scores([tmp_path])))
    assert {key: len(right) for key, right in cells(documents).items()} == {
        (model, size, tenth): 20 for model in "ab" for size in (20, 40) for tenth in (0, 5)
    }
    middle = [one for one in documents if one.length == 40]
    row = [cell.strip() for cell in position_table(middle).splitlines()[2].split("|")[1:-1]]
    assert row[:3] == ["a", "40", "1.000 [0.84, 1.00]"]
    assert row[7] == "0.000 [0.00, 0.16]" and not any(row[3:7] + row[8:])
    files = draw_by_tenth("phone_book", documents, "entries", styles(["a", "b"]), tmp_path)
    assert [file.name for file in files] == ["phone_book_by_tenth.png", "phone_book_by_tenth.svg"]
    drawing = files[1].read_text()
    for text in ("20 entries", "40 entries", "a", "b"):
        assert f"<!-- {text} -->" in drawing
    assert draw_by_tenth("phone_book", [], "entries", {}, tmp_path) == []


def test_lengths_that_lack_a_queried_tenth_are_left_out() -> None:
    at = [(20, 0, True), (20, 10, True), (40, 0, False)]
    documents = [QueriedDocument("m", length, length, position, right) for length, position, right in at]
    row = [cell.strip() for cell in position_table(documents).splitlines()[2].split("|")[1:-1]]
    assert row[:2] == ["m", "20"] and row[2].startswith("1.000 [") and row[7].startswith("1.000 [")
    assert position_table(documents[1:]) == "", "neither length has both tenths"
    others = [QueriedDocument("n", one.length, one.positions, one.position, True) for one in documents[1:]]
    whole = position_table([*documents, *others])
    assert "| n " not in whole and whole.endswith("in every tenth that was queried: n.")


def truncate_every_other(samples: Path) -> None:
    """Mark the first, third, ... document as not run."""
    lines = [json.loads(line) for line in samples.read_text().splitlines()]
    marked = [{**line, "truncated": float(i % 2 == 0)} for i, line in enumerate(lines)]
    samples.write_text("".join(json.dumps(line) + "\n" for line in marked))


def test_documents_that_did_not_fit_are_left_out(tmp_path: Path) -> None:
    recent(tmp_path, 10)
    whole = queried_documents(logged(read_scores([tmp_path])))
    for samples in tmp_path.glob("samples_*"):
        truncate_every_other(samples)
    assert queried_documents(logged(read_scores([tmp_path]))) == whole[1::2]
    copies = tmp_path / "copies"
    rows = list(find("string_copy").builder(10, num_docs=4))
    file = result_file(copies, {"string_copy_10": 0.5}, documents=4)
    truncate_every_other(
        log_answers(file, "string_copy_10", rows, ["", rows[1]["answer"], "", rows[3]["answer"]])
    )
    assert copied_fractions(logged(read_scores([copies]))) == {("model", 10): [1.0, 1.0]}


def test_pairs_of_mqar_have_positions(tmp_path: Path) -> None:
    rows = list(find("mqar").builder(16, num_docs=40))
    file = result_file(tmp_path, {"mqar_16": 0.5}, model="recent", documents=40)
    log_answers(file, "mqar_16", rows, [row["answer"] if row["query_position"] >= 8 else "" for row in rows])
    documents = queried_documents(logged(read_scores([tmp_path])))
    assert len(documents) == 40
    assert all(one.right == (one.tenth >= 5) for one in documents)


def test_positions_outside_the_book_are_refused(tmp_path: Path) -> None:
    recent(tmp_path, 10)
    for samples in tmp_path.glob("samples_*"):
        samples.write_text(samples.read_text().replace('"query_position": 1', '"query_position": 99'))
    with pytest.raises(InputError, match=r"lack exact_match or a valid query_position"):
        queried_documents(logged(read_scores([tmp_path])))


def test_copies_go_wrong_where_they_do(tmp_path: Path) -> None:
    rows = list(find("string_copy").builder(10, num_docs=4))
    file = result_file(tmp_path, {"string_copy_10": 0.25}, model="drifts", documents=4)
    texts = [row["answer"][: 2 * right] + "? ? ?" for row, right in zip(rows, (2, 4, 8), strict=False)]
    log_answers(file, "string_copy_10", rows, [*texts, rows[3]["answer"]])
    fractions = copied_fractions(logged(read_scores([tmp_path])))
    assert fractions == {("drifts", 10): [0.2, 0.4, 0.8, 1.0]}
    assert "60 [35, 85]" in first_error_table(fractions, "letters")
    files = draw_first_errors("string_copy", fractions, "letters", tmp_path)
    assert [file.name for file in files] == ["string_copy_first_error.png", "string_copy_first_error.svg"]


def test_the_command_reports_what_samples_tell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    recent(tmp_path, 10)
    result_file(tmp_path, {"phone_book_20": 0.5, "string_copy_10": 0.5}, model="unlogged")
    monkeypatch.setattr(
        sys, "argv", ["lm_eval_tasks", "report", str(tmp_path), "--out", str(tmp_path / "out")]
    )
    command_line.main()
    text = capsys.readouterr().out
    assert "in tenths of the document" in text and "| recent  | not ten digits |" in text
    names = {file.stem for file in (tmp_path / "out").glob("*.png")}
    of_books = {"phone_book", "phone_book_by_position", "phone_book_by_tenth", "phone_book_errors"}
    assert names == {*of_books, "string_copy"}
