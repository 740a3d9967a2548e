"""A list of models: YAML that says how lm-eval loads each one, checked before anything runs.

::

    title: Six models of the paper
    models:
      - name: mamba-370m                        # in figures, folders and --models
        pretrained: state-spaces/mamba-370m-hf  # on the Hub, or a folder
        revision: b519127f5bfaaa1c27dd938dad051ec360972b23
        model_type: mamba                       # as in its config.json
        kind: recurrent                         # or transformer, or hybrid
        dtype: float16
        window: 2048
        batch_size: 64
        parameters: 371516416
        layers: 48
        width: 1024
        compare_with: pythia-410m               # the transformer of its size
"""

from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean, first_problem
from dataset_builders.files import read_yaml
from lm_eval_tasks.padding import PADDING_DEPENDENT

SHIPPED = Path(__file__).parent / "models"
"""The folder of the lists that come with the package: ``.yml``, because lm-eval reads ``.yaml`` as tasks."""

MEMORY = 0.9 * 80e9
"""Memory budget in bytes on an H100, which :attr:`Model.peak_bytes` must not exceed."""

_BYTES = {"float32": 4, "float16": 2, "bfloat16": 2}
_ACTIVATIONS = 24
"""Assumed number of activations in memory at once, per token and unit of width, while prompts are read."""

Dtype = Literal["float32", "float16", "bfloat16"]
Positive = Annotated[int, Field(ge=1)]
Text = Annotated[str, Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, protected_namespaces=())


class Released(_Strict):
    """The arguments with which the paper's released code loads the same model."""

    pretrained: Text
    backend: Literal["hf", "mamba_ssm"]
    dtype: Dtype


class Model(_Strict):
    """A model, and how lm-eval loads it.

    Attributes:
        name: name in figures, folders and ``--models``.
        pretrained: name on the Hub, or a folder.
        revision: commit on the Hub.
        backend: lm-eval's ``--model``.
        model_type: as in its ``config.json``.
        kind: kind of memory: keys and values, a state of fixed size, or both.
        dtype: dtype of the loaded weights.
        window: maximum number of tokens of prompt and answer together; lm-eval's ``max_length``.
        batch_size: number of prompts per batch.
        parameters, layers, width: size of the model, for the estimates of time and memory.
        cache_per_token: numbers that attention caches per token, over all layers.
        tokenizer: tokenizer to use instead of the model's own.
        add_bos_token: overrides the default of the model's tokenizer.
        compare_with: name of the transformer of its size that it is compared with.
        released: how the released code loads it; None if the model is not in the paper.
    """

    name: Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,63}$")]
    pretrained: Text
    revision: Text = "main"
    backend: Literal["hf", "mamba_ssm"] = "hf"
    model_type: Text
    kind: Literal["transformer", "recurrent", "hybrid"]
    dtype: Dtype
    window: Annotated[int, Field(ge=128)]
    batch_size: Positive
    parameters: Positive
    layers: Positive
    width: Positive
    cache_per_token: Annotated[int, Field(ge=0)] = 0
    tokenizer: Text | None = None
    add_bos_token: bool | None = None
    compare_with: Text | None = None
    released: Released | None = None

    @property
    def bytes_per_number(self) -> int:
        return _BYTES[self.dtype]

    @property
    def peak_bytes(self) -> int:
        """Estimated bytes of weights, keys and values, and activations for a batch of full windows."""
        tokens = self.batch_size * self.window
        numbers = self.parameters + tokens * (self.cache_per_token + _ACTIVATIONS * self.width)
        return numbers * self.bytes_per_number

    @model_validator(mode="after")
    def _can_be_run(self) -> Self:
        if self.backend == "mamba_ssm" and self.revision != "main":
            raise ValueError("lm-eval's mamba_ssm always loads the revision main; omit revision")
        if self.batch_size > 1 and self.backend == "mamba_ssm":
            raise ValueError("batch_size must be 1, because lm-eval's mamba_ssm passes no attention mask")
        if self.batch_size > 1 and self.model_type in PADDING_DEPENDENT:
            raise ValueError(f"batch_size must be 1, because {self.model_type} ignores the attention mask")
        if (self.kind == "recurrent") == bool(self.cache_per_token):
            raise ValueError(f"cache_per_token is {self.cache_per_token} in a {self.kind} model")
        if self.batch_size > 1 and self.peak_bytes > MEMORY:
            raise ValueError(
                f"batch_size {self.batch_size} with a window of {self.window} tokens needs about "
                f"{self.peak_bytes / 1e9:.0f} GB, and an H100 has {MEMORY / 1e9:.0f} GB to spare"
            )
        return self


class ModelList(_Strict):
    """Models that are evaluated and drawn together."""

    title: Text
    models: Annotated[tuple[Model, ...], Field(min_length=1, strict=False)]

    @model_validator(mode="after")
    def _names_are_clear(self) -> Self:
        kinds = {model.name: model.kind for model in self.models}
        if len(kinds) < len(self.models):
            raise ValueError("two models have the same name")
        for model in self.models:
            if model.compare_with is not None and kinds.get(model.compare_with) != "transformer":
                raise ValueError(
                    f"{model.name} is compared with {model.compare_with}, which is not a transformer in the "
                    "list"
                )
        return self


def shipped() -> dict[str, Path]:
    """The lists that come with the package, by name."""
    return {file.stem: file for file in sorted(SHIPPED.glob("*.yml"))}


def read_model_list(name: str) -> ModelList:
    """A list that comes with the package, or a list in the user's own file.

    Raises:
        InputError: there is no list of this name, or something in it is invalid.
    """
    file = shipped().get(name, Path(name))
    if file.suffix not in (".yml", ".yaml"):
        raise InputError(
            f"there is no list of models {name!r}; use {', '.join(shipped())} or a YAML file"
            f"{did_you_mean(name, shipped())}"
        )
    content = read_yaml(file)
    try:
        return ModelList.model_validate(content)
    except ValidationError as error:
        raise InputError(f"{file}: {_located(content, error)}") from None


def _located(content: object, error: ValidationError) -> str:
    """The first problem, with the model's name instead of its index."""
    where = error.errors()[0]["loc"]
    problem = first_problem(error)
    if len(where) > 1 and where[0] == "models" and isinstance(where[1], int) and isinstance(content, dict):
        entry = content["models"][where[1]]
        if isinstance(entry, dict) and "name" in entry:
            return problem.replace(f"models.{where[1]}", str(entry["name"]), 1)
    return problem


def select(
    models: ModelList, names: tuple[str, ...] = (), dtype: Dtype | None = None, batch_size: int | None = None
) -> list[Model]:
    """The models of a list with these names (all models if there are no names), with changed settings.

    Args:
        models: the list.
        names: names of models in the list; empty for all.
        dtype: dtype of all models (default: as in the list).
        batch_size: batch size of all models (default: as in the list).

    Raises:
        InputError: a name is not in the list, or a model cannot run with these settings.
    """
    known = {model.name: model for model in models.models}
    for name in names:
        if name not in known:
            raise InputError(
                f"there is no model {name!r}; the models are {', '.join(known)}{did_you_mean(name, known)}"
            )
    changes = {"dtype": dtype, "batch_size": batch_size}
    given = {field: value for field, value in changes.items() if value is not None}
    chosen = [model for model in models.models if model.name in names or not names]
    try:
        return [Model.model_validate({**model.model_dump(), **given}) for model in chosen]
    except ValidationError as error:
        changed = ", ".join(f"{name} {value}" for name, value in given.items())
        raise InputError(f"with {changed}: {first_problem(error)}") from None
