"""Each number in the documents of synthetic_training is in the results that they are about."""

import bisect
import re
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import pytest

import synthetic_training
from dataset_builders.files import read_json
from synthetic_training.documents import documents, with_tables
from synthetic_training.evaluation.evaluate import table
from synthetic_training.figures import cost, repeats
from synthetic_training.figures.figure_file import figure_path, read_figure
from synthetic_training.figures.results import read_results
from synthetic_training.figures.tables import report
from synthetic_training.speed.trainer import table as speed_table
from synthetic_training.theory.__main__ import main as theory
from tests.document_numbers import Number, numbers, values
from tests.figure_lines import rows_of

PACKAGE = Path(synthetic_training.__file__).parent

FIGURES = ("figures/results/*.md", "figures/results/*.jsonl", "figures/configs/*.yaml", "figures/models.yaml")
MAMBA = ("figures/results/*mamba*", "figures/results/unfinished_runs.jsonl", "figures/results/pair_*.md")

SOURCES: dict[str, tuple[str, ...]] = {
    "README.md": (
        "results/*.json",
        "configs/*.yaml",
        "config.py",
        "figures/results/length_generalization_paper.*",
        "figures/results/mamba_recall_paper.md",
        "speed/results/*.json",
    ),
    "DEVIATIONS.md": ("deviations/results/*", "precision/results/*", "models/presets.yaml", "config.py"),
    "figures/README.md": ("figures/results/*.md", "figures/configs/*.yaml", "precision/results/*.jsonl"),
    "figures/hard_alibi.md": (
        "figures/results/length_*.md",
        "figures/results/duplicates_*.md",
        "figures/results/unfinished_runs.jsonl",
    ),
    "figures/mamba_weights.md": (*MAMBA, "figures/configs/mamba*.yaml", "figures/models.yaml"),
    "figures/runs.md": FIGURES,
    "precision/README.md": ("precision/results/*",),
    "speed/README.md": ("speed/results/*",),
    "theory/README.md": ("theory/results/*.json", "theory/results/*.md"),
}
"""Where the numbers of each document come from, besides the output of commands that it has."""

ELSEWHERE: dict[str, dict[str, Sequence[str]]] = {
    "README.md": {
        "parameters of models, which tests/test_synthetic_models.py counts": ("160M", "34M"),
        "parameters of the example and of configurations": ("0.6 million", "9.9", "9.1 billion"),
        "the size of a preset, which tests/test_presets.py counts": ("156",),
        "symbols": ("30",),
        "exit statuses": ("130", "143"),
    },
    "DEVIATIONS.md": {
        "parameters, which tests/test_presets.py and tests/test_synthetic_models.py count": (
            "151,218,176", "81,231,872", "162,430,976", "100,823,070", "160 million",
        ),
        "tokens of rows and examples": ("41", "43", "2,001"),
        "found by running the released code": ("8e-7", "3e-7", "6.6%", "2.97", "2.93"),
        "steps of a small run": ("251", "300"),
    },
    "figures/mamba_weights.md": {
        "the log of a run that is not kept": ("1,050",),
        "settings of runs that were cut off": ("16,000",),
        "the width of the bundled pair": ("192",),
    },
    "figures/runs.md": {"what runs shared a machine": ("21",)},
    "precision/README.md": {"the width of the model": ("1,024",), "a median of speeds": ("84.7",)},
    "speed/README.md": {
        "the width of the models": ("1024",),
        "sums of the kernels' times": ("11.8", "51.3"),
        "shares of a measured rate": ("91", "2%", "4%"),
        "a ratio of two measured speeds, and a break-even": ("1.75", "1,000"),
        "an option of the comparison": ("50",),
        "the paper's own code, measured earlier": ("20.7k", "128.6k"),
        "single runs with scripts that are not kept, as the document says": ("2.66", "237k", "260k"),
    },
    "theory/README.md": {
        "parameters of the two models": ("0.6 million", "1.1\nmillion"),
        "bits of state, computed from the sizes that stand beside them": ("53,477,376", "32,768"),
    },
}  # fmt: skip
"""Numbers that are in none of these, by document and reason."""


def sources(document: str) -> list[Path]:
    suffixes = (".json", ".jsonl", ".md", ".yaml", ".py")
    return [
        file for form in SOURCES[document] for file in sorted(PACKAGE.glob(form)) if file.suffix in suffixes
    ]


@cache
def known_values(document: str) -> list[float]:
    """All numbers of a document's sources, and of the output of commands in it, in order."""
    outputs = "".join(output for where, _, output in shown_outputs() if where == document)
    written = {float(one.replace(",", "")) for one in re.findall(r"\d*\.\d+|\d[\d,]*\d|\d", outputs)}
    return sorted(written.union(*(values(file) for file in sources(document))))


def text_of(document: str) -> str:
    return (PACKAGE / document).read_text(encoding="utf-8")


def is_found(number: Number, document: str) -> bool:
    known = known_values(document)
    first = bisect.bisect_left(known, number.value - 0.5001 * number.unit)
    return first < len(known) and number.is_rounded(known[first])


@pytest.mark.parametrize("document", SOURCES)
def test_every_number_is_in_the_results(document: str) -> None:
    listed = [text for texts in ELSEWHERE.get(document, {}).values() for text in texts]
    missing = {one.text for one in numbers(text_of(document)) if not is_found(one, document)}
    assert sorted(missing) == sorted(listed)


def test_a_wrong_number_is_mostly_not_in_the_results() -> None:
    """What the test above is worth: changed by one to three in the last digit, most are found to be wrong."""
    changed = [
        (Number(one.text, one.value + by * one.unit, one.unit), document)
        for document in SOURCES
        for one in numbers(text_of(document))
        for by in (-1, 1, 2, 3)
        if len(one.text.strip("0.,")) > 1
    ]
    assert len(changed) > 500
    assert sum(not is_found(*one) for one in changed) > 0.5 * len(changed)


def test_numbers_are_read_as_they_are_meant() -> None:
    text = (
        "On 1,024 of 3e-4 (.35 ± .02), `7` and 97k, [8](9.md) or 1.5 million; 12% in T2, 2.5x.\n```\n6\n```\n"
    )
    read = {one.text: one.value for one in numbers(text)}
    expected = {"1,024": 1024, "3e-4": 3e-4, ".35": 0.35, ".02": 0.02, "97k": 97_000, "8": 8}
    assert read == pytest.approx({**expected, "1.5 million": 1.5e6, "12%": 0.12})
    (number,) = numbers("about 97k")
    assert number.is_rounded(96_501) and not number.is_rounded(96_400)


@pytest.mark.parametrize("document", documents(), ids=lambda file: str(file.relative_to(PACKAGE)))
def test_tables_are_those_of_the_results(document: Path) -> None:
    assert with_tables(document) == document.read_text(encoding="utf-8")


@pytest.mark.parametrize(
    "file", sorted((PACKAGE / "figures/results").glob("*.md")), ids=lambda file: file.stem
)
def test_committed_tables_of_figures_are_those_of_their_runs(file: Path) -> None:
    figure, _, _ = file.stem.rpartition("_")
    made = report(read_figure(figure_path(figure)), read_results(file.with_suffix(".jsonl")))
    assert file.read_text(encoding="utf-8") == made


def test_the_table_of_speeds_is_that_of_the_results() -> None:
    runs = read_json(PACKAGE / "speed" / "results" / "speed_h200.json")["runs"]
    _, _, *found = rows_of(speed_table([one for run in runs for one in run["measured"]]))
    shown = [row for row in rows_of(text_of("speed/README.md")) if len(row) == len(found[0]) + 1]
    # the goals are not measured
    assert sorted([*row[:5], *row[6:]] for row in shown[2:]) == sorted(found)


def test_the_readme_has_the_committed_evaluation() -> None:
    shown = table(read_json(PACKAGE / "results" / "cpu_copy.json")["results"])
    assert f"--out cpu_copy.json\n{shown}\n```" in text_of("README.md")


COMMANDS: dict[str, Callable[[Sequence[str]], None]] = {
    "python -m synthetic_training.figures.repeats": repeats.main,
    "python -m synthetic_training.figures.cost": cost.main,
    "python -m synthetic_training.theory": theory,
}


def shown_outputs() -> list[tuple[str, str, str]]:
    """The document, command and output of each command that is shown with its output and can be run here."""
    found = []
    for document in SOURCES:
        for block in re.findall(r"```\n\$ (.*?)```", text_of(document), re.DOTALL):
            command, output = re.split(r"(?<!\\)\n", block, maxsplit=1)
            command = re.sub(r"\\\n\s*", "", command)
            if any(command.startswith(known) for known in COMMANDS):
                found.append((document, command, output))
    return found


@pytest.mark.parametrize(("document", "command", "output"), shown_outputs())
def test_commands_print_what_is_shown(
    document: str,
    command: str,
    output: str,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    assert document in SOURCES
    monkeypatch.chdir(PACKAGE.parent)
    known = next(one for one in COMMANDS if command.startswith(one))
    given = command.removeprefix(known).split()
    arguments = [str(file) for one in given for file in (sorted(Path().glob(one)) if "*" in one else [one])]
    COMMANDS[known](arguments)
    assert capsys.readouterr().out.strip() == output.strip()
