"""Training and evaluation batches of the string tasks, sampled on the model's device."""

from synthetic_training.data.strings.evaluation_batch import (
    EvaluationBatch,
    batch_of_answers,
    batch_of_texts,
    evaluation_batch,
    evaluation_batches,
)
from synthetic_training.data.strings.packing import Packed, PackedBatches, check_context

__all__ = [
    "EvaluationBatch",
    "Packed",
    "PackedBatches",
    "batch_of_answers",
    "batch_of_texts",
    "check_context",
    "evaluation_batch",
    "evaluation_batches",
]
