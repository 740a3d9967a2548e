"""Models whose generated answers depend on the padding of their batch, for reasons upstream of us."""

from typing import Any

PADDING_DEPENDENT = frozenset({"minimax", "rwkv", "xlstm"})
"""``model_type`` of the transformers architectures whose recurrence runs over padding (seen in 5.23).

They ignore the attention mask, so a prompt that is padded on the left gives another answer. The
tests hold this list against the installed transformers.
"""


def padding_dependence(lm: Any) -> str | None:
    """Why the model's generated answers depend on padding, in a few words; None if nothing known does."""
    if type(lm).__module__ == "lm_eval.models.mamba_lm":
        return "lm-eval's mamba_ssm models, which are given no attention mask,"
    model_type = getattr(getattr(lm, "config", None), "model_type", None)
    if model_type in PADDING_DEPENDENT:
        return f"{model_type} models, which ignore the attention mask,"
    return None


def padding_warning(lm: Any) -> str | None:
    """What to say of a model whose generated answers depend on padding, if there is any in its batches."""
    cause = padding_dependence(lm)
    if cause is None or getattr(lm, "batch_size", 1) == 1:
        return None
    return (
        f"the answers of {cause} depend on the padding of the batch; pass --batch_size 1, or run the forced "
        "tasks, which pad on the right."
    )
