"""The precision of transformers' recurrent models, as the documents state it."""

from pathlib import Path
from statistics import fmean

import pytest
from scipy.stats import ttest_ind

from dataset_builders.files import read_json
from synthetic_training.figures.summary import examples_until
from synthetic_training.training.run_log import read_lines
from tests.import_graph import ROOT
from tests.test_document_claims import check, short
from tests.test_speed_claims import scientific

README = "../precision/README.md"
RESULTS = ROOT / "synthetic_training/precision/results"


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
    check(README, "So the gates were the main cause.")
    errors = lines("gradient_errors_types_small.jsonl")
    arms = {(one["model"], one.get("gates")): one["errors"]["bf16_without_copies"] for one in errors}
    before, after = arms.pop(("hf:xlstm", "bfloat16")), arms.pop(("hf:xlstm", "float32"))
    for error in (lambda one: one["gradient"], lambda one: one["outputs"]["largest"]):
        assert error(before) > 10 * max(map(error, arms.values()))
    assert after["outputs"]["largest"] == pytest.approx(
        max(o["outputs"]["largest"] for o in arms.values()), rel=0.1
    )


def test_the_norms_of_gradients() -> None:
    norms = [one["errors"]["float32"]["gradient_norm"] for one in lines("gradient_errors_types_small.jsonl")]
    least, most = map(scientific, (min(norms), max(norms)))
    check(README, f"the norms of their exact gradients range from {least} to {most}")


def test_the_lstm_had_learned() -> None:
    check(README, "After 3,000 steps on strings of up to 20 letters, all of which it then copied")
    last = read_json(RESULTS / "gradient_errors_lstm.json")["last_evaluation_of_the_run"]
    assert (last["step"], last["length"], last["string_accuracy"]) == (3000, 20, 1.0)


def test_the_errors_of_the_lstm_by_layer() -> None:
    """They grow towards the input, but not in every layer."""
    found = read_json(RESULTS / "gradient_errors_lstm.json")["errors"]["bf16_without_copies"]["parameters"]

    def percent(*kinds: str) -> list[str]:
        errors = [one["largest"] for name, one in found.items() if name.endswith(kinds)]
        return [f"{100 * error:.0f}%" for error in (min(errors), max(errors))]

    (low, high), (lowest, highest) = percent("_l1", "_l2", "_l3"), percent("_l0")
    check(README, f"{low} to {high} in the three upper LSTM layers, {lowest} to {highest} in the lowest")


def test_the_lstm_learns_from_as_many_examples_in_bf16() -> None:
    runs = lines("lstm_seeds.jsonl")
    arms = {arm: [one for one in runs if one["arm"] == arm] for arm in ("bf16", "tf32")}
    assert [len(some) for some in arms.values()] == [4, 4]

    def until(accuracy: float) -> list[list[float]]:
        found = [[examples_until(one, accuracy) for one in some] for some in arms.values()]
        return [[one for one in some if one is not None] for some in found]

    (a, b), (c, d) = (
        [f"{round(fmean(some), -3):,.0f}" for some in until(accuracy)] for accuracy in (0.5, 0.9)
    )
    check(README, "we found no difference in learning, with four seeds in each precision and 3,000 steps")
    assert all(ttest_ind(*until(accuracy), equal_var=False).pvalue > 0.3 for accuracy in (0.5, 0.9))
    (e, f), (g, h) = (
        [short(limit(one["curve"][-1]["string_accuracy"] for one in some), 3) for limit in (min, max)]
        for some in arms.values()
    )
    check(README, f"| bf16 | {a} | {c} | {e} to {f} |")
    check(README, f"| TF32 | {b} | {d} | {g} to {float(h):.0f} |")


def test_an_xlstm_learns_with_gates_in_either_precision() -> None:
    check(README, "Every run copied at least 99% of the letters, and the final losses overlap")
    runs = lines("xlstm_gates_small.jsonl")
    arms = {(one["gates"], one["precision"]) for one in runs}
    assert arms == {("bfloat16", "bf16"), ("float32", "bf16"), ("float32", "fp32")}
    losses = []
    for arm in arms:
        some = [one for one in runs if (one["gates"], one["precision"]) == arm]
        assert len(some) == 8 and min(one["letter_accuracy"] for one in some) > 0.99
        losses.append([one["loss"] for one in some])
    assert max(map(min, losses)) < min(map(max, losses))
