"""Tables about the training of the models: the sweep, the accuracy of each seed, and their spread."""

from collections.abc import Sequence
from math import inf
from pathlib import Path
from statistics import fmean

from dataset_builders.files import write_text
from dataset_builders.markdown import markdown_table
from synthetic_training.bundled.recipe import accuracies, best_run
from synthetic_training.figures.plan import Result
from synthetic_training.figures.summary import final_loss, grouped, ranked_loss, spread


def write_summary(file: Path, sweep: Sequence[Result], results: Sequence[Result]) -> None:
    """Write the tables as Markdown: statistics over the seeds, each seed, and the sweep."""
    steps = results[0]["config"]["steps"]
    accuracy = (
        f"{steps:,} steps each. Accuracy is the fraction of fresh phone books whose queried number is "
        "predicted right in every digit; mean ± standard deviation over seeds, lowest, highest:"
    )
    losses = (
        f"Training loss after a sweep of {sweep[0]['config']['steps']} steps on fresh rows, by learning "
        "rate; the lowest is bold:"
    )
    parts = [
        "# How the bundled models were trained",
        accuracy,
        _over_seeds(results),
        "By seed; the one that is bundled, with the highest mean accuracy, is bold:",
        _by_seed(results),
        losses,
        _sweep(sweep),
    ]
    write_text(file, "\n\n".join(parts) + "\n")


def _label(result: Result) -> str:
    return str(result["label"])


def _lengths(results: Sequence[Result]) -> list[int]:
    return sorted({length for result in results for length in accuracies(result)})


def _over_seeds(results: Sequence[Result]) -> str:
    lengths, rows = _lengths(results), []
    for label, own in grouped(results, _label).items():
        found = [[accuracies(result)[length] for result in own] for length in lengths]
        cells = [
            f"{fmean(values):.3f} ± {spread(values).sd:.3f} ({min(values):.3f} to {max(values):.3f})"
            for values in found
        ]
        rates = ", ".join(f"{rate:g}" for rate in sorted({result["config"]["lr"] for result in own}))
        rows.append([label, f"{own[0]['parameters']:,}", rates, str(len(own)), *cells])
    return markdown_table(["model", "parameters", "learning rate", "seeds", *map(_entries, lengths)], rows)


def _by_seed(results: Sequence[Result]) -> str:
    lengths, rows = _lengths(results), []
    for label, own in grouped(results, _label).items():
        best = best_run(own)
        for result in own:
            cells = [f"{accuracies(result)[length]:.3f}" for length in lengths] + [
                f"{final_loss(result):.4f}"
            ]
            row = [label, str(result["seed"]), *cells]
            # the name stays plain, so that documents can select a model's rows
            rows.append([label, *(f"**{cell}**" for cell in row[1:])] if result is best else row)
    return markdown_table(["model", "seed", *map(_entries, lengths), "training loss"], rows)


def _sweep(sweep: Sequence[Result]) -> str:
    rates, rows = sorted({result["sweep"]["lr"] for result in sweep}), []
    for label, own in grouped(sweep, _label).items():
        losses = {result["sweep"]["lr"]: ranked_loss(result) for result in own}
        lowest = min(losses.values())
        cells = [_loss(losses.get(rate, inf), lowest) for rate in rates]
        rows.append([label, *cells])
    return markdown_table(["model", *(f"{rate:g}" for rate in rates)], rows)


def _entries(length: int) -> str:
    return f"{length} entries"


def _loss(loss: float, lowest: float) -> str:
    if loss == inf:
        return "failed"
    return f"**{loss:.4f}**" if loss == lowest else f"{loss:.4f}"
