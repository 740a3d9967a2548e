"""Description of a model architecture in the registry."""

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
        config_class: configuration class, a ``PreTrainedConfig``.
        model_class: model class, a ``PreTrainedModel``.
        defaults: arguments of the configuration, besides the vocabulary.
        extra: arguments that the configuration accepts but does not list.
        sizes_follow: whether missing sizes are derived from width and heads, as in a transformer.
        initialise: function that draws initial weights as in the authors' code, if transformers draws them
            from another distribution.
        use_fast_kernels: function that enables fast kernels for calls without padding or cache, as in
            training. Other calls and saved models are not affected.
        variants: configuration and model class for each value of an argument that selects between classes, by
            name of the argument; the first value is the default.
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
            InputError: an argument has an unknown value.
        """
        found = self
        for argument, values in self.variants.items():
            value = chosen.get(argument, next(iter(values)))
            if value not in values:
                raise InputError(f"{argument} of {name} must be one of {', '.join(values)}, not {value!r}")
            config_class, model_class = values[value]
            found = replace(found, config_class=config_class, model_class=model_class)
        return found
