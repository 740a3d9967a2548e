"""Packages that would make a model of transformers faster, according to its own checks.

The modeling files of transformers look for packages of kernels when they are imported, and fall back to
PyTorch code without them. They do so in two ways: with functions decorated by
``use_kernel_func_from_hub_with_fallback``, or with a flag ``is_..._available``.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

from torch import nn

from dataset_builders.device_functions import closure_of
from dataset_builders.files import read_json
from synthetic_training.models.model_types import PACKAGES

MEASURED = Path(__file__).parents[1] / "speed" / "results" / "architectures.json"

_FLAGS = {"is_xlstm_available": "xlstm", "is_kernels_available": "kernels"}
"""Flags for a faster recurrence, with the package that each of them checks."""


def missing_kernels(model: nn.Module) -> list[str]:
    """Packages that transformers would use for a model's layers if they were installed.

    The list is empty for layers with this project's own kernels, and for models that are not of transformers.
    """
    modules = {type(layer).__module__ for layer in model.modules()}
    own = {type(layer) for layer in model.modules() if not type(layer).__module__.startswith("transformers.")}
    replaced = {base.__module__ for one in own for base in one.__mro__[1:]}
    found = {
        package
        for name in modules
        if name.startswith("transformers.models.") and name not in replaced
        for package in _missing(name)
    }
    return sorted(found)


@cache
def _missing(module_name: str) -> frozenset[str]:
    module = sys.modules[module_name]
    flags = {_FLAGS[name] for name, flag in vars(module).items() if name in _FLAGS and not flag()}
    return frozenset({*flags, *_fallbacks(module)})


def _fallbacks(module: ModuleType) -> Iterator[str]:
    """Packages missing for the functions of a file that fall back to PyTorch code."""
    for value in vars(module).values():
        state = closure_of(value)
        if state.get("is_new_implementation") is False and isinstance(state.get("package"), str):
            package: str = state["package"]
            yield PACKAGES.get(package, package.replace("_", "-"))


def slow_path_warning(name: str, model: nn.Module) -> str | None:
    """The warning about a model that runs on a GPU without its kernels; None if none are missing."""
    packages = missing_kernels(model)
    if not packages:
        return None
    return (
        f"{name} runs with PyTorch code of transformers, which is slow on a GPU; it uses faster kernels if "
        f"these packages are installed: {', '.join(packages)}{_measured(name)}"
    )


def _measured(name: str) -> str:
    """A model's measured speed compared with T_rope's, as the end of a sentence; empty if not measured."""
    if not MEASURED.is_file():
        return ""
    rows = {row["model"]: row for row in read_json(MEASURED)["rows"] if "tokens_per_s" in row}
    if name not in rows or not rows[name].get("missing_kernels") or "T_rope" not in rows:
        return ""
    speeds = [
        f"{rows[one]['tokens_per_s'] / 1e3:,.0f} thousand tokens/s on one {rows[one]['machine']}"
        for one in (name, "T_rope")
    ]
    return (
        f" (without {', '.join(rows[name]['missing_kernels'])} it trained at {speeds[0]} at the paper's "
        f"size, T_rope at {speeds[1]})"
    )
