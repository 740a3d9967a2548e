"""The schema of lm-eval's result files: the only place where their JSON is parsed and validated.

A result file may come from anyone, so nothing in it is used before it is validated here. There are limits on
the size of the file, on nesting (200 levels, from pydantic's parser), on numbers, and on the length of texts
that are shown; these texts contain only printable characters.
"""

from pathlib import Path
from typing import Annotated, Any, Self, TypeVar

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, model_validator

from dataset_builders import InputError
from dataset_builders.checks import first_problem, printable
from dataset_builders.files import read_bounded
from lm_eval_tasks.results.timing_record import Timing

MAX_COUNT = 10**9
"""Maximum length, and maximum number of documents."""

FAR_FUTURE = 2.0**33
"""Latest date, in seconds since 1970: the year 2242."""

Text = Annotated[str, Field(max_length=2000), AfterValidator(printable)]
Positive = Annotated[int, Field(ge=1, le=MAX_COUNT)]
Part = dict[Text, Any]
"""An object with checked names and unchecked values."""

_M = TypeVar("_M", bound=BaseModel)


class _Model(BaseModel):
    model_config = ConfigDict(strict=True, frozen=True, extra="ignore", protected_namespaces=())


class RunConfig(_Model):
    """lm-eval's ``config``: the model and how it was loaded."""

    model: Text | None = None
    model_args: Part | Annotated[str, Field(max_length=100_000)] | None = None
    model_dtype: Text | None = None
    model_revision: Text | None = None
    model_sha: Text | None = None
    model_num_parameters: int | None = None
    peft_sha: Text | None = None
    delta_sha: Text | None = None
    batch_size: int | Text | None = None
    gen_kwargs: Part | Text | None = None
    limit: float | None = None
    random_seed: int | None = None
    numpy_seed: int | None = None
    torch_seed: int | None = None
    fewshot_seed: int | None = None


class Metadata(_Model):
    """A task's ``metadata``: the record of this package's tasks about themselves and their documents."""

    model_config = ConfigDict(extra="allow")

    benchmark: Text
    length_of: Text
    length: Positive
    unit: Text | None = None
    documents_sha256: Annotated[str, Field(pattern="^[0-9a-f]{1,64}$")]
    repeat_after_me: Text | None = None
    state_bytes: Annotated[int, Field(ge=1, le=2**60)] | None = None
    no_state: Text | None = None
    timing: Annotated[list[Timing], Field(max_length=100)] | None = None
    ended_prompts: bool | None = None


class TaskConfig(_Model):
    """The configuration with which lm-eval ran one of this package's tasks."""

    metadata: Metadata
    num_fewshot: int | None = None
    generation_kwargs: Part | None = None
    doc_to_text: Any = None
    description: Any = None
    gen_prefix: Any = None


class Samples(_Model):
    """The number of a task's documents, and the number of evaluated documents."""

    original: Positive
    effective: Positive


class ResultFile(_Model):
    """The parts of a result file that are read. It may contain other tasks, which are not checked."""

    results: dict[Text, Part]
    configs: dict[Text, Part]
    shots: Part | None = Field(None, alias="n-shot")
    samples: Part | None = Field(None, alias="n-samples")
    higher_is_better: Part | None = None
    config: RunConfig | None = None
    date: Annotated[float, Field(ge=0, lt=FAR_FUTURE)]
    model_name: Text | None = None
    chat_template: Any = None
    chat_template_sha: Text | None = None
    system_instruction: Any = None
    system_instruction_sha: Text | None = None
    fewshot_as_multiturn: bool | None = None
    transformers_version: Text | None = None
    lm_eval_version: Text | None = None

    @model_validator(mode="after")
    def _names_a_model(self) -> Self:
        if not (self.model_name or (self.config and self.config.model)):
            raise ValueError("it names no model")
        return self

    @property
    def run_config(self) -> RunConfig:
        return self.config or RunConfig()


def read_result_file(file: Path) -> ResultFile:
    """Parse and validate a result file.

    Raises:
        InputError: the file cannot be read, is too large, or is not a complete result file of lm-eval.
    """
    return parse(ResultFile, read_bounded(file), not_whole(file))


def not_whole(file: Path) -> str:
    """The beginning of a sentence about a damaged result file."""
    return f"{printable(str(file))} is not a complete result file of lm-eval"


def parse(model: type[_M], content: bytes | Part, problem: str) -> _M:
    """Validate JSON, or a part of it that has already been parsed.

    Args:
        model: the schema.
        content: JSON, or a parsed part of it.
        problem: the beginning of the error message.

    Raises:
        InputError: the content is not valid; the message says where.
    """
    try:
        if isinstance(content, bytes):
            return model.model_validate_json(content)
        return model.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{problem}: {first_problem(error)}") from None
