"""After a probe, modules that do more than set a flag when their mode changes are as they were before."""

import torch
from torch import Tensor, nn

from lm_eval_tasks.probe import probe_recall
from tests.models import byte_tokenizer


class Merging(nn.Linear):
    """A layer whose adapter is added to its weights in evaluation mode, as in loralib."""

    def __init__(self, width: int) -> None:
        super().__init__(width, width)
        self.adapter = nn.Parameter(torch.full((width, width), 0.5))
        self.weight.requires_grad_(False)
        self.merged = False

    def train(self, mode: bool = True) -> "Merging":
        super().train(mode)
        if self.merged == mode:
            self.weight.data += self.adapter.data * (-1 if mode else 1)
            self.merged = not mode
        return self

    def forward(self, inputs: Tensor) -> Tensor:
        found = super().forward(inputs)
        return found if self.merged else found + inputs @ self.adapter.T


def test_merged_adapters_are_trained_again_after_a_probe() -> None:
    torch.manual_seed(0)
    trained, frozen = Merging(16), Merging(16)
    model = nn.Sequential(nn.Embedding(257, 16), nn.Sequential(trained, frozen), nn.Linear(16, 257)).train()
    frozen.eval()
    ids = torch.arange(8)[None]
    before = model(ids)
    probe_recall(model, byte_tokenizer(), ["string_copy_10"], num_docs=3)
    assert [one.merged for one in (trained, frozen)] == [False, True]
    assert [one.training for one in (model, model[1], trained, frozen)] == [True, True, True, False]
    after = model(ids)
    assert torch.allclose(before, after, atol=1e-5)
    after.sum().backward()
    assert trained.adapter.grad is not None and trained.adapter.grad.any()
