"""The accuracy of a model that was trained on MQAR, by number of pairs."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from synthetic_training.config import TrainConfig
from synthetic_training.settings import parse_settings

if TYPE_CHECKING:
    from transformers import PreTrainedModel

    from synthetic_training.evaluation.accuracy import LengthScore


def mqar_scores(
    model: "PreTrainedModel",
    trained: Mapping[str, Any],
    source: Path,
    pairs: Sequence[int],
    *,
    examples: int,
    batch_size: int,
    seed: int,
) -> "list[LengthScore]":
    """The fraction of queries that are answered right, on examples that the model was not trained on.

    Args:
        model: on its device.
        trained: the settings of its training, which the examples follow.
        source: where the settings are from, for error messages.
        pairs: numbers of pairs.
        examples: number of examples for each.
        batch_size: number of examples per forward pass.
        seed: seed of the examples.

    Raises:
        InputError: the settings are damaged, or an example has too few tokens for a number of pairs.
    """
    from synthetic_training.data.training_data import training_data
    from synthetic_training.evaluation.accuracy import Shard

    config = parse_settings(TrainConfig, trained, str(source))
    config = replace(config, eval_lengths=tuple(pairs), eval_examples=examples, seed=seed)
    tokens = batch_size * config.context_length
    return training_data(config).evaluate(model, batch_tokens=tokens, bf16=False, shard=Shard(0, 1))
