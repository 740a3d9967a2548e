"""Sizes that no machine holds are refused before memory is taken."""

import os

import torch

from dataset_builders import InputError


def check_memory(rows: int, context_length: int, vocab_size: int, device: torch.device) -> None:
    """Check that the logits of one forward pass fit into memory: the least that training needs.

    Args:
        rows: of one forward pass in one process.
        context_length: number of tokens per row.
        vocab_size: of the model.
        device: of this process.

    Raises:
        InputError: they do not fit.
    """
    needed = 4 * rows * context_length * vocab_size
    check_bytes(needed, device, f"a pass over {rows} rows of context_length = {context_length} tokens",
                "reduce batch_size or context_length, or raise accumulation_steps")  # fmt: skip


def check_weights_fit(name: str, parameters: int, device: torch.device) -> None:
    """Check that a model's weights, its gradients and the optimizer's two moments fit into memory.

    Raises:
        InputError: they do not.
    """
    advice = "pass --preset paper, or smaller sizes in --model-args"
    check_bytes(16 * parameters, device, f"{name} with {parameters / 1e9:.1f} billion parameters", advice)


def check_bytes(needed: int, device: torch.device, what: str, advice: str) -> None:
    """Raise InputError if the device has fewer bytes of memory in total."""
    total = _total_memory(device)
    if total is not None and needed > total:
        raise InputError(
            f"{what} needs at least {needed / 2**30:,.0f} GiB of memory, and the {device.type} has "
            f"{total / 2**30:,.0f} GiB; {advice}"
        )


def _total_memory(device: torch.device) -> int | None:
    if device.type == "cuda":
        return torch.cuda.get_device_properties(device).total_memory
    if "SC_PHYS_PAGES" not in os.sysconf_names:  # not on every system
        return None
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
