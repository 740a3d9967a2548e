"""The model that ``evaluate`` reads: its folder, the settings of its training, and its weights."""

from collections.abc import Mapping
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Any

from dataset_builders import InputError
from dataset_builders.files import read_json
from dataset_builders.string_tasks.symbols import Symbols
from synthetic_training.data.symbol_tokenizer import USUAL
from synthetic_training.training.run_folder import RUN

if TYPE_CHECKING:
    from transformers import PreTrainedModel

_USED: Mapping[str, tuple[type, ...]] = {
    "task": (str,),
    "vocabulary": (int,),
    "n": (int,),
    "k": (int, NoneType),
    "task_args": (dict,),
}
"""Settings of training that an evaluation reads, and their types."""


def model_folder(folder: Path) -> Path:
    """The folder with the model of a run or checkpoint.

    Raises:
        InputError: the folder contains no model.
    """
    for candidate in (folder, folder / "model"):
        if (candidate / "config.json").is_file():
            return candidate
    if not folder.is_dir():
        raise InputError(f"{folder} is not a folder; pass the folder of a run or checkpoint")
    if (folder / RUN).is_file():
        raise InputError(
            f"the run in {folder} is not finished; pass one of the folders in {folder / 'checkpoints'}, or "
            f"finish it with train --resume --out {folder}"
        )
    raise InputError(f"{folder} contains no model: it has neither config.json nor model/config.json")


def load_symbol_model(
    folder: Path, symbols: Symbols = USUAL, *, trust_remote_code: bool = False
) -> "PreTrainedModel":
    """A saved model with these symbols, in float32.

    Raises:
        InputError: the model cannot be loaded, contains code that is not trusted, has incomplete or
            non-finite weights, or has another vocabulary.
    """
    from synthetic_training.models.saved import load_model

    model = load_model(folder, trust_remote_code=trust_remote_code)
    if model.config.vocab_size != symbols.size:
        raise InputError(
            f"the model in {folder} has a vocabulary of {model.config.vocab_size} tokens, not the "
            f"{symbols.size} symbols "
            f"of the task; {use_lm_eval(folder)}"
        )
    return model


def use_lm_eval(folder: Path) -> str:
    return f"evaluate it with lm-eval, as in lm_eval --model hf --model_args pretrained={folder}"


def training_settings(folder: Path) -> dict[str, Any] | None:
    """The training settings of the model, if known."""
    file = folder / RUN
    if not file.is_file():
        return None
    content = read_json(file)
    if not isinstance(content, dict) or not isinstance(content.get("config"), dict):
        raise InputError(f"{file} is damaged: it contains no settings")
    settings: dict[str, Any] = content["config"]
    for name, kinds in _USED.items():
        if name in settings and not isinstance(settings[name], kinds):
            raise InputError(f"{file} is damaged: {name} = {settings[name]!r}")
    return settings
