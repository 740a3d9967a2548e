"""An untrained causal model that recalls some documents and not others."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import PretrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput


class NgramConfig(PretrainedConfig):
    model_type = "ngram_lookup"

    def __init__(self, n: int = 4, vocab_size: int = 259, **others: Any) -> None:
        self.n = n
        super().__init__(vocab_size=vocab_size, **others)


class NgramModel(PreTrainedModel):
    """Predicts the token that followed the previous occurrence of the last ``n`` tokens, or else token 0.

    If surnames are unique in a phone book, it finds the number; otherwise it may find another number.
    """

    config_class = NgramConfig

    def __init__(self, config: NgramConfig) -> None:
        super().__init__(config)
        self.scale = nn.Parameter(torch.tensor(5.0))
        self.passes: list[torch.Size] = []
        self.post_init()

    def _init_weights(self, module: nn.Module) -> None:
        pass

    def forward(self, input_ids: Tensor, attention_mask: Tensor | None = None, **_: Any) -> CausalLMOutput:
        self.passes.append(input_ids.shape)
        n, (rows, length) = self.config.n, input_ids.shape
        padded = torch.cat([torch.full((rows, n - 1), -1), input_ids], dim=1)
        grams = padded.unfold(1, n, 1)  # of which the last token is that of the position
        guesses = torch.zeros(rows, length, dtype=torch.long)
        for row in range(rows):
            seen: dict[tuple[int, ...], int] = {}
            tokens = input_ids[row].tolist()
            for at, gram in enumerate(map(tuple, grams[row].tolist())):
                guesses[row, at] = seen.get(gram, 0)
                if at + 1 < length:
                    seen[gram] = tokens[at + 1]
        logits = nn.functional.one_hot(guesses, self.config.vocab_size) * self.scale
        return CausalLMOutput(logits=logits)
