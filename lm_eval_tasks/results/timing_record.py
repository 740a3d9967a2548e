"""The timing record in a result file: written by a run, validated by the report."""

from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

from dataset_builders.checks import printable

_Count = Annotated[int, Field(ge=1, le=10**9)]
_Positive = Annotated[float, Field(gt=0, le=1e12)]
_Range = Annotated[list[_Positive], Field(min_length=2, max_length=2)]


class Timing(BaseModel):
    """The speed of one model on prompts of one length, in one batch on one machine.

    Attributes:
        batch_size: number of prompts that are read and continued together.
        prompt_tokens: number of tokens of each prompt.
        new_tokens: number of tokens by which each prompt was continued after its first new token.
        repetitions: number of measurements; the values below are their medians.
        prefill_seconds: seconds to read the prompts of the batch, up to the logits of the first new token.
        prefill_range: shortest and longest ``prefill_seconds`` of the repetitions.
        token_seconds: seconds per further token, for all prompts of the batch together.
        token_range: shortest and longest ``token_seconds`` of the repetitions.
        tokens_per_second: generated tokens per second of the whole batch, ``batch_size / token_seconds``.
        machine: name of the GPU or processor.
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
