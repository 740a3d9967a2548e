"""The leaderboard's page: its content and notes, and hostile result files."""

import copy
import json
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from dataset_builders import InputError
from lm_eval_tasks import __main__ as command_line
from lm_eval_tasks.publish.leaderboard import GENERATOR, Page, page, render
from lm_eval_tasks.results.intervals import interval, mean_interval
from tests.leaderboard_page import page_of, scores_of
from tests.result_files import result_file


def cells(content: Page) -> dict[str, list[str]]:
    return {row.model: [cell.text for cell in row.cells] for row in content.rows}


# ---- the table


def test_lengths_in_order_and_a_mean_where_all_of_them_are(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_100": 0.25, "phone_book_20": 0.75, "c4_copy_25": 0.5}, model="org/a")
    result_file(tmp_path, {"phone_book_20": 1.0, "c4_copy_25": 0.625}, model="org/b")
    content = page_of(tmp_path)
    assert [group.benchmark for group in content.groups] == ["c4_copy", "phone_book"]
    assert [[c.label for c in group.columns] for group in content.groups] == [
        ["25 tokens"],
        ["mean", "20 entries", "100 entries"],
    ]
    ends = [interval("exact_match", mean, 0.03, 500) for mean in (0.75, 0.25)]
    low, high = mean_interval([0.75, 0.25], ends) or (0, 0)
    assert list(cells(content).items()) == [
        ("b", ["0.625 [0.58, 0.67]", "no score", "1.000 [0.99, 1.00]", "no score"]),
        (
            "a",
            [
                "0.500 [0.46, 0.54]",
                f"0.500 [{low:.2f}, {high:.2f}]",
                "0.750 [0.71, 0.79]",
                "0.250 [0.21, 0.29]",
            ],
        ),
    ]


def test_models_without_a_first_score_come_last(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20": 1.0}, model="a")
    result_file(tmp_path, {"c4_copy_25": 0.0}, model="b")
    assert [row.model for row in page_of(tmp_path).rows] == ["b", "a"]


def test_a_benchmark_without_a_main_metric_has_no_score(tmp_path: Path) -> None:
    file = result_file(tmp_path, {"phone_book_20": 0.5}, model="a")
    file.write_text(file.read_text().replace('"exact_match', '"unanswered'))
    content = page_of(tmp_path)
    assert content.groups[0].metric == "no score" and cells(content) == {"a": ["no score"]}


@pytest.mark.parametrize("bad", ["N/A", None, 1.5, -0.1, float("nan"), True])
def test_what_is_no_score_is_neither_shown_nor_drawn(tmp_path: Path, bad: Any) -> None:
    result_file(tmp_path, {"phone_book_20": bad}, model="a")
    content = page_of(tmp_path)
    assert cells(content) == {"a": ["no score"]}
    assert content.rows[0].cells[0].marks == ("no score",)
    assert content.charts == ()
    assert b">nan<" not in render(content, "t").lower()


@pytest.mark.parametrize("error", ["N/A", 0.03])
def test_a_score_of_fractions_has_an_interval_if_its_error_is_known(tmp_path: Path, error: Any) -> None:
    file = result_file(tmp_path, {"squad_v2_retrieval_50_100": 0.5}, model="a", error=error)
    file.write_text(file.read_text().replace("exact_match", "f1"))
    content = page_of(tmp_path)
    low, high = (interval("f1", 0.5, error, 500) or (None, None)) if error == 0.03 else (None, None)
    assert cells(content) == {"a": ["0.500" if low is None else f"0.500 [{low:.2f}, {high:.2f}]"]}
    drawn = {(point.low, point.high) for line in content.charts[0].lines for point in line.points}
    assert (drawn == {(None, None)}) == (error == "N/A")


# ---- what is said


def test_a_whole_run_of_the_benchmark_needs_no_notes(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20": 0.5}, model="a")
    content = page_of(tmp_path)
    assert content.notes == ()
    assert content.rows[0].cells[0].marks == ()


def test_limits_truncation_and_settings_are_said(tmp_path: Path) -> None:
    result_file(
        tmp_path, {"phone_book_20": 0.5, "phone_book_40": 0.5}, model="a", documents=32, truncated=0.25
    )
    result_file(
        tmp_path, {"phone_book_20": 0.5}, model="b", chat_template="x", config={"gen_kwargs": {"t": 1}}
    )
    content = page_of(tmp_path)
    said = "\n".join(content.notes)
    assert "LIMITED: some scores of a are from a part of the documents" in said
    assert "Truncated documents did not fit" in said
    assert "b was evaluated with a chat template." in said
    assert "b did not generate with the benchmark's settings" in said
    (row,) = (row for row in content.rows if row.model == "a")
    assert [cell.marks for cell in row.cells] == [
        ("limited", "truncated"), *[("32 of 500 docs", "25% truncated")] * 2
    ]  # fmt: skip
    assert "32 of 500 documents" in row.cells[1].title


def test_other_documents_are_said_of_those_who_had_them(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20": 0.5, "c4_copy_25": 0.5}, model="a")
    result_file(tmp_path, {"phone_book_20": 0.5, "c4_copy_25": 0.5}, model="b", checksum="beef" * 16)
    content = page_of(tmp_path)
    marks = {row.model: [cell.marks for cell in row.cells] for row in content.rows}
    assert marks["a"] == [("other docs",), ()], "nobody knows which documents of c4_copy are the benchmark's"
    assert marks["b"] == [("other docs",), ("other docs",)]
    different = [note for note in content.notes if "on different documents" in note]
    assert [note.split(":")[0] for note in different] == ["c4_copy_25", "phone_book_20"]
    assert "98eb98b62e20: a; beefbeefbeef: b" in different[1]
    assert any("has no checksum" in note and "c4_copy_25" in note for note in content.notes)


def test_documents_that_are_not_the_benchmarks_are_said(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20": 0.5}, model="a", checksum="beef" * 16)
    assert "phone_book_20: the documents are not the benchmark's own" in page_of(tmp_path).notes[0]


def test_runs_of_one_row_are_told_apart_and_revisions_are_rows(tmp_path: Path) -> None:
    for date, task, step in (
        (1.7e9, "phone_book_20", 10),
        (1.8e9, "phone_book_40", 10),
        (1.8e9, "phone_book_20", 20),
    ):
        arguments = f"pretrained=org/a,revision=step{step}"
        result_file(tmp_path, {task: 0.5}, model="org/a", date=date, model_args=arguments)
    content = page_of(tmp_path)
    first, second = sorted(content.rows, key=lambda row: row.model)
    assert (first.model, second.model) == ("a@step10", "a@step20")
    assert [source.date[:4] for source in first.sources] == ["2023", "2027"]
    assert all("revision step10" in source.how for source in first.sources)
    assert first.about == "lm-eval 0.4.13; 2023-11-14 to 2027-01-15"


def test_runs_are_sorted_by_date_and_their_scores_by_length(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_100": 0.5, "phone_book_20": 0.5}, model="a", date=1.8e9)
    result_file(tmp_path, {"phone_book_40": 0.5}, model="a", date=1.7e9)
    (row,) = page_of(tmp_path).rows
    assert [[score.length for score, _ in source.scores] for source in row.sources] == [[40], [20, 100]]


def test_a_mean_is_marked_if_one_of_its_scores_is(tmp_path: Path) -> None:
    some = {"documents": 32, "truncated": 0.25, "checksum": "beef" * 16}
    result_file(tmp_path, {"phone_book_20": 0.5}, model="a", **some)
    result_file(tmp_path, {"phone_book_40": 0.5}, model="a")
    result_file(tmp_path, {"phone_book_20": 0.5}, model="b")
    (row,) = (row for row in page_of(tmp_path).rows if row.model == "a")
    assert row.cells[0].marks == ("limited", "truncated", "other docs")


def test_forced_twins_are_left_out_and_named(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20": 0.5, "phone_book_20_forced": 0.75}, model="a")
    content = page_of(tmp_path)
    assert cells(content) == {"a": ["0.500 [0.46, 0.54]"]}
    assert content.notes[0].startswith("Left out") and "phone_book_20_forced" in content.notes[0]


# ---- the file


class Elements(HTMLParser):
    """Every element and its attributes, and all text outside of style and script."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.inside = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))
        self.inside = tag

    def handle_data(self, data: str) -> None:
        if self.inside not in ("style", "script"):
            self.text += data


HOSTILE = "</script><script>alert(1)</script>\"'><img src=x onerror=alert(2)>{{ 7 * 7 }}"


def test_names_are_text_wherever_they_stand(tmp_path: Path) -> None:
    plain, hostile = tmp_path / "plain", tmp_path / "hostile"
    for folder, name in ((plain, "a"), (hostile, HOSTILE)):
        folder.mkdir()
        file = result_file(folder, {"phone_book_20": 0.5, "phone_book_40": 0.5}, model=name, truncated=0.5)
        content = json.loads(file.read_text())
        content["lm_eval_version"] = content["config"]["batch_size"] = name
        for config in content["configs"].values():
            config["metadata"] |= {"unit": name, "repeat_after_me": name}
        file.write_text(json.dumps(content))
    ours = Elements(render(page_of(plain), "a").decode())
    theirs = Elements(render(page_of(hostile), HOSTILE).decode())
    assert [tag for tag, _ in theirs.found] == [tag for tag, _ in ours.found]
    assert [list(attributes) for _, attributes in theirs.found] == [list(a) for _, a in ours.found]
    assert theirs.text.count(HOSTILE) >= ours.text.count("\na\n") and HOSTILE in theirs.text
    assert "49" not in theirs.text


def test_half_a_character_is_one_sentence(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20": 0.5}, model="org/\ud800")
    with pytest.raises(InputError, match="is not a complete result file"):
        page_of(tmp_path)


def test_nothing_of_the_machine_or_its_keys_gets_out(tmp_path: Path) -> None:
    arguments = {"pretrained": f"{tmp_path}/private/model", "api_key": "hf_secret"}
    result_file(
        tmp_path, {"phone_book_20": 0.5}, model=f"{tmp_path}/private/model", config={"model_args": arguments}
    )
    text = render(page_of(tmp_path), "t").decode()
    assert str(tmp_path) not in text and "private" not in text and "hf_secret" not in text
    assert "other arguments: api_key" in text


def test_every_score_leads_to_what_it_is_from(tmp_path: Path) -> None:
    result_file(
        tmp_path,
        {"phone_book_20": 0.5, "phone_book_40": 0.5},
        model="org/a",
        model_args="pretrained=org/a,revision=step10",
    )
    result_file(tmp_path, {"phone_book_20": 0.5, "c4_copy_25": 0.5}, model="b")
    found = Elements(render(page_of(tmp_path), "t").decode()).found
    ids = [attributes["id"] for _, attributes in found if "id" in attributes]
    links = [attributes["href"] for tag, attributes in found if tag == "a"]
    assert len(ids) == len(set(ids))
    assert len(links) == 2 * 2 + 4 and {str(link).removeprefix("#") for link in links} < set(ids)
    text = Elements(render(page_of(tmp_path), "t").decode()).text
    for said in ("revision step10", "lm-eval 0.4.13", "2023-11-14T22:13:20Z", "500 of 500", "98eb98b62e20"):
        assert said in text


def leaderboard(monkeypatch: pytest.MonkeyPatch, *arguments: Path | str) -> None:
    monkeypatch.setattr("sys.argv", ["lm_eval_tasks", "leaderboard", *map(str, arguments)])
    command_line.main()


def test_the_command_writes_one_file_and_may_replace_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result_file(tmp_path, {"phone_book_20": 0.5, "phone_book_20_forced": 0.75}, model="a")
    out = tmp_path / "new" / "site"
    leaderboard(monkeypatch, tmp_path, "--out", out, "--title", "Ours & theirs")
    printed = capsys.readouterr()
    assert printed.out == f"written: {out / 'index.html'}\n"
    assert printed.err == "note: left out: phone_book_20_forced\n"
    first = (out / "index.html").read_bytes()
    assert b"<title>Ours &amp; theirs</title>" in first and GENERATOR.encode() in first
    leaderboard(monkeypatch, tmp_path, "--out", out, "--title", "Ours & theirs")
    assert (out / "index.html").read_bytes() == first
    leaderboard(monkeypatch, tmp_path, "--out", out)
    assert (out / "index.html").read_bytes() != first
    assert [file.name for file in out.iterdir()] == ["index.html"]


def test_another_page_is_not_overwritten(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    result_file(tmp_path, {"phone_book_20": 0.5}, model="a")
    (tmp_path / "index.html").write_text("mine")
    with pytest.raises(SystemExit, match=r"^error: .*index.html was not written by this command .*--out"):
        leaderboard(monkeypatch, tmp_path, "--out", tmp_path)
    assert (tmp_path / "index.html").read_text() == "mine"
    (tmp_path / "folder" / "index.html").mkdir(parents=True)
    with pytest.raises(SystemExit, match=r"^error: .*index.html cannot be replaced: Is a directory"):
        leaderboard(monkeypatch, tmp_path, "--out", tmp_path / "folder")
    with pytest.raises(SystemExit, match=r"^error: .*index.html cannot be"):
        leaderboard(monkeypatch, tmp_path, "--out", tmp_path / "index.html")
    assert capsys.readouterr().out == ""


def test_results_that_no_leaderboard_has_are_refused(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20_forced": 0.75}, model="a")
    with pytest.raises(InputError, match="no task of the leaderboard, only phone_book_20_forced"):
        page_of(tmp_path)


def test_the_page_does_not_change_what_it_is_given(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20": 0.5}, model="a")
    scores = scores_of(tmp_path)
    before = copy.deepcopy(scores)
    page(scores)
    assert scores == before
