"""The loss of a batch, and the weight of what a model adds to it."""

from torch import Tensor, nn
from transformers import PreTrainedModel

from synthetic_training.data.strings.packing import IGNORED


def auxiliary_weight(model: PreTrainedModel) -> float:
    """The weight of a model's auxiliary loss: 1 if the model does not set another."""
    # models of transformers keep it as an attribute; its name and place in their configurations vary
    for owner in (model, model.config):
        for name in ("router_aux_loss_coef", "aux_loss_coef"):
            weight = getattr(owner, name, None)
            if weight is not None:
                return float(weight)
    return 1.0


def summed_loss(logits: Tensor, targets: Tensor) -> tuple[Tensor, ...]:
    """Cross entropy summed over the trained tokens, and the numbers of correct and of trained tokens.

    Args:
        logits: (rows, length, vocabulary).
        targets: (rows, length), with ``IGNORED`` where nothing is trained.
    """
    loss = nn.functional.cross_entropy(
        logits.float().flatten(0, 1), targets.flatten(), ignore_index=IGNORED, reduction="sum"
    )
    return loss, (logits.argmax(-1) == targets).sum(), (targets != IGNORED).sum()
