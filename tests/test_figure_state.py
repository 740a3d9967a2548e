"""The state of a figure's models, and the table and plot of it."""

from math import log2
from pathlib import Path

import pytest

from dataset_builders import InputError
from synthetic_training.figures import state
from synthetic_training.figures.results import read_results, write_results
from synthetic_training.figures.state import Model, as_text, main, models_of
from synthetic_training.theory.bounds import half_error_length
from tests.figure_lines import a_line, rows_of

RESULTS = Path("synthetic_training/figures/results")
FEW = (10, 20, 40)
LINES = [
    {**line, "tests": [test for test in line["tests"] if test["length"] in FEW]}
    for line in read_results(RESULTS / "length_generalization_small.jsonl")
    if line["label"] in ("T_rope", "lstm") and line["seed"] == 0
]


def test_state_is_that_of_the_models_and_beside_what_they_copy(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    models = models_of(LINES)
    rope, lstm = models["T_rope"], models["lstm"]
    # keys and values of two layers of width 128, in fp32, of the string and its two marks
    assert rope.bits == {length: 2 * 2 * 128 * 32 * (length + 2) for length in rope.accuracy} and rope.grows
    # the hidden state and the cell of three layers of width 128
    assert set(lstm.bits.values()) == {2 * 3 * 128 * 32} and not lstm.grows
    assert rope.copied == 20 and 10 <= (lstm.copied or 0) <= 20
    best = max((value * n * log2(26) / rope.bits[n], n) for n, value in rope.accuracy.items())
    assert rope.per_bit == pytest.approx(best)
    assert Model({10: 0.1}, {}, 26).copied is None and Model({10: 0.1}, {}, 26).per_bit is None
    assert Model({10: 0.0}, {10: 32}, 26).per_bit is None

    file = tmp_path / "some.jsonl"
    write_results(file, LINES)
    main([str(file), "--out", str(tmp_path)])
    shown = capsys.readouterr().out
    assert (tmp_path / "state.md").read_text() in shown
    assert (tmp_path / "state.png").read_bytes().startswith(b"\x89PNG")
    bound = {row[0]: row[-1] for row in rows_of(shown)}
    assert bound["LSTM"] == f"{half_error_length(24_576, 26):,}" and bound["Transformer: RoPE"] == ""
    with pytest.raises(InputError, match="no accuracy of copying by length"):
        models_of([a_line()])
    with pytest.raises(InputError, match="^lstm has results of several panels or swept values"):
        models_of([*LINES, {**LINES[-1], "label": "lstm", "sweep": {"model_args.hidden_size": 64}}])
    with pytest.raises(SystemExit, match="none: no such file"):
        main([str(tmp_path / "none"), "--out", str(tmp_path)])


def test_the_committed_table_has_the_accuracies_of_the_committed_results(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Without counting the bits again, which takes long."""
    _, _, *shown = rows_of((RESULTS / "state.md").read_text())
    bits = iter([int(row[1].replace(",", "")), int(row[2].replace(",", ""))] for row in shown)

    def shown_bits(_: object, lengths: list[int]) -> dict[int, int]:
        first, last = next(bits)
        return {n: first + (last - first) * (n - lengths[0]) // (lengths[-1] - lengths[0]) for n in lengths}

    monkeypatch.setattr(state, "_bits", shown_bits)
    models = models_of(read_results(RESULTS / "length_generalization_paper.jsonl"))
    assert rows_of(as_text(models))[2:] == shown
