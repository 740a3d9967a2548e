"""From a folder of results to every number, table and plot: the example of CAPACITY.md."""

import runpy
from pathlib import Path

import pytest

from dataset_builders import phone_book
from dataset_builders.registry import find
from lm_eval_tasks.results import read_reports
from tests.result_files import log_answers, result_file

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "own_results.py"
PLOTS = {
    "phone_book", "phone_book_by_state", "phone_book_by_time", "phone_book_errors",
    "phone_book_by_position", "phone_book_by_tenth",
    "string_copy", "string_copy_by_state", "string_copy_first_error",
}  # fmt: skip

TIMING = {
    "batch_size": 1, "prompt_tokens": 500, "new_tokens": 32, "repetitions": 5, "prefill_seconds": 0.1,
    "prefill_range": [0.1, 0.1], "token_seconds": 0.01, "token_range": [0.01, 0.01],
    "tokens_per_second": 100.0, "machine": "A machine",
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model with 1,000 bytes of state that knows books of 20 entries, none of 40, and half of a string."""
    folder = tmp_path_factory.mktemp("results")
    result_file(folder, {"string_copy_10": 0.0}, documents=40, metadata={"state_bytes": 1000})
    kept = {"state_bytes": 1000, "timing": [TIMING]}
    result_file(folder, {"phone_book_20": 1.0, "phone_book_40": 0.0}, documents=40, metadata=kept)
    strings, books = sorted(folder.glob("results_*.json"))
    rows = list(find("string_copy").builder(10, num_docs=40))
    log_answers(strings, "string_copy_10", rows, [f"{row['answer'][:9]} ?" for row in rows])
    for size in (20, 40):
        rows = list(phone_book.rows(size, num_docs=40))
        answers = [row["answer"] if size == 20 else "none" for row in rows]
        log_answers(books, f"phone_book_{size}", rows, answers)
    return folder


def test_the_example_prints_every_number_and_table_and_draws_every_plot(
    folder: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # that each plot can be rendered is tested where it is drawn, and takes most of the time
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", lambda self, file, **_: file.write(b"drawn"))
    runpy.run_path(str(EXAMPLE))["main"]((folder,), tmp_path)
    printed = capsys.readouterr().out
    for said in (
        "model effective length: 20 to 40",
        "model recalls at least 516 bits at 20 entries",
        "model 40 {'no number': 40}",
        "| model   | 50 [50, 50]  |",
    ):
        assert said in printed
    tables = [table for report in read_reports([folder]) for table in report.tables()]
    assert len(tables) == 5 + 3
    assert all(table in printed for table in tables)
    assert {file.stem for file in tmp_path.iterdir()} == PLOTS


def test_what_was_not_logged_is_empty(tmp_path: Path) -> None:
    result_file(tmp_path, {"string_prefix_ngram_20": 0.5}, model="a")
    (report,) = read_reports([tmp_path], ["Mine=a"])
    assert report.labels == ["Mine"] and report.unit == "letters"
    assert not (report.samples or report.documents or report.errors or report.copied_fractions)
    assert not (report.position_table() or report.error_table() or report.first_error_table())
    assert [file.name for file in report.draw(tmp_path / "out")] == [
        "string_prefix_ngram.png", "string_prefix_ngram.svg"
    ]  # fmt: skip


def test_the_example_refuses_a_missing_folder_in_one_sentence(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.argv", ["own_results.py", str(tmp_path / "none")])
    with pytest.raises(SystemExit, match=f"^error: {tmp_path / 'none'} does not exist"):
        runpy.run_path(str(EXAMPLE), run_name="__main__")


def test_the_example_prints_nothing_if_the_plots_cannot_be_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result_file(tmp_path, {"string_prefix_ngram_20": 0.5})
    out = tmp_path / "plots"
    out.write_text("mine")
    monkeypatch.setattr("sys.argv", ["own_results.py", str(tmp_path), "--out", str(out)])
    with pytest.raises(SystemExit, match=f"^error: {out} cannot be written: {out} is not a folder$"):
        runpy.run_path(str(EXAMPLE), run_name="__main__")
    assert capsys.readouterr().out == "" and out.read_text() == "mine"


def record(batch: int, seconds: float = 0.01) -> dict[str, object]:
    return {**TIMING, "batch_size": batch, "token_seconds": seconds}


def test_what_a_shorter_run_measured_is_shown_beside_the_scores_of_the_longer_one(tmp_path: Path) -> None:
    measured = {"timing": [record(1), record(4)], "state_bytes": 77}
    result_file(tmp_path, {"phone_book_20": 1.0}, documents=4, metadata=measured, date=2e9)
    result_file(tmp_path, {"phone_book_20": 0.9}, metadata={"timing": [record(1, 0.02)]})
    result_file(tmp_path, {"phone_book_20": 0.8}, metadata={"timing": [record(1, 0.04)]}, date=1.6e9)
    (report,) = read_reports([tmp_path])
    (score,) = report.scores
    assert (score.main_value, score.documents, score.state_bytes) == (0.9, 500, 77)
    # the longest run's own seconds come first
    assert {one.batch_size: one.token_seconds for one in score.timings} == {1: 0.02, 4: 0.01}
    assert report.timing_table().count("generated tokens per second") == 2
    config, metadata = {"model_dtype": "torch.float16"}, {"timing": [record(8)]}
    result_file(tmp_path, {"phone_book_20": 1.0}, documents=4, metadata=metadata, config=config)
    (report,) = read_reports([tmp_path])
    batches = [[one.batch_size for one in score.timings] for score in report.scores]
    assert sorted(map(sorted, batches)) == [[1, 4], [8]], "nothing is taken from another precision"
