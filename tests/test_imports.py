"""Imports between packages go one way, and no module imports itself indirectly."""

from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from tests.import_graph import PACKAGES, ROOT, Import, imports, modules

MODULES = modules(*PACKAGES)
MAY_IMPORT = {
    "dataset_builders": {"dataset_builders"},
    "lm_eval_tasks": {"lm_eval_tasks", "dataset_builders"},
    "synthetic_training": {"synthetic_training", "dataset_builders"},
}


def _ours(found: Import) -> bool:
    return found.module.split(".")[0] in PACKAGES


def _graph(*, deferred: bool) -> dict[str, set[str]]:
    """This project's modules that each module imports; for ``from package import module``, the module."""
    graph = {}
    for name, file in MODULES.items():
        targets = {i.module for i in imports(file) if not i.for_types and (deferred or not i.deferred)}
        known = targets & MODULES.keys()
        # `from a.b import c` names a.b and a.b.c; where a.b.c is a module, a.b is only the way to it
        parents = {target.rpartition(".")[0] for target in known}
        graph[name] = (known - {p for p in parents if MODULES.get(p, Path()).name == "__init__.py"}) - {name}
    return graph


def _cycle(graph: dict[str, set[str]]) -> str:
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        return " -> ".join(reversed(error.args[1]))
    return ""


def test_no_module_imports_itself_by_a_detour() -> None:
    assert not _cycle(_graph(deferred=False))


def test_no_cycle_is_hidden_in_functions() -> None:
    """Imports inside functions may save time, but must not hide a cycle."""
    assert not _cycle(_graph(deferred=True))


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_one_way(package: str) -> None:
    wrong = [
        f"{name} imports {found.module}"
        for name, file in MODULES.items()
        if name.split(".")[0] == package
        for found in imports(file)
        if _ours(found) and found.module.split(".")[0] not in MAY_IMPORT[package]
    ]
    assert not wrong


def test_nothing_imports_the_tests() -> None:
    assert not [n for n, f in MODULES.items() if any(i.module.split(".")[0] == "tests" for i in imports(f))]


def test_the_graph_sees_imports_and_cycles() -> None:
    """A check of the graph itself: it contains known imports, and cycles are found."""
    seen = _graph(deferred=False)["lm_eval_tasks.recall_task"]
    assert {"lm_eval_tasks.lm_eval_run", "dataset_builders.checksum"} <= seen
    assert _cycle({"a": {"b"}, "b": {"c"}, "c": {"a"}}).count(" -> ") == 3
    assert sum(len(found) for found in _graph(deferred=True).values()) > sum(
        len(found) for found in _graph(deferred=False).values()
    )


# ---- length


LONGEST = 300
REASON = "Length: "


def test_no_file_is_long_without_a_reason() -> None:
    """The docstring of a file with more than 300 lines gives the reason after ``Length:``."""
    long = []
    for file in (*MODULES.values(), *modules("tests").values()):
        text = file.read_text()
        docstring = text.split('"""')[1] if text.startswith('"""') else ""
        if len(text.splitlines()) > LONGEST and REASON not in docstring:
            long.append(f"{file.relative_to(ROOT)}: {len(text.splitlines())} lines")
    assert not long, "split these, or say in the docstring, after 'Length:', why each belongs together"
