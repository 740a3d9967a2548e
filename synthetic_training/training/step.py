"""One training step: the batch, its loss, the gradient, and the update of the weights.

Nothing here waits for the device: sums of what is reported stay there until ``TrainingStep.read``.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn
from torch.func import functional_call
from transformers import PreTrainedModel

from synthetic_training.config import OptimizerConfig
from synthetic_training.data.strings.packing import IGNORED
from synthetic_training.data.training_data import Batches
from synthetic_training.training.graphs import Replayed
from synthetic_training.training.optimizer import ClippedAdamW

Reduce = Callable[[Tensor], None]
"""Sums a tensor over all processes, in place."""


@dataclass(frozen=True)
class StepMetrics:
    """What happened since the last ``read``, over all processes.

    Attributes:
        loss: mean over trained tokens, in nats.
        letter_accuracy: share of trained tokens that were the arg-max.
        examples: number of examples trained on.
        grad_norm: of the last step, before clipping.
        finite: whether all losses and gradients were, since the beginning.
    """

    loss: float
    letter_accuracy: float
    examples: int
    grad_norm: float
    finite: bool


class TrainingStep:
    """Updates a model by one global batch at a time.

    The loss is the mean over the trained tokens of the global batch. Its parts, of one process or another
    and of one accumulation or another, are summed first and divided by the number of tokens last, so that
    how a batch is shared out changes nothing but rounding.

    Args:
        model: on its device, in float32.
        batches: gives rows of a step.
        optimizer: settings of AdamW and of clipping.
        precision: ``bf16`` for autocast, or ``fp32``.
        compile: whether to compile forward and backward; on one CUDA device, the whole step is then
            replayed as a CUDA graph too.
        accumulate: number of parts in which the rows are worked through.
        isolate: whether an example sees nothing of those before it in its row.
        first_row, rows: this process's rows of the global batch.
        reduce: sums over processes; None where there is one.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        batches: Batches,
        optimizer: OptimizerConfig,
        *,
        precision: str,
        compile: bool = False,  # noqa: A002
        accumulate: int = 1,
        isolate: bool = False,
        first_row: int = 0,
        rows: int,
        reduce: Reduce | None = None,
    ) -> None:
        self._model, self._batches, self._reduce = model, batches, reduce
        self._bf16, self._isolate, self._clip = precision == "bf16", isolate, optimizer.clip
        part = rows // accumulate
        self._parts = [(first_row + i * part, part) for i in range(accumulate)]
        self._device = model.device
        alone = reduce is None
        self._optimizer = ClippedAdamW(
            model,
            optimizer,
            copies=compile and alone and accumulate == 1 and self._bf16 and self._device.type == "cuda",
        )
        self._at = torch.zeros((), dtype=torch.int64, device=self._device)
        self._sums = torch.zeros(len(_COUNTS), dtype=torch.float64, device=self._device)
        self._finite = torch.ones((), dtype=torch.bool, device=self._device)
        self._batch = torch.compile(batches.batch, fullgraph=True) if compile else batches.batch
        self._forward = torch.compile(self._loss) if compile else self._loss
        replayed = compile and alone and self._device.type == "cuda"
        self._work = Replayed(self._whole) if replayed else self._whole

    def run(self, step: int, learning_rate: float) -> None:
        """Update the weights by the batch of this step, without waiting for the device."""
        self._at.fill_(step)
        self._optimizer.learning_rate.fill_(learning_rate)
        self._work()

    def _whole(self) -> None:
        """The step that ``_at`` says; all that it reads and leaves are tensors that stay where they are."""
        self._optimizer.zero_grad()
        counts = torch.zeros_like(self._sums)
        for first_row, rows in self._parts:
            packed = self._batch(self._at, first_row=first_row, rows=rows)
            positions = packed.position_ids if self._isolate else None
            loss, right, trained = self._forward(packed.input_ids, packed.targets, positions)
            loss.backward()
            counts += torch.stack([loss.detach(), right, trained, packed.examples])
        if self._reduce is not None:
            _reduce_together(self._optimizer.gradients(), self._reduce)
            self._reduce(counts)
        finite = self._optimizer.step(counts[_COUNTS.index("tokens")].float())
        self._sums += counts
        self._finite &= finite & counts[0].isfinite()

    def _loss(self, input_ids: Tensor, targets: Tensor, position_ids: Tensor | None) -> tuple[Tensor, ...]:
        """Summed loss, and numbers of right and of trained tokens, of rows of (rows, context)."""
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            arguments: dict[str, Any] = {"input_ids": input_ids, "use_cache": False}
            if position_ids is not None:
                arguments["position_ids"] = position_ids
            logits = functional_call(self._model, self._optimizer.copies, (), arguments).logits
        loss = nn.functional.cross_entropy(
            logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
        )
        return loss, (logits.argmax(-1) == targets).sum(), (targets != IGNORED).sum()

    def read(self) -> StepMetrics:
        """What happened since the last call; waits for the device."""
        everything = torch.cat(
            [self._sums, self._optimizer.grad_norm.double()[None], self._finite.double()[None]]
        )
        loss, right, tokens, examples, grad_norm, finite = everything.tolist()
        self._sums.zero_()
        tokens = max(tokens, 1)
        return StepMetrics(loss / tokens, right / tokens, int(examples), grad_norm, finite == 1)

    def state_dict(self) -> dict[str, Tensor]:
        """AdamW's state under the parameters' names; sums that were not read are lost."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a ``state_dict`` of the same model.

        Raises:
            InputError: a part is missing or of another shape.
        """
        self._optimizer.load_state_dict(state)


_COUNTS = ("loss", "right", "tokens", "examples")
"""What a step counts, summed over the batch."""


def _reduce_together(tensors: list[Tensor], reduce: Reduce) -> None:
    """Sum over processes in one message: many small ones would cost a round trip each."""
    flat = torch.cat([tensor.flatten() for tensor in tensors])
    reduce(flat)
    torch._foreach_copy_(
        tensors,
        [part.view_as(t) for part, t in zip(flat.split([t.numel() for t in tensors]), tensors, strict=True)],
    )
