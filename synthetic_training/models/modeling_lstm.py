"""A stacked LSTM as a language model: embedding, LSTM, linear head (arXiv 2402.01032, section 3).

This file is copied into the folder of a saved model, so it imports only torch and transformers.

Shapes: B batch, L tokens, W width, N layers.
"""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutputWithPast

_STATE = "cache" if "cache" in CausalLMOutputWithPast.__dataclass_fields__ else "past_key_values"
"""Name of the state in outputs: ``cache`` in transformers from 5.24 on."""


class LstmConfig(PreTrainedConfig):
    """Sizes and settings of the model.

    Attributes:
        hidden_size: width of the embedding and of the layers.
        num_hidden_layers: number of layers.
        dropout: fraction of the outputs of all layers but the last that is zeroed in training, from 0 to
            below 1.
        head_bias: whether the head has a bias.
        initial_weights: ``orthogonal`` or ``uniform``, see ``LstmForCausalLM``.

    Raises:
        ValueError: dropout or initial weights have another value.
    """

    model_type = "lstm_lm"

    vocab_size: int = 30
    hidden_size: int = 1024
    num_hidden_layers: int = 4
    use_cache: bool = True
    bos_token_id: int | None = None
    eos_token_id: int | list[int] | None = None
    pad_token_id: int | None = None
    tie_word_embeddings: bool = False
    dropout: float = 0.0
    head_bias: bool = False
    initial_weights: str = "orthogonal"

    def __post_init__(self, **kwargs: Any) -> None:
        super().__post_init__(**kwargs)
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, not {self.dropout}")
        if self.initial_weights not in ("orthogonal", "uniform"):
            raise ValueError(f"initial_weights must be orthogonal or uniform, not {self.initial_weights!r}")


class LstmState:
    """The LSTM's state after the tokens so far: hidden and cell values, each (N, B, W)."""

    is_compileable = False

    def __init__(self, hidden: Tensor, cell: Tensor, length: int) -> None:
        self.hidden, self.cell, self.length = hidden, cell, length

    def get_seq_length(self, _layer: int = 0) -> int:
        """Number of tokens so far, including padding."""
        return self.length

    def reorder_cache(self, beam_idx: Tensor) -> None:
        """Select the rows with these indices, for beam search."""
        self.hidden = self.hidden.index_select(1, beam_idx)
        self.cell = self.cell.index_select(1, beam_idx)


class LstmForCausalLM(PreTrainedModel, GenerationMixin):
    """Embedding, ``num_hidden_layers`` layers of LSTM, linear head.

    With ``orthogonal`` initial weights, embeddings start as N(0, 1); input weights are Xavier uniform,
    recurrent weights are orthogonal for each gate, and biases are 0, except in the forget gate, where they
    are 1 (Jozefowicz et al. 2015); the head is N(0, 1 / W). With ``uniform`` initial weights, as in the
    code released with the paper, embeddings are uniform within 0.1 of 0, and everything else within
    1 / sqrt(W), except the head's bias, which is 0.
    """

    config_class = LstmConfig
    base_model_prefix = "model"
    _is_stateful = True

    def __init__(self, config: LstmConfig) -> None:
        super().__init__(config)
        width = config.hidden_size
        self.embed = nn.Embedding(config.vocab_size, width)
        # dropout is between layers, and torch warns about it if there is only one layer
        dropout = config.dropout if config.num_hidden_layers > 1 else 0.0
        self.lstm = nn.LSTM(width, width, config.num_hidden_layers, batch_first=True, dropout=dropout)
        self.lm_head = nn.Linear(width, config.vocab_size, bias=config.head_bias)
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        if isinstance(module, nn.Linear) and module.bias is not None:
            nn.init.zeros_(module.bias)
        if self.config.initial_weights == "uniform":
            self._init_uniform(module)
        elif isinstance(module, nn.Embedding):
            nn.init.normal_(module.weight)
        elif isinstance(module, nn.Linear):
            nn.init.normal_(module.weight, std=module.in_features**-0.5)
        elif isinstance(module, nn.LSTM):
            for name, parameter in module.named_parameters():
                if name.startswith("weight_ih"):
                    nn.init.xavier_uniform_(parameter)
                elif name.startswith("weight_hh"):
                    for gate in parameter.data.chunk(4):
                        nn.init.orthogonal_(gate)
                else:
                    nn.init.zeros_(parameter)
                    if name.startswith("bias_ih"):
                        nn.init.ones_(parameter.data.chunk(4)[1])

    def _init_uniform(self, module: nn.Module) -> None:
        bound = self.config.hidden_size**-0.5
        if isinstance(module, nn.Embedding):
            nn.init.uniform_(module.weight, -0.1, 0.1)
        elif isinstance(module, nn.Linear):
            nn.init.uniform_(module.weight, -bound, bound)
        elif isinstance(module, nn.LSTM):
            for parameter in module.parameters():
                nn.init.uniform_(parameter, -bound, bound)

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    def get_input_embeddings(self) -> nn.Embedding:
        """The embedding of tokens."""
        return self.embed

    def forward(
        self,
        input_ids: Tensor,
        attention_mask: Tensor | None = None,
        past_key_values: LstmState | None = None,
        cache: LstmState | None = None,
        labels: Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | Tensor = 0,
        **kwargs: Any,
    ) -> CausalLMOutputWithPast:
        """Logits of the next token, (B, L, V), and the state after the last token.

        ``input_ids`` (B, L) are the new tokens. ``attention_mask`` is 0 for padding at either end of a row,
        which does not affect other tokens; it covers the new tokens, or all tokens so far.
        ``cache`` is the name of ``past_key_values`` in transformers from 5.24 on.
        """
        embedded = self.embed(input_ids)
        before = past_key_values if cache is None else cache
        past = None if before is None else (before.hidden, before.cell)
        length = input_ids.shape[1]
        if attention_mask is not None:
            attention_mask = attention_mask[:, -length:]
        if attention_mask is None or attention_mask.all():
            states, (hidden, cell) = self.lstm(embedded, past)
        else:
            states, (hidden, cell) = self._skip_padding(embedded, attention_mask, past)
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(states[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits, labels, vocab_size=self.config.vocab_size, **kwargs)
        state = None
        if self.config.use_cache if use_cache is None else use_cache:
            seen = 0 if before is None else before.length
            state = LstmState(hidden, cell, seen + length)
        return CausalLMOutputWithPast(loss=loss, logits=logits, **{_STATE: state})

    def _skip_padding(
        self, embedded: Tensor, mask: Tensor, past: tuple[Tensor, Tensor] | None
    ) -> tuple[Tensor, tuple[Tensor, Tensor]]:
        """Run only each row's real tokens, moved to the start of the row and back."""
        length = mask.shape[1]
        position = torch.arange(length, device=mask.device)
        start = mask.long().argmax(dim=1, keepdim=True)
        lengths = mask.sum(dim=1).clamp(min=1).long()
        forth = (position + start) % length
        back = (position - start) % length
        moved = embedded.gather(1, forth[..., None].expand_as(embedded))
        packed = pack_padded_sequence(moved, lengths.cpu(), batch_first=True, enforce_sorted=False)
        output, last = self.lstm(packed, past)
        states, _ = pad_packed_sequence(output, batch_first=True, total_length=length)
        return states.gather(1, back[..., None].expand_as(states)), last


LstmConfig.register_for_auto_class()
LstmForCausalLM.register_for_auto_class("AutoModelForCausalLM")
