"""How a model is created from its configuration, and the errors of sizes that do not fit together."""

import sys
import traceback
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from dataset_builders import InputError
from synthetic_training.models.bare_module import BareModuleForCausalLM


def misfits(model_class: type[PreTrainedModel]) -> tuple[type[Exception], ...]:
    """The exceptions of a class for sizes that do not fit together.

    Classes of transformers, of packages that register models, and a user's modules do not check sizes and may
    fail anywhere.
    Our own classes, and code in a folder, raise ValueError or torch's errors, and anything else is a bug.
    """
    ours = (RuntimeError, StrictDataclassError, ValueError)  # RuntimeError: from torch, for wrong sizes
    if _owner(model_class).__module__.split(".")[0] in (__name__.split(".")[0], "transformers_modules"):
        return ours
    return (*ours, ArithmeticError, AssertionError, AttributeError, ImportError, LookupError, TypeError)


def untrained(model_class: type[PreTrainedModel], config: PreTrainedConfig) -> nn.Module:
    """The model that ``model_class`` creates, on the current device; of a wrapped module, only the module."""
    if issubclass(model_class, BareModuleForCausalLM):
        return model_class.module_class(vocab_size=config.vocab_size, **(config.arguments or {}))
    return model_class(of_text(config, model_class))


def of_text(config: PreTrainedConfig, model_class: type[PreTrainedModel]) -> PreTrainedConfig:
    """The language model's part of a multimodal configuration."""
    part = config.sub_configs.get("text_config")
    return config.get_text_config() if part is not None and part is model_class.config_class else config


def own_code_error(
    name: str, what: str, arguments: Mapping[str, Any], model_class: type[PreTrainedModel], error: Exception
) -> InputError:
    """What a user's own model raised, as one sentence with the lines of its file that led there.

    Args:
        name: of the model.
        what: what could not be done with it, such as "built".
        arguments: those that were given.
        model_class: the model's class, or the wrapper of a bare module.
        error: what was raised; to be the cause of the error returned, so that Python shows its traceback.
    """
    file = getattr(sys.modules.get(_owner(model_class).__module__), "__file__", None) or ""
    frames = traceback.extract_tb(error.__traceback__)
    lines = dict.fromkeys(str(frame.lineno) for frame in frames if frame.filename == file)
    place = f" ({Path(file).name}, line {', called from line '.join(reversed(lines))})" if lines else ""
    given = " ".join(f"{key}={value}" for key, value in arguments.items())
    message = ": ".join(filter(None, (type(error).__name__, " ".join(str(error).split()))))
    return InputError(f"{name} cannot be {what} with {given or 'its defaults'}: {message}{place}")


def _owner(model_class: type[PreTrainedModel]) -> type[nn.Module]:
    """The class with the model's code: a bare module's own, not its wrapper."""
    owner: type[nn.Module] = getattr(model_class, "module_class", model_class)
    return owner
