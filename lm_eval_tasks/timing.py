"""Measures the time that a model takes to read a prompt, and to generate each token.

Only the model is timed, on token ids: its forward pass over the prompts, and the loop of its own library's
``generate``, greedy and with the cache, but without lm-eval's stop strings, for which every token is decoded.
The prompts of a batch are different documents of the task, truncated on the left to one length, so that none
is padded, and the experts of a mixture-of-experts model see different tokens.
"""

from collections.abc import Callable, Sequence
from statistics import median
from time import perf_counter
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from dataset_builders import InputError
from dataset_builders.checks import is_integer
from dataset_builders.machine import machine_name
from lm_eval_tasks.local_model import LocalModel, local_model
from lm_eval_tasks.results.timing_record import Timing

if TYPE_CHECKING:
    from torch import Tensor

KEY = "timing"
"""The metadata key that requests timing, and the key of the record in the result file's metadata."""

MAX_BATCH = 65_536

NEW_TOKENS = 32
WARM_UPS, REPETITIONS = 2, 5

_measured: WeakKeyDictionary[Any, dict[Any, Timing | None]] = WeakKeyDictionary()
"""Timings by model, because a forced task and its generated twin have the same prompts."""


def batch_sizes(given: object, of_the_run: object) -> tuple[int, ...]:
    """The batch sizes to time, in order; empty if timing is not requested.

    Args:
        given: the user's ``timing``: true for the batch size of the run, a batch size, or a list of them.
        of_the_run: the run's ``--batch_size``.

    Raises:
        InputError: ``given`` is something else, or is true while the run's batch size is ``auto``.
    """
    if given is None or given is False:
        return ()
    if given is True:
        if not is_integer(of_the_run):
            raise InputError(
                f"the batch size to time is unknown, because --batch_size is {of_the_run!r}; pass it, as in "
                f"--metadata '{{\"{KEY}\": 16}}'"
            )
        given = of_the_run
    wanted = list(given) if isinstance(given, list | tuple) else [given]
    sizes = [one for one in wanted if is_integer(one) and 1 <= one <= MAX_BATCH]
    if not sizes or len(sizes) < len(wanted):
        raise InputError(
            f"{KEY} must be true, a batch size from 1 to {MAX_BATCH}, or a list of these, not {given!r}"
        )
    return tuple(dict.fromkeys(sizes))


def time_model(
    lm: Any, prompts: Sequence[str], batches: Sequence[int], warn: Callable[[str], None]
) -> list[Timing]:
    """Time a model on the first prompts of a task, in every batch that fits into memory and the window.

    In a run with several processes, only the first one measures, and the others wait for it.

    Args:
        lm: an ``lm_eval.api.model.LM``.
        prompts: all of this process's prompts that fit the window, in the task's order.
        batches: batch sizes; if there are fewer prompts, they are repeated.
        warn: called with each warning.

    Raises:
        InputError: the model does not run in this process, or is an encoder-decoder.
    """
    model = local_model(lm)
    if model is None:
        raise InputError(
            f"'{KEY}' needs a decoder that runs in this process (--model hf or mamba_ssm); omit it"
        )
    lm.barrier()
    found = []
    if lm.rank == 0 and prompts:
        for batch in batches:
            rows = _rows(lm, prompts, batch)
            new_tokens = min(NEW_TOKENS, _room(lm, len(rows[0])))
            if new_tokens >= 1:
                found.append(_measured_once(lm, model, rows, new_tokens, warn))
    lm.barrier()
    return [one for one in found if one is not None]


def _rows(lm: Any, prompts: Sequence[str], batch: int) -> list[list[int]]:
    """Token ids (batch, length) of prompts, truncated on the left to the length of the shortest."""
    encoded = [lm.tok_encode(prompt) for prompt in prompts[:batch]]
    length = min(map(len, encoded))
    return [encoded[i % len(encoded)][-length:] for i in range(batch)]


def _room(lm: Any, prompt_tokens: int) -> int:
    """The number of tokens after the first new token that still fit into the window."""
    return int(lm.max_length) - prompt_tokens - 1


def _measured_once(
    lm: Any, model: LocalModel, rows: list[list[int]], new_tokens: int, warn: Callable[[str], None]
) -> Timing | None:
    import torch

    known = _measured.setdefault(lm, {})
    key = (new_tokens, *map(tuple, rows))
    if key not in known:
        known[key] = None
        try:
            known[key] = measure(model, model.tensor(rows), new_tokens)
        except torch.cuda.OutOfMemoryError:
            warn(
                f"a batch of {len(rows)} prompts of {len(rows[0])} tokens does not fit into GPU memory, so "
                "it was not timed."
            )
    return known[key]


def measure(
    model: LocalModel, tokens: "Tensor", new_tokens: int, clock: Callable[[], float] = perf_counter
) -> Timing:
    """Time a model on token ids (batch, length): medians of several repetitions, after a warm-up.

    Args:
        model: the model.
        tokens: token ids of the prompts, (batch, length).
        new_tokens: number of tokens to generate for each prompt after its first new token.
        clock: function that returns seconds.
    """
    for _ in range(WARM_UPS):
        model.generate(tokens, 1 + new_tokens)
    runs = [_seconds(model, tokens, new_tokens, clock) for _ in range(REPETITIONS)]
    prefill, token = ([run[part] for run in runs] for part in (0, 1))
    batch, length = tokens.shape
    return Timing(
        batch_size=batch,
        prompt_tokens=length,
        new_tokens=new_tokens,
        repetitions=REPETITIONS,
        prefill_seconds=median(prefill),
        prefill_range=[min(prefill), max(prefill)],
        token_seconds=median(token),
        token_range=[min(token), max(token)],
        tokens_per_second=batch / median(token),
        machine=machine_name(model.devices),
    )


def _seconds(
    model: LocalModel, tokens: "Tensor", new_tokens: int, clock: Callable[[], float]
) -> tuple[float, float]:
    """Seconds to read the prompts, and for each further token after the first new one.

    The clock starts when the first forward pass begins, after the preparations of ``generate``, and is read
    at the end of that pass. Later passes are not observed, so that the host can queue work ahead.
    """
    at: list[float] = []

    def mark(handle: int | None = None) -> None:
        if handle is not None:
            handles[handle].remove()
        model.synchronize()
        at.append(clock())

    handles = [
        model.module.register_forward_pre_hook(lambda *_: mark(0)),
        model.module.register_forward_hook(lambda *_: mark(1)),
    ]
    try:
        model.generate(tokens, 1 + new_tokens)
        mark()
    finally:
        for handle in handles:
            handle.remove()
    begun, read, done = at
    return read - begun, (done - read) / new_tokens
