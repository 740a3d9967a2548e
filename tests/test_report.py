"""Tables and plots of accuracy by length, and the command ``report``."""

import json
import sys
from pathlib import Path

import pytest

from dataset_builders import InputError
from lm_eval_tasks import __main__ as command_line
from lm_eval_tasks.results.plots import draw, styles
from lm_eval_tasks.results.report import report
from lm_eval_tasks.results.rows import by_benchmark, read_scores, row_labels
from lm_eval_tasks.results.table import table
from tests.conftest import Run
from tests.result_files import content, log_samples, result_file


def cells(text: str) -> list[list[str]]:
    """The cells of a Markdown table by row, starting with the header."""
    rows = [line for line in text.splitlines() if line.startswith("|") and not line.startswith("|-")]
    return [[cell.strip() for cell in row.split("|")[1:-1]] for row in rows]


def drawn(folder: Path) -> dict[str, list[Path]]:
    scores = read_scores([folder])
    style_of = styles(row_labels(scores))
    return {name: draw(name, own, style_of, folder) for name, own in by_benchmark(scores).items()}


# ---- the table


def test_lengths_are_sorted_by_number_and_intervals_are_wilsons(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_100": 0.25, "phone_book_20": 1.0}, model="org/a", documents=16)
    result_file(tmp_path, {"phone_book_20": 0.5}, model="org/b", documents=16, truncated=0.5)
    text = table(read_scores([tmp_path]))
    head, a, _, b, truncated = cells(text)
    assert head == ["model", "metric", "20 entries", "100 entries"]
    # Wilson's interval of 16 of 16 is [16 / (16 + 1.96²), 1]
    assert a == ["a", "exact_match", "1.000 [0.81, 1.00]", "0.250 [0.10, 0.49]"]
    assert b == ["b", "exact_match", "0.500 [0.28, 0.72] *", ""]
    assert truncated == ["b", "truncated", "0.500", ""]
    assert "16 documents per length." in text
    assert "95% confidence intervals (Wilson for exact_match)" in text
    assert "did not fit the model's context window" in text


def test_cells_with_fewer_documents_name_their_number(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20": 0.5}, model="a")
    result_file(tmp_path, {"phone_book_20": 0.5}, model="b", documents=4)
    text = table(read_scores([tmp_path]))
    assert [row[2] for row in cells(text)[1::2]] == ["0.500 [0.46, 0.54]", "0.500 [0.15, 0.85] (4 docs)"]
    assert "500 documents per length unless a cell shows another number." in text


def test_other_documents_are_noted(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20": 0.1}, model="a")
    result_file(tmp_path, {"phone_book_20": 0.9}, model="b", checksum="beef")
    for model in "ab":
        result_file(tmp_path, {"phone_book_40": 0.5}, model=model)
    assert "evaluated on different documents at 20 entries, so" in table(read_scores([tmp_path]))


def test_an_unknown_window_is_noted(tmp_path: Path) -> None:
    file = result_file(tmp_path, {"phone_book_20": 0.1})
    note = "If 'truncated' is missing, the model's context window is unknown."
    assert note not in table(read_scores([tmp_path]))
    file.write_text(file.read_text().replace('"truncated,none"', '"misaligned,none"'))
    assert note in table(read_scores([tmp_path]))


def test_settings_in_which_documents_differ_are_named(tmp_path: Path) -> None:
    task = "string_copy_20"
    result_file(tmp_path, {task: 0.1}, model="a", metadata={"spelling": "spaced", "seed": 1}, checksum="aa")
    result_file(tmp_path, {task: 0.9}, model="b", metadata={"spelling": "symbols"}, checksum="bb")
    for model in "ab":  # at another length, the same documents of both
        result_file(tmp_path, {"string_copy_50": 0.5}, model=model, metadata={"vocabulary": 4}, checksum="cc")
    text = table(read_scores([tmp_path]))
    assert "different documents at 20 letters (another seed or spelling), so their scores" in text


def test_what_is_no_score_is_marked(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20": None, "phone_book_40": 0.5}, error=10**400)
    text = table(read_scores([tmp_path]))
    assert cells(text)[1][2:] == ["no score", "0.500 [0.46, 0.54]"]
    assert "'no score': the result file has no valid number there." in text


# ---- the plot


def test_the_plot_marks_intervals_truncation_and_fewer_documents(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20": 0.75, "phone_book_100": 0.25}, model="org/a")
    result_file(tmp_path, {"phone_book_20": 0.5}, model="org/b", truncated=0.5, documents=4)
    (files,) = drawn(tmp_path).values()
    assert [file.name for file in files] == ["phone_book.png", "phone_book.svg"]
    assert files[0].read_bytes().startswith(b"\x89PNG")
    drawing = files[1].read_text()
    for text in ("a ", "b ", "length (entries)", "bars: 95% intervals (Wilson); hollow: truncated", "n=4"):
        assert f"<!-- {text}" in drawing, text
    (again, _) = drawn(tmp_path).values(), None
    assert next(iter(again))[1].read_text() == drawing
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("name", ["$\\frac{$", "_hidden", "字", "a\nb", "x" * 300])
def test_any_name_can_be_drawn(tmp_path: Path, name: str, recwarn: pytest.WarningsRecorder) -> None:
    result_file(tmp_path, {"phone_book_20": 0.5}, model=name)
    (files,) = drawn(tmp_path).values()
    drawing = files[1].read_text()
    if name[0] in "$_":
        assert f"<!-- {name}" in drawing.replace("\u2009", "")
    assert not [warning for warning in recwarn if warning.category is UserWarning]


def test_a_row_has_one_style_in_every_plot(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20": 0.5, "string_copy_20": 0.5}, model="b")
    result_file(tmp_path, {"phone_book_20": 0.5}, model="a")
    of_rows = styles(["a", "b"])
    assert of_rows["a"].colour != of_rows["b"].colour
    drawings = {name: files[1].read_text() for name, files in drawn(tmp_path).items()}
    assert of_rows["b"].colour in drawings["string_copy"]
    assert of_rows["a"].colour not in drawings["string_copy"]
    assert len({(s.colour, s.marker) for s in styles([str(i) for i in range(56)]).values()}) == 56


def test_labels_of_ticks_do_not_run_into_each_other(tmp_path: Path) -> None:
    result_file(tmp_path, {f"phone_book_{n}": 0.5 for n in (20, 80, 100, 120, 200, 1600)})
    (files,) = drawn(tmp_path).values()
    drawing = files[1].read_text()
    shown = [n for n in (20, 80, 100, 120, 200, 1600) if f"<!-- {n} -->" in drawing]
    assert shown == [20, 80, 120, 200, 1600]


def test_nothing_is_drawn_without_a_score(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20": None})
    assert drawn(tmp_path) == {"phone_book": []}
    assert [file.suffix for file in tmp_path.iterdir()] == [".json"]


# ---- the command


def command(monkeypatch: pytest.MonkeyPatch, *arguments: Path | str) -> None:
    monkeypatch.setattr(sys, "argv", ["lm_eval_tasks", *map(str, arguments)])
    command_line.main()


def test_five_rows_of_six_runs(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Two checkpoints, a model with and without a chat template, and one with limits of 4 and 500."""
    checkpoint = {"pretrained": "org/pythia"}
    result_file(tmp_path, {"phone_book_20": 0.2}, model_args={**checkpoint, "revision": "step1000"})
    result_file(tmp_path, {"phone_book_20": 0.8}, model_args={**checkpoint, "revision": "step2000"})
    for file in tmp_path.glob("results_*.json"):
        file.write_text(json.dumps(json.loads(file.read_text()) | {"model_name": "org/pythia"}))
    result_file(tmp_path, {"phone_book_20": 0.4}, model="org/chatty")
    result_file(tmp_path, {"phone_book_20": 0.6}, model="org/chatty", chat_template="{{ messages }}")
    result_file(tmp_path, {"phone_book_20": 1.0}, model="runs/mamba", documents=4, date=1.8e9)
    result_file(tmp_path, {"phone_book_20": 0.3}, model="runs/mamba", date=1.7e9)
    report((tmp_path,), tmp_path / "out", label=("Mamba=*mamba",))
    first = capsys.readouterr().out.partition("by training step")[0]
    rows = [(row[0], row[2][:5]) for row in cells(first)[1:] if row[1] == "exact_match"]
    assert rows == [
        ("chatty", "0.400"),
        ("chatty, chat template", "0.600"),
        ("Mamba", "0.300"),
        ("pythia@step1000", "0.200"),
        ("pythia@step2000", "0.800"),
    ]
    names = ["phone_book.png", "phone_book.svg", "phone_book_by_step.png", "phone_book_by_step.svg"]
    assert sorted(file.name for file in (tmp_path / "out").iterdir()) == names


def test_the_command_compares_two_rows(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    for model, right in (("a", 9), ("b", 1)):
        file = result_file(tmp_path, {"phone_book_20": right / 10}, model=model, documents=10)
        log_samples(file, "phone_book_20", [1.0] * right + [0.0] * (10 - right))
    command(monkeypatch, "report", tmp_path, "--out", tmp_path / "out", "--compare", "a", "b")
    text = capsys.readouterr().out.partition("## comparison")[2]
    row = cells(text)[1]
    # 8 documents differ, all in favour of a: p = 2 / 2 ** 8
    assert row[:5] + row[6:] == [
        "phone_book", "20 entries", "10", "0.900", "0.100", "0.008", "McNemar, exact (8 : 0)"
    ]  # fmt: skip
    with pytest.raises(SystemExit, match="error: there is no row 'c'; the rows are 'a', 'b'"):
        command(monkeypatch, "report", tmp_path, "--out", tmp_path / "new", "--compare", "a", "c")
    with pytest.raises(SystemExit, match="error: --compare takes the labels of two rows, not 1: a"):
        command(monkeypatch, "report", tmp_path, "--out", tmp_path / "new", "--compare", "a")
    assert not (tmp_path / "new").exists()


def test_the_real_command_line_refuses_in_one_sentence(run_forked: Run, tmp_path: Path) -> None:
    bad = tmp_path / "results_1.json"
    hostile = content({"phone_book_20": 0.5}, metadata={"benchmark": "../../\x1b[31mescaped"})
    bad.write_text(json.dumps(hostile))
    result = run_forked("-m", "lm_eval_tasks", "report", bad, "--out", tmp_path / "out")
    assert result.returncode == 1
    assert result.stderr.startswith("error: ") and result.stderr.count("\n") == 1
    assert "\x1b" not in result.stderr + result.stdout
    assert [file.name for file in tmp_path.iterdir()] == ["results_1.json"]
    assert not list(tmp_path.parent.glob("*escaped*"))


def test_missing_files_and_folders_are_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"nowhere.json does not exist"):
        read_scores([tmp_path / "nowhere.json"])
    with pytest.raises(InputError, match=r"contains no results_\*.json"):
        read_scores([tmp_path])


def test_results_of_other_tasks_in_a_folder_are_ignored(tmp_path: Path) -> None:
    result_file(tmp_path / "ours", {"phone_book_20": 0.5})
    other = result_file(tmp_path / "a_first", {"phone_book_20": 0.25})
    other.write_text(
        other.read_text().replace('"length_of"', '"other"').replace("phone_book_20", "hellaswag")
    )
    (score,) = read_scores([tmp_path])
    assert (score.task, score.main_value) == ("phone_book_20", 0.5)
    for path in (other, other.parent):
        with pytest.raises(
            InputError, match=f"^{path} contains no results of these tasks, only of hellaswag;"
        ):
            read_scores([tmp_path, path])


def test_a_report_of_nothing_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="pass at least one result file"):
        read_scores([])


def test_a_folder_that_cannot_be_written_is_refused_before_anything_is_printed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result_file(tmp_path, {"phone_book_20": 0.5})
    (tmp_path / "file").write_text("mine")
    for out in (tmp_path / "file", tmp_path / "file" / "below"):
        said = f"^error: {out} cannot be written: {tmp_path / 'file'} is not a folder$"
        with pytest.raises(SystemExit, match=said):
            command(monkeypatch, "report", tmp_path, "--out", out)
    assert capsys.readouterr().out == ""


def test_a_picture_of_others_is_kept_and_nothing_is_printed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    result_file(tmp_path, {"phone_book_20": 0.5})
    theirs = tmp_path / "phone_book.png"
    theirs.write_bytes(b"mine")
    with pytest.raises(InputError, match=r"phone_book\.png was not drawn by repeat-after-me"):
        report((tmp_path,), tmp_path)
    assert capsys.readouterr().out == "" and theirs.read_bytes() == b"mine"
