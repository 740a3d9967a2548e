"""The tables of the precision study, made only from committed results.

python -m synthetic_training.precision.summary
"""

import json
from pathlib import Path
from statistics import median
from typing import Any

from scipy.stats import binomtest, fisher_exact
from tabulate import tabulate

from dataset_builders.command_line import cli, command_errors
from dataset_builders.markdown import markdown_table
from synthetic_training.figures.summary import examples_until
from synthetic_training.precision.arms import ARMS
from synthetic_training.training.run_log import read_lines

RESULTS = Path(__file__).parent / "results"
RELEASED = Path(__file__).parents[1] / "deviations" / "results"
"""Results of the released code's trainer."""

LEARNED = 0.5
"""A run has learned if its string accuracy at 50 letters after the last step is at least this."""

ABOVE_CHANCE = 0.1
"""A run is above chance (1 / 26) if its letter accuracy is at least this."""

_WEIGHTS = {
    "mamba_authors_weights": "authors'",
    "mamba_large_embeddings": "embedding_std 1, x_proj_gain 10",
}
_STATES = {
    "learned": "large embeddings, learned",
    "half_learned": "authors' weights, letter accuracy .10",
    "at_chance": "authors' weights, at chance",
}
_SCANS = {
    "bf16_without_copies": ("ours", "bfloat16"),
    "bf16_mamba_ssm_scan": ("`mamba_ssm`", "bfloat16"),
    "bf16_float32_recurrence": ("ours", "float32"),
    "bf16_mamba_ssm_scan_float32": ("`mamba_ssm`", "float32"),
}


def seeds_table() -> str:
    """How many seeds learned in each arm, with 95% Clopper-Pearson intervals."""
    rows = []
    for file, weights in _WEIGHTS.items():
        lines = read_lines(RESULTS / f"{file}.jsonl")
        for arm in [arm for arm in ARMS if any(line["arm"] == arm for line in lines)]:
            last = [line["curve"][-1] for line in lines if line["arm"] == arm]
            speeds = [line["tokens_per_second"] for line in lines if line["arm"] == arm]
            norms = [line["largest_grad_norm"] for line in lines if line["arm"] == arm]
            rows.append(
                [
                    weights,
                    arm,
                    _share(sum(one["string_accuracy"] >= LEARNED for one in last), len(last)),
                    _share(sum(one["letter_accuracy"] >= ABOVE_CHANCE for one in last), len(last)),
                    f"{median(norms):.0f}",
                    f"{median(speeds) / 1000:.0f}",
                ]
            )
    headers = [
        "initial weights",
        "arm",
        "learned",
        "above chance",
        "largest gradient norm (median)",
        "1,000 tokens/s (median)",
    ]
    return tabulate(rows, headers, tablefmt="github")


def comparisons_table() -> str:
    """Two-sided Fisher's exact tests of whether two groups of runs learned equally often."""
    authors, large = (read_lines(RESULTS / f"{file}.jsonl") for file in _WEIGHTS)

    def counts(lines: list[dict[str, Any]], *arms: str) -> list[int]:
        learned = [line["curve"][-1]["string_accuracy"] >= LEARNED for line in lines if line["arm"] in arms]
        return [sum(learned), len(learned) - sum(learned)]

    every_bf16 = [arm for arm in ARMS if arm.startswith("bf16")]
    pairs = {
        "TF32 against bf16 (all bf16 arms), authors' weights": (
            counts(authors, "tf32"),
            counts(authors, *every_bf16),
        ),
        "recurrence in fp32 against bf16 without copies, authors' weights": (
            counts(authors, "bf16_float32_recurrence"),
            counts(authors, "bf16_without_copies"),
        ),
        "bf16 copies against none, authors' weights": (
            counts(authors, "bf16"),
            counts(authors, "bf16_without_copies"),
        ),
        "large embeddings against authors' weights, bf16": (counts(large, "bf16"), counts(authors, "bf16")),
    }
    rows = [
        [
            name,
            f"{one[0]} of {sum(one)}",
            f"{other[0]} of {sum(other)}",
            f"{fisher_exact([one, other]).pvalue:.2g}",
        ]
        for name, (one, other) in pairs.items()
    ]
    return markdown_table(["comparison", "first", "second", "p"], rows)


def errors_table() -> str:
    """Relative error of the loss's gradient against float64, for models in different states of training."""
    content = {
        name: json.loads((RESULTS / f"gradient_errors_{name}.json").read_text(encoding="utf-8"))["errors"]
        for name in _STATES
    }
    arms = list(content["learned"])
    rows = [[arm, *(f"{errors[arm]['gradient']:.1e}" for errors in content.values())] for arm in arms]
    return markdown_table(["arm", *_STATES.values()], rows)


def scans_table() -> str:
    """Relative errors against float64 with our scan and with that of ``mamba_ssm``, for one model."""
    file = RESULTS / "gradient_errors_mamba_ssm.json"
    errors = json.loads(file.read_text(encoding="utf-8"))["errors"]
    rows = []
    for arm, (scan, precision) in _SCANS.items():
        one = errors[arm]
        kinds = {kind: error["largest"] for kind, error in one["parameters"].items()}
        worst = max(kinds, key=kinds.__getitem__)
        numbers = (one["loss"], one["gradient"], one["outputs"]["largest"], kinds[worst])
        rows.append([scan, precision, *(f"{number:.1e}" for number in numbers), worst.rpartition(".")[2]])
    headers = [
        "scan",
        "recurrence in",
        "loss",
        "gradient",
        "largest of a layer's output",
        "largest of a parameter's gradient",
        "parameter",
    ]
    return markdown_table(headers, rows)


def float32_table() -> str:
    """Each run of Mamba in float32 with its authors' weights, with the released trainer and with ours."""
    rows = []
    for file in sorted(RELEASED.glob("released_mamba_*.json")):
        content = json.loads(file.read_text(encoding="utf-8"))
        seed = content["config"]["seed"]
        rows.append(["released", "LayerNorm", seed, *_scores(content["results"][-1]), "not recorded"])
    lines = read_lines(RESULTS / "float32.jsonl")
    for line in sorted(lines, key=lambda one: (not one["config"]["model_args"], one["seed"])):
        norm = "LayerNorm" if line["config"]["model_args"] else "RMSNorm"
        until = examples_until(line, LEARNED)
        rows.append(
            [
                "ours",
                norm,
                line["seed"],
                *_scores(line["curve"][-1]),
                "-" if until is None else f"{until:,.0f}",
            ]
        )
    headers = ["trainer", "norm", "seed", "steps", "strings", "letters", "examples until half of the strings"]
    return markdown_table(headers, [[*map(str, row)] for row in rows])


def _scores(row: dict[str, Any]) -> list[str]:
    return [f"{row['step']:,}", f"{row['string_accuracy']:.3f}", f"{row['letter_accuracy']:.3f}"]


def all_tables() -> str:
    """All tables of the README that come from runs of the paper's Mamba."""
    return f"{report()}\n\n{float32_table()}"


def report() -> str:
    """The four tables at the beginning of the README."""
    return "\n\n".join([seeds_table(), comparisons_table(), errors_table(), scans_table()])


def _share(count: int, total: int) -> str:
    interval = binomtest(count, total).proportion_ci(0.95, method="exact")
    return f"{count} of {total} ({interval.low:.2f} to {interval.high:.2f})"


if __name__ == "__main__":
    with command_errors():
        print(cli(all_tables, prog="python -m synthetic_training.precision.summary"))
