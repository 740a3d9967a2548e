"""Checks that sizes fit into memory before it is allocated, and the error if it is full anyway."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import torch

from dataset_builders import InputError
from dataset_builders.machine import gibibytes, system_memory


def check_memory(rows: int, tokens: int, vocab_size: int, device: torch.device, advice: str) -> None:
    """Check that the logits of one forward pass, a lower bound on what it needs, fit into memory.

    Args:
        rows: number of rows of one forward pass in one process.
        tokens: number of tokens per row.
        vocab_size: vocabulary size of the model.
        device: device of this process.
        advice: end of the error message after the word "reduce".

    Raises:
        InputError: the logits do not fit.
    """
    needed = 4 * rows * tokens * vocab_size
    check_bytes(needed, device, f"a pass over {rows} rows of {tokens} tokens", f"reduce {advice}")


def check_bytes(needed: int, device: torch.device, what: str, advice: str) -> None:
    """Raise InputError if the device has fewer bytes of memory in total."""
    total = total_memory(device)
    if total is not None and needed > total:
        size, available = gibibytes(needed), gibibytes(total)
        least = "more than" if size == available else "at least"
        raise InputError(
            f"{what} needs {least} {size} of memory, but the {device.type} has {available}; {advice}"
        )


@contextmanager
def enough_memory(advice: str) -> Iterator[None]:
    """Turn PyTorch's error about a full GPU into one sentence.

    Args:
        advice: end of the sentence, what to change.

    Raises:
        InputError: memory could not be allocated.
    """
    try:
        yield
    except RuntimeError as error:
        if not is_full(error):
            raise
        found = re.search(r"tried to allocate ([\d.]+ \w+)", str(error), re.IGNORECASE)
        what = f"another {found[1]}" if found else "what is needed"
        raise InputError(f"the GPU has too little memory for {what}; {advice}") from error


def is_full(error: Exception) -> bool:
    """Whether an error means that a GPU is full; CUDA and its libraries have their own errors for it."""
    return isinstance(error, torch.OutOfMemoryError) or any(
        reason in str(error) for reason in ("CUDA error: out of memory", "CUBLAS_STATUS_ALLOC_FAILED")
    )


def total_memory(device: torch.device) -> int | None:
    """Total memory of a device in bytes, or the limit of the container if smaller; None if unknown."""
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    return system_memory()
