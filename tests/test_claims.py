"""The table of the paper's claims: its cells are short, and its numbers come from results."""

from pathlib import Path

import pytest

from synthetic_training.figures.claims import (
    CLAIMS,
    _factors,
    accuracy,
    main,
    read_folder,
    table,
)
from synthetic_training.figures.figure_file import shipped
from tests.figure_lines import a_line, a_test, rows_of

RESULTS = Path("synthetic_training/figures/results")
LONGEST = 15
"""Maximum number of words in a cell."""


def test_the_committed_table_is_that_of_the_committed_results() -> None:
    text = table(read_folder(RESULTS))
    for row in rows_of(text):
        assert all(len(cell.split()) <= LONGEST for cell in row)
    assert {name for claim in CLAIMS for name in claim.figure.split(", ")} <= set(shipped())
    found = {row[0]: row[2] for row in rows_of(text)}
    results = read_folder(RESULTS)
    value = accuracy(results, "length_generalization_paper", "T_hard_alibi", "copy", 1000)
    assert value is not None and found["Hard-ALiBi by length"].endswith(f"{value:.3f} at 1000")


def test_models_without_long_runs_at_300_letters_have_their_short_ones() -> None:
    rope, mamba = a_line("T_rope", accuracies=(0.0, 1.0)), a_line("mamba", accuracies=(0.0, 1.0))
    longer = a_line("mamba", accuracies=(0.0, 0.0, 0.0, 1.0))
    short = {"efficiency_paper": [rope, mamba]}
    assert _factors("mamba")(short) == "1.0 at 5 (1 seed)"
    assert _factors("mamba")({**short, "efficiency_300_paper": [longer]}) == "2.3 at 5 (1 seed)"
    both = {**short, "efficiency_300_paper": [longer, a_line("T_rope", accuracies=(0.0, 0.0, 0.0, 1.0))]}
    assert _factors("mamba")(both) == "1.0 at 5 (1 seed)"


def test_factors_are_named_by_length() -> None:
    rope, mamba = a_line("T_rope", accuracies=(0.0, 1.0)), a_line("mamba", accuracies=(0.0, 0.0, 0.0, 1.0))
    length = rope["curve"][-1]["length"]
    assert _factors("mamba")({"efficiency_50_paper": [rope, mamba]}) == f"2.3 at {length} (1 seed)"
    mamba["curve"][-1]["string_accuracy"] = 0.0
    assert _factors("mamba")({"efficiency_50_paper": [rope, mamba]}) == f"more than 2.7 at {length} (1 seed)"


def test_a_factor_is_unknown_where_a_seed_of_rope_did_not_learn() -> None:
    lines = [a_line("mamba"), *(a_line("T_rope", seed, accuracies=(0.0, 0.9 * seed)) for seed in range(2))]
    assert _factors("mamba")({"efficiency_50_paper": lines}) == "unknown at 5 (1 seed)"


def test_a_claim_without_results_names_its_figure(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    _, _, *lines = rows_of(table({}))
    rows = {row[0]: row[2] for row in lines}
    assert len(rows) == len(CLAIMS)
    assert all(cell.startswith("not run yet: ") for cell in rows.values())
    assert rows["Hard-ALiBi looks up n-grams"].endswith("duplicates")
    tests = [a_test(length, score, "prefix_ngram") for length, score in ((40, 0.8), (100, 0.4))]
    lookups = [a_line(label, panel="prefix_ngram", tests=tests) for label in ("T_rope", "mamba")]
    found = table({"ngram_lookup_by_length_paper": lookups})
    assert "| RoPE 0.800, Mamba 0.800 at 40; RoPE 0.400, Mamba 0.400 at 100 (1 seed) |" in found
    assert "not run yet: ngram_lookup_by_length" in table({"ngram_lookup_by_length_paper": lookups[:1]})
    main([str(tmp_path), "--out", str(tmp_path / "claims.md")])
    assert (tmp_path / "claims.md").read_text() in capsys.readouterr().out
    with pytest.raises(SystemExit, match="none is not a folder"):
        main([str(tmp_path / "none")])


def test_a_claim_says_if_seeds_are_missing() -> None:
    rope = [a_line("T_rope", seed, accuracies=(0.1, 0.9)) for seed in range(3)]
    lstm = [a_line("lstm", seed, accuracies=(0.1,) * 9) for seed in range(3)]
    for seeds, cell in ((3, "more than 5.9 at 5"), (1, "more than 5.8 at 5 (1 seed)")):
        rows = {row[0]: row[2] for row in rows_of(table({"efficiency_50_paper": [*rope, *lstm[:seeds]]}))}
        assert rows["The LSTM's examples"] == cell
    tests = [a_test(length, 0.5) for length in (75, 100)]
    for seeds, cell in ((3, "0.500 at 75, 0.500 at 100"), (2, "0.500 at 75, 0.500 at 100 (2 seeds)")):
        copies = [a_line("T_nope", seed, tests=tests) for seed in range(seeds)]
        rows = {row[0]: row[2] for row in rows_of(table({"length_generalization_paper": copies}))}
        assert rows["NoPE by length"] == cell
