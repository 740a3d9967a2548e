"""Detects models whose generated answers depend on padding, because of upstream code."""

from typing import Any

PADDING_DEPENDENT = frozenset({"minimax", "rwkv", "xlstm"})
"""``model_type`` of the transformers architectures whose recurrence runs over padding (seen in 5.23).

They ignore the attention mask, so left padding changes their answers. RWKV also mixes the rows of a batch
when it reads single tokens, padded or not. The tests check this list against the installed transformers.
"""


def padding_dependence(lm: Any) -> str | None:
    """The kind of model whose answers depend on padding, and why, as a phrase; None if none is known."""
    if type(lm).__module__ == "lm_eval.models.mamba_lm":
        return "lm-eval's mamba_ssm models, which get no attention mask,"
    model_type = getattr(getattr(lm, "config", None), "model_type", None)
    if model_type in PADDING_DEPENDENT:
        return f"{model_type} models, which ignore the attention mask,"
    return None


def padding_warning(lm: Any) -> str | None:
    """The warning about a model whose answers depend on padding; None without padding."""
    cause = padding_dependence(lm)
    if cause is None or getattr(lm, "batch_size", 1) == 1:
        return None
    return (
        f"the answers of {cause} depend on the padding of the batch; pass --batch_size 1, or run the forced "
        "tasks, which pad on the right."
    )
