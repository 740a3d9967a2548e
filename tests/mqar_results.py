"""Results of the comparison with Zoology's trainer."""

from typing import Any


def result(lr: float, *accuracies: float, speed: float = 1000.0) -> dict[str, Any]:
    """Result of a run with these accuracies after each 1,000 examples."""
    curve = [{"examples": 1000 * i, "accuracy": accuracy} for i, accuracy in enumerate(accuracies, 1)]
    return {"lr": lr, "curve": curve, "examples_per_s": speed, "end": "epochs"}


FAILED = {"lr": 1e-3, "failed": "InputError: no mamba_ssm"}
MEASURED = [
    {"model": "attention", "length": 64, "pairs": 4, "ratio": 12.0,
     "ours": [result(1e-3, 0.2, 0.3), result(2e-3, 0.5, 0.995, speed=12_000.0)],
     "zoology": [result(2e-3, 0.5, 0.7, 0.994)]},
    {"model": "attention_mlp", "length": 64, "pairs": 4, "ours": [result(1e-2, 0.999)], "zoology": []},
    {"model": "mamba", "length": 64, "pairs": 4, "ours": [result(1e-2, 0.9, 0.8)], "zoology": [FAILED]},
]  # fmt: skip
