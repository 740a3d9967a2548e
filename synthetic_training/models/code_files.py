"""The files with the code of a model's classes.

Imports are read from the files, and modules are looked up without importing them, so neither the order of
imports nor other modules in the process make a difference. Modules that are imported
dynamically are not found.
"""

from __future__ import annotations

import ast
import hashlib
import site
import sys
import sysconfig
from collections.abc import Iterator
from importlib.util import find_spec
from pathlib import Path

from transformers import PreTrainedModel

from synthetic_training.models.bare_module import BareModuleForCausalLM

_IDENTIFIED = {"torch", "transformers", "dataset_builders", "lm_eval_tasks", "synthetic_training"}
"""Packages that a run records by version or revision, even if they are not installed but in a checkout."""


def code_digests(model: PreTrainedModel) -> dict[str, str]:
    """The SHA-256 of each file of the user's own code that the model's classes need.

    These are the files that define the classes, and all files that these import, directly or indirectly. The
    ``__init__.py`` of a package counts only if something is imported from it. Installed packages are left
    out, because their versions identify them. Files are named like modules, such as ``my_package/cell.py``.
    """
    return class_digests(type(model), type(model.config))


def class_digests(model_class: type[PreTrainedModel], config_class: type) -> dict[str, str]:
    """``code_digests`` of a model with these classes."""
    bare = issubclass(model_class, BareModuleForCausalLM)
    classes = [model_class.module_class] if bare else [model_class, config_class]
    waiting = [one.__module__ for one in classes if _top(one.__module__) not in _IDENTIFIED]
    seen, found = set[str](), dict[str, str]()
    while waiting:
        name = waiting.pop()
        if name not in seen and (file := own_file(name)) is not None:
            found[_label(name, file)] = hashlib.sha256(file.read_bytes()).hexdigest()
            waiting += (module for _, module in imports_of(name, file))
        seen.add(name)
    return dict(sorted(found.items()))


def file_of(one: type) -> Path:
    """The file in which a class is defined; an empty path for a class of a notebook."""
    return Path(getattr(sys.modules[one.__module__], "__file__", None) or "")


def own_file(module: str) -> Path | None:
    """The Python file of a module; None if it is installed, belongs to Python, or does not exist."""
    file, _ = _find(module)
    own = file is not None and file.suffix == ".py" and file.is_file() and not is_installed(file)
    return file if own else None


def _find(module: str) -> tuple[Path | None, list[Path]]:
    """A module's file, and the folders in which the modules of a package are.

    Unlike ``importlib.util.find_spec``, it does not import the package that contains the module.
    """
    if (loaded := sys.modules.get(module)) is not None:
        file = getattr(loaded, "__file__", None)
        return Path(file) if file else None, [*map(Path, getattr(loaded, "__path__", []))]
    package, _, name = module.rpartition(".")
    if not package:
        spec = find_spec(name)
        origin, places = (spec.origin, spec.submodule_search_locations or []) if spec else (None, [])
        return Path(origin) if origin else None, [*map(Path, places)]
    folders = [folder / name for folder in _find(package)[1]]
    for folder in folders:
        for file in (folder / "__init__.py", folder.with_name(f"{name}.py")):
            if file.is_file():
                return file, [folder]
    return None, folders


def is_installed(file: Path) -> bool:
    """Whether a file belongs to an installed package or to Python itself."""
    libraries = [sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")]
    places = map(Path, [*site.getsitepackages(), site.getusersitepackages(), *libraries])
    return any(file.resolve().is_relative_to(place.resolve()) for place in places if place.is_dir())


def imports_of(module: str, file: Path) -> Iterator[tuple[ast.Import | ast.ImportFrom, str]]:
    """The import statements of a file, also those inside functions, each with a module that it imports."""
    package = module if file.name == "__init__.py" else module.rpartition(".")[0]
    try:
        code = ast.parse(file.read_bytes())
    except (SyntaxError, ValueError):  # of a file that was not imported yet
        return
    for node in ast.walk(code):
        if isinstance(node, ast.Import):
            yield from ((node, one.name) for one in node.names if _top(one.name) not in _IDENTIFIED)
        elif isinstance(node, ast.ImportFrom) and (node.level or _top(str(node.module)) not in _IDENTIFIED):
            parents = package.split(".")[: -node.level + 1 or None] if node.level else []
            source = ".".join(filter(None, [*parents, node.module]))
            below = [f"{source}.{one.name}" for one in node.names]
            yield from ((node, one if own_file(one) is not None else source) for one in below)


def _top(module: str) -> str:
    return module.partition(".")[0]


def _label(module: str, file: Path) -> str:
    """The name of a module's file, which is the same on every machine."""
    if _top(module) in {"__main__", "transformers_modules"}:  # the latter's names contain a checksum
        return file.name
    parts = module.split(".")
    return "/".join([*parts, file.name] if file.name == "__init__.py" else [*parts[:-1], file.name])
