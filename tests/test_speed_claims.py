"""The tables and sentences about the speed of training, derived again from the results."""

from collections.abc import Sequence
from itertools import combinations
from math import log
from statistics import mean
from typing import Any

from dataset_builders.files import read_json
from synthetic_training.training.run_log import read_lines
from tests.import_graph import ROOT
from tests.test_document_claims import check, short

SPEED = ROOT / "synthetic_training/speed"
README = "../speed/README.md"


def results(name: str) -> Any:
    return read_json(SPEED / "results" / f"{name}.json")


def has_row(*cells: str) -> None:
    """The document has a table with this row."""
    line = f"| {' | '.join(cells)} |"
    assert line in (SPEED / "README.md").read_text(encoding="utf-8").splitlines(), line


def scientific(value: float) -> str:
    return f"{value:.1e}".replace("e-0", "e-").removesuffix("e+00")


def thousands(speed: float) -> str:
    return f"{speed / 1000:.1f}k"


def ratios(name: str) -> dict[tuple[str, int], tuple[dict[str, Any], float]]:
    """The measurements by kind of scaling and number of GPUs, with the speed relative to one GPU."""
    found = {(one["gpus"], one["rows"]): one for one in results(name)["measured"]}
    arms = {("weak", n): found[n, 32 * n] for n in (1, 2, 4)}
    arms |= {("strong", n): found[n, 128] for n in (1, 2, 4)}
    return {
        (kind, n): (one, one["tokens_per_s"] / arms[kind, 1]["tokens_per_s"])
        for (kind, n), one in arms.items()
    }


def test_the_table_of_several_gpus() -> None:
    goals = {("weak", 2): 1.9, ("weak", 4): 3.7, ("strong", 2): 1.8, ("strong", 4): 3.3}
    found = ratios("scaling_h100")
    for (kind, gpus), (one, ratio) in found.items():
        goal = str(goals.get((kind, gpus), ""))
        has_row(
            kind,
            str(gpus),
            str(one["rows"]),
            thousands(one["tokens_per_s"]),
            f"{ratio:.2f}" if gpus > 1 else "1",
            goal,
            f"{one['first_loss']:.4f}",
            f"{one['loss']:.4f}",
        )
    missed = [100 * (1 - found[arm][1] / goal) for arm, goal in goals.items()]
    check(README, f"All four goals are missed by {min(missed):.0f} to {max(missed):.0f}%.")
    *first, last = (f"{ratios('scaling_h200')[arm][1]:.2f}" for arm in goals)
    check(README, f"On H200s, the ratios were {', '.join(first)} and {last}")


def test_losses_diverge_with_several_gpus_and_with_one() -> None:
    def ranges(first: Sequence[float], last: Sequence[float]) -> tuple[float, float]:
        return max(first) - min(first), max(last) - min(last)

    several = [one for one in results("scaling_h100")["measured"] if one["rows"] == 128]
    assert sorted(one["gpus"] for one in several) == [1, 2, 4]
    first, last = ranges([one["first_loss"] for one in several], [one["loss"] for one in several])
    check(README, f"losses differ by at most {scientific(first)}, their last ones by up to {last:.3f}.")

    alone = results("rounding_h100")["runs"]
    ends = {steps: [] for steps in (1, 2, 4)}
    for one in alone:
        assert one["processes"] == 1
        ends[one["accumulation_steps"]].append(f"{one['losses']['300']:.3f}")
    check(README, f"two runs of one command ended at {' and '.join(ends[1])}, and runs with")
    check(README, f"`--accumulation-steps` of 2 and 4 at {ends[2][0]} and {ends[4][0]}.")
    first, spread = ranges(*([one["losses"][step] for one in alone] for step in ("50", "300")))
    check(README, f"first losses of these four differ by at most {scientific(first)}")
    check(README, "On one GPU alone, losses diverge as far")
    assert spread > last


def test_the_fast_and_the_plain_step_have_the_losses_in_the_text() -> None:
    arms: dict[str, list[dict[int, float]]] = {"bf16": [], "bf16_without_copies": []}
    for line in read_lines(SPEED / "results/unchanged_losses_h100.jsonl"):
        assert line["seed"] == len(arms[line["arm"]])
        arms[line["arm"]].append({int(step): loss for step, loss in line["losses"].items()})
        assert line["config"]["compile"] == ("on" if line["arm"] == "bf16" else "off")
        assert line["curve"][-1]["string_accuracy"] == 1
    fast, plain = arms.values()
    assert len(fast) == len(plain) == 3
    check(README, "All six runs end with a string accuracy of 1.")
    for step in (50, 100, 200, 500, 1000, 2000):
        losses = [one[step] for pair in zip(fast, plain, strict=True) for one in pair]
        has_row(f"{step:,}", *(f"{one:.5f}" if one > 1e-3 else scientific(one) for one in losses))

    own, ratio = {}, {}
    for step in fast[0]:
        own[step] = [abs(one[step] - other[step]) for one, other in zip(fast, plain, strict=True)]
        others = [abs(a[step] - b[step]) for arm in (fast, plain) for a, b in combinations(arm, 2)]
        ratio[step] = mean(own[step]) / mean(others)
    assert list(own) == list(range(50, 2001, 50))
    most = max(max(own[step]) for step in (50, 100))
    check(README, f"Until step 100, a seed's two losses differ by at most {scientific(most)}.")
    early = [ratio[step] for step in range(150, 851, 50)]
    text = "until step 850 less than two seeds differ (on average"
    check(README, f"{text} {min(early):.2f} to {max(early):.2f} times as much)")
    late = [ratio[step] for step in range(900, 2001, 50)]
    check(README, f"from step 900 on about as much ({min(late):.2f} to {max(late):.2f} times)")


def test_the_table_of_types_of_transformers() -> None:
    names = {"synthetic_training.speed.mamba_ssm_models:Mamba2": "Mamba-2 of `mamba_ssm`"}
    shown = 0
    for one in results("architectures")["rows"]:
        if "error" in one or not one["model"].startswith(("hf:", *names)):
            continue
        has_row(
            names.get(one["model"], f"`{one['model']}`"),
            f"{one['parameters'] / 1e6:.1f}M",
            thousands(one["eager_tokens_per_s"]),
            "fails" if "graph_error" in one else thousands(one["graph_tokens_per_s"]),
            f"{one['mfu']:.2f}",
            f"{one['first_step_s']:.0f}",
        )
        shown += 1
        assert one["loss"] < 1.1 * log(26)
    assert shown == 15


def best(run: dict[str, Any]) -> float:
    return max(point["accuracy"] for point in run["curve"])


def test_mamba_at_64_tokens_of_mqar() -> None:
    (one,) = results("mqar_mamba_64_fast_rate_h100")["measured"]
    (zoology,), (ours,) = one["zoology"], one["ours"]
    assert zoology["lr"] == ours["lr"] == 1e-2
    has_row(
        "mamba",
        "64, 4",
        "1e-2",
        thousands(zoology["examples_per_s"]),
        thousands(ours["examples_per_s"]),
        f"{one['ratio']:.1f}x",
        "4x",
        f"{best(zoology):.3f}",
        f"{best(ours):.3f}",
    )
    ends = [run["curve"][-1]["examples"] for run in (zoology, ours)]
    assert all(best(run) >= 0.99 > run["curve"][-2]["accuracy"] for run in (zoology, ours))
    check(
        README,
        f"It reached .99 after {ends[0]:,} examples in Zoology's trainer and after {ends[1]:,} in ours",
    )


def test_an_earlier_run_of_mamba_at_64_tokens() -> None:
    (one,) = results("mqar_mamba_64_h100")["measured"]
    (zoology,) = (run for run in one["zoology"] if len(run["curve"]) == 16)
    (ours,) = (run for run in one["ours"] if run["lr"] == zoology["lr"])
    assert len(one["ours"]) == 4
    (fast,) = (run for run in one["ours"] if run["lr"] == 1e-2)
    assert len(fast["curve"]) == 16
    check(README, f"and with 1e-2 it reached only {short(best(fast), 3)} in 16 epochs.")
    check(README, f"Zoology's ran to the end only with {scientific(zoology['lr'])}")
    check(
        README,
        f"At this rate it reached {short(best(zoology), 3)} and ours {short(best(ours), 3)}, "
        f"at {one['ratio']:.1f} times the speed.",
    )
