"""The files with the code of a model's classes."""

from __future__ import annotations

import ast
import hashlib
import site
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

from transformers import PreTrainedModel

from synthetic_training.models.bare_module import BareModuleForCausalLM

_PACKAGES_OF_MODELS = {"transformers", "synthetic_training"}


def code_digests(model: PreTrainedModel) -> dict[str, str]:
    """The SHA-256 of each file of the user's own code that defines the model's classes.

    The files are those that define the classes, and the files in the same folder that these import. Installed
    packages are left out, because their versions identify them.
    """
    return class_digests(type(model), type(model.config))


def class_digests(model_class: type[PreTrainedModel], config_class: type) -> dict[str, str]:
    """``code_digests`` of a model with these classes."""
    bare = issubclass(model_class, BareModuleForCausalLM)
    classes = [model_class.module_class] if bare else [model_class, config_class]
    files = set[Path]()
    for one in classes:
        file, package = file_of(one), one.__module__.split(".")[0]
        if package not in _PACKAGES_OF_MODELS and file.is_file() and not is_installed(file):
            files |= files_to_copy(file, package) or {file}
    return {file.name: hashlib.sha256(file.read_bytes()).hexdigest() for file in sorted(files)}


def file_of(one: type) -> Path:
    """The file in which a class is defined; an empty path for a class of a notebook."""
    return Path(getattr(sys.modules[one.__module__], "__file__", None) or "")


def is_installed(file: Path) -> bool:
    """Whether a file belongs to an installed package or to Python itself."""
    libraries = [sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")]
    places = map(Path, [*site.getsitepackages(), site.getusersitepackages(), *libraries])
    return any(file.resolve().is_relative_to(place.resolve()) for place in places if place.is_dir())


def files_to_copy(file: Path, package: str) -> set[Path] | None:
    """A module's file and the files in its folder that it imports; None if it needs files from elsewhere."""
    found, waiting = set[Path](), [file]
    while waiting:
        one = waiting.pop()
        if one.name == "__init__.py" or not one.is_file():
            return None
        found.add(one)
        for name in _own_imports(one, package):
            if name is None:
                return None
            if (needed := one.with_name(f"{name}.py")) not in found:
                waiting.append(needed)
    return found


def _own_imports(file: Path, package: str) -> Iterator[str | None]:
    """Names of the modules in its folder that a file imports; None for an import that a copy would lack."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            beside = node.level == 1 and node.module is not None and "." not in node.module
            yield node.module if beside else None
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            tops = {str(name).split(".")[0] for name in names}
            if package in tops or any(file.with_name(f"{top}.py").is_file() for top in tops):
                yield None
