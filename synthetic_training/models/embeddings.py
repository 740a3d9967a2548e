"""Initial token embeddings, of any model."""

from torch import nn
from transformers import PreTrainedModel

from dataset_builders import InputError


def draw_embeddings(model: PreTrainedModel, std: float) -> None:
    """Draw the token embeddings again, normal with this standard deviation; padding stays at 0.

    Small ones, beside what the layers add, make gradients of deep models explode (arXiv 2312.16903, which has
    1, and small layers). An output head that is tied to them changes with them: untie it for large ones.

    Raises:
        InputError: the model does not say where its embeddings are.
    """
    try:
        embeddings = model.get_input_embeddings()
    except NotImplementedError:
        raise InputError(
            f"{type(model).__name__} has no get_input_embeddings, so its embeddings cannot be drawn again; "
            "omit --embedding-std"
        ) from None
    nn.init.normal_(embeddings.weight, std=std)
    padding = getattr(embeddings, "padding_idx", None)
    if padding is not None:
        nn.init.zeros_(embeddings.weight[padding])
