"""AdamW with clipped gradients, in as few passes over memory as it takes, and without waiting for the device.

At the paper's batch of 8 rows a step moves more bytes for its update than for its arithmetic. Where the
model runs in bfloat16, its matrices are therefore read from copies in bfloat16 that the update writes, in
place of being converted at each forward, and their gradients stay as the products leave them. The numbers
are those of autocast, which makes the same copies and then converts the same gradients to float32.
"""

from collections.abc import Iterator

import torch
from torch import Tensor, nn

from dataset_builders import InputError
from synthetic_training.config import OptimizerConfig

_BETAS, _EPSILON = (0.9, 0.999), 1e-8

_MOMENTS = ("exp_avg", "exp_avg_sq")


class ClippedAdamW:
    """Updates a model's weights, in float32, by the gradients of a summed loss.

    Args:
        model: on its device; what requires a gradient is updated.
        settings: of AdamW and of clipping.
        copies: whether linear layers read copies of their weights in bfloat16, which ``copies`` then holds
            by the weights' names. Gradients of two backward passes must not be summed in them.
    """

    def __init__(self, model: nn.Module, settings: OptimizerConfig, *, copies: bool) -> None:
        trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
        matrices = set(_linear_weights(model)) if copies else set()
        self.copies = {
            name: p.detach().bfloat16().requires_grad_() for name, p in trained.items() if name in matrices
        }
        self.learning_rate = torch.zeros((), device=next(iter(trained.values())).device)
        self.grad_norm = torch.zeros_like(self.learning_rate)
        self._settings, self._weights = settings, trained
        self._others = [p for name, p in trained.items() if name not in self.copies]
        self._adamw = torch.optim.AdamW(
            self._others,
            lr=self.learning_rate,
            betas=_BETAS,
            eps=_EPSILON,
            weight_decay=settings.weight_decay,
            fused=True,
            capturable=self.learning_rate.is_cuda,
        )
        self._steps = torch.zeros_like(self.learning_rate)
        self._moments = {
            name: {key: torch.zeros_like(trained[name]) for key in _MOMENTS} for name in self.copies
        }
        self._update = torch.compile(_update, dynamic=True) if copies else _update

    def zero_grad(self) -> None:
        """Forget the gradients."""
        for leaf in (*self._others, *self.copies.values()):
            leaf.grad = None

    def gradients(self) -> list[Tensor]:
        """Of all weights; zeros for one that takes no part in the output."""
        others, copied = self._gradients()
        return others + copied

    def _gradients(self) -> tuple[list[Tensor], list[Tensor]]:
        for leaf in (*self._others, *self.copies.values()):
            if leaf.grad is None:
                leaf.grad = torch.zeros_like(leaf)
        others = [leaf.grad for leaf in self._others if leaf.grad is not None]
        return others, [leaf.grad for leaf in self.copies.values() if leaf.grad is not None]

    def step(self, tokens: Tensor) -> Tensor:
        """Update by the clipped gradients over ``tokens``; whether they are finite, for else nothing changes.

        Args:
            tokens: number of tokens of which the loss is a sum, a tensor without dimensions.
        """
        others, copied = self._gradients()
        # of one type at a time: of two in one list they would be taken one by one
        norms = [n for some in (others, copied) if some for n in torch._foreach_norm(some, 2, torch.float32)]
        self.grad_norm.copy_(torch.linalg.vector_norm(torch.stack(norms)) / tokens)
        finite = self.grad_norm.isfinite()
        # clipping is that of torch.nn.utils.clip_grad_norm_
        divisor = tokens * torch.clamp((self.grad_norm + 1e-6) / self._settings.clip, min=1.0)
        # torch's fused AdamW takes both for GradScaler: it divides by the one, and does nothing where the
        # other is 1
        vars(self._adamw).update(grad_scale=divisor, found_inf=(~finite).float())
        self._adamw.step()
        if self.copies:
            self._step_of_copies(divisor, finite)
        return finite

    def _step_of_copies(self, divisor: Tensor, finite: Tensor) -> None:
        self._steps += finite
        first, second = (1 - beta**self._steps for beta in _BETAS)
        decay = 1 - self.learning_rate * self._settings.weight_decay
        scalars = (divisor, decay, self.learning_rate / first, second.sqrt(), finite)
        for name, copy in self.copies.items():
            mean, square = self._moments[name].values()
            tensors = [
                t.view(-1) for t in (self._weights[name], copy, copy.grad, mean, square) if t is not None
            ]
            with torch.no_grad():
                self._update(tensors, *scalars)

    def state_dict(self) -> dict[str, Tensor]:
        """Moments and number of steps under the weights' names."""
        state: dict[str, Tensor] = {}
        for name, weight in self._weights.items():
            own = self._adamw.state[weight] if name not in self.copies else self._moment_state(name)
            state |= {f"{key}/{name}": value for key, value in own.items()}
        return state

    def load_state_dict(self, state: dict[str, Tensor]) -> None:
        """Go on from a ``state_dict`` of the same model, whose weights are loaded already.

        Raises:
            InputError: a part is missing or of another shape.
        """
        for name, weight in self._weights.items():
            shapes = {"step": torch.zeros(()), **dict.fromkeys(_MOMENTS, weight)}
            parts = {key: _part(state, f"{key}/{name}", like) for key, like in shapes.items()}
            if name not in self.copies:
                self._adamw.state[weight] = {key: part.to(weight.device) for key, part in parts.items()}
                continue
            self._steps.copy_(parts["step"])
            for key in _MOMENTS:
                self._moments[name][key].copy_(parts[key])
            self.copies[name].data.copy_(weight)

    def _moment_state(self, name: str) -> dict[str, Tensor]:
        # a file of tensors holds none of them twice
        return {"step": self._steps.clone(), **self._moments[name]}


def _update(
    tensors: list[Tensor], divisor: Tensor, decay: Tensor, rate: Tensor, scale: Tensor, finite: Tensor
) -> None:
    """One weight's step, in place.

    Args:
        tensors: the weight, its copy, its gradient and the two moments, (N,) each.
        divisor: of the gradient.
        decay, rate: factor of the weight, and learning rate over the first moment's bias correction.
        scale: square root of the second moment's bias correction.
        finite: whether to do anything.
    """
    weight, copy, gradient, mean, square = tensors
    scaled = gradient.float() / divisor
    new_mean = torch.lerp(mean, scaled, 1 - _BETAS[0])
    new_square = torch.lerp(square, scaled * scaled, 1 - _BETAS[1])
    new_weight = weight * decay - rate * new_mean / (new_square.sqrt() / scale + _EPSILON)
    for old, new in ((mean, new_mean), (square, new_square), (weight, new_weight)):
        old.copy_(torch.where(finite, new, old))
    copy.copy_(weight)


def _linear_weights(model: nn.Module) -> Iterator[str]:
    """Names of the weights that one linear layer has to itself."""
    owners: dict[int, int] = {}
    for module in model.modules():
        for parameter in module.parameters(recurse=False):
            owners[id(parameter)] = owners.get(id(parameter), 0) + 1
    for name, module in model.named_modules():
        if type(module) is nn.Linear and owners[id(module.weight)] == 1:
            yield f"{name}.weight" if name else "weight"


def _part(state: dict[str, Tensor], name: str, like: Tensor) -> Tensor:
    if name not in state or state[name].shape != like.shape:
        raise InputError(f"the optimizer's state has no {name} of shape {tuple(like.shape)}")
    return state[name]
