"""Each number in documents about results occurs in these results."""

import bisect
import re
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path

import pytest
from scipy.stats import norm

import synthetic_training
from dataset_builders.document_tables import documents, with_tables
from dataset_builders.files import read_json
from synthetic_training.evaluation.evaluate import table
from synthetic_training.figures.packing import SUMMARIES
from synthetic_training.figures.results import read_results
from synthetic_training.figures.stages import stage_of
from synthetic_training.speed.trainer import parts_table
from synthetic_training.speed.trainer import table as speed_table
from tests.document_numbers import Number, linked_results, numbers, sections, values
from tests.document_outputs import Shown, output_of, shown_outputs
from tests.document_sources import DESCRIBED, ELSEWHERE, LINKED, SOURCES
from tests.figure_lines import rows_of
from tests.import_graph import ROOT

PACKAGE = Path(synthetic_training.__file__).parent
TABLE = "<!-- table: "


def sources(document: str) -> list[Path]:
    suffixes = (".json", ".jsonl", ".md", ".yaml", ".yml", ".py")
    return [file for form in SOURCES[document] for file in sorted(ROOT.glob(form)) if file.suffix in suffixes]


@cache
def parts(document: str) -> list[tuple[list[Number], list[float]]]:
    """The numbers of a document, by section if it is one of LINKED, and those of its sources, in order."""
    text, folder = text_of(document), (ROOT / document).parent
    if document in SOURCES:
        files = [(text, sources(document))]
    else:
        files = [(section, linked_results(section, folder)) for section in sections(text)]
    return [
        ([*numbers(part)], sorted(_printed(document, part).union(*map(values, own)))) for part, own in files
    ]


def _printed(document: str, part: str) -> set[float]:
    """The numbers in outputs of commands that a part of a document shows."""
    outputs = "".join(
        one.output for one in shown_outputs() if one.document == document and one.output in part
    )
    return {float(one.replace(",", "")) for one in re.findall(r"\d*\.\d+|\d[\d,]*\d|\d", outputs)}


def text_of(document: str) -> str:
    return (ROOT / document).read_text(encoding="utf-8")


def is_found(number: Number, known: Sequence[float]) -> bool:
    first = bisect.bisect_left(known, number.value - 0.5001 * number.unit)
    return first < len(known) and number.is_rounded(known[first])


@pytest.mark.parametrize("document", DESCRIBED)
def test_every_number_is_in_the_results(document: str) -> None:
    listed = [text for texts in ELSEWHERE.get(document, {}).values() for text in texts]
    missing = {one.text for own, known in parts(document) for one in own if not is_found(one, known)}
    assert sorted(missing) == sorted(listed)


@pytest.mark.parametrize(("documents", "least"), [(SOURCES, 0.6), (LINKED, 0.5)], ids=["files", "links"])
def test_a_wrong_number_is_mostly_not_in_the_results(documents: Iterable[str], least: float) -> None:
    """The power of the test above: it detects most numbers changed by one to three in the last digit."""
    changed = [
        is_found(Number(one.text, one.value + by * one.unit, one.unit), known)
        for document in documents
        for own, known in parts(document)
        for one in own
        for by in (-1, 1, 2, 3)
        if len(one.text.strip("0.,")) > 1
    ]
    assert len(changed) > 500
    assert changed.count(False) > least * len(changed)


def test_numbers_are_read_as_they_are_meant() -> None:
    text = (
        "On 1,024 of 3e-4 (.35 ± .02), `7` and 97k, [8](9.md) or 1.5 million; 12% in T2, 2.5x.\n```\n6\n```\n"
    )
    read = {one.text: one.value for one in numbers(text)}
    expected = {"1,024": 1024, "3e-4": 3e-4, ".35": 0.35, ".02": 0.02, "97k": 97_000, "8": 8}
    assert read == pytest.approx({**expected, "1.5 million": 1.5e6, "12%": 0.12})
    (number,) = numbers("about 97k")
    assert number.is_rounded(96_501) and not number.is_rounded(96_400)


@pytest.mark.parametrize(
    "document",
    [file for file in documents() if TABLE in file.read_text(encoding="utf-8")],
    ids=lambda file: str(file.relative_to(ROOT)),
)
def test_tables_are_those_of_the_results(document: Path) -> None:
    assert with_tables(document) == document.read_text(encoding="utf-8")


TABLES = [
    file for file in sorted((PACKAGE / "figures/results").glob("*.md")) if file.with_suffix(".jsonl").exists()
]


@pytest.mark.parametrize("file", TABLES, ids=lambda file: file.stem)
def test_committed_tables_of_figures_are_those_of_their_runs(file: Path) -> None:
    stage = stage_of(file.stem)
    assert stage is not None
    assert file.read_text(encoding="utf-8") == stage.text(read_results(file.with_suffix(".jsonl")))


@pytest.mark.parametrize("name", SUMMARIES)
def test_committed_summaries_are_those_of_all_results(name: str) -> None:
    folder = PACKAGE / "figures/results"
    assert (folder / name).read_text(encoding="utf-8") == SUMMARIES[name](folder)


def test_the_table_of_speeds_is_that_of_the_results() -> None:
    runs = read_json(PACKAGE / "speed" / "results" / "speed_h200.json")["runs"]
    measured = [one for run in runs for one in run["measured"]]
    _, _, *found = rows_of(speed_table(measured))
    document = text_of("synthetic_training/speed/README.md")
    shown = [row for row in rows_of(document) if len(row) == len(found[0]) + 1]
    # the goals are not measured
    assert sorted([*row[:5], *row[6:]] for row in shown[2:]) == sorted(found)
    assert parts_table(measured) in document


def test_the_readme_has_the_committed_evaluation() -> None:
    shown = table(read_json(PACKAGE / "results" / "cpu_copy.json")["results"])
    assert f"--out cpu_copy.json\n{shown}\n```" in text_of("synthetic_training/README.md")


def test_your_architecture_has_the_committed_evaluation() -> None:
    text = text_of("docs/your_architecture.md")
    shown = re.findall(r"^\| (\d+)[^|]*\| (\S+ \[.*?\]) \| (\S+ \[.*?\]) \|$", text, re.MULTILINE)
    results = read_json(PACKAGE / "results" / "gated_linear_attention.json")["results"]
    _, _, *rows = rows_of(table(results))
    assert shown == [(length, string, letter) for length, _, string, letter, _ in rows]


@pytest.mark.parametrize("shown", [*shown_outputs()], ids=lambda one: f"{one.document}: {one.command[:60]}")
def test_commands_print_what_is_shown(shown: Shown) -> None:
    """After new results, ``python -m tests.document_outputs`` writes the present outputs."""
    assert output_of(shown.command) == shown.output


def test_the_error_of_predictions_from_keys_is_that_of_the_table() -> None:
    found: dict[str, dict[str, list[float]]] = {}
    for row in rows_of(text_of("synthetic_training/figures/hard_alibi.md")):
        if row[0] != "length" and row[1] in ("found", "predicted"):
            found.setdefault(row[0], {})[row[1]] = [float(value) for value in row[2:]]
    errors = {
        label: max(abs(a - b) for a, b in zip(one["found"], one["predicted"], strict=True))
        for label, one in found.items()
    }
    plain = max(error for label, error in errors.items() if not label.endswith(("repeats", "letters")))
    letters, repeats = (
        max(error for label, error in errors.items() if label.endswith(kind))
        for kind in ("letters", "repeats")
    )
    text = " ".join(text_of("synthetic_training/figures/hard_alibi.md").split())
    for sentence in (
        f"the prediction is within {plain:.3f} of what was found,",
        f"and for those trained on few letters, within {letters:.3f}.",
        f"With one repeat in each training string, even the fit is off by up to {repeats:.3f},",
    ):
        assert sentence.replace(" 0.", " .") in text


def test_the_documents_needed_for_a_comparison_are_those_of_the_normal_approximation() -> None:
    text = (ROOT / "docs" / "faq.md").read_text(encoding="utf-8")
    shown = re.findall(r"^\| (0\.\d\d) \| ([\d,]+) \| ([\d,]+) \| ([\d,]+) \|$", text, re.MULTILINE)
    assert [row[0] for row in shown] == ["0.02", "0.05", "0.10"]
    level, power = norm.ppf(0.975), norm.ppf(0.8)
    for row in shown:
        difference = float(row[0])
        for differing, needed in zip((0.1, 0.2, 0.3), row[1:], strict=True):
            spread = level * differing**0.5 + power * (differing - difference**2) ** 0.5
            assert int(needed.replace(",", "")) == round((spread / difference) ** 2)
