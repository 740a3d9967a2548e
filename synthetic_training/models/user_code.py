"""Models in user code: imported packages, ``module:Class``, and folders with code."""

from __future__ import annotations

import importlib
import inspect
import os
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers.dynamic_module_utils import get_class_from_dynamic_module

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean
from synthetic_training.models.bare_module import BareModuleForCausalLM
from synthetic_training.models.config_arguments import refuse_unknown
from synthetic_training.models.model_types import PACKAGES, Classes, classes_of_type

MODEL_KEY = "AutoModelForCausalLM"
"""Key of the model's class in the ``auto_map`` of a ``config.json``."""


def import_packages(names: Iterable[str]) -> None:
    """Import modules that register model types; those in the current folder are found too.

    Raises:
        InputError: there is no such module.
    """
    for name in names:
        import_module(name)


def import_module(name: str) -> ModuleType:
    """Import a module as ``python -m`` would, which finds the current folder's first.

    Raises:
        InputError: there is no such module. An error inside the module is raised as it is.
    """
    here = os.getcwd()  # noqa: PTH109  sys.path holds strings
    if "" not in sys.path and here not in sys.path:
        sys.path.insert(0, here)
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise
        distribution, _ = PACKAGES.get(name, (None, ()))
        hint = f"; pip install {distribution}" if distribution else ""
        raise InputError(f"there is no module {error.name!r} to import{hint}") from None
    except (TypeError, ValueError) as error:
        if name and all(part.isidentifier() for part in name.split(".")):
            raise
        raise InputError(f"{name!r} is not the name of a module: {error}") from None


def import_class(path: str) -> type[nn.Module]:
    """The class that ``module.path:ClassName`` names.

    Raises:
        InputError: there is no such module or class, or it is not a ``torch.nn.Module``.
    """
    module_name, _, class_name = path.partition(":")
    module = import_module(module_name)
    found = getattr(module, class_name, None)
    if isinstance(found, type) and issubclass(found, nn.Module):
        return found
    if found is not None:
        raise InputError(f"{path} is not a class of torch.nn.Module")
    known = [key for key, value in vars(module).items() if isinstance(value, type)]
    raise InputError(f"module {module_name} has no class {class_name!r}{did_you_mean(class_name, known)}")


def classes_of_path(path: str) -> Classes:
    """The classes of ``module.path:ClassName``; a bare ``torch.nn.Module`` is wrapped.

    Raises:
        InputError: as ``import_class``, or the model's class names no configuration class.
    """
    found: Any = import_class(path)
    if not issubclass(found, PreTrainedModel):
        wrapper = BareModuleForCausalLM.around(found)
        return wrapper.config_class, wrapper
    if found.config_class is None:
        raise InputError(f"{path} needs a config_class, a subclass of transformers' PreTrainedConfig")
    return found.config_class, found


def bare_module_arguments(
    name: str,
    model_class: type[PreTrainedModel],
    tokens: Mapping[str, int],
    defaults: Mapping[str, Any],
    overrides: Mapping[str, Any],
) -> dict[str, Any]:
    """Arguments of a wrapper's configuration from those of the class that it wraps.

    Args:
        name: of the model, as in an error.
        model_class: the wrapper.
        tokens: ``vocab_size``, which the class must take, and ids of special tokens, which it may take.
        defaults: of the configuration that the wrapper was saved with, if it was.
        overrides: arguments of the class.

    Raises:
        InputError: the class does not take an argument, or needs one that is not given.
    """
    module_class: type[nn.Module] = model_class.module_class
    parameters = inspect.signature(module_class).parameters
    takes_all = any(one.kind is one.VAR_KEYWORD for one in parameters.values())
    if "vocab_size" not in parameters and not takes_all:
        raise InputError(f"{name} must take the argument vocab_size, the number of tokens")
    if not takes_all:
        refuse_unknown(name, overrides, set(parameters) - {"vocab_size"})
    wanted = {key: value for key, value in tokens.items() if key in parameters and key != "vocab_size"}
    arguments = {**(defaults.get("arguments") or {}), **wanted, **overrides}
    plain = [one for one in parameters.values() if one.kind not in _VARIADIC]
    needed = [one.name for one in plain if one.default is one.empty]
    missing = set(needed) - set(arguments) - {"vocab_size"}
    if missing:
        raise InputError(f"{name} needs --model-args {' '.join(f'{one}=...' for one in sorted(missing))}")
    return {"arguments": arguments, "module": f"{module_class.__module__}:{module_class.__qualname__}"}


_VARIADIC = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)


def classes_of_folder(folder: Path, content: object, trust_remote_code: bool) -> Classes:
    """The classes of a saved model.

    A type that is known is used as it is; code in the folder is run only if it is trusted, and only where
    the type is not known.

    Args:
        folder: holds ``config.json`` and, where ``auto_map`` names them, Python files.
        content: of ``config.json``.
        trust_remote_code: whether code in the folder may run.

    Raises:
        InputError: the file is damaged, the type is unknown, or the folder carries code that is not trusted
            or cannot be imported.
    """
    if not isinstance(content, dict):
        raise InputError(f"{folder / 'config.json'} is damaged: it holds no settings")
    model_type, auto_map = content.get("model_type"), content.get("auto_map")
    if not isinstance(model_type, str):
        raise InputError(f"{folder / 'config.json'} names no model_type")
    if not isinstance(auto_map, dict) or MODEL_KEY not in auto_map:
        return classes_of_type(model_type)
    registered = _registered(model_type)
    if registered is not None:
        return registered
    reference = str(auto_map[MODEL_KEY])
    if not trust_remote_code:
        raise InputError(
            f"the model in {folder} contains its own code ({reference.split('.')[0]}.py); inspect it, then "
            "pass "
            "--trust-remote-code to run it"
        )
    try:
        model_class = get_class_from_dynamic_module(reference, str(folder))
        config_class = model_class.config_class
        if "AutoConfig" in auto_map:
            config_class = get_class_from_dynamic_module(str(auto_map["AutoConfig"]), str(folder))
    except (ImportError, OSError) as error:
        message = " ".join(str(error).split())
        raise InputError(f"the code in {folder} cannot be imported: {message}") from error
    return config_class, model_class


def _registered(model_type: str) -> Classes | None:
    """The classes that an imported package registered; transformers' own do not replace a folder's code."""
    try:
        classes = classes_of_type(model_type)
    except InputError:
        return None
    return None if classes[1].__module__.startswith("transformers.") else classes


@torch.no_grad()
def check_causal(name: str, model: PreTrainedModel) -> None:
    """Check that a model is causal: its logits must not depend on later tokens.

    A model that sees the answers learns nothing, but scores well on forced answers.

    Raises:
        InputError: they do, they are not of shape (batch, length, vocabulary), or the model does not take the
            arguments with which it is evaluated.
    """
    parameters = inspect.signature(model.forward).parameters
    if not any(one.kind is one.VAR_KEYWORD for one in parameters.values()):
        missing = [one for one in ("input_ids", "attention_mask", "use_cache") if one not in parameters]
        if missing:
            raise InputError(f"the forward method of {name} must take the arguments {', '.join(missing)}")
    vocabulary, was_training = model.config.vocab_size, model.training
    ids = torch.arange(16, device=model.device)[None] % vocabulary
    changed = torch.where(ids >= 8, (ids + 1) % vocabulary, ids)
    one, other = (model.eval()(input_ids=given, use_cache=False).logits for given in (ids, changed))
    model.train(was_training)
    if one.shape != (1, 16, vocabulary):
        raise InputError(
            f"{name} must give logits (1, 16, {vocabulary}) for ids (1, 16), not {tuple(one.shape)}"
        )
    if (one[:, :8] - other[:, :8]).abs().max() > 1e-3 * one.abs().max():
        raise InputError(f"{name} is not causal: its logits depend on later tokens")
