"""Training batches and evaluation rows of the synthetic tasks, made on the device where the model is."""

from synthetic_training.data.strings.packing import Packed, PackedBatches, check_context
from synthetic_training.data.strings.rows import Rows, evaluation_rows, prompts_left_padded

__all__ = ["Packed", "PackedBatches", "Rows", "check_context", "evaluation_rows", "prompts_left_padded"]
