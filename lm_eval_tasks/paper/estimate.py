"""Estimates the time of runs on one H100 from arithmetic, memory traffic and kernel launches.

No run of these models was measured on an H100: every printed number is an estimate, and the time per layer is
from an H200. The estimate is too high in one respect: every answer is assumed to have the maximum number of
tokens, but trained models mostly stop earlier. ``ASSUMPTIONS`` is printed with the hours.
"""

from dataclasses import dataclass
from math import ceil

from lm_eval_tasks.paper.experiments import Experiment
from lm_eval_tasks.paper.model_list import Dtype, Model
from lm_eval_tasks.paper.plan import Run


@dataclass(frozen=True)
class Machine:
    """The properties of a machine that the estimate uses.

    Attributes:
        flops: floating-point operations per second of the matrix units by dtype, from the data sheet.
        bandwidth: memory bandwidth in bytes per second, from the data sheet.
    """

    name: str
    flops: dict[Dtype, float]
    bandwidth: float


H100 = Machine("H100 SXM", {"float32": 67e12, "float16": 989e12, "bfloat16": 989e12}, 3.35e12)

_UTILIZATION = {"float32": 0.5, "float16": 0.15, "bfloat16": 0.15}
_LAYER_SECONDS = 0.0004  # 9.7 ms per token with 24 layers, in speed/results/phone_book_speed_h200.json
_CACHE_PASSES = 4
_TOKENIZER_TOKENS = 350_000
_TASK_SECONDS = 3
_START_SECONDS = 60
_LOAD_BANDWIDTH = 1e9
_DOCUMENTS = 500
_SQUAD_DOCUMENTS = 150

ASSUMPTIONS = f"""\
Estimate, not measured:
- {H100.name}: {H100.flops["bfloat16"] / 1e12:.0f} TFLOP/s in 16 bits, \
{H100.flops["float32"] / 1e12:.0f} in float32, {H100.bandwidth / 1e12:.2f} TB/s.
- Reading a prompt takes 2 operations per parameter and token, at {_UTILIZATION["bfloat16"]:.0%} of the peak \
in 16 bits and {_UTILIZATION["float32"]:.0%} in float32.
- A new token takes {_LAYER_SECONDS * 1e3:.1f} ms per layer, or, if that is longer, one pass over weights \
and {_CACHE_PASSES} over keys and values.
- Every answer has the maximum number of tokens; SQuAD has {_SQUAD_DOCUMENTS} paragraphs per length.
- lm-eval tokenizes {_TOKENIZER_TOKENS:,} prompt tokens per second, and takes another {_TASK_SECONDS} s \
per length.
- A run starts in {_START_SECONDS} s and loads its weights at {_LOAD_BANDWIDTH / 1e9:.0f} GB/s; downloads \
are not counted."""


def hours(run: Run, machine: Machine = H100) -> float:
    """Expected hours of a run on one GPU."""
    weights = run.model.parameters * run.model.bytes_per_number
    seconds = _START_SECONDS + weights / _LOAD_BANDWIDTH
    for length in run.experiment.lengths:
        documents = _documents(run)
        tokens = prompt_tokens(run.experiment, length)
        new = new_tokens(run.experiment, length)
        seconds += evaluation_seconds(run.model, documents, tokens, new, machine)
    return seconds / 3600


def evaluation_seconds(model: Model, documents: int, prompt: int, new: int, machine: Machine = H100) -> float:
    """Seconds to answer documents of one length.

    Args:
        documents: number of documents.
        prompt: number of tokens of each prompt.
        new: number of tokens of each answer.
    """
    read = 2 * model.parameters * documents * prompt
    read_seconds = read / (machine.flops[model.dtype] * _UTILIZATION[model.dtype])
    batches = ceil(documents / model.batch_size)
    batch = min(documents, model.batch_size)
    cache = batch * (prompt + new / 2) * model.cache_per_token * model.bytes_per_number
    traffic = model.parameters * model.bytes_per_number + _CACHE_PASSES * cache
    step = max(model.layers * _LAYER_SECONDS, traffic / machine.bandwidth)
    tokenization = documents * prompt / _TOKENIZER_TOKENS
    return read_seconds + batches * new * step + tokenization + _TASK_SECONDS


def prompt_tokens(experiment: Experiment, length: int) -> int:
    """Approximate number of tokens of a prompt with GPT-NeoX's tokenizer."""
    if experiment.name == "phone_book":
        return int(10.3 * length) + 26
    if experiment.name == "squad_v2_retrieval":
        return length + 25 + 50
    return 2 * length + 10


def new_tokens(experiment: Experiment, length: int) -> int:
    """The maximum number of tokens of an answer."""
    if experiment.benchmark.evaluation.new_tokens == "half_prompt":
        return prompt_tokens(experiment, length) // 2 + 50
    return int(experiment.benchmark.evaluation.new_tokens)


def _documents(run: Run) -> int:
    if run.experiment.name == "squad_v2_retrieval":
        documents = _SQUAD_DOCUMENTS
    else:
        documents = int(run.metadata.get("num_docs", _DOCUMENTS))
    return documents if run.limit is None else min(run.limit, documents)
