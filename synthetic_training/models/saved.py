"""Saving models with the code that they need and their tokenizers, and loading them.

For a model with classes of transformers, ``save_pretrained`` is enough. Folders of other models also contain
the Python files of their classes, and ``config.json`` names them (``auto_map``), so that transformers and
lm-eval load them with ``trust_remote_code=True``. Classes of an installed package, and classes whose code
cannot be copied, are imported by name instead.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from contextlib import nullcontext
from pathlib import Path

from transformers import PreTrainedModel, PreTrainedTokenizerFast

from dataset_builders import InputError
from dataset_builders.checks import check_integer, is_integer
from dataset_builders.device_functions import use_kernels_where_they_work
from dataset_builders.files import read_json, write_json, write_text
from synthetic_training.models import packed_attention
from synthetic_training.models.bare_module import BareModuleForCausalLM
from synthetic_training.models.code_copies import Copies, NotCopiedError, copies_of
from synthetic_training.models.code_files import file_of
from synthetic_training.models.config_arguments import MOST_LAYERS, ConfigArguments
from synthetic_training.models.construction import reraise_bug, untrained
from synthetic_training.models.float32_gates import keep_gates_in_float32
from synthetic_training.models.model_types import PACKAGES, is_shipped
from synthetic_training.models.registry import use_fast_kernels
from synthetic_training.models.size_limit import check_size, size_checked
from synthetic_training.models.user_code import MODEL_KEY, classes_of_folder, is_own_class
from synthetic_training.models.weights import LOADING_ERRORS, load_weights

_CONFIG = "config.json"
_TOKENIZER_CONFIG = "tokenizer_config.json"
_IMPORTED = "modeling_imported"
"""Name of the file that imports the classes that are not copied."""

_WRAPPED = "modeling_wrapped"
"""Name of the file with the class that wraps a bare module."""

_BARE_FILES = (_WRAPPED, "bare_module")
_OTHER_FILES = (_IMPORTED, "packed_attention")
"""The files of this project in folders of bare modules and of other models, which a copy must not replace."""


def save_with_code(model: PreTrainedModel, folder: Path) -> None:
    """Save a model and the code of its classes into a folder.

    If transformers has another class of the same ``model_type``, ``config.json`` gets a different type. Then
    loading without ``trust_remote_code`` fails, instead of using the other class.
    """
    dtype = model.config.dtype
    model.save_pretrained(folder)
    model.config.dtype = dtype  # save_pretrained leaves its name there, which the model's code may not expect
    model_class, config_class = type(model), type(model.config)
    if model_class.__module__.startswith("transformers."):
        return
    content = read_json(folder / _CONFIG)
    if BareModuleForCausalLM in model_class.__bases__:
        content["auto_map"] = _write_wrapper(model_class, folder)
    elif model_class._auto_class is None:  # otherwise, save_pretrained has copied the code
        content["auto_map"] = _write_classes({"AutoConfig": config_class, MODEL_KEY: model_class}, folder)
        if any(type(layer).__module__ == "fla.layers.attn" for layer in model.modules()):
            _supply_attention(folder)
    if is_shipped(content["model_type"]):
        content["model_type"] = f"{model_class.__module__.split('.')[0]}.{content['model_type']}"
    write_json(folder / _CONFIG, content)


def save_tokenizer(tokenizer: PreTrainedTokenizerFast, folder: Path) -> None:
    """Save a tokenizer for every version of transformers that the extra ``hf`` allows.

    transformers 5 writes the new name of the class, ``TokenizersBackend``, which transformers 4 does not
    know; both know the old name.
    """
    tokenizer.save_pretrained(folder)
    content = read_json(folder / _TOKENIZER_CONFIG)
    write_json(folder / _TOKENIZER_CONFIG, {**content, "tokenizer_class": "PreTrainedTokenizerFast"})


def _write_wrapper(model_class: type[PreTrainedModel], folder: Path) -> dict[str, str]:
    module_class: type = model_class.module_class
    wrapper = file_of(BareModuleForCausalLM)
    shutil.copyfile(wrapper, folder / wrapper.name)
    lines = [
        f'"""{module_class.__name__} as a causal language model of transformers."""\n',
        f"from .{wrapper.stem} import BareModuleConfig, BareModuleForCausalLM",
        *_copied_or_imported(module_class, folder, _BARE_FILES),
        "\n",
        f"class {model_class.__name__}(BareModuleForCausalLM):",
        f"    module_class = {module_class.__name__}",
    ]
    write_text(folder / f"{_WRAPPED}.py", "\n".join(lines) + "\n")
    return {"AutoConfig": f"{_WRAPPED}.BareModuleConfig", MODEL_KEY: f"{_WRAPPED}.{model_class.__name__}"}


def _write_classes(classes: dict[str, type], folder: Path) -> dict[str, str]:
    imports = [line for one in classes.values() for line in _copied_or_imported(one, folder, _OTHER_FILES)]
    lines = ['"""The classes of this model."""\n', *imports]
    write_text(folder / f"{_IMPORTED}.py", "\n".join(lines) + "\n")
    return {key: f"{_IMPORTED}.{one.__name__}" for key, one in classes.items()}


def _supply_attention(folder: Path) -> None:
    """Let the model's attention layers work without flash-attn, even if this project is not installed."""
    source = Path(packed_attention.__file__)
    shutil.copyfile(source, folder / source.name)
    code = folder / f"{_IMPORTED}.py"
    lines = [f"from .{source.stem} import supply_attention\n", "supply_attention()"]
    write_text(code, code.read_text(encoding="utf-8") + "\n".join(lines) + "\n")


def why_not_copied(model: PreTrainedModel) -> str | None:
    """Why the user's own code cannot be saved with a model, as a part of a sentence; None if it can."""
    model_class = type(model)
    bare = BareModuleForCausalLM in model_class.__bases__
    classes: list[type] = [model_class.module_class] if bare else [type(model.config), model_class]
    try:
        for one in classes:
            _copies(one, _BARE_FILES if bare else _OTHER_FILES)
    except NotCopiedError as reason:
        return str(reason)
    return None


def _copies(one: type, ours: Sequence[str]) -> Copies | None:
    """Copies of the files that a class needs; None if its package is installed.

    Raises:
        NotCopiedError: they cannot be copied.
    """
    copies = copies_of(one.__module__)
    for name in (f"{stem}.py" for stem in ours):
        if copies is not None and name in copies.files:
            raise NotCopiedError(f"{name} is the name of another file in the folder of a saved model")
    return copies


def _copied_or_imported(one: type, folder: Path, ours: Sequence[str]) -> list[str]:
    """The lines that import a class, whose files are copied into the folder if they can be.

    Args:
        one: the class.
        folder: folder of the saved model.
        ours: names of this project's files in the folder, without .py.
    """
    try:
        copies = _copies(one, ours)
    except NotCopiedError:
        copies = None
    if copies is not None:
        for name, content in copies.files.items():
            (folder / name).write_bytes(content)
        # transformers copies only files that are named in a statement of this form
        named = [f"    from .{stem} import *" for stem in sorted(copies.whole)]
        first = f"from .{file_of(one).stem} import {one.__name__}"
        return [first, "", "if False:", *named] if named else [first]
    # the error of transformers would suggest installing a distribution with the module's name
    what, package = f"the module {one.__module__}, which is not saved with it", one.__module__.split(".")[0]
    if package in PACKAGES:
        what = f"{PACKAGES[package]}; run: pip install {PACKAGES[package]}"
    return [
        "try:",
        f"    from {one.__module__} import {one.__name__}",
        "except ModuleNotFoundError as error:",
        f'    raise ImportError(f"this model needs {what} ({{error}})") from error',
    ]


def load_model(folder: Path, *, trust_remote_code: bool = False) -> PreTrainedModel:
    """A saved model in float32, with the same fast kernels as from ``build_model``.

    Args:
        folder: folder with ``config.json`` and the weights.
        trust_remote_code: whether code in the folder may run.

    Raises:
        InputError: the model cannot be loaded, contains code that is not trusted, or has incomplete or
            non-finite weights.
    """
    content = read_json(folder / _CONFIG)
    config_class, model_class = classes_of_folder(folder, content, trust_remote_code)
    layers = content.get(ConfigArguments(str(folder), config_class).own_name("num_hidden_layers"))
    if is_integer(layers):
        check_integer(f"num_hidden_layers of {folder}", layers, 1, MOST_LAYERS)
    try:
        config = config_class.from_pretrained(folder)
        own = is_own_class(model_class)
        if not own:
            check_size(str(folder), lambda: untrained(model_class, config))
        checked = size_checked(str(folder), lambda: untrained(model_class, config)) if own else nullcontext()
        with checked:
            model = load_weights(model_class, folder, config)
    except InputError:
        raise
    except LOADING_ERRORS as error:
        reraise_bug(error)
        message = " ".join(str(error).split())[:300] or type(error).__name__
        raise InputError(f"{folder} contains no model that can be loaded: {message}") from None
    use_fast_kernels(model)
    use_kernels_where_they_work(model)
    keep_gates_in_float32(model)
    return model
