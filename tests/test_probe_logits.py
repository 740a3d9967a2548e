"""Models of other projects: the logits that they return in many ways, or do not return."""

import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from dataset_builders import InputError
from lm_eval_tasks.probe import probe_recall
from lm_eval_tasks.probe.logits import logits_of
from tests.models import byte_tokenizer, tiny_model

TASKS = ["string_copy_5"]


class Sums(nn.Module):
    """Logits from the sum of the embeddings so far; subclasses return them as other projects do."""

    def __init__(self, vocabulary: int = 257) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.embedding = nn.Embedding(257, 16)
        self.head = nn.Linear(16, vocabulary)

    def forward(self, ids: Tensor) -> Any:
        return self.head(self.embedding(ids).cumsum(1))


class LastUnlessTargets(Sums):
    """Like nanoGPT's model: without targets, it returns the logits of only the last position."""

    def forward(self, ids: Tensor, targets: Tensor | None = None) -> Any:
        logits = super().forward(ids)
        return (logits[:, [-1]], None) if targets is None else (logits, logits.mean())


class LossFirst(Sums):
    def forward(self, ids: Tensor) -> Any:
        logits = super().forward(ids)
        return logits.mean(), logits


class NoLoss(Sums):
    def forward(self, ids: Tensor) -> Any:
        return [None, super().forward(ids)]


class Dictionary(Sums):
    def forward(self, ids: Tensor) -> Any:
        return {"loss": None, "logits": super().forward(ids)}


class Attribute(Sums):
    def forward(self, ids: Tensor) -> Any:
        return SimpleNamespace(logits=super().forward(ids), hidden=None)


class Named(Sums):
    def forward(self, *, tokens: Tensor) -> Any:
        return super().forward(tokens)


class WithPositions(Sums):
    def forward(self, ids: Tensor, positions: Tensor) -> Any:
        return super().forward(ids + 0 * positions)


class AllButLast(Sums):
    def forward(self, ids: Tensor) -> Any:
        return super().forward(ids)[:, :-1]


class Flat(Sums):
    def forward(self, ids: Tensor) -> Any:
        return super().forward(ids).flatten(0, 1)


class TimeFirst(Sums):
    def forward(self, ids: Tensor) -> Any:
        return super().forward(ids).transpose(0, 1)


class Silent(Sums):
    def forward(self, ids: Tensor) -> Any:
        return SimpleNamespace(hidden=super().forward(ids))


def score(model: nn.Module, **options: Any) -> Any:
    return probe_recall(model, byte_tokenizer(), TASKS, num_docs=4, **options)


@pytest.mark.parametrize("kind", [LossFirst, NoLoss, Dictionary, Attribute])
def test_logits_are_found_in_what_a_model_returns(kind: type[Sums]) -> None:
    assert score(kind()) == score(Sums())


@pytest.mark.parametrize(
    ("kind", "forward"),
    [
        (LastUnlessTargets, lambda model, ids: model(ids, targets=ids)[0]),
        (Named, lambda model, ids: model(tokens=ids)),
        (WithPositions, lambda model, ids: model(ids, torch.arange(ids.shape[1]))),
        (AllButLast, Sums.forward),
        (Flat, lambda model, ids: model(ids).unflatten(0, ids.shape)),
        (TimeFirst, lambda model, ids: model(ids).transpose(0, 1)),
        (Silent, lambda model, ids: model(ids).hidden),
    ],
)
def test_other_models_are_refused_and_run_by_a_function(kind: type[Sums], forward: Any) -> None:
    message = r"(logits of shape|no logits of shape|cannot be called with token ids alone).*pass forward="
    for options in ({}, {"batch_tokens": 1}):
        with pytest.raises(InputError, match=message):
            score(kind(), **options)
    assert score(kind(), forward=forward) == score(Sums())


def test_a_vocabulary_may_be_padded_but_not_cut() -> None:
    cut = re.escape("the documents contain the token 256, but Sums returns logits of only 200 tokens")
    with pytest.raises(InputError, match=cut):
        score(Sums(200))
    padded, found = Sums(300), score(Sums())["string_copy_5"]
    with torch.no_grad():
        padded.head.weight[:257], padded.head.bias[:257] = Sums().head.weight, Sums().head.bias
        padded.head.weight[257:], padded.head.bias[257:] = 0, -1e9
    assert score(padded)["string_copy_5"].logprob_per_token == pytest.approx(found.logprob_per_token)


class Wrapper(nn.Module):
    """Passes everything on, as the wrappers of FSDP1 and DeepSpeed do."""

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module

    def forward(self, *arguments: Any, **options: Any) -> Any:
        return self.module(*arguments, **options)


class Adapted(nn.Module):
    """A model with an adapter, whose interface is that of PEFT's models."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.base_model = model
        self.peft_config: Any = {}

    def get_base_model(self) -> nn.Module:
        return self.base_model

    def forward(self, input_ids: Tensor | None = None, labels: Tensor | None = None, **options: Any) -> Any:
        return self.base_model(input_ids=input_ids, labels=labels, **options)


def test_wrapped_models_compute_only_the_logits_that_are_scored() -> None:
    model = tiny_model("llama")
    ids = torch.arange(24)[None]
    whole = model(ids).logits[:, -3:]
    for wrapped in (model, Wrapper(model), Adapted(model), Wrapper(Adapted(model))):
        logits = logits_of(wrapped, ids, last=3, largest=23, forward=None)
        assert logits.shape == (1, 3, 257)
        assert torch.allclose(logits, whole, atol=1e-5)
    assert logits_of(Wrapper(Sums()), ids, last=3, largest=23, forward=None).shape == (1, 24, 257)
