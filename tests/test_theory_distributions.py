"""The construction on strings that are not uniform."""

import itertools
import re
from pathlib import Path

import numpy as np
import pytest

import synthetic_training
from dataset_builders.files import read_json
from synthetic_training.theory.__main__ import main
from synthetic_training.theory.bounds import Proportion
from synthetic_training.theory.distributions import DISTRIBUTIONS, distributions_table, draw_strings

FOLDER = Path(synthetic_training.__file__).parent / "theory"


@pytest.mark.parametrize("name", DISTRIBUTIONS)
def test_letters_and_pairs_are_as_frequent_as_said(name: str) -> None:
    letters = 4
    strings = draw_strings(name, letters, 100, 1000, seed=5)
    assert strings.shape == (1000, 100)
    found = np.bincount(strings.ravel(), minlength=letters) / strings.size
    weights = 1 / np.arange(1, letters + 1) if name == "zipf" else np.ones(letters)
    single = weights / weights.sum()
    np.testing.assert_allclose(found, single, atol=0.02)
    for one, other in itertools.product(range(letters), repeat=2):
        expected = single[other]
        if name == "cycle":
            expected = 0.5 * (other == (one + 1) % letters) + 0.5 / letters
        after = strings[:, 1:][strings[:, :-1] == one]
        assert (after == other).mean() == pytest.approx(expected, abs=0.02)


def test_the_theorem_holds_for_each_distribution() -> None:
    rows = read_json(FOLDER / "results" / "distributions.json")["results"]
    assert {row["distribution"] for row in rows} == set(DISTRIBUTIONS)
    for row in rows:
        assert row["error"] <= row["repeated"] and row["wrong_without_repeat"] == 0
    assert any(row["repeated"] > row["bound"] for row in rows if row["distribution"] != "uniform")
    assert all(
        row["repeated"] <= row["bound"] + 5 * row["repeated_stderr"]
        for row in rows
        if row["distribution"] == "uniform"
    )


def test_the_readme_has_the_table_of_the_committed_results() -> None:
    text = (FOLDER / "README.md").read_text(encoding="utf-8")
    shown = re.search(r"<!-- distributions -->\n(.*)\n<!-- /distributions -->", text, re.DOTALL)
    rows = read_json(FOLDER / "results" / "distributions.json")["results"]
    assert shown is not None and shown[1] == distributions_table(rows)


def test_a_few_strings_are_measured(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    cases = "synthetic_training.theory.distributions.CASES"
    monkeypatch.setattr(cases, ((4, 2, 8), (2, 3, 9)))
    main(["distributions", "--strings", "60", "--out", str(tmp_path / "found.json")])
    rows = read_json(tmp_path / "found.json")["results"]
    assert len(rows) == 2 * len(DISTRIBUTIONS)
    assert all(row["wrong_without_repeat"] == 0 and row["error"] <= row["repeated"] for row in rows)
    assert all(row["error"] > 0 for row in rows)
    for row in rows:
        n, length = row["n"], row["length"]
        drawn = draw_strings(row["distribution"], row["letters"], length, 60, seed=0)
        texts = [tuple(text) for text in drawn.tolist()]
        windows = [[text[i : i + n] for i in range(length - n + 1)] for text in texts]
        repeated = sum(len(set(own)) < len(own) for own in windows) / 60
        assert row["repeated"] == pytest.approx(repeated)
        assert row["bound"] == length**2 / row["letters"] ** n
        for key in ("error", "repeated"):
            expected = Proportion.of(round(60 * row[key]), 60)
            assert (row[key], row[f"{key}_stderr"]) == (expected.mean, expected.stderr)
