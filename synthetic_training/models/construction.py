"""Creates a model from its configuration, and handles the errors of incompatible sizes."""

import re
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from huggingface_hub.errors import StrictDataclassError
from torch import nn
from torch.nn.parameter import is_lazy
from transformers import PreTrainedConfig, PreTrainedModel

from dataset_builders import InputError
from dataset_builders.checks import first_line
from synthetic_training.memory import is_full
from synthetic_training.models.bare_module import BareModuleForCausalLM
from synthetic_training.models.model_types import PACKAGES, package_of

MISFITS: tuple[type[Exception], ...] = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    RuntimeError,
    StrictDataclassError,
    TypeError,
    ValueError,
)
"""Errors that models raise for an impossible configuration, which their classes do not check.

A handler of these errors calls ``reraise_bug`` first."""

_DELIBERATE = (RuntimeError, StrictDataclassError, ValueError)
"""Errors that this project's classes raise for an impossible configuration, directly or through torch."""


_REFUSALS = (AssertionError, IndexError, ValueError)
"""Errors that a user's own model raises for rows that exceed its context window."""


def reraise_bug(error: Exception) -> None:
    """Raise one of ``MISFITS`` again if it is a bug in this project's code, or in code in a model's folder.

    Also raise it again if it means that a GPU is full, which has nothing to do with the model. An error is a
    bug if this code raised it, rather than a library that it calls: transformers raises ``KeyError`` for an
    unknown activation function.
    """
    if is_full(error):
        raise error
    if not isinstance(error, _DELIBERATE) and _origin(error) in (_OURS, "transformers_modules"):
        raise error


_OURS = __name__.partition(".")[0]


def _origin(error: Exception) -> str:
    """The package of the code that raised an error."""
    *_, (frame, _) = traceback.walk_tb(error.__traceback__)
    return str(frame.f_globals.get("__name__")).partition(".")[0]


@contextmanager
def reading(model: PreTrainedModel, what: str) -> Iterator[None]:
    """Turn the error that a model raises for rows that it cannot read into one sentence.

    Args:
        model: a model. Models of transformers and of ``PACKAGES`` may raise any of ``MISFITS``, other models
            only those of ``_REFUSALS``; other errors are bugs and pass through.
        what: the rows, as the end of the sentence "the model cannot read".

    Raises:
        InputError: the model cannot read them.
    """
    try:
        yield
    except InputError:
        raise
    except MISFITS as error:
        if is_full(error):
            raise
        expected = isinstance(error, _REFUSALS) or package_of(model) in ("transformers", *PACKAGES)
        # on a GPU, an index out of range is an error of a later operation, which may be one of this project
        if not _failed_on_gpu(error) and (_origin(error) == _OURS or not expected):
            raise
        reason = _OUT_OF_RANGE if _failed_on_gpu(error) else first_line(error)
        raise InputError(f"the model cannot read {what}: {reason}") from error


_OUT_OF_RANGE = "an index was out of range on the GPU, such as a position beyond the model's context window"


def _failed_on_gpu(error: Exception) -> bool:
    return "device-side assert" in str(error)


def untrained(model_class: type[PreTrainedModel], config: PreTrainedConfig) -> nn.Module:
    """A new model of ``model_class`` on the current device; for a wrapped module, only the module."""
    if issubclass(model_class, BareModuleForCausalLM):
        return model_class.module_class(vocab_size=config.vocab_size, **(config.arguments or {}))
    return model_class(text_config(config, model_class))


def check_shapes(name: str, model: nn.Module) -> None:
    """Raise InputError if a layer of a model, such as ``LazyLinear``, waits for its first input."""
    for weight, value in model.named_parameters():
        if is_lazy(value):
            raise InputError(
                f"{name} has a lazy layer, whose weight {weight.removeprefix('module.')} has no shape yet; "
                "pass its input size, or call the model at the end of its constructor, as in "
                "self(torch.zeros(1, 1, dtype=torch.long))"
            )


def text_config(config: PreTrainedConfig, model_class: type[PreTrainedModel]) -> PreTrainedConfig:
    """The language model's part of a multimodal configuration; other configurations as they are."""
    part = config.sub_configs.get("text_config")
    return config.get_text_config() if part is not None and part is model_class.config_class else config


def own_code_error(
    name: str, what: str, arguments: Mapping[str, Any], model_class: type[PreTrainedModel], error: Exception
) -> InputError:
    """The error of a user's own model as one sentence, with the lines of its file in the traceback.

    Args:
        name: name of the model.
        what: the operation that failed, as a participle such as "built".
        arguments: arguments from the user.
        model_class: the model's class, or the wrapper of a bare module.
        error: the error that the model raised; the caller makes it the cause of the returned error, so that
            Python shows its traceback.

    Returns:
        The error to raise.
    """
    file = getattr(sys.modules.get(_owner(model_class).__module__), "__file__", None) or ""
    frames = traceback.extract_tb(error.__traceback__)
    lines = dict.fromkeys(str(frame.lineno) for frame in frames if frame.filename == file)
    place = f" ({Path(file).name}, line {', called from line '.join(reversed(lines))})" if lines else ""
    given = " ".join(f"{key}={value}" for key, value in arguments.items())
    reason = _OUT_OF_RANGE if _failed_on_gpu(error) else " ".join(str(error).split())
    message = ": ".join(filter(None, (type(error).__name__, reason)))
    return InputError(f"{name} cannot be {what} with {given or 'its defaults'}: {message}{place}")


def bf16_advice(error: Exception, device: torch.device) -> str:
    """What to pass instead of bf16, as the end of an error message; empty if bfloat16 is not the reason.

    Operations with a float32 matrix, and those without an implementation for bfloat16, fail for this reason.
    """
    if not re.search("bf16|bfloat16", str(error), re.IGNORECASE):
        return ""
    return f"; pass --precision {'tf32' if device.type == 'cuda' else 'fp32'}"


def _owner(model_class: type[PreTrainedModel]) -> type[nn.Module]:
    """The class with the model's code: a bare module's own, not its wrapper."""
    owner: type[nn.Module] = getattr(model_class, "module_class", model_class)
    return owner
