"""DEVIATIONS.md, and its measurement of strings with a duplicate."""

import re
from pathlib import Path

import pytest

import synthetic_training
from dataset_builders.files import read_json
from synthetic_training.deviations import released_accuracy
from synthetic_training.deviations.duplicates import (
    RESULTS,
    _longest_repeat,
    distribution_table,
    effect_table,
    main,
    measured,
    released_strings,
)
from synthetic_training.deviations.released_accuracy import string_accuracy
from synthetic_training.theory import __main__ as theory
from synthetic_training.theory.construction import construct
from tests.figure_lines import a_line, a_test, rows_of

DOCUMENT = Path(synthetic_training.__file__).parent / "DEVIATIONS.md"
MOST_WORDS = 15


def test_no_cell_is_longer_than_a_line() -> None:
    cells = [cell for row in rows_of(DOCUMENT.read_text(encoding="utf-8")) for cell in row]
    assert len(cells) > 100
    assert [cell for cell in cells if len(cell.split()) > MOST_WORDS] == []


def test_the_document_has_the_table_of_the_committed_results() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    shown = re.search(r"<!-- duplicates -->\n(.*)\n<!-- /duplicates -->", text, re.DOTALL)
    assert shown is not None and shown[1] == distribution_table(read_json(RESULTS))


def test_strings_are_expected_to_be_copied_as_those_with_a_duplicate_of_their_longest_repeat() -> None:
    tests = [
        a_test(50, 0.9, n=1),
        a_test(50, 0.5, "duplicate_ngram", 10),
        a_test(50, 0.8, "duplicate_ngram", 3),
    ]
    ours = {**a_line("T_hard_alibi"), "tests": tests}

    def copied(repeat: int) -> float:
        """Interpolated between the plain strings, 3 and 10 letters."""
        return 0.9 - 0.1 * repeat / 3 if repeat < 3 else 0.8 - 0.3 * (min(10, repeat) - 3) / 7

    expected = {
        row["n"]: sum(share * copied(int(size)) for size, share in row["by_longest_repeat"].items())
        for row in read_json(RESULTS)["results"]
        if row["sampler"] == "released"
    }
    assert rows_of(effect_table([ours, {**a_line("mamba"), "tests": []}]))[2:] == [
        [str(n), f"{found:.3f}", f"{expected[n]:.3f}", "1"] for n, found in ((3, 0.8), (10, 0.5))
    ]


def test_a_model_is_tested_on_released_strings(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The constructed transformer copies all strings in which no three letters repeat."""
    model = construct(26, 3, 20).eval()
    strings = [*released_strings(6, 20, 300, 0)]
    repeats = [_longest_repeat(string) for string in strings]
    assert string_accuracy(model, [s for s, size in zip(strings, repeats, strict=True) if size < 3]) == 1
    assert string_accuracy(model, [s for s, size in zip(strings, repeats, strict=True) if size >= 3]) < 0.2
    with pytest.raises(SystemExit, match=r"^error: .*none is not a folder"):
        released_accuracy.main([str(tmp_path / "none"), "--out", str(tmp_path / "a.json")])
    for options, sentence in (
        (("--strings", "0"), "strings must be an integer of at least 1, not 0"),
        (("--seed", "-1"), "seed must be an integer of at least 0, not -1"),
        (("--ns",), "pass at least one number of letters to --ns"),
        (("--ns", "3", "0"), "ns must be an integer of at least 1, not 0"),
        (("--ns", "11"), "ns must be at most 10, not 11"),
        (("--length", "1"), "length must be an integer of at least 2, not 1"),
    ):
        with pytest.raises(SystemExit, match=f"^error: {sentence}"):
            released_accuracy.main([str(tmp_path), *options, "--out", str(tmp_path / "a.json")])
    theory.main(["construction", "--letters", "26", "--n", "3", "--out", str(tmp_path / "run")])
    released_accuracy.main(
        [str(tmp_path / "run"), "--strings", "300", "--ns", "6", "--out", str(tmp_path / "a.json")]
    )
    (row,) = read_json(tmp_path / "a.json")["results"]
    assert row["released"] == string_accuracy(model, strings) == pytest.approx(row["expected"], abs=0.05)
    assert f"| {row['released']:.3f} " in capsys.readouterr().out


def test_strings_are_measured_by_their_repeats() -> None:
    found = measured(["abcab", "abcde", "ababab", "abcabc"], 2)
    assert found == {
        "none_twice": 1 / 4,
        "three_times": 1 / 4,
        "longer_twice": 2 / 4,
        "longest_repeat": 9 / 4,
        "by_longest_repeat": {"0": 1 / 4, "2": 1 / 4, "3": 1 / 4, "4": 1 / 4},
    }


def test_released_strings_have_no_duplicate_only_where_places_overlap_or_are_overwritten() -> None:
    """An upper bound: two uniform positions out of 49 - n overlap at n - 1 distances."""
    n, strings = 10, list(released_strings(10, 50, 600, seed=1))
    places = 50 - n - 1
    overlapping = 1 - (places - n) * (places - n + 1) / (places * (places - 1))
    assert all(len(string) == 50 for string in strings)
    share = measured(strings, n)["none_twice"]
    # a share of those that overlap by a period of the string has a duplicate all the same
    assert 0.8 * overlapping < share <= overlapping + 0.05


def test_the_command_measures_both(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "found.json"
    main(["--strings", "40", "--out", str(out)])
    rows = read_json(out)["results"]
    assert {row["none_twice"] for row in rows if row["sampler"] == "ours"} == {0}
    assert max(row["none_twice"] for row in rows if row["sampler"] == "released") > 0.1
    assert distribution_table(read_json(out)) in capsys.readouterr().out
    with pytest.raises(SystemExit, match="exists; pass another file with --out"):
        main(["--strings", "40", "--out", str(out)])
