"""A bare ``torch.nn.Module`` as a causal language model of transformers.

The module maps token ids (B, L) to logits (B, L, V); the logits at a position may depend only on tokens up to
it. The module need not handle padding: each row is shifted so that its first real token is at position 0.

Each generated token takes a forward pass over all previous tokens, unless the module has the method
``forward_with_state``, which maps ids (B, L) and a state to logits (B, L, V) and the next state. It is called
with a prompt and None, and then with one token (B, 1) at a time. A batch with padding is read without states.

If the module has the attribute ``auxiliary_loss``, a scalar, after a forward pass, training adds it to the
mean cross-entropy. An integer under ``max_position_embeddings`` is its context window.

This file is copied into the folder of a saved model, so it imports only torch and transformers.

Shapes: B batch, L tokens, V vocabulary.
"""

from __future__ import annotations

from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import MoeCausalLMOutputWithPast

_STATE = "cache" if "cache" in MoeCausalLMOutputWithPast.__dataclass_fields__ else "past_key_values"
"""Name of the state in outputs: ``cache`` in transformers from 5.24 on."""


class BareModuleConfig(PreTrainedConfig):
    """Arguments with which the module is created: ``module_class(vocab_size=vocab_size, **arguments)``.

    Attributes:
        module: origin of the class, as ``module.path:ClassName``, for information only.
        arguments: arguments of the class, besides ``vocab_size``.
    """

    model_type = "bare_module"

    vocab_size: int = 30
    module: str | None = None
    arguments: dict[str, Any] | None = None
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None
    tie_word_embeddings: bool = True
    use_cache: bool = True


def _in_default_precision(tensor: Tensor) -> Tensor:
    """A weight or buffer in the default precision, unless it is in float32.

    ``from_pretrained`` would keep another precision, such as that of a matrix from NumPy, in which the module
    was not trained.
    """
    if tensor.dtype == torch.complex128:
        return tensor.to(torch.complex64)
    other = tensor.is_floating_point() and tensor.dtype != torch.float32
    return tensor.to(torch.get_default_dtype()) if other else tensor


class ModuleState:
    """What ``forward_with_state`` has returned after ``length`` tokens."""

    is_compileable = False

    def __init__(self, state: Any, length: int) -> None:
        self.state, self.length = state, length

    def get_seq_length(self, _layer: int = 0) -> int:
        """Number of tokens so far."""
        return self.length


class BareModuleForCausalLM(PreTrainedModel, GenerationMixin):
    """Wraps ``module_class``, which a subclass sets; initial weights are the module's own."""

    config_class = BareModuleConfig
    base_model_prefix = "model"
    _is_stateful = True
    module_class: ClassVar[type[nn.Module]]

    @classmethod
    def around(cls, module_class: type[nn.Module]) -> type[BareModuleForCausalLM]:
        """The wrapper of a class; every call with the same class returns the same wrapper."""
        for known in cls.__subclasses__():
            if known.module_class is module_class:
                return known
        return type(f"{module_class.__name__}ForCausalLM", (cls,), {"module_class": module_class})

    def __init__(self, config: BareModuleConfig) -> None:
        super().__init__(config)
        # from_pretrained builds models on the meta device, where buffers that are not in the checkpoint would
        # have no values
        with torch.device("cpu"):
            self.module = self.module_class(vocab_size=config.vocab_size, **(config.arguments or {}))
        self.module._apply(_in_default_precision)
        if isinstance(limit := getattr(self.module, "max_position_embeddings", None), int):
            config.max_position_embeddings = limit
        self._tied_weights_keys = self._shared_tensors()
        self._constants = self._unsaved_buffers()
        self.post_init()

    def _shared_tensors(self) -> dict[str, str]:
        """The tied weights and buffers: each additional name of a saved tensor, with its first name."""
        first: dict[Tensor, str] = {}
        unsaved = {id(buffer) for _, buffer in self.named_non_persistent_buffers()}
        buffers = self.named_buffers(remove_duplicate=False)
        named: list[tuple[str, Tensor]] = [*self.named_parameters(remove_duplicate=False)]
        named += [(name, buffer) for name, buffer in buffers if id(buffer) not in unsaved]
        return {name: known for name, tensor in named if (known := first.setdefault(tensor, name)) != name}

    def get_parameter(self, target: str) -> nn.Parameter:
        """A weight by name. Buffers too, because ``from_pretrained`` looks up tied tensors by this method."""
        owner, _, name = target.rpartition(".")
        known: nn.Parameter | None = self.get_submodule(owner)._buffers.get(name)
        return super().get_parameter(target) if known is None else known

    def _unsaved_buffers(self) -> dict[nn.Module, dict[str, Tensor]]:
        """The non-persistent buffers, by the module that contains them."""
        unsaved = dict(self.named_non_persistent_buffers())
        found: dict[nn.Module, dict[str, Tensor]] = {}
        for name, buffer in unsaved.items():
            owner, _, short = name.rpartition(".")
            found.setdefault(self.get_submodule(owner), {})[short] = buffer
        return found

    def _init_weights(self, module: nn.Module) -> None:
        for name, value in self._constants.get(module, {}).items():
            # not in place: the elements of an expanded buffer share memory
            module._buffers[name] = value.to(module.get_buffer(name))

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: ModuleState | None = None,
        cache: ModuleState | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        return_dict: bool | None = None,  # noqa: ARG002  always one
    ) -> MoeCausalLMOutputWithPast:
        """Logits of the next token, (B, L, V), the loss if ``labels`` are passed, and the state if any.

        ``attention_mask`` (B, L) is 0 for padding, at either end of a row; logits of padding are meaningless.
        ``cache`` is the name of ``past_key_values`` in transformers from 5.24 on.
        """
        padding = None if attention_mask is None or bool(attention_mask.all()) else attention_mask
        past, state = past_key_values if cache is None else cache, None
        if padding is not None:
            logits = self._without_padding(input_ids, padding)
        elif (use_cache or past is not None) and hasattr(self.module, "forward_with_state"):
            before = ModuleState(None, 0) if past is None else past
            read: Any = self.module.forward_with_state
            logits, after = read(input_ids, before.state)
            state = ModuleState(after, before.length + input_ids.shape[1])
        else:
            logits = self.module(input_ids)
        if logits.shape != (*input_ids.shape, self.config.vocab_size):
            raise ValueError(
                f"{self.module_class.__name__} must map ids {tuple(input_ids.shape)} to logits "
                f"{(*input_ids.shape, self.config.vocab_size)}, not {tuple(logits.shape)}"
            )
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = logits[:, kept]
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, vocab_size=self.config.vocab_size)
        auxiliary = getattr(self.module, "auxiliary_loss", None)
        return MoeCausalLMOutputWithPast(loss=loss, aux_loss=auxiliary, logits=logits, **{_STATE: state})

    def _without_padding(self, input_ids: Tensor, attention_mask: Tensor) -> Tensor:
        """Logits of padded rows, which are shifted so that their first real tokens are at position 0."""
        place = torch.arange(input_ids.shape[1], device=input_ids.device)
        start = attention_mask.long().argmax(dim=1, keepdim=True)
        moved: Tensor = self.module(input_ids.gather(1, (place + start) % len(place)))
        back = (place - start) % len(place)
        return moved.gather(1, back[..., None].expand_as(moved))

    def prepare_inputs_for_generation(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: ModuleState | None = None,
        cache: ModuleState | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | None = None,
        **_unused: Any,
    ) -> dict[str, Any]:
        """The tokens that the state does not include; without a state, all tokens so far.

        ``cache`` is the name of ``past_key_values`` in transformers from 5.24 on.
        """
        state = past_key_values if cache is None else cache
        new = input_ids if state is None else input_ids[:, state.length :]
        kept = {} if logits_to_keep is None else {"logits_to_keep": logits_to_keep}
        state_arguments = {"past_key_values": state, "use_cache": use_cache}
        return {"input_ids": new, "attention_mask": attention_mask, **state_arguments, **kept}
