"""A checksum of a model's weights, with which reports tell models of the same name apart.

A name does not identify a model: a folder such as ``out`` contains another model after the next training run.
"""

import hashlib
from typing import Any

from lm_eval_tasks.local_model import is_hugging_face

_VALUES = 16
"""Number of values per parameter that enter the checksum."""


def weights_checksum(lm: Any) -> str | None:
    """A short checksum of the model's weights, the same on every device.

    Args:
        lm: an ``lm_eval.api.model.LM``.

    Returns:
        The checksum; None if the weights are not ordinary tensors in this process, as with servers, other
        engines, quantised weights, and weights that are distributed over processes or offloaded.
    """
    if not is_hugging_face(lm):
        return None
    import torch

    if not isinstance(lm.model, torch.nn.Module):
        return None
    parameters = list(lm.model.parameters())
    if any(type(one) is not torch.nn.Parameter or one.device.type == "meta" for one in parameters):
        return None
    digest = hashlib.sha256()
    for one in parameters:
        values = one.detach().reshape(-1)[:_VALUES].contiguous().view(torch.uint8)
        digest.update(f"{tuple(one.shape)}".encode() + values.cpu().numpy().tobytes())
    return digest.hexdigest()[:16]
