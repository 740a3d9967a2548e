"""Which modules of this project import each other, according to their source."""

import ast
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[1]
PACKAGES = ("dataset_builders", "lm_eval_tasks", "synthetic_training")


class Import(NamedTuple):
    """A module that a file imports, by its full name.

    ``deferred``: the import is inside a function. ``for_types``: it is only for type checkers.
    """

    module: str
    deferred: bool
    for_types: bool


@cache
def modules(*packages: str) -> dict[str, Path]:
    """Every module of the packages, by its full name."""
    return {_name(file): file for package in packages for file in sorted((ROOT / package).rglob("*.py"))}


@cache
def imports(file: Path) -> tuple[Import, ...]:
    """All imports of a file, in order."""
    return tuple(_walk(ast.parse(file.read_text()), _package(file), deferred=False, for_types=False))


def _name(file: Path) -> str:
    parts = file.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def _package(file: Path) -> list[str]:
    return list(file.relative_to(ROOT).parent.parts)


def _walk(node: ast.AST, package: list[str], *, deferred: bool, for_types: bool) -> Iterator[Import]:
    if isinstance(node, ast.Import):
        yield from (Import(alias.name, deferred, for_types) for alias in node.names)
    elif isinstance(node, ast.ImportFrom):
        parents = package[: len(package) - node.level + 1] if node.level else []
        base = ".".join([*parents, *([node.module] if node.module else [])])
        # what is imported may be a module itself: a name that is none is dropped by whoever knows all modules
        yield Import(base, deferred, for_types)
        yield from (Import(f"{base}.{alias.name}", deferred, for_types) for alias in node.names)
    elif isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test):
        for child in node.body:
            yield from _walk(child, package, deferred=deferred, for_types=True)
        for child in node.orelse:
            yield from _walk(child, package, deferred=deferred, for_types=for_types)
    else:
        inside = deferred or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        for child in ast.iter_child_nodes(node):
            yield from _walk(child, package, deferred=inside, for_types=for_types)
