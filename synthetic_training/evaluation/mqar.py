"""``evaluate`` for models that were trained on MQAR: accuracy by number of pairs."""

from collections.abc import Mapping
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset_builders import InputError
from synthetic_training.config import MQAR, TrainConfig
from synthetic_training.evaluation.config import EvaluateConfig
from synthetic_training.settings import parse_settings
from synthetic_training.training.run_folder import RUN

if TYPE_CHECKING:
    from synthetic_training.evaluation.accuracy import LengthScore


def mqar_scores(
    config: EvaluateConfig, folder: Path, trained: Mapping[str, Any]
) -> "tuple[list[LengthScore], dict[str, Any]]":
    """The fraction of queries that are answered correctly, on new examples from the training distribution.

    Args:
        config: settings of the evaluation; lengths are numbers of pairs.
        folder: folder of the model.
        trained: settings of its training.

    Returns:
        A score for each number of pairs, and the configuration as JSON values.

    Raises:
        InputError: the model cannot be loaded, a setting applies only to string tasks, or a number of pairs
            does not fit into an example.
    """
    for name in ("generate", "vocabulary", "n", "k", "task_args"):
        if getattr(config, name):
            raise InputError(f"{name} cannot be set for mqar, which is evaluated on examples as in training")
    if config.documents == "benchmark":
        raise InputError("benchmark documents of mqar are evaluated with lm-eval; pass --documents fresh")
    examples = parse_settings(TrainConfig, trained, str(folder / RUN))
    lengths = config.lengths or tuple(examples.eval_lengths) or (examples.pairs,)
    config = replace(config, lengths=lengths)
    examples = replace(
        examples, eval_lengths=config.lengths, eval_examples=config.num_examples, seed=config.seed
    )

    from synthetic_training.data.training_data import training_data
    from synthetic_training.evaluation.accuracy import Shard
    from synthetic_training.models.saved import load_model
    from synthetic_training.training.device import autocasts, on_device

    data = training_data(examples)
    model = on_device(load_model(folder, trust_remote_code=config.trust_remote_code), config.device)
    scores = data.evaluate(
        model,
        batch_tokens=config.batch_size * examples.context_length,
        bf16=autocasts(model),
        shard=Shard(0, 1),
    )
    settings = {**asdict(config), "checkpoint": str(config.checkpoint), "task": MQAR}
    del settings["out"]
    return scores, settings
