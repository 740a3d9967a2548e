"""One training step: the batch, its loss, the gradient, and the update of the weights.

Nothing here waits for the device: sums for the metrics stay on the device until ``TrainingStep.read``.
"""

import logging
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.func import functional_call
from transformers import PreTrainedModel

from dataset_builders import InputError
from dataset_builders.checks import first_line
from synthetic_training.data.training_data import Batches
from synthetic_training.memory import is_full
from synthetic_training.models.construction import bf16_advice
from synthetic_training.models.output_positions import OutputPositions
from synthetic_training.training.compilation import CompiledLayers
from synthetic_training.training.distributed import GradientReducer
from synthetic_training.training.graphs import Replayed
from synthetic_training.training.losses import auxiliary_weight, summed_loss
from synthetic_training.training.optimizer import ClippedAdamW, OptimizerConfig
from synthetic_training.training.precision import Precision
from synthetic_training.training.processes import Processes, lost_process
from synthetic_training.training.step_state import StateBefore, module_tensors

log = logging.getLogger(__name__)

_NO_GRAPH = "the training step cannot be recorded as a CUDA graph"


@dataclass(frozen=True)
class StepConfig:
    """How a step is computed.

    Attributes:
        precision: ``bf16`` for autocast; otherwise, everything is float32, and products follow
            ``float32_precision``.
        compile: whether to compile the forward and backward pass. On a GPU, the whole step, including sums
            over processes, is then replayed as a CUDA graph.
        accumulation_steps: number of forward and backward passes per step, each over a part of the rows.
        isolate_examples: whether examples packed into one row cannot attend to each other.
    """

    precision: Precision = "fp32"
    compile: bool = False
    accumulation_steps: int = 1
    isolate_examples: bool = False


@dataclass(frozen=True)
class StepMetrics:
    """Metrics since the last ``read``, over all processes.

    Attributes:
        loss: mean loss over trained tokens, in nats.
        letter_accuracy: fraction of trained tokens to which the model gave the highest probability.
        examples: number of examples trained on.
        grad_norm: gradient norm of the last step, before clipping.
        finite: whether all losses and gradients have been finite since the start.
    """

    loss: float
    letter_accuracy: float
    examples: int
    grad_norm: float
    finite: bool


class TrainingStep:
    """Updates a model with one global batch at a time.

    The loss is the mean over the trained tokens of the global batch. It is summed over processes and passes
    and then divided by the number of tokens, so that splitting a batch differently changes only rounding. If
    the model's output has an ``aux_loss``, its gradient is added, but the reported loss does not include it.

    Args:
        model: the model on its device, in float32.
        batches: source of the rows of each step.
        config: settings of how a step is computed.
        optimizer: settings of AdamW and of clipping.
        rows: number of rows of the global batch that this process trains on.
        processes: the processes that share the batch.
    """

    def __init__(
        self,
        model: PreTrainedModel,
        batches: Batches,
        config: StepConfig,
        optimizer: OptimizerConfig,
        *,
        rows: int,
        processes: Processes | None = None,
    ) -> None:
        self._processes = processes = processes or Processes()
        self._model, self._batches, self._config = model, batches, config
        part = rows // config.accumulation_steps
        first = processes.rank * rows
        self._parts = [(first + i * part, part) for i in range(config.accumulation_steps)]
        self._device = model.device
        on_gpu = self._device.type == "cuda"
        self._bf16 = config.precision == "bf16"
        self._auxiliary_weight = auxiliary_weight(model)
        copies = config.compile and config.accumulation_steps == 1 and self._bf16 and on_gpu
        self._optimizer = ClippedAdamW(model, optimizer, copies=copies)
        self._reducer = GradientReducer(self._optimizer.named_leaves) if processes.count > 1 else None
        self._step = torch.zeros((), dtype=torch.int64, device=self._device)
        self._sums = torch.zeros(len(_COUNTS), dtype=torch.float64, device=self._device)
        self._finite = torch.ones((), dtype=torch.bool, device=self._device)
        self._layers: AbstractContextManager[None] = nullcontext()
        self._outputs: OutputPositions | None = None
        self._batch, self._forward, self._loss = batches.batch, self._forward_pass, summed_loss
        if config.compile:
            self._batch = batches.compile()
            layers = CompiledLayers(model)
            if len(layers):
                self._layers, self._loss = layers, torch.compile(summed_loss)
            else:
                self._forward = torch.compile(self._forward_pass)
        self._may_not_compile = config.compile
        self._read_by_replays: list[Tensor] = []
        self._replayed = Replayed(self._update) if config.compile and on_gpu else None
        self._run: Callable[[], None] = self._replayed or self._update

    def run(self, step: int, learning_rate: float) -> None:
        """Update the weights with the batch of this step, without waiting for the device.

        A model that cannot be compiled runs eagerly, and a step that cannot be recorded as a CUDA graph runs
        kernel by kernel; either logs a warning.

        Raises:
            InputError: compiling or recording fails with several processes, which might not all fall back, an
                operation fails because of bfloat16, or the model's auxiliary loss is not a scalar.
        """
        self._step.fill_(step)
        self._optimizer.learning_rate.fill_(learning_rate)
        warnings: list[str] = []
        recording = self._replayed is not None and self._replayed.records_next
        before = StateBefore(self._model, self._device) if self._may_not_compile or recording else None
        while True:
            try:
                self._run()
            except InputError:
                raise
            except Exception as error:
                # the weights have not changed: compiling fails before the update, and recording runs nothing
                # a recording may need more memory than the steps before
                final = lost_process(error) or (is_full(error) and not recording)
                failed = None if final else self._simplify(error, first=before is not None)
                if failed is None:
                    self._check_precision(error)
                    raise
                recording = False
                if self._processes.count > 1:
                    raise InputError(f"{failed}: {first_line(error)}; pass --compile off") from error
                if before is not None:
                    before.restore()
                warnings.append(f"{failed}, and is slower without: {first_line(error)}")
            else:
                break
        if recording and before is not None:
            # an evaluation may replace them, e.g. by a longer mask; replays go on to read these
            self._read_by_replays = module_tensors(self._model)
            frozen = before.frozen_by_replays(lambda: self._pass(*self._parts[0]))
            if self._processes.max(int(frozen is not None)):  # eager steps exchange more than replays
                self._replayed, self._run = None, self._update
            if frozen is not None:
                warnings.append(f"{_NO_GRAPH}, and is slower without: a forward pass {frozen}")
        self._may_not_compile = False
        for warning in warnings:
            log.warning(warning)

    def _simplify(self, error: Exception, *, first: bool) -> str | None:
        """Disable what has just failed: recording, copies of weights, or compilation; return what failed."""
        if self._replayed is not None and self._replayed.records_next:
            self._replayed, self._run = None, self._update
            return _NO_GRAPH
        if first and self._optimizer.copies and ("same dtype" in str(error) or not self._may_not_compile):
            self._optimizer = self._optimizer.without_copies()
            return "the model cannot read copies of its weights in bfloat16"  # as outside of autocast
        if self._may_not_compile:
            self._may_not_compile = False
            self._batch, self._forward, self._loss = self._batches.batch, self._forward_pass, summed_loss
            self._layers = nullcontext()
            self._optimizer.do_not_compile()
            return "the model cannot be compiled"
        return None

    def _check_precision(self, error: Exception) -> None:
        """Raise ``InputError`` if an operation failed because of bfloat16, such as with a float32 matrix."""
        if self._bf16 and (advice := bf16_advice(error, self._device)):
            raise InputError(f"the model cannot be trained in bf16 ({first_line(error)}){advice}") from error

    def release(self) -> None:
        """Free the work recorded on the device, before the processes disconnect."""
        if self._replayed is not None:
            self._replayed.release()

    def _update(self) -> None:
        """Do the step with the index in ``_step``, reading and writing only tensors with fixed addresses."""
        self._optimizer.zero_grad()
        counts = torch.zeros_like(self._sums)
        for first_row, rows in self._parts:
            loss, found = self._pass(first_row, rows)
            if self._reducer is not None and first_row == self._parts[-1][0]:
                self._reducer.expect()
            loss.backward()
            counts += found
        gradients = None if self._reducer is None else self._reducer.finish()
        self._processes.sum(counts)
        finite = self._optimizer.step(counts[_COUNTS.index("tokens")].float(), gradients)
        self._sums += counts
        self._finite &= finite & counts[0].isfinite()

    def _pass(self, first_row: int, rows: int) -> tuple[Tensor, Tensor]:
        """The loss of some rows of the batch, with the auxiliary loss, and their counts."""
        packed = self._batch(self._step, first_row=first_row, rows=rows)
        positions = packed.position_ids if self._config.isolate_examples else None
        if packed.predicted is not None and self._outputs is None:
            self._outputs = OutputPositions(self._model)
        loss, right, trained, auxiliary = self._forward(
            packed.input_ids, packed.targets, positions, packed.predicted
        )
        counts = torch.stack([loss.detach(), right, trained, packed.examples])
        return loss if auxiliary is None else loss + auxiliary * trained, counts

    def _forward_pass(
        self, input_ids: Tensor, targets: Tensor, position_ids: Tensor | None, predicted: Tensor | None
    ) -> tuple[Any, ...]:
        """Summed loss, numbers of correct and of trained tokens, and the auxiliary loss per trained token.

        Ids are (rows, context_length).
        """
        with torch.autocast(self._device.type, torch.bfloat16, enabled=self._bf16):
            arguments: dict[str, Any] = {"input_ids": input_ids, "use_cache": False}
            if position_ids is not None:
                arguments["position_ids"] = position_ids
            outputs: list[Any] = []

            def logits() -> Tensor:
                with self._layers:
                    outputs.append(functional_call(self._model, self._optimizer.copies, (), arguments))
                found: Tensor = outputs[0].logits
                return found

            if predicted is None or self._outputs is None:
                sums = self._loss(logits(), targets)
            else:
                sums = self._loss(self._outputs.logits(predicted, logits), targets.gather(1, predicted))
            return *sums, self._auxiliary_loss(outputs[0])

    def _auxiliary_loss(self, output: Any) -> Tensor | None:
        """The loss that a mixture of experts adds to balance its experts, weighted as in transformers.

        Raises:
            InputError: it is not a scalar.
        """
        auxiliary: Tensor | None = getattr(output, "aux_loss", None)
        if isinstance(auxiliary, Tensor) and auxiliary.numel() != 1:
            raise InputError(
                f"the model's auxiliary loss must be a scalar, not a tensor of shape {(*auxiliary.shape,)}"
            )
        return None if auxiliary is None else auxiliary * self._auxiliary_weight

    def read(self) -> StepMetrics:
        """The metrics since the last call; waits for the device."""
        everything = torch.cat(
            [self._sums, self._optimizer.grad_norm.double()[None], self._finite.double()[None]]
        )
        loss, right, tokens, examples, grad_norm, finite = everything.tolist()
        self._sums.zero_()
        tokens = max(tokens, 1)
        return StepMetrics(loss / tokens, right / tokens, int(examples), grad_norm, finite == 1)

    def state_dict(self) -> dict[str, Tensor]:
        """AdamW's state by parameter name; metrics that were not read are not included."""
        return self._optimizer.state_dict()

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a ``state_dict`` of the same model.

        Raises:
            InputError: a tensor is missing or has another shape.
        """
        self._optimizer.load_state_dict(state)


_COUNTS = ("loss", "right", "tokens", "examples")
"""The counts of a step, summed over the batch."""
