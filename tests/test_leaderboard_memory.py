"""The memory columns of the leaderboard's page: the report's numbers, or dashes."""

from pathlib import Path

import pytest

from dataset_builders.plotting import short_number
from lm_eval_tasks.publish.leaderboard import Page, render
from lm_eval_tasks.publish.leaderboard_memory import DASH
from lm_eval_tasks.results.capacity import capacities
from tests.leaderboard_page import page_of, scores_of
from tests.result_files import result_file

FALLS = {"phone_book_20": 0.9, "phone_book_40": 0.6, "phone_book_60": 0.2}


def columns(content: Page, model: str) -> dict[str, tuple[str, str, tuple[str, ...]]]:
    """Name of a column -> its text, interval and marks."""
    heads = [column.name for group in content.memory_groups for column in group.columns]
    (row,) = (row for row in content.rows if row.model == model)
    return {
        head: (cell.shown, cell.interval, cell.marks) for head, cell in zip(heads, row.memory, strict=True)
    }


def test_the_numbers_are_those_of_the_report(tmp_path: Path) -> None:
    result_file(tmp_path, FALLS, model="a", metadata={"state_bytes": 153_600})
    found, capacity = columns(page_of(tmp_path), "a"), capacities(scores_of(tmp_path))["a"]
    assert capacity.length.estimate is not None and capacity.most_bits is not None
    estimate, interval = str(capacity.length).split(" ", 1)
    at, bits = capacity.most_bits
    assert found == {
        "phone_book, effective length (entries)": (estimate, interval, ("40 to 60 without a curve",)),
        "phone_book, recalled bits": (f"≥ {bits:,.0f}", "", (f"at {at} entries",)),
        "phone_book, state": ("153.6 kB", "", ("at 20 to 60 entries",)),
        "phone_book, recalled bits per bit of state": (
            f"≥ {short_number(float(f'{bits / 8 / 153_600:.2g}'))}", "", (f"at {at} entries",)
        ),
    }  # fmt: skip


def test_a_state_that_is_known_at_one_length_names_it_and_one_at_two_lengths_both(tmp_path: Path) -> None:
    lengths = (20, 40)
    for model, measured in (("a", lengths[:1]), ("b", lengths)):
        for length in measured:
            result_file(tmp_path, {f"phone_book_{length}": 1.0}, model=model, metadata={"state_bytes": 1000})
    content = page_of(tmp_path)
    assert columns(content, "a")["phone_book, state"] == ("1 kB", "", ("at 20 entries",))
    assert columns(content, "b")["phone_book, state"] == ("1 kB", "", ("at 20 to 40 entries",))


def test_a_state_that_grows_is_that_of_the_longest_book(tmp_path: Path) -> None:
    for task, size in (("phone_book_20", 2_000_000), ("phone_book_120", 16_256_000)):
        result_file(tmp_path, {task: 1.0}, model="a", metadata={"state_bytes": size})
    found = columns(page_of(tmp_path), "a")
    assert found["phone_book, state"] == ("16.26 MB", "", ("at 120 entries",))
    assert found["phone_book, effective length (entries)"] == ("at least 120", "", ())


def test_a_dash_stands_where_there_is_no_value_and_is_explained_once(tmp_path: Path) -> None:
    result_file(tmp_path, FALLS, model="seen", metadata={"state_bytes": 1000})
    result_file(tmp_path, FALLS, model="unseen")
    result_file(tmp_path, {"c4_copy_25": 0.9}, model="other")
    content = page_of(tmp_path)
    assert columns(content, "unseen")["phone_book, state"] == (DASH, "", ())
    assert columns(content, "unseen")["phone_book, recalled bits"][0].startswith("≥")
    of_other = columns(content, "other")
    assert {cell[0] for name, cell in of_other.items() if name.startswith("phone_book")} == {DASH}
    assert [name for name in of_other if name.startswith("c4_copy")] == ["c4_copy, effective length (tokens)"]
    text = render(content, "t").decode()
    assert text.count(f"A dash ({DASH}) means") == 1


def test_a_dash_in_a_memory_column_alone_is_explained(tmp_path: Path) -> None:
    result_file(tmp_path, FALLS, model="seen", metadata={"state_bytes": 1000})
    result_file(tmp_path, FALLS, model="unseen")
    assert "A dash" in render(page_of(tmp_path), "t").decode()


def test_without_a_dash_none_is_explained(tmp_path: Path) -> None:
    result_file(tmp_path, FALLS, model="a", metadata={"state_bytes": 1000})
    assert "A dash" not in render(page_of(tmp_path), "t").decode()


@pytest.mark.parametrize(
    ("accuracies", "shown", "value"),
    [((1.0, 1.0), "at least 40", 40), ((0.0, 0.0), "below 20", 0), ((1.0, 0.0), "20 to 40", 20)],
)
def test_effective_lengths_are_sorted_by_the_length_that_is_reached(
    tmp_path: Path, accuracies: tuple[float, float], shown: str, value: float
) -> None:
    tasks = ("phone_book_20", "phone_book_40")
    result_file(tmp_path, dict(zip(tasks, accuracies, strict=True)), model="a")
    (row,) = page_of(tmp_path).rows
    assert (row.memory[0].shown, row.memory[0].value) == (shown, value)


def test_accuracy_of_a_guess_gives_no_bound(tmp_path: Path) -> None:
    result_file(tmp_path, {"phone_book_20": 0.0}, model="a", metadata={"state_bytes": 1000})
    (row,) = page_of(tmp_path).rows
    shown = [cell.shown for cell in row.memory]
    assert shown == ["below 20", "no bound", "1 kB"]
