"""Arguments of a model's configuration, under an architecture's own names or the common names.

Many configurations of transformers have their own names for common sizes, such as GPT-2's ``n_embd`` for
``hidden_size``, and an ``attribute_map`` from the common names to their own. Here, all arguments are
translated to the configuration's own names, so that no size is set twice.
"""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections.abc import Iterable, Mapping
from typing import Any

from transformers import PreTrainedConfig
from transformers.activations import ACT2FN

from dataset_builders import InputError
from dataset_builders.checks import check_integer, did_you_mean, is_integer

_SIZES = (
    "hidden_size", "num_hidden_layers", "num_attention_heads", "num_key_value_heads", "intermediate_size",
    "state_size", "head_dim",
)  # fmt: skip
_ACTIVATIONS = ("hidden_act", "activation_function", "hidden_activation")
VARIADIC = (inspect.Parameter.VAR_KEYWORD, inspect.Parameter.VAR_POSITIONAL)
"""Kinds of parameters that take any number of arguments."""

_LARGEST = 2**31 - 1
MOST_LAYERS = 10_000
"""Maximum number of layers. Configurations create lists with one item per layer, before memory is checked."""

_FEED_FORWARD = ("intermediate_size", "ffn_dim", "decoder_ffn_dim", "dff")
_DECODER = {
    "num_hidden_layers": ("decoder_layers", "num_decoder_layers"),
    "num_attention_heads": ("decoder_attention_heads", "num_decoder_attention_heads"),
}
"""A causal language model uses the decoder of an encoder-decoder configuration."""


@dataclasses.dataclass(frozen=True)
class ConfigArguments:
    """The arguments that a configuration class accepts.

    Args:
        name: name of the model in error messages.
        config_class: configuration class of the model.
        extra: arguments that the class accepts but does not list.
    """

    name: str
    config_class: type[PreTrainedConfig]
    extra: frozenset[str] = frozenset()

    def own_name(self, argument: str) -> str:
        """The name under which the configuration's constructor accepts an argument."""
        listed, common = self._listed, self.config_class.attribute_map
        for decoder in _DECODER.get(argument, ()):
            if decoder in listed:
                return decoder
        stored = common.get(argument, argument)
        # a few constructors accept the common name of an attribute that is stored under another name
        names = [stored, *(key for key, value in common.items() if value == stored)]
        return next((name for name in names if name in listed), stored)

    @property
    def known(self) -> set[str]:
        """All names that a user may pass."""
        common = self.config_class.attribute_map
        return (self._listed | {*common, *common.values(), "attn_implementation"}) - {"architectures"}

    @property
    def _listed(self) -> set[str]:
        fields = {field.name for field in dataclasses.fields(self.config_class)}
        return fields | _constructor_arguments(self.config_class) | self.extra

    def resolve(self, given: Mapping[str, Any], defaults: Mapping[str, Any]) -> dict[str, Any]:
        """All arguments under the configuration's own names.

        Args:
            given: arguments from the user, under any of their names.
            defaults: values of the other arguments; names that the configuration does not accept are ignored.

        Raises:
            InputError: an argument is unknown, is passed twice with different values, or is out of range; or
                a precision is passed.
        """
        for argument in sorted({"dtype", "torch_dtype"} & set(given)):
            raise InputError(
                f"omit {argument}={given[argument]}: the weights of {self.name} are float32; --precision "
                "sets the precision of training"
            )
        refuse_unknown(self.name, given, self.known)
        values: dict[str, Any] = {}
        origin: dict[str, str] = {}
        for argument, value in given.items():
            own = self.own_name(argument)
            if isinstance(value, float) and not math.isfinite(value):
                raise InputError(f"{argument} of {self.name} must be a finite number, not {value}")
            if values.setdefault(own, value) != value:
                raise InputError(
                    f"{origin[own]}={values[own]} and {argument}={value} are the same setting of "
                    f"{self.name}; "
                    "pass one of them"
                )
            origin[own] = argument
        known = self.known
        defaults = {self.own_name(key): value for key, value in defaults.items() if key in known}
        arguments = {**defaults, **values}
        self._check(arguments)
        return arguments

    def transformer_sizes(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """The sizes that a transformer derives from its width and heads, except those that are passed."""
        heads, width = (arguments.get(self.own_name(one)) for one in ("num_attention_heads", "hidden_size"))
        if heads is None or width is None:
            return {}
        follow: dict[str, Any] = {"num_key_value_heads": heads, **dict.fromkeys(_FEED_FORWARD, 4 * width)}
        if "rotary_dim" in self.known:
            follow["rotary_dim"] = min(self.config_class().rotary_dim, width // heads)
        if "attention_types" in self.known:
            layers = arguments[self.own_name("num_hidden_layers")]
            follow["attention_types"] = [[["global", "local"], layers // 2], [["global"], layers % 2]]
        own = {self.own_name(key): value for key, value in follow.items() if key in self.known}
        return {key: value for key, value in own.items() if key not in arguments}

    def _check(self, arguments: Mapping[str, Any]) -> None:
        sizes = {key: arguments.get(self.own_name(key)) for key in _SIZES}
        for key, value in sizes.items():
            if value is not None:
                most = MOST_LAYERS if key == "num_hidden_layers" else _LARGEST
                check_integer(f"{key} of {self.name}", value, least=1, most=most)
        width, heads = sizes["hidden_size"], sizes["num_attention_heads"]
        if width and heads and width % heads and sizes["head_dim"] is None:
            raise InputError(f"hidden_size = {width} must be divisible by num_attention_heads = {heads}")
        for activation in (arguments.get(name) for name in _ACTIVATIONS):
            if isinstance(activation, str) and activation not in ACT2FN:
                raise InputError(
                    f"transformers has no activation {activation!r}{did_you_mean(activation, ACT2FN)}"
                )

    def check_taken(self, config: PreTrainedConfig, given: Mapping[str, Any]) -> None:
        """Check that a configuration has the integers that were passed to it.

        Raises:
            InputError: the configuration has another value for an argument.
        """
        for argument, value in given.items():
            taken = getattr(config, self.own_name(argument), value)
            if is_integer(value) and taken != value:
                raise InputError(f"{self.name} sets {argument} to {taken}; omit {argument}={value}")


def _constructor_arguments(config_class: type[PreTrainedConfig]) -> set[str]:
    """Names of the arguments that a constructor accepts, including those passed on to its base classes."""
    names: set[str] = set()
    for one in config_class.__mro__[: config_class.__mro__.index(PreTrainedConfig)]:
        if "__init__" in vars(one):
            _, *parameters = inspect.signature(vars(one)["__init__"]).parameters.values()
            names |= {parameter.name for parameter in parameters if parameter.kind not in VARIADIC}
            if all(parameter.kind is not parameter.VAR_KEYWORD for parameter in parameters):
                break
    return names


def refuse_unknown(name: str, arguments: Iterable[str], known: Iterable[str]) -> None:
    """Check the names of arguments.

    Raises:
        InputError: a name is unknown; the message suggests the closest known one.
    """
    known = set(known)
    for argument in arguments:
        if argument not in known:
            raise InputError(f"{name} has no argument {argument!r}{did_you_mean(argument, known)}")
