"""The timing record in a results file: written by a run, validated by the report."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from lm_eval_tasks.results.text import printable

_Count = Annotated[int, Field(ge=1, le=10**9)]
_Positive = Annotated[float, Field(gt=0, le=1e12)]
_Range = Annotated[list[_Positive], Field(min_length=2, max_length=2)]


class Timing(BaseModel):
    """Seconds of one model on prompts of one length, in one batch on one machine.

    Attributes:
        batch_size: prompts that are read, and continued, at once.
        prompt_tokens: tokens of each prompt.
        new_tokens: tokens by which each was continued after its first new one.
        repetitions: measurements, of which the values are medians.
        prefill_seconds: to read the prompts of the batch, until their first new token's logits.
        prefill_range: the shortest and the longest of the repetitions.
        token_seconds: for each further token of every prompt in the batch.
        token_range: the shortest and the longest of the repetitions.
        tokens_per_second: generated tokens of the whole batch: ``batch_size / token_seconds``.
        machine: the GPU or the processor, as its driver names it.
    """

    model_config = ConfigDict(strict=True, frozen=True, extra="ignore")

    batch_size: _Count
    prompt_tokens: _Count
    new_tokens: _Count
    repetitions: _Count
    prefill_seconds: _Positive
    prefill_range: _Range
    token_seconds: _Positive
    token_range: _Range
    tokens_per_second: _Positive
    machine: Annotated[str, Field(min_length=1, max_length=200), AfterValidator(printable)]
