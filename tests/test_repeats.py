"""Repeated n-grams in uniform strings, compared with counting, and their part in measured errors."""

import json
import math
from pathlib import Path
from random import Random

import pytest

from dataset_builders import InputError
from synthetic_training.figures.repeats import (
    accuracy_with_repeats,
    errors_at_repeats,
    expected_repeats,
    least_accuracy,
    main,
    table,
)
from tests.figure_lines import Line, a_line, a_test, rows_of


def repeats(string: str, n: int) -> int:
    """Pairs of positions with the same n letters, but not the same n + 1."""
    found = 0
    for i in range(len(string)):
        for j in range(i + 1, len(string) - n + 1):
            same = string[i : i + n] == string[j : j + n]
            before = i > 0 and string[i - 1] == string[j - 1]
            after = j + n < len(string) and string[i + n] == string[j + n]
            found += same and not before and not after
    return found


@pytest.mark.parametrize("n", [1, 2, 3])
def test_expected_repeats_are_those_of_random_strings(n: int) -> None:
    rng, letters, length = Random(n), "abcdef", 150
    counts = [repeats("".join(rng.choice(letters) for _ in range(length)), n) for _ in range(60)]
    mean = sum(counts) / len(counts)
    error = (sum((c - mean) ** 2 for c in counts) / len(counts) / (len(counts) - 1)) ** 0.5
    expected = expected_repeats(length, n, len(letters))
    # the ends of a string, which the formula takes for its middle, have 2% of the places
    assert abs(mean - expected) < 4 * error + 0.02 * expected
    assert expected_repeats(n, n, 6) == 0


def duplicates(accuracies: dict[int, float], plain: float = 0.9, seed: int = 0) -> Line:
    tests = [a_test(50, plain), *(a_test(50, a, "duplicate_ngram", n) for n, a in accuracies.items())]
    return {**a_line("T_hard_alibi", seed), "tests": tests}


def test_errors_are_those_beyond_plain_copying_and_interpolated() -> None:
    lines = [duplicates({1: 0.95, 3: 0.81, 5: 0.45}), duplicates({1: 0.95, 3: 0.63, 5: 0.45}, seed=1)]
    errors = errors_at_repeats(lines)
    assert {n: rate for n, (rate, _) in errors.items()} == pytest.approx(
        {1: 0.0, 2: 0.1, 3: 0.2, 4: 0.35, 5: 0.5}
    )
    for bad in ([a_line("T_hard_alibi")], [duplicates({1: 0.5}, plain=0.0)]):
        with pytest.raises(
            InputError, match="lack strings with a repeated n-gram, or correct ones without it"
        ):
            errors_at_repeats(bad)


def test_the_upper_limit_of_an_error_rate_covers_it_in_19_of_20_experiments() -> None:
    """Several seeds are tested on the same strings; here, they also make the same errors."""
    rng, plain, rate, strings = Random(0), 0.998, 0.002, 2000

    def one() -> float:
        right = [sum(rng.random() < p for _ in range(strings)) for p in (plain, plain * (1 - rate))]
        copy, repeat = (count / strings for count in right)
        tests = [a_test(50, copy), a_test(50, repeat, "duplicate_ngram", 2)]
        tests = [{**test, "num_examples": strings} for test in tests]
        return errors_at_repeats([{**a_line("T_hard_alibi", seed), "tests": tests} for seed in range(3)])[2][
            1
        ]

    assert sum(one() >= rate for _ in range(100)) >= 95


def test_the_least_accuracy_is_that_of_repeats_of_every_length() -> None:
    """Also if errors in plain strings come from repeats of one and two letters, which all strings have."""
    rates = {1: 2e-5, 2: 4e-4, 3: 0.01, 4: 0.1}
    plain = accuracy_with_repeats(50, {1: rates[1], 2: rates[2]}, 26, 1)
    line = duplicates({n: plain * (1 - rate) for n, rate in rates.items()}, plain)
    for strings, low in ((10**8, 0.98), (10**4, 0.6)):
        tests = [{**test, "num_examples": strings} for test in line["tests"]]
        for length in (50, 300, 1000):
            expected = accuracy_with_repeats(length, rates, 26, 1)
            least = least_accuracy(length, [{**line, "tests": tests}], 26)
            assert low * expected < least < expected


def test_accuracy_is_that_of_independent_repeats() -> None:
    errors = {2: 0.1, 3: 0.5}
    both = accuracy_with_repeats(100, errors, 26, 2)
    assert both == pytest.approx(
        math.exp(-0.1 * expected_repeats(100, 2, 26) - 0.5 * expected_repeats(100, 3, 26))
    )
    assert both < accuracy_with_repeats(100, errors, 26, 3) < accuracy_with_repeats(100, errors, 26, 4) == 1
    assert accuracy_with_repeats(200, errors, 26, 2) < both


def test_the_table_and_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    lengths = {
        **a_line("T_hard_alibi"),
        "config": {**a_line()["config"], "vocabulary": 26},
        "tests": [a_test(300, 0.5), a_test(20, 0.5)],
    }
    lines = [duplicates({3: 0.45})]
    expected = f"{math.exp(-0.5 * expected_repeats(300, 3, 26)):.3f}"
    found = rows_of(table([lengths], lines, "T_hard_alibi"))
    row = next(row for row in found if row[0] == "300")
    assert row[:5] == ["300", "0.500", "1.000", expected, expected]
    assert float(row[5]) < float(expected)
    with pytest.raises(InputError, match="^T_hard_alibi has results of several panels or swept values"):
        table([lengths, {**lengths, "panel": "other"}], lines, "T_hard_alibi")
    files = []
    for name, line in (("lengths", lengths), ("duplicates", lines[0])):
        files.append(tmp_path / f"{name}.jsonl")
        files[-1].write_text(json.dumps(line) + "\n")
    main([str(file) for file in files])
    (of_repeats,) = [row for row in rows_of(capsys.readouterr().out) if row[0] == "3"]
    assert of_repeats[:3] == ["3", "2.33", "0.5000"] and float(of_repeats[3]) > 0.5
    with pytest.raises(
        SystemExit, match=r"error: there are no results of 'lstm'; there are results of T_hard_alibi"
    ):
        main([*map(str, files), "--model", "lstm"])
    with pytest.raises(SystemExit, match=r"error: .*none: no such file; pass files written by reproduce"):
        main([str(files[0]), str(tmp_path / "none")])
