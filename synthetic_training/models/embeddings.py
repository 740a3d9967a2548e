"""Initial token embeddings of any model."""

from torch import nn
from transformers import PreTrainedModel

from dataset_builders import InputError


def draw_embeddings(model: PreTrainedModel, std: float) -> None:
    """Redraw the token embeddings from N(0, ``std``^2); the embedding of the padding token stays 0.

    If embeddings are small compared with the outputs of the layers, gradients of deep models explode (arXiv
    2312.16903, which uses a standard deviation of 1 and small layers). A tied output layer changes with the
    embeddings: untie it if embeddings are large.

    Raises:
        InputError: the model does not give access to its embeddings.
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
