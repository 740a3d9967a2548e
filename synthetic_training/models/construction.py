"""How a model is created from its configuration, and the errors of sizes that do not fit together."""

from huggingface_hub.errors import StrictDataclassError
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from synthetic_training.models.bare_module import BareModuleForCausalLM


def misfits(model_class: type[PreTrainedModel]) -> tuple[type[Exception], ...]:
    """The exceptions of a class for sizes that do not fit together.

    Classes of transformers, and of packages that register models, do not check sizes and may fail anywhere.
    Our own classes, and code in a folder, raise ValueError or torch's errors, and anything else is a bug.
    """
    ours = (RuntimeError, StrictDataclassError, ValueError)  # RuntimeError: from torch, for wrong sizes
    if model_class.__module__.split(".")[0] in (__name__.split(".")[0], "transformers_modules"):
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
