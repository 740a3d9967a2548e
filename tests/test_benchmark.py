"""The definition of every benchmark, names, and errors in incomplete definitions."""

import inspect
import re
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dataset_builders import InputError
from dataset_builders.benchmark import Benchmark, Config, Variants
from dataset_builders.phone_book import BENCHMARK
from dataset_builders.ranges import MAX_VALUES, parse_integers
from dataset_builders.registry import benchmarks, default_release, find, own_benchmarks, reference, resolve
from tests.conftest import Run
from tests.echo_benchmark import ECHO

_COLUMN_TYPE = re.compile(r"[\"']string[\"']|Sequence\(")  # "strings" is a column's type too

each = pytest.mark.parametrize("benchmark", own_benchmarks().values(), ids=lambda benchmark: benchmark.name)


def test_looking_for_benchmarks_imports_nothing_heavy(run: Run) -> None:
    code = "import sys; from dataset_builders.registry import benchmarks; benchmarks(); print(*sys.modules)"
    done = run("-c", code)
    assert done.returncode == 0, done.stderr
    heavy = {"torch", "datasets", "pyarrow", "transformers", "lm_eval", "huggingface_hub", "pandas"}
    assert not heavy & {name.split(".")[0] for name in done.stdout.split()}


# ---- names


@each
def test_a_length_is_read_back_from_the_name_of_its_config(benchmark: Benchmark) -> None:
    for config in benchmark.configs():
        series = benchmark.series_of(config.arguments)
        label = config.name.removeprefix(f"{series}_")
        (length,) = benchmark.lengths.parse([label])
        assert benchmark.config(length, **benchmark.series[series]) == config


def test_a_benchmark_can_be_sent_to_another_process_after_its_use() -> None:
    assert "entries" in BENCHMARK.parameters
    again = deepcopy(BENCHMARK)  # takes the same parts as multiprocessing, which sends it to a process
    assert again.parameters == BENCHMARK.parameters and again.name == BENCHMARK.name


def test_names_of_configs_and_groups_are_used_once() -> None:
    names = [config.name for benchmark in benchmarks().values() for config in benchmark.configs()]
    names += [name for b in benchmarks().values() for name in (*b.groups, *b.aliases)]
    assert len(names) == len(set(names))
    assert set(default_release()) <= set(names)


@each
def test_groups_hold_every_released_length_once(benchmark: Benchmark) -> None:
    members = [config for configs in benchmark.groups.values() for config in configs]
    assert sorted(config.name for config in members) == sorted(c.name for c in benchmark.configs())


def test_names_of_a_benchmark_with_variants() -> None:
    names = [config.name for config in find("c4_copy").configs([25, 37])]
    assert names == ["c4_copy_25", "c4_copy_37", "c4_copy_random_25", "c4_copy_random_37"]
    assert list(find("c4_copy").groups) == [
        "c4_copy",
        "c4_copy_long",
        "c4_copy_random",
        "c4_copy_random_long",
    ]


def test_a_benchmark_is_found_by_its_name_and_by_its_module() -> None:
    assert find("phone_book") is resolve("phone_book") is BENCHMARK
    assert resolve("dataset_builders.phone_book:phone_book") is BENCHMARK
    assert reference(BENCHMARK) == "phone_book", "however it was found"
    with pytest.raises(InputError, match="there is no benchmark 'phonebook'; .*; did you mean 'phone_book'"):
        find("phonebook")
    with pytest.raises(InputError, match="there is no benchmark 'json:dumps'"):
        find("json:dumps")  # a name in a manifest imports nothing


# ---- builders


@each
def test_the_builder_explains_its_options(benchmark: Benchmark) -> None:
    from docstring_parser import parse

    explained = {parameter.arg_name for parameter in parse(benchmark.builder.__doc__ or "").params}
    own = set(benchmark.argument_names) - set(benchmark.lengths.parameters)
    assert own <= explained


def test_arguments_that_a_config_has_not_are_refused() -> None:
    with pytest.raises(InputError, match="phone_book has no argument 'num_doc'; .*; did you mean 'num_docs'"):
        BENCHMARK.config(20, num_doc=3)
    with pytest.raises(InputError, match="needs the arguments entries"):
        Config(BENCHMARK, {"num_docs": 3, "seed": 1})


# ---- forgetting something


@pytest.mark.parametrize(
    "missing", ["title", "version", "columns", "lengths", "license", "card", "evaluation"]
)
def test_a_benchmark_without_a_part_cannot_be_made(missing: str) -> None:
    parts = {name: getattr(ECHO, name) for name in Benchmark.__dataclass_fields__ if name != missing}
    with pytest.raises(TypeError, match=missing):
        Benchmark(**parts)


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"license": ""}, "has no license"),
        ({"title": " "}, "has no title"),
        ({"card": replace(ECHO.card, heading="")}, "has no card.heading"),
        ({"card": replace(ECHO.card, license="")}, "has no card.license"),
        ({"name": "Echo 1"}, "has the name 'Echo 1'"),
        ({"name": "../echo"}, "has the name '../echo'"),
        ({"columns": {"id": ECHO.columns["id"], "answer": ECHO.columns["answer"]}}, "has no column 'prompt'"),
        ({"columns": {**ECHO.columns, "n": replace(ECHO.columns["id"], type="float")}}, "its column 'n'"),
        ({"lengths": replace(ECHO.lengths, parameter="letters")}, "needs the parameter 'letters'"),
        ({"variants": Variants("order", ("a", "b"))}, "needs the parameter 'order'"),
        ({"evaluation": replace(ECHO.evaluation, stop=())}, "needs at least one stop string"),
        (
            {"evaluation": replace(ECHO.evaluation, metrics=())},
            "needs at least one stop string and one metric",
        ),
        ({"evaluation": replace(ECHO.evaluation, score="score")}, "must name its scoring function"),
        ({"evaluation": replace(ECHO.evaluation, target="gold")}, "has no column 'gold'"),
        (
            {"evaluation": replace(ECHO.evaluation, forced_target="gold")},
            "a column or package.module.function as forced",
        ),
        ({"evaluation": replace(ECHO.evaluation, new_tokens=0)}, "has new_tokens 0"),
        (
            {"evaluation": replace(ECHO.evaluation, positions="all")},
            "must name a column as positions, not 'all'",
        ),
        ({"evaluation": replace(ECHO.evaluation, questions="each")}, "must name its questions"),
        ({"evaluation": replace(ECHO.evaluation, without_answer="each")}, "must name its without_answer"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_benchmark_that_does_not_fit_together_is_refused(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        replace(ECHO, **changes)


def test_lengths_need_at_least_one() -> None:
    with pytest.raises(InputError, match="at least one length"):
        replace(ECHO.lengths, standard=())


# ---- ranges


@pytest.mark.parametrize(
    ("given", "values"),
    [
        (20, (20,)),
        ("20", (20,)),
        ("20:120:20", (20, 40, 60, 80, 100, 120)),
        ("20:50:20", (20, 40)),
        ("7:9", (7, 8, 9)),
        ("1,2 3, 4", (1, 2, 3, 4)),
        (["20:40:20", "25"], (20, 40, 25)),
        ([20, "20:22", 21], (20, 21, 22)),
        ((5, 3, 5), (5, 3)),
        ("-2:0", (-2, -1, 0)),
    ],
)
def test_integers_are_read(given: object, values: tuple[int, ...]) -> None:
    assert parse_integers("entries", given) == values


@given(st.integers(-50, 50), st.integers(0, 50), st.integers(1, 9))
def test_a_range_holds_its_ends_and_equal_steps(first: int, extent: int, step: int) -> None:
    values = parse_integers("n", f"{first}:{first + extent}:{step}")
    assert values == tuple(n for n in range(first, first + extent + 1) if (n - first) % step == 0)


@pytest.mark.parametrize(
    "given",
    ["", "x", "1:", "1:2:3:4", "5:3", "1:5:0", "1.5", "1e3", [], [[1]], None, 1.5, True, [2, None], {"a": 1},
     "\u0663", "1" * 30],
)  # fmt: skip
def test_what_is_no_integer_or_range_is_one_sentence(given: object) -> None:
    with pytest.raises(InputError, match=r"^entries\b.*(integer|empty|at least 1)") as refusal:
        parse_integers("entries", given)
    assert "\n" not in str(refusal.value)


def test_a_range_too_large_takes_no_memory() -> None:
    with pytest.raises(InputError, match=f"at most {MAX_VALUES}"):
        parse_integers("entries", "1:999999999999")
    assert len(parse_integers("entries", f"1:{MAX_VALUES}")) == MAX_VALUES
    with pytest.raises(InputError, match=f"at most {MAX_VALUES}"):
        parse_integers("entries", f"1:{MAX_VALUES},{MAX_VALUES + 1}")


# ---- one place


def test_no_other_file_names_a_benchmark() -> None:
    """What is special about a benchmark is in its own files; all other code treats benchmarks alike."""
    own = {Path(inspect.getfile(b.builder)).resolve() for b in own_benchmarks().values()}
    own |= {file.with_name("benchmarks.py") for file in own}
    named = [name for b in own_benchmarks().values() for name in (*b.groups, *b.aliases, b.family)]
    quoted = re.compile("[\"'](" + "|".join(map(re.escape, named)) + ")(_[0-9_plus]+)?[\"']")
    root = Path(__file__).parents[1]
    for package in ("dataset_builders", "lm_eval_tasks"):
        for file in sorted((root / package).rglob("*.py")):
            # what is measured, what a probe evaluates, and the paper's experiments are tasks by name
            if file.resolve() in own or {"speed", "probe", "paper"} & {*file.parts} or "strings" in file.stem:
                continue
            found = [line for line in file.read_text().splitlines() if quoted.search(line)]
            assert [line for line in found if not _COLUMN_TYPE.search(line)] == [], file
