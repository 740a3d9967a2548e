"""The registry of benchmarks from this package, from other packages, and from imported modules.

Another package declares its benchmarks as an entry point, whose value is a module, or a benchmark in it::

    [project.entry-points."repeat_after_me.benchmarks"]
    pairs = "my_package.pairs"

``--import MODULE`` adds the benchmarks of a module that no entry point declares. In both cases, every
:class:`~dataset_builders.benchmark.Benchmark` in the module is found, and a benchmark is derived from every
string task. String tasks have a separate entry point; see ``dataset_builders.string_tasks.registry``.
"""

import importlib
from collections.abc import Iterable, Sequence
from functools import cache
from importlib.metadata import entry_points
from types import ModuleType
from typing import Any

from dataset_builders.benchmark import Benchmark, Config
from dataset_builders.checks import did_you_mean, first_line
from dataset_builders.errors import InputError
from dataset_builders.string_benchmarks import string_benchmark
from dataset_builders.string_tasks import is_string_task, string_task_class, string_task_names
from dataset_builders.string_tasks.registry import ENTRY_POINTS as STRING_TASKS

ENTRY_POINTS = "repeat_after_me.benchmarks"

IMPORT_OPTION = "--import"

_OWN_MODULES = (
    "dataset_builders.phone_book",
    "dataset_builders.phone_book_controls.benchmarks",
    "dataset_builders.c4_copy",
    "dataset_builders.squad_v2_retrieval",
    "dataset_builders.string_benchmarks",
    "dataset_builders.mqar.documents",
)

_imported: dict[str, Benchmark] = {}
"""Benchmarks from modules that the user imported, by ``MODULE:NAME``."""


@cache
def own_benchmarks() -> dict[str, Benchmark]:
    """The benchmarks of this package, by name, in the order of its docs."""
    found: dict[str, Benchmark] = {}
    for module in _OWN_MODULES:
        _add(found, _in(importlib.import_module(module)), module)
    return found


def benchmarks() -> dict[str, Benchmark]:
    """All benchmarks by name, from this package, from entry points, and from imported modules.

    Raises:
        InputError: an entry point cannot be loaded, or two benchmarks have the same name.
    """
    found = dict(_installed())
    _add(found, _imported.values(), IMPORT_OPTION)
    return found


@cache
def _installed() -> dict[str, Benchmark]:
    found = dict(own_benchmarks())
    for point in entry_points(group=ENTRY_POINTS):
        where = f"the entry point {point.name!r} of {ENTRY_POINTS} ({point.value})"
        _add(found, _loaded(where, point.load), where)
    tasks = map(string_task_class, string_task_names())
    of_tasks = (string_benchmark(task) for task in tasks if task.benchmark_lengths)
    _add(found, of_tasks, f"an entry point of {STRING_TASKS}")
    return found


def import_module(module: str) -> list[Benchmark]:
    """Import a module and make its benchmarks known to this process.

    Raises:
        InputError: the module cannot be imported, or contains no benchmark or one whose name is taken.
    """
    where = f"the module {module!r}"
    if not all(part.isidentifier() for part in module.split(".")):
        raise InputError(
            f"{module!r} is not the name of a module; write it as in an import: my_package.my_module"
        )
    found = _loaded(where, lambda: importlib.import_module(module))
    known = {b.name: b for key, b in _imported.items() if not key.startswith(f"{module}:")}
    _add(dict(_installed()) | known, found, where)
    _imported.update({f"{module}:{benchmark.name}": benchmark for benchmark in found})
    return found


def find(name: str) -> Benchmark:
    """The benchmark with this name, among those that ``benchmarks`` lists.

    Raises:
        InputError: there is no such benchmark.
    """
    known = benchmarks()
    if name not in known:
        raise InputError(
            f"there is no benchmark {name!r}; the benchmarks are {', '.join(known)}, and {IMPORT_OPTION} "
            f"MODULE adds those of a module{did_you_mean(name, known)}"
        )
    return known[name]


def resolve(reference: str) -> Benchmark:
    """The benchmark with this name; for ``MODULE:NAME``, the module is imported first.

    Raises:
        InputError: there is no such benchmark, or no such module.
    """
    module, _, name = reference.rpartition(":")
    if module:
        import_module(module)
    return find(name)


def reference(benchmark: Benchmark) -> str:
    """A reference that ``resolve`` turns into the benchmark in another process."""
    if own_benchmarks().get(benchmark.name) is benchmark:
        return benchmark.name
    return next((key for key, known in _imported.items() if known is benchmark), benchmark.name)


def take_imports(words: Sequence[str]) -> tuple[list[str], list[Benchmark]]:
    """Import the module of every ``--import MODULE`` in a command line.

    Returns:
        The remaining arguments, and the benchmarks of the modules.

    Raises:
        InputError: the option has no value, or a module cannot be imported or contains no valid benchmark.
    """
    rest, found = [], []
    left = iter(words)
    for word in left:
        option, equals, module = word.partition("=")
        if option != IMPORT_OPTION:
            rest.append(word)
            continue
        module = module if equals else next(left, "")
        if not module:
            raise InputError(
                f"{IMPORT_OPTION} needs the name of a module, as in {IMPORT_OPTION} my_benchmark"
            )
        found += import_module(module)
    return rest, found


def default_release() -> dict[str, Config]:
    """Every config of this project's released data set, by name."""
    return dict(_default_release())


@cache
def _default_release() -> dict[str, Config]:
    return {config.name: config for b in own_benchmarks().values() for config in b.configs()}


def _loaded(where: str, load: Any) -> list[Benchmark]:
    """The benchmarks in a module or object; import errors become one sentence."""
    try:
        value = load()
    except ImportError as error:
        raise InputError(f"{where} cannot be imported: {first_line(error)}") from error
    found = _in(value)
    if not found:
        raise InputError(f"{where} contains no Benchmark; see dataset_builders.benchmark")
    return found


def _in(value: Any) -> list[Benchmark]:
    if isinstance(value, Benchmark):
        return [value]
    values: Iterable[Any] = vars(value).values() if isinstance(value, ModuleType) else value
    found: list[Benchmark] = []
    for item in values:
        if isinstance(item, Benchmark):
            found.append(item)
        elif is_string_task(item) and item.benchmark_lengths:
            found.append(string_benchmark(item))
        elif isinstance(item, tuple | list):
            found += [one for one in item if isinstance(one, Benchmark)]
    return list({id(benchmark): benchmark for benchmark in found}.values())


def _add(known: dict[str, Benchmark], new: Iterable[Benchmark], where: str) -> None:
    """Add benchmarks by name; names of groups and configs must be unique."""
    for benchmark in new:
        if known.get(benchmark.name) is benchmark:
            continue
        taken = {name for other in known.values() for name in _names(other)}
        twice = sorted(_names(benchmark) & taken)
        if twice:
            raise InputError(f"{where}: the name {twice[0]!r} is taken by another benchmark")
        known[benchmark.name] = benchmark


def _names(benchmark: Benchmark) -> set[str]:
    return {benchmark.name, *benchmark.series, *benchmark.aliases}
