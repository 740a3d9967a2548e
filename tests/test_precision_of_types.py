"""The precision of transformers' recurrent models, as the documents state it."""

from pathlib import Path

import pytest

from synthetic_training.training.run_log import read_lines
from tests.import_graph import ROOT
from tests.test_document_claims import check

README = "../precision/README.md"
RESULTS = ROOT / "synthetic_training/precision/results"


def scientific(value: float) -> str:
    return f"{value:.1e}".replace("e-0", "e-").replace("e+00", "")


def lines(name: str) -> list[dict]:
    return read_lines(Path(RESULTS / name))


def test_the_table_of_types() -> None:
    errors = lines("gradient_errors_types_small.jsonl")
    assert len(errors) == 13
    for one in errors:
        name = f"`{one['model']}`" + (f", gates in {one['gates']}" if "gates" in one else "")
        bf16, float32 = (one["errors"][arm] for arm in ("bf16_without_copies", "float32"))
        cells = (bf16["gradient"], float32["gradient"], bf16["outputs"]["largest"])
        check(README, f"| {name} | {' | '.join(map(scientific, cells))} |")


def test_gates_in_bfloat16_were_the_cause() -> None:
    check(README, "wrong by more than ten times as much as with the others")
    check(README, "the error of an output falls to that of the other models")
    errors = lines("gradient_errors_types_small.jsonl")
    arms = {(one["model"], one.get("gates")): one["errors"]["bf16_without_copies"] for one in errors}
    before, after = arms.pop(("hf:xlstm", "bfloat16")), arms.pop(("hf:xlstm", "float32"))
    for error in (lambda one: one["gradient"], lambda one: one["outputs"]["largest"]):
        assert error(before) > 10 * max(map(error, arms.values()))
    assert after["outputs"]["largest"] == pytest.approx(
        max(o["outputs"]["largest"] for o in arms.values()), rel=0.1
    )


def test_an_xlstm_learns_with_gates_in_either_precision() -> None:
    check(README, "with eight seeds each, all copied at least 99% of the letters")
    runs = lines("xlstm_gates_small.jsonl")
    arms = {(one["gates"], one["precision"]) for one in runs}
    assert arms == {("bfloat16", "bf16"), ("float32", "bf16"), ("float32", "fp32")}
    losses = []
    for arm in arms:
        some = [one for one in runs if (one["gates"], one["precision"]) == arm]
        assert len(some) == 8 and min(one["letter_accuracy"] for one in some) > 0.99
        losses.append([one["loss"] for one in some])
    assert max(map(min, losses)) < min(map(max, losses))
