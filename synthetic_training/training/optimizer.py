"""AdamW with gradient clipping, in as few passes over memory as possible, and without waiting for the device.

At the paper's batch of 8 rows, a step moves more bytes for the update than for the forward and backward pass.
In bfloat16 training, the update therefore also writes bfloat16 copies of the weight matrices, which the model
reads instead of converting the weights in each forward pass; the gradients of the copies stay in bfloat16.
The results equal those of autocast, which makes the same copies and converts their gradients to float32.
A weight that the model also reads otherwise, as in ``torch.matrix_exp(layer.weight)``, is rounded there too.
"""

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from dataset_builders import InputError

_BETAS, _EPSILON = (0.9, 0.999), 1e-8

_MOMENTS = ("exp_avg", "exp_avg_sq")


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with gradient clipping.

    Attributes:
        weight_decay: decoupled weight decay, applied to all parameters that have a gradient.
        grad_clip: maximum norm of the gradient of all parameters together; None if it is not clipped.
    """

    weight_decay: float
    grad_clip: float | None


class ClippedAdamW:
    """Updates a model's weights, in float32, from the gradients of a summed loss.

    As in PyTorch's AdamW, the real and imaginary parts of complex weights are updated as separate numbers. A
    weight without a gradient stays as it is, and so do its moments and its number of steps. Replays of a
    recorded step leave out the weights that had no gradient when it was recorded; ``StateBefore`` finds
    forward passes that would not leave out the same ones each time.

    Args:
        model: the model on its device; parameters that require a gradient are updated.
        config: settings of AdamW and of clipping.
        copies: whether linear layers read bfloat16 copies of their weights, available as the attribute
            ``copies``. Gradients of several backward passes must not be accumulated in the copies.

    Attributes:
        copies: bfloat16 copies of weights, which the model reads instead, by name of the weight.
        leaves: the tensors whose gradients are needed: parameters and copies.
        named_leaves: the same by name of the parameter.
        learning_rate: learning rate of the next step, a scalar tensor.
        grad_norm: norm of the last step's gradient before clipping, a scalar tensor.
    """

    def __init__(self, model: nn.Module, config: OptimizerConfig, *, copies: bool) -> None:
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        if not trained:
            raise InputError("the model has no weights that require a gradient; it cannot be trained")
        self._model = model
        self._real = {name: _real(p.detach()) if p.is_complex() else p for name, p in trained.items()}
        matrices = set(_linear_weights(model)) if copies else set()
        self.copies = {
            name: p.detach().bfloat16().requires_grad_() for name, p in trained.items() if name in matrices
        }
        self.learning_rate = torch.zeros((), device=next(iter(trained.values())).device)
        self.grad_norm = torch.zeros_like(self.learning_rate)
        self._config, self._weights = config, trained
        others = {name: p for name, p in trained.items() if name not in self.copies}
        self.named_leaves = {**others, **self.copies}
        self.leaves = list(self.named_leaves.values())
        self._names, self._others = [*others], [self._real[name] for name in others]
        self._adamw = torch.optim.AdamW(
            self._others,
            lr=self.learning_rate,
            betas=_BETAS,
            eps=_EPSILON,
            weight_decay=config.weight_decay,
            fused=True,
            capturable=self.learning_rate.is_cuda,
        )
        # created here, not in the first step with a gradient, which may be the one that is recorded
        self._state = {
            name: {
                "step": torch.zeros_like(self.learning_rate),
                **{key: torch.zeros_like(weight) for key in _MOMENTS},
            }
            for name, weight in self._real.items()
        }
        for name, weight in zip(others, self._others, strict=True):
            self._adamw.state[weight] = self._state[name]
        self._update = torch.compile(_update, dynamic=True) if copies else _update

    def zero_grad(self) -> None:
        """Discard the gradients."""
        for leaf in self.leaves:
            leaf.grad = None

    def step(self, tokens: Tensor, gradients: Sequence[Tensor | None] | None = None) -> Tensor:
        """Update the weights with the clipped gradients divided by ``tokens``.

        Args:
            tokens: number of tokens over which the loss is summed, a scalar tensor.
            gradients: gradients of the leaves, None for leaves without one (default: from the last backward
                pass). Gradients of copies may have any dtype.

        Returns:
            Whether the gradients are finite, a scalar tensor; if not, nothing was updated.

        Raises:
            InputError: a gradient is sparse.
        """
        gradients = [leaf.grad for leaf in self.leaves] if gradients is None else gradients
        for name, weight, gradient in zip(self._names, self._others, gradients, strict=False):
            if gradient is not None and gradient.is_sparse:
                raise InputError(f"AdamW cannot update {name} from a sparse gradient; remove sparse=True")
            weight.grad = None if gradient is None else _real(gradient)
        others = [weight.grad for weight in self._others if weight.grad is not None]
        pairs = zip(self.copies, gradients[len(self._others) :], strict=True)
        copied = {name: gradient for name, gradient in pairs if gradient is not None}
        # grouped by dtype, because a mixed list would be processed tensor by tensor
        norms = [
            norm
            for some in (others, [*copied.values()])
            if some
            for norm in torch._foreach_norm(some, 2, torch.float32)
        ]
        self.grad_norm.copy_(torch.linalg.vector_norm(torch.stack(norms)) / tokens)
        finite = self.grad_norm.isfinite()
        # the same clipping as torch.nn.utils.clip_grad_norm_
        clip = math.inf if self._config.grad_clip is None else self._config.grad_clip
        divisor = tokens * torch.clamp((self.grad_norm + 1e-6) / clip, min=1.0)
        # PyTorch's fused AdamW has these two arguments for GradScaler: it divides the gradients by the first,
        # and skips the update if the second is 1
        vars(self._adamw).update(grad_scale=divisor, found_inf=(~finite).float())
        if copied:  # first, so that nothing was updated if this cannot be compiled
            self._step_of_copies(copied, divisor, finite)
        self._adamw.step()
        return finite

    def do_not_compile(self) -> None:
        """Update uncompiled from now on."""
        self._update = _update

    def without_copies(self) -> "ClippedAdamW":
        """The same optimizer, with the same state, for a model that reads its own weights."""
        other = ClippedAdamW(self._model, self._config, copies=False)
        other.load_state_dict(self.state_dict())
        other.learning_rate.copy_(self.learning_rate)
        return other

    def _step_of_copies(self, gradients: Mapping[str, Tensor], divisor: Tensor, finite: Tensor) -> None:
        before = [self._state[name]["step"] for name in gradients]
        # without alpha, a tensor of one number is read as a Python number, which waits for the device
        steps = torch._foreach_add(before, finite.float(), alpha=1)
        decay = 1 - self.learning_rate * self._config.weight_decay
        # for all weights at once, because these are tiny
        first, second = (
            torch._foreach_add(torch._foreach_neg(torch._foreach_pow(beta, steps)), 1) for beta in _BETAS
        )
        rates = torch._foreach_div([self.learning_rate] * len(steps), first)
        scales = torch._foreach_sqrt(second)
        for (name, gradient), rate, scale in zip(gradients.items(), rates, scales, strict=True):
            mean, square = (self._state[name][key] for key in _MOMENTS)
            tensors = [t.view(-1) for t in (self._weights[name], self.copies[name], gradient, mean, square)]
            with torch.no_grad():
                self._update(tensors, divisor, decay, rate, scale, finite)
        torch._foreach_copy_(before, steps)

    def state_dict(self) -> dict[str, Tensor]:
        """AdamW's moments of each weight, by name, and its number of steps."""
        return {f"{key}/{name}": value for name, own in self._state.items() for key, value in own.items()}

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Continue from a ``state_dict`` of the same model, whose weights have already been loaded.

        Raises:
            InputError: a tensor is missing or has another shape.
        """
        for name, own in self._state.items():
            for key, value in own.items():
                value.copy_(_part(state, f"{key}/{name}", value))
            if name in self.copies:
                self.copies[name].data.copy_(self._weights[name])


def _update(
    tensors: list[Tensor], divisor: Tensor, decay: Tensor, rate: Tensor, scale: Tensor, finite: Tensor
) -> None:
    """The update of one weight, in place.

    Args:
        tensors: the weight, its copy, its gradient and the two moments, each (N,).
        divisor: divisor of the gradient.
        decay: factor by which weight decay multiplies the weight.
        rate: learning rate divided by the first moment's bias correction.
        scale: square root of the second moment's bias correction.
        finite: whether the gradients are finite; if not, nothing is updated.
    """
    weight, copy, gradient, mean, square = tensors
    scaled = gradient.float() / divisor
    new_mean = torch.lerp(mean, scaled, 1 - _BETAS[0])
    new_square = torch.lerp(square, scaled * scaled, 1 - _BETAS[1])
    new_weight = weight * decay - rate * new_mean / (new_square.sqrt() / scale + _EPSILON)
    for old, new in ((mean, new_mean), (square, new_square), (weight, new_weight)):
        old.copy_(torch.where(finite, new, old))
    copy.copy_(weight)


def _real(tensor: Tensor) -> Tensor:
    # the gradient of a conjugated weight may be a tensor that is only marked as conjugated
    return torch.view_as_real(tensor.resolve_conj()) if tensor.is_complex() else tensor


def _linear_weights(model: nn.Module) -> Iterator[str]:
    """Names of the weights of linear layers that have one name.

    If a weight had several, ``functional_call`` would leave its copy in the model.
    """
    named = [*model.named_parameters(remove_duplicate=False)]
    count = Counter(id(parameter) for _, parameter in named)
    linear = {id(module._parameters["weight"]) for module in model.modules() if _is_linear(module)}
    for name, parameter in named:
        if id(parameter) in linear and count[id(parameter)] == 1 and not parameter.is_complex():
            yield name


def _is_linear(module: nn.Module) -> bool:
    # with torch.nn.utils.weight_norm, the weight is no parameter
    return type(module) is nn.Linear and module._parameters.get("weight") is not None


def _part(state: dict[str, Tensor], name: str, like: Tensor) -> Tensor:
    if name not in state or state[name].shape != like.shape:
        raise InputError(f"the optimizer state has no {name} of shape {tuple(like.shape)}")
    return state[name]
