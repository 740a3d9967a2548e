"""Copies of a user's own code for the folder of a saved model.

transformers finds only files in one folder that import each other relatively, as in
``from .cell import Cell``. Files that import each other by absolute names are therefore copied with relative
imports.
"""

from __future__ import annotations

import ast
import re
import tokenize
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from synthetic_training.models.code_files import imports_of, own_file

_Edits = dict[ast.Import | ast.ImportFrom, str | None]
"""The new beginnings of statements; None for those that stay as they are."""


class NotCopiedError(Exception):
    """Why a model's code cannot be copied, as a part of a sentence."""


@dataclass
class Copies:
    """The files of a model's code as they are written into its folder.

    Attributes:
        files: their content, by name.
        whole: files that are imported as in ``from . import cell``, which transformers does not notice.
    """

    files: dict[str, bytes] = field(default_factory=dict)
    whole: set[str] = field(default_factory=set)


def copies_of(module: str) -> Copies | None:
    """Copies of a module's file and of the user's files that it imports; None if the module is installed.

    Raises:
        NotCopiedError: one of them is in a package other than the module's, or cannot be imported relatively.
    """
    if own_file(module) is None:
        return None
    copies, places, waiting = Copies(), dict[str, Path](), [module]
    packages = "", module.rpartition(".")[0]
    while waiting:
        name = waiting.pop()
        file = own_file(name)
        if file is None or file.name == "__init__.py" or name.rpartition(".")[0] not in packages:
            raise NotCopiedError(f"{name} is not a file beside it")
        if places.setdefault(file.name, file) != file:
            raise NotCopiedError(f"it imports two files that are named {file.name}")
        if file.name not in copies.files:
            edits: _Edits = {}
            for node, group in groupby(imports_of(name, file), key=lambda pair: pair[0]):
                modules = [one for _, one in group]
                own = [one for one in modules if own_file(one) is not None]
                relative = isinstance(node, ast.ImportFrom) and node.level > 0
                waiting += modules if relative else own
                if own:
                    edits[node] = _relative(node, modules, own, copies.whole)
            copies.files[file.name] = _edited(file, edits)
    return copies


def _relative(
    node: ast.Import | ast.ImportFrom, modules: list[str], own: list[str], whole: set[str]
) -> str | None:
    """The beginning of a relative import statement with the same effect; None if it need not change.

    Args:
        node: the statement.
        modules: the module from which each name comes.
        own: those that are files of the user.
        whole: names of files that are imported as a whole; those of the statement are added.
    """
    stems = {one: one.rpartition(".")[2] for one in own}
    if isinstance(node, ast.Import):
        parts = []
        for alias in node.names:
            given = f" as {alias.asname}" if alias.asname else ""
            if alias.name not in stems:
                parts.append(f"import {alias.name}{given}")
            elif "." in alias.name and not given:
                raise NotCopiedError(f"of 'import {alias.name}'")
            else:
                parts.append(f"from . import {stems[alias.name]}{given}")
        whole.update(stems.values())
        return "; ".join(parts)
    source = node.module or ""
    if modules == own and {one.rpartition(".")[2] for one in own} == {alias.name for alias in node.names}:
        whole.update(stems.values())
        return None if node.level else "from . import"
    if {one.rpartition(".")[2] for one in modules} != {source.rpartition(".")[2]}:
        raise NotCopiedError(f"of 'from {'.' * node.level}{source} import'")
    return None if node.level else f"from .{source.rpartition('.')[2]} import"


def _edited(file: Path, edits: _Edits) -> bytes:
    """A file's content with these edits."""
    with tokenize.open(file) as opened:
        encoding, lines = opened.encoding, opened.read().encode().splitlines(keepends=True)
    changed = [(node, text) for node, text in edits.items() if text is not None]
    for node, text in sorted(changed, key=lambda pair: (pair[0].lineno, pair[0].col_offset), reverse=True):
        first, last = node.lineno - 1, (node.end_lineno or node.lineno) - 1
        before, after = lines[first][: node.col_offset], lines[last][node.end_col_offset :]
        statement = b"".join(lines[first : last + 1])[len(before) :]
        statement = statement[: len(statement) - len(after)]
        if isinstance(node, ast.ImportFrom):
            statement = re.sub(rb"\Afrom\b.*?\bimport\b", text.encode(), statement, count=1, flags=re.DOTALL)
        else:
            statement = text.encode()
        lines[first : last + 1] = [before + statement + after]
    return b"".join(lines).decode().encode(encoding) if changed else file.read_bytes()
