"""What the registry knows about a model architecture."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, TypeAlias

from transformers import PreTrainedConfig, PreTrainedModel

from dataset_builders import InputError

Classes: TypeAlias = tuple[type[PreTrainedConfig], type[PreTrainedModel]]


@dataclass(frozen=True)
class Architecture:
    """A model architecture.

    Attributes:
        config_class, model_class: classes of transformers, or of the same kind.
        defaults: arguments of the configuration, besides the vocabulary.
        extra: arguments that the configuration accepts but does not list.
        sizes_follow: whether missing sizes are derived from width and heads, as in a transformer.
        initialise: function that draws initial weights as in the authors' code, if those of transformers
            differ.
        use_fast_kernels: function that enables fast kernels for calls without padding and cache, such as in
            training; other calls, and saved models, do not change.
        variants: for an argument that selects between classes, the configuration and model class of each
            value; the first value is the default.
    """

    config_class: type[PreTrainedConfig]
    model_class: type[PreTrainedModel]
    defaults: Mapping[str, Any]
    extra: Mapping[str, Any] = field(default_factory=dict)
    sizes_follow: bool = True
    initialise: Callable[[Any], object] = lambda _: None
    use_fast_kernels: Callable[[Any], object] = lambda _: None
    variants: Mapping[str, Mapping[str, Classes]] = field(default_factory=dict)

    def variant(self, name: str, chosen: Mapping[str, Any]) -> Architecture:
        """The architecture with the classes that these arguments select.

        Raises:
            InputError: an argument has none of the known values.
        """
        found = self
        for argument, values in self.variants.items():
            value = chosen.get(argument, next(iter(values)))
            if value not in values:
                raise InputError(f"{argument} of {name} must be one of {', '.join(values)}, not {value!r}")
            config_class, model_class = values[value]
            found = replace(found, config_class=config_class, model_class=model_class)
        return found
