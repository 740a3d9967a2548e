"""A user's own ``PreTrainedModel`` that would generate wrong answers, or none, is named before training."""

from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import GenerationMixin, PreTrainedConfig, PreTrainedModel
from transformers.modeling_outputs import CausalLMOutput

from synthetic_training.models.behaviour import check_own_model
from synthetic_training.models.registry import build_model
from tests.gated_linear_attention import GatedLinearAttention

HERE = __name__


class Config(PreTrainedConfig):
    model_type = "without_state"

    def __init__(self, vocab_size: int = 30, layers: int | None = None, **others: Any) -> None:
        self.vocab_size = vocab_size
        if layers is not None:
            self.num_hidden_layers = layers
        super().__init__(**others)


class WithoutState(PreTrainedModel, GenerationMixin):
    """Reads all tokens in each call, and accepts a state without using it."""

    config_class = Config

    def __init__(self, config: Config) -> None:
        super().__init__(config)
        self.net = GatedLinearAttention(config.vocab_size, hidden_size=16, num_attention_heads=2)
        self.post_init()

    def forward(self, input_ids: Tensor, attention_mask: Any = None, use_cache: Any = None, **_: Any) -> Any:
        return CausalLMOutput(logits=self.net(input_ids))


class TakesNoState(WithoutState):
    def forward(self, input_ids: Tensor, attention_mask: Any = None, use_cache: Any = None) -> Any:  # type: ignore[override]
        return CausalLMOutput(logits=self.net(input_ids))


class ReadsAll(WithoutState):
    """Has the code that generation without a state needs."""

    @classmethod
    def _supports_default_dynamic_cache(cls) -> bool:
        return False

    def prepare_inputs_for_generation(
        self, input_ids: Tensor, attention_mask: Any = None, **_: Any
    ) -> dict[str, Any]:
        return {"input_ids": input_ids}


WRONG = "generated answers of it would be wrong: generate gives other logits than forward; let forward return"


@pytest.mark.parametrize("bf16", [False, True])
@pytest.mark.parametrize(
    ("name", "arguments", "warning"),
    [
        ("WithoutState", {"layers": 2}, WRONG),
        ("WithoutState", {}, "cannot generate answers (AttributeError: 'Config' object has no attribute"),
        ("TakesNoState", {"layers": 2}, "cannot generate answers (TypeError: "),
        ("ReadsAll", {"layers": 2}, None),
        ("ReadsAll", {}, None),
    ],
)
def test_wrong_answers_are_foreseen(
    name: str, arguments: dict[str, int], warning: str | None, bf16: bool
) -> None:
    model = build_model(f"{HERE}:{name}", **arguments)
    warnings = check_own_model("it", model, 16, bf16=bf16, saves=False)
    assert [warning is not None and warning in one for one in warnings] == [True] * (warning is not None)
    if warning in (None, WRONG):  # as lm-eval calls it
        torch.manual_seed(0)
        for weight in model.parameters():
            nn.init.normal_(weight)
        ids = torch.arange(8)[None]
        options = {"max_new_tokens": 5, "min_new_tokens": 5, "do_sample": False, "pad_token_id": 0}
        options |= {"output_logits": True, "return_dict_in_generate": True}
        found = model.eval().generate(ids, attention_mask=torch.ones_like(ids), use_cache=True, **options)
        with torch.no_grad():
            right = model(found.sequences).logits[:, 7:-1]
        error = (torch.stack(found.logits, dim=1) - right).abs().max() / right.abs().max()
        assert (error < 1e-3) == (warning is None)
