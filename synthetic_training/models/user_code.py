"""Models in user code: imported packages, ``module:Class``, ``package:type``, and folders with code."""

from __future__ import annotations

import ast
import inspect
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from torch import nn
from transformers import PreTrainedModel
from transformers.dynamic_module_utils import get_class_from_dynamic_module

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean
from synthetic_training.models.bare_module import BareModuleForCausalLM
from synthetic_training.models.config_arguments import VARIADIC, refuse_unknown
from synthetic_training.models.model_types import (
    PACKAGES,
    Classes,
    classes_of_type,
    import_isolated,
    installation,
    keep_shipped_types,
    package_types,
)

MODEL_KEY = "AutoModelForCausalLM"
"""Key of the model's class in the ``auto_map`` of a ``config.json``."""


def import_packages(names: Iterable[str]) -> None:
    """Import modules that register model types, including modules in the current folder.

    Raises:
        InputError: a module does not exist.
    """
    for name in names:
        import_module(name)


def import_module(name: str) -> ModuleType:
    """Import a module, looking in the current folder first, as ``python -m`` does.

    Types that it registers do not replace the types that transformers ships.

    Raises:
        InputError: there is no such module, or a package of ``PACKAGES`` lacks a module that it needs. Other
            errors inside the module pass through.
    """
    here = os.getcwd()  # noqa: PTH109  sys.path contains strings
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)
    try:
        return import_isolated(name)
    except ImportError as error:
        if "." not in name and "no known parent package" in str(error):
            raise InputError(
                f"the file {name}.py imports others relatively, as in 'from .cell import Cell', which only "
                "files of a package can do; omit the dot"
            ) from error
        if not isinstance(error, ModuleNotFoundError):
            raise
        package = name.partition(".")[0]
        if error.name is not None and f"{name}.".startswith(f"{error.name}."):
            raise InputError(f"there is no module {error.name!r} to import{_where(name)}") from None
        if package in PACKAGES:
            raise InputError(
                f"{PACKAGES[package]} cannot be imported: it needs the module {error.name!r}, which is not "
                "installed"
            ) from error
        raise
    except (TypeError, ValueError) as error:  # from importlib, for names such as "" and "..module"
        if name and all(part.isidentifier() for part in name.split(".")):
            raise
        raise InputError(f"{name!r} is not the name of a module{_spelling(name) or f': {error}'}") from None


def _where(name: str) -> str:
    """What to install or type instead of a missing module, as the end of an error message."""
    if installed := installation(name.partition(".")[0]):
        return installed
    missing = f", neither in the current folder ({Path.cwd()}) nor among the installed packages"
    return _spelling(name) or missing


def _spelling(name: str) -> str:
    """What to pass instead of the path of a file, as the end of an error message; empty for other names."""
    file = Path(name.removesuffix(".py"))
    if "/" in name and (file.is_absolute() or ".." in file.parts):
        return f"; run the command in {file.parent}, and pass {file.name}"
    dotted = ".".join(file.parts)
    return "" if dotted == name else f"; write it as in an import statement: {dotted}"


def import_class(path: str) -> type[nn.Module]:
    """The class that ``module.path:ClassName`` names.

    Raises:
        InputError: there is no such module or class, or it is not a ``torch.nn.Module``.
    """
    module_name, _, class_name = path.partition(":")
    module = import_module(module_name)
    found = getattr(module, class_name, None)
    if isinstance(found, type) and issubclass(found, nn.Module):
        if inspect.isabstract(found):
            missing = ", ".join(sorted(vars(found)["__abstractmethods__"]))
            raise InputError(f"{path} is an abstract class without {missing}; pass one of its subclasses")
        return found
    if found is not None:
        raise InputError(f"{path} is not a class of torch.nn.Module")
    known = [key for key, value in vars(module).items() if isinstance(value, type)]
    what = "class"
    if types := package_types(module_name):
        known, what = [*types, *known], "model type or class"
    raise InputError(f"module {module_name} has no {what} {class_name!r}{did_you_mean(class_name, known)}")


def registered_type(path: str) -> Classes | None:
    """The classes of ``package:type``, a model type that the package registers; None if there is none.

    Raises:
        InputError: there is no such package.
    """
    package, _, model_type = path.partition(":")
    import_module(package)
    return package_types(package).get(model_type)


def classes_of_path(path: str) -> Classes:
    """The classes of ``module.path:ClassName``; a bare ``torch.nn.Module`` is wrapped.

    Raises:
        InputError: there is no such module or class, it is not a ``torch.nn.Module``, the model's class has
            no configuration class, or a class cannot be imported by its own name.
    """
    found: Any = import_class(path)
    if not issubclass(found, PreTrainedModel):
        _check_importable(path, found)
        wrapper = BareModuleForCausalLM.around(found)
        return wrapper.config_class, wrapper
    if found.config_class is None:
        raise InputError(f"{path} needs a config_class, a subclass of transformers' PreTrainedConfig")
    _check_importable(path, found, found.config_class)
    return found.config_class, found


def _check_importable(path: str, *classes: type) -> None:
    """Check that the code of a saved model could import these classes."""
    for one in classes:
        if getattr(sys.modules.get(one.__module__), one.__name__, None) is not one:
            raise InputError(
                f"{path} could not be loaded again: the module {one.__module__} has no class "
                f"{one.__name__}; define the class at the top level of its module, under its own name"
            )


def is_own_class(model_class: type[PreTrainedModel]) -> bool:
    """Whether a class, or the module that it wraps, is not of this project, transformers or ``PACKAGES``."""
    shipped = {__name__.partition(".")[0], "transformers", *PACKAGES}
    return hasattr(model_class, "module_class") or model_class.__module__.partition(".")[0] not in shipped


def bare_module_arguments(
    name: str,
    model_class: type[PreTrainedModel],
    tokens: Mapping[str, int],
    defaults: Mapping[str, Any],
    overrides: Mapping[str, Any],
) -> dict[str, Any]:
    """Arguments of the configuration of a bare module's wrapper, from the arguments of the module's class.

    Args:
        name: name of the model in error messages.
        model_class: the wrapper.
        tokens: ``vocab_size``, which the class must accept, and ids of special tokens, which it may accept.
        defaults: arguments of the saved configuration, if the wrapper comes from a saved model.
        overrides: arguments of the class.

    Raises:
        InputError: the class does not accept an argument, or needs one that was not passed.
    """
    module_class: type[nn.Module] = model_class.module_class
    signature = inspect.signature(module_class)
    parameters = signature.parameters
    takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    if "vocab_size" not in parameters and not takes_all:
        raise InputError(f"{name} must take the argument vocab_size, the number of tokens")
    if not takes_all:
        refuse_unknown(name, overrides, set(parameters) - {"vocab_size"})
    for taken in sorted(_passed_by_python(module_class) & set(overrides)):
        raise InputError(f"Python passes {taken!r} to {name} itself; omit it from --model-args")
    wanted = {key: value for key, value in tokens.items() if key in parameters and key != "vocab_size"}
    arguments = {**(defaults.get("arguments") or {}), **wanted, **overrides}
    plain = [one for one in parameters.values() if one.kind not in VARIADIC]
    needed = [one.name for one in plain if one.default is one.empty]
    missing = set(needed) - set(arguments) - {"vocab_size"}
    if missing:
        raise InputError(f"{name} needs --model-args {' '.join(f'{one}=...' for one in sorted(missing))}")
    try:
        signature.bind(vocab_size=0, **arguments)
    except TypeError as error:  # such as a parameter that is positional only
        raise InputError(f"{name} cannot be built with keyword arguments: {error}") from None
    return {"arguments": arguments, "module": f"{module_class.__module__}:{module_class.__qualname__}"}


def _passed_by_python(one: type) -> set[str]:
    """The names, such as self, of the arguments that Python passes when it creates an instance."""
    methods = [type(one).__call__, *(getattr(one, name) for name in ("__new__", "__init__"))]
    firsts = (next(iter(inspect.signature(method).parameters.values()), None) for method in methods)
    return {first.name for first in firsts if first and first.kind is first.POSITIONAL_OR_KEYWORD}


def classes_of_folder(folder: Path, content: object, trust_remote_code: bool) -> Classes:
    """The classes of a saved model.

    Without ``auto_map``, they are the known classes of the type. With it, they are those that an imported
    package has registered for the type, or that an installed package of ``PACKAGES`` has for it. Only if
    there are none does the code in the folder run, and only if it is trusted.

    Args:
        folder: folder with ``config.json`` and, if ``auto_map`` names them, Python files.
        content: content of ``config.json``.
        trust_remote_code: whether code in the folder may run.

    Raises:
        InputError: the file is damaged, the type is unknown, or the folder contains code that is not trusted
            or cannot be imported.
    """
    if not isinstance(content, dict):
        raise InputError(f"{folder / 'config.json'} is damaged: it contains no settings")
    model_type, auto_map = content.get("model_type"), content.get("auto_map")
    if not isinstance(model_type, str):
        raise InputError(f"{folder / 'config.json'} names no model_type")
    if not isinstance(auto_map, dict) or MODEL_KEY not in auto_map:
        return classes_of_type(model_type)
    reference = str(auto_map[MODEL_KEY])
    package = _imported_package(folder / f"{reference.split('.')[0]}.py")
    if package is not None:
        import_module(package)
        model_type = model_type.removeprefix(f"{package}.")
        if model_type in (types := package_types(package)):
            return types[model_type]
    registered = _registered(model_type)
    if registered is not None:
        return registered
    if not trust_remote_code:
        raise InputError(
            f"the model in {folder} contains its own code ({reference.split('.')[0]}.py); inspect it, then "
            "pass --trust-remote-code to run it"
        )
    try:
        with keep_shipped_types():
            model_class = get_class_from_dynamic_module(reference, str(folder))
            config_class = model_class.config_class
            if "AutoConfig" in auto_map:
                config_class = get_class_from_dynamic_module(str(auto_map["AutoConfig"]), str(folder))
    except (AttributeError, ImportError, OSError, SyntaxError, ValueError) as error:
        message = " ".join(str(error).split())
        raise InputError(f"the code in {folder} cannot be imported: {message}") from error
    return config_class, model_class


def _imported_package(file: Path) -> str | None:
    """The package of ``PACKAGES`` from which a saved model's code imports its classes, if there is one."""
    try:
        code = ast.parse(file.read_text(encoding="utf-8"))
    except (OSError, SyntaxError, ValueError):
        return None
    imports = [node for node in ast.walk(code) if isinstance(node, ast.ImportFrom) and node.level == 0]
    packages = {str(node.module).split(".")[0] for node in imports}
    return packages.pop() if len(packages) == 1 and packages & set(PACKAGES) else None


def _registered(model_type: str) -> Classes | None:
    """The classes that an imported package registered for a type; classes of transformers are ignored."""
    try:
        classes = classes_of_type(model_type)
    except InputError:
        return None
    return None if classes[1].__module__.startswith("transformers.") else classes
