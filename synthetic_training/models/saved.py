"""Saving models with the code that they need, and loading them.

A model of transformers' own classes is saved by ``save_pretrained`` alone. Folders of other models also
contain the Python files of their classes, and ``config.json`` names them (``auto_map``), so that
transformers and lm-eval load it with ``trust_remote_code=True``. Classes of an installed package, and those
whose file needs others that cannot be copied beside it, are imported by name instead.
"""

from __future__ import annotations

import ast
import shutil
import site
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import torch
from safetensors import SafetensorError
from transformers import PreTrainedModel

from dataset_builders import InputError
from dataset_builders.checks import check_integer, is_integer
from dataset_builders.files import read_json, write_json, write_text
from synthetic_training.models.bare_module import BareModuleForCausalLM
from synthetic_training.models.config_arguments import MOST_LAYERS, ConfigArguments
from synthetic_training.models.model_types import is_shipped
from synthetic_training.models.registry import misfits, untrained, use_fast_kernels
from synthetic_training.models.size import check_size
from synthetic_training.models.user_code import MODEL_KEY, classes_of_folder
from synthetic_training.models.weights import check_weights

_CONFIG = "config.json"
_IMPORTED = "modeling_imported"
"""Name of the file that imports the classes that are not copied."""


def save_with_code(model: PreTrainedModel, folder: Path) -> None:
    """Save a model and the code of its classes into a folder.

    If transformers has another class of the same ``model_type``, ``config.json`` gets a different type, so
    that without ``trust_remote_code`` loading fails instead of using the other class.
    """
    model.save_pretrained(folder)
    model_class, config_class = type(model), type(model.config)
    if model_class.__module__.startswith("transformers."):
        return
    content = read_json(folder / _CONFIG)
    if BareModuleForCausalLM in model_class.__bases__:
        content["auto_map"] = _write_wrapper(model_class, folder)
    elif model_class._auto_class is None:  # else save_pretrained did it
        content["auto_map"] = _write_classes({"AutoConfig": config_class, MODEL_KEY: model_class}, folder)
    if is_shipped(content["model_type"]):
        content["model_type"] = f"{model_class.__module__.split('.')[0]}.{content['model_type']}"
    write_json(folder / _CONFIG, content)


def _write_wrapper(model_class: type[PreTrainedModel], folder: Path) -> dict[str, str]:
    module_class: type = model_class.module_class
    wrapper = Path(sys.modules[BareModuleForCausalLM.__module__].__file__ or "")
    shutil.copyfile(wrapper, folder / wrapper.name)
    lines = [
        f'"""{module_class.__name__} as a causal language model of transformers."""\n',
        f"from .{wrapper.stem} import BareModuleConfig, BareModuleForCausalLM",
        f"{_copied_or_imported(module_class, folder)}\n\n",
        f"class {model_class.__name__}(BareModuleForCausalLM):",
        f"    module_class = {module_class.__name__}",
    ]
    write_text(folder / "modeling_wrapped.py", "\n".join(lines) + "\n")
    return {
        "AutoConfig": "modeling_wrapped.BareModuleConfig",
        MODEL_KEY: f"modeling_wrapped.{model_class.__name__}",
    }


def _write_classes(classes: dict[str, type], folder: Path) -> dict[str, str]:
    imports = [_copied_or_imported(one, folder) for one in classes.values()]
    lines = ['"""The classes of this model."""\n', *dict.fromkeys(imports)]
    write_text(folder / f"{_IMPORTED}.py", "\n".join(lines) + "\n")
    return {key: f"{_IMPORTED}.{one.__name__}" for key, one in classes.items()}


def _copied_or_imported(one: type, folder: Path) -> str:
    """The line that imports a class, whose files are copied into the folder if they are all it needs."""
    file = Path(sys.modules[one.__module__].__file__ or "")
    files = None if _is_installed(file) else _files_of(file, one.__module__.split(".")[0])
    if files is None:
        return f"from {one.__module__} import {one.__name__}"
    for needed in files:
        shutil.copyfile(needed, folder / needed.name)
    return f"from .{file.stem} import {one.__name__}"


def _is_installed(file: Path) -> bool:
    libraries = [sysconfig.get_path(name) for name in ("purelib", "platlib", "stdlib")]
    places = map(Path, [*site.getsitepackages(), site.getusersitepackages(), *libraries])
    return any(file.resolve().is_relative_to(place.resolve()) for place in places if place.is_dir())


def _files_of(file: Path, package: str) -> set[Path] | None:
    """A module's file and those beside it that it imports; None where files elsewhere are needed too."""
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
    """Names of the modules beside a file that it imports; None for one that copying would lose."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and node.level:
            beside = node.level == 1 and node.module is not None and "." not in node.module
            yield node.module if beside else None
        elif isinstance(node, ast.Import | ast.ImportFrom):
            names = [node.module] if isinstance(node, ast.ImportFrom) else [one.name for one in node.names]
            tops = {str(name).split(".")[0] for name in names}
            if package in tops or any(file.with_name(f"{top}.py").is_file() for top in tops):
                yield None


def load_model(folder: Path, *, trust_remote_code: bool = False) -> PreTrainedModel:
    """A saved model in float32, with the same fast kernels as from ``build_model``.

    Args:
        folder: holds ``config.json`` and the weights.
        trust_remote_code: whether code in the folder may run.

    Raises:
        InputError: it cannot be loaded, carries code that is not trusted, or its weights are incomplete or
            not finite.
    """
    content = read_json(folder / _CONFIG)
    config_class, model_class = classes_of_folder(folder, content, trust_remote_code)
    layers = content.get(ConfigArguments(str(folder), config_class).own_name("num_hidden_layers"))
    if is_integer(layers):
        check_integer(f"num_hidden_layers of {folder}", layers, 1, MOST_LAYERS)
    unusable: tuple[type[Exception], ...] = (OSError, SafetensorError, *misfits(model_class))
    try:
        config = config_class.from_pretrained(folder)
        check_size(str(folder), lambda: untrained(model_class, config))
        model, report = model_class.from_pretrained(
            folder, config=config, dtype=torch.float32, use_safetensors=True, output_loading_info=True
        )
    except InputError:
        raise
    except unusable as error:
        message = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(f"{folder} holds no model that can be loaded: {message}") from None
    check_weights(model, report, folder)
    use_fast_kernels(model)
    return model
