"""Checks that the models match the list before any of them runs."""

from collections.abc import Mapping, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from dataset_builders import InputError
from dataset_builders.files import read_json, user_path
from dataset_builders.hub import hub_errors
from lm_eval_tasks.context_window import WINDOW_SETTINGS
from lm_eval_tasks.paper.model_list import Model

_NEED_KERNELS = {
    "mamba": ("mamba_ssm", "causal_conv1d"),
    "falcon_mamba": ("mamba_ssm", "causal_conv1d"),
    "mamba2": ("mamba_ssm", "causal_conv1d"),
}
"""Packages, by ``model_type``, without which transformers keeps the states of all positions in memory."""


def check_models(models: Sequence[Model], device: str) -> None:
    """Check each model's ``config.json`` against the list, and the packages that it needs on a device.

    Raises:
        InputError: a model cannot be read, does not match the list, or cannot run here.
    """
    for model in {model.name: model for model in models}.values():
        check_config(model, read_config(model))
        check_packages(model, device)


def check_models_offline(models: Sequence[Model]) -> list[str]:
    """Check models offline: each model's folder, or its ``config.json`` in the cache of the Hub.

    Returns:
        A note for each name that could only be checked on the Hub.

    Raises:
        InputError: a folder is missing, or a model does not match the list.
    """
    from huggingface_hub import try_to_load_from_cache

    notes = []
    for model in {model.name: model for model in models}.values():
        folder = user_path(model.pretrained)
        if folder.is_dir() or _is_path(model):
            check_config(model, read_config(model))
            continue
        with hub_errors(f"find {model.name}"):  # a name that cannot be one on the Hub
            cached = try_to_load_from_cache(model.pretrained, "config.json", revision=model.revision)
        if isinstance(cached, str):
            check_config(model, read_json(Path(cached)))
        elif folder.parent.is_dir():
            notes.append(
                f"{model.name}: there is no folder {model.pretrained!r}, so it is assumed to be on the Hub"
            )
    return notes


def _is_path(model: Model) -> bool:
    """Whether the name is a path of a folder, rather than ORG/NAME on the Hub."""
    name = model.pretrained
    return name.startswith((".", "~")) or Path(name).is_absolute() or name.count("/") != 1


def read_config(model: Model) -> dict[str, Any]:
    """The content of a model's ``config.json``, from its folder or the Hub.

    Raises:
        InputError: the file cannot be read.
    """
    from transformers import PretrainedConfig

    folder = user_path(model.pretrained)
    if not folder.is_dir() and _is_path(model):
        raise InputError(f"{model.name}: the folder {model.pretrained!r} does not exist")
    if folder.is_dir():
        doing = f"read the configuration in {model.pretrained!r}"
    else:
        doing = (
            f"find {model.name}: there is no folder {model.pretrained!r}, and its configuration cannot be "
            "downloaded from the Hub"
        )
    advice = "set 'pretrained' to a folder in a list of your own (--model-list)"
    with hub_errors(doing, advice):
        content, _ = PretrainedConfig.get_config_dict(model.pretrained, revision=model.revision)
    if not content:
        raise InputError(f"{model.name}: {model.pretrained} has no config.json")
    return dict(content)


def check_config(model: Model, config: Mapping[str, Any]) -> None:
    """Check a model's type and context window against the list.

    Raises:
        InputError: they do not match.
    """
    found = config.get("model_type")
    if model.backend == "mamba_ssm":
        if "d_model" not in config:
            raise InputError(
                f"{model.name}: {model.pretrained} is not in the format of mamba_ssm; use backend: hf"
            )
        return
    if found is None and "d_model" in config:
        raise InputError(
            f"{model.name}: {model.pretrained} is in the format of mamba_ssm; use backend: mamba_ssm, or the "
            "repository that ends in -hf"
        )
    if found != model.model_type:
        raise InputError(f"{model.name}: {model.pretrained} is a {found} model, not {model.model_type}")
    text = config.get("text_config")  # in models that also take images
    text = text if isinstance(text, Mapping) else config
    windows = [text[name] for name in WINDOW_SETTINGS if isinstance(text.get(name), int)]
    if windows and model.window > windows[0]:
        raise InputError(
            f"{model.name}: the window of {model.window} tokens is larger than that of {model.pretrained}, "
            f"{windows[0]}"
        )


def check_packages(model: Model, device: str) -> None:
    """Check that the kernel packages that a model needs are installed.

    Raises:
        InputError: a package is missing.
    """
    if model.backend == "mamba_ssm" and find_spec("mamba_ssm") is None:
        raise InputError(
            f"{model.name} needs the package mamba_ssm; run: pip install 'repeat-after-me[cuda]', or use the "
            "list 'paper'"
        )
    needed = _NEED_KERNELS.get(model.model_type, ()) if model.backend == "hf" and device != "cpu" else ()
    missing = [package for package in needed if find_spec(package) is None]
    if missing and model.batch_size > 1:
        raise InputError(
            f"{model.name} needs {' and '.join(missing)} for a batch of {model.batch_size} on a GPU; run: "
            "pip install 'repeat-after-me[cuda]', or pass --batch-size 1"
        )
