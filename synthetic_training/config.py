"""What a run is: its settings, where they come from, and what they may be.

A setting's default is the trainer's that was released with arXiv 2402.01032; a file given by ``--config``
overrides defaults, and the command line overrides the file.
"""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean
from dataset_builders.files import read_json
from dataset_builders.string_tasks import StringTask, string_task, string_task_class, task_settings
from synthetic_training.arguments import Value, key_values, parse_value
from synthetic_training.training.run_log import RUN

Count = Annotated[int, Ge(1)]


@dataclass(frozen=True)
class OptimizerConfig:
    """AdamW with clipped gradients.

    Attributes:
        weight_decay: decoupled, of every parameter.
        clip: largest norm of the gradient of all parameters.
    """

    weight_decay: float
    clip: float


@dataclass(frozen=True)
class TrainConfig:
    """Settings of a training run; ``checked`` says whether they can be run.

    A step is one update of the weights by ``batch_size`` rows of ``context`` tokens, over all processes.
    """

    model: str = "T_rope"
    """Architecture: a name of the paper, or hf:TYPE for any causal language model of transformers."""
    model_args: Annotated[dict[str, Value], key_values] = field(default_factory=dict)
    """What differs from the architecture's own sizes, such as hidden_size=128."""
    embedding_std: Annotated[float, Gt(0), Lt(math.inf)] | None = None
    """Standard deviation of the initial token embeddings, and of a head tied to them; None for the usual."""

    task: str = "copy"
    """What is trained on: a string task, such as copy or prefix_ngram, or documents (of bytes)."""
    min_length: Count = 5
    """Fewest letters of a string; lengths are uniform."""
    max_length: Count = 20
    """Most letters of a string."""
    vocabulary: Count = 26
    """Number of different letters. More than 26 are written as numbers."""
    n: Count = 3
    """Length of the n-gram in letters; only for tasks that have one."""
    k: Count | None = None
    """Length of the answer in letters (default: all there are)."""
    task_args: Annotated[dict[str, Value], key_values] = field(default_factory=dict)
    """Other settings of the string task, such as name=2."""
    mix: Annotated[dict[str, float], key_values] = field(default_factory=dict)
    """Weights of the kinds of documents, about their shares of the tokens; none for all alike."""
    pool_rows: Count = 16_384
    """Rows of documents, which are made before training; each epoch takes them in another order."""
    rest: Annotated[float, Ge(0), Le(1)] = 0.05
    """Share of a document's tokens that is predicted beside what is asked."""
    isolate_examples: bool = False
    """Whether an example sees nothing of those before it in its row."""

    context: Count = 220
    """Tokens of a row; examples are packed into it."""
    batch_size: Count = 8
    """Rows of a step, over all processes."""
    accumulate: Count = 1
    """Number of parts in which a process works through its rows of a step, to save memory."""
    steps: Count = 10_000
    """Number of steps."""
    lr: Annotated[float, Gt(0), Lt(math.inf)] = 1e-5
    """Highest learning rate."""
    schedule: Literal["linear", "constant"] = "linear"
    """What the learning rate does after the warm-up: falls to 0, or stays."""
    warmup: Annotated[int, Ge(0)] = 100
    """Steps in which the learning rate rises."""
    weight_decay: Annotated[float, Ge(0)] = 0.1
    """Of AdamW."""
    clip: Annotated[float, Gt(0)] = 1.0
    """Largest norm of the gradient."""
    seed: Annotated[int, Ge(0), Le(2**32 - 1)] = 0
    """Of the initial weights and of the data."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: the GPU where there is one."""
    precision: Literal["auto", "bf16", "fp32"] = "auto"
    """Of the forward and backward pass; weights are fp32. auto: bf16 on a GPU, fp32 on a CPU."""
    compile: bool = False
    """Whether to compile the model, which takes minutes and then saves time at each step."""
    deterministic: bool = False
    """Whether the same run gives the same bits on the same machine; on a GPU it is slower."""

    eval_every: Count = 1000
    """Steps between evaluations; the last step is always evaluated."""
    eval_lengths: tuple[Count, ...] = ()
    """Lengths to evaluate; none for max_length alone. Of documents, entries of phone books; none for 20."""
    eval_examples: Annotated[int, Ge(2)] = 128
    """Examples of each length."""
    stop_at: Annotated[float, Gt(0), Le(1)] | None = None
    """String accuracy at the last of the lengths at which training ends early."""

    save_every: Count = 1000
    """Steps between checkpoints; the last two are kept."""
    log_every: Count = 50
    """Steps between lines of metrics."""
    tracker: Literal["none", "trackio", "wandb"] = "none"
    """Where metrics go, beside metrics.jsonl."""

    @property
    def string_task(self) -> StringTask:
        """The task at the training lengths.

        Raises:
            InputError: there is no such task, it has no such setting, or the lengths are too short for it.
        """
        has_ngram = "n" in task_settings(string_task_class(self.task))
        settings = {"n": self.n if has_ngram else None, "k": self.k, **self.task_args}
        return string_task(self.task, self.min_length, self.max_length, self.vocabulary, settings)

    @property
    def optimizer(self) -> OptimizerConfig:
        return OptimizerConfig(self.weight_decay, self.clip)

    @property
    def evaluated(self) -> list[StringTask]:
        """The task at each length that is evaluated.

        Raises:
            InputError: a length is too short for the task.
        """
        lengths = self.eval_lengths or (self.max_length,)
        return [replace(self.string_task, min_length=length, max_length=length) for length in lengths]

    def learning_rate(self, step: int) -> float:
        """Of step 0, 1, ..., ``steps`` - 1; none of them is 0."""
        if step < self.warmup:
            return self.lr * (step + 1) / self.warmup
        if self.schedule == "constant":
            return self.lr
        return self.lr * (self.steps - step) / max(1, self.steps - self.warmup)


FREE = frozenset({"tracker", "log_every", "save_every"})
"""Settings that change nothing of what is learned or when a run ends; they may change when it is resumed."""


def checked(settings: Mapping[str, Any], source: str = "the settings") -> TrainConfig:
    """The configuration of plain settings, those that are missing at their defaults.

    Args:
        settings: names and values as in ``TrainConfig``.
        source: what to call them in an error.

    Raises:
        InputError: a key is unknown, or a value of the wrong kind or out of range.
    """
    from pydantic import TypeAdapter, ValidationError

    _refuse_unknown(settings, source)
    try:
        return TypeAdapter(TrainConfig).validate_python(dict(settings))
    except ValidationError as error:
        first = error.errors()[0]
        name = first["loc"][0]
        raise InputError(f"{source}: {name} = {settings[str(name)]!r}: {reason(first['msg'])}") from None


def reason(message: str) -> str:
    """What pydantic says of a value, as the end of a sentence."""
    if message.startswith("Input "):
        return "it " + message.removeprefix("Input ")
    return message[0].lower() + message[1:]


def check_run(config: TrainConfig, processes: int = 1) -> None:
    """Refuse what no run can do.

    Raises:
        InputError: a length or the context cannot hold an example, or the rows cannot be shared out.
    """
    from synthetic_training.data.training_data import material_of

    material_of(config)
    parts = processes * config.accumulate
    if config.batch_size % parts:
        raise InputError(
            f"a batch_size of {config.batch_size} rows cannot be shared by {processes} processes in "
            f"{config.accumulate} parts each; make it a multiple of {parts}"
        )
    if config.warmup >= config.steps:
        raise InputError(f"a warmup of {config.warmup} steps does not end within {config.steps} steps")


def read_settings(file: Path) -> dict[str, Any]:
    """The settings of a YAML or JSON file.

    Raises:
        InputError: the file cannot be read, or holds no settings.
    """
    import yaml

    try:
        settings = yaml.safe_load(file.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not text"
        raise InputError(f"{file} cannot be read: {reason}") from None
    except yaml.YAMLError as error:
        raise InputError(f"{file} is not YAML: {' '.join(str(error).split())}") from None
    if not isinstance(settings, dict):
        raise InputError(f"{file} must hold settings, as in 'steps: 1000'")
    sizes = settings.get("model_args")
    if isinstance(sizes, dict):
        # YAML takes 1e-3, without a point, for text
        settings["model_args"] = {k: parse_value(v) if isinstance(v, str) else v for k, v in sizes.items()}
    return settings


def read_run(out: Path) -> TrainConfig:
    """The settings of the run in a folder.

    Raises:
        InputError: there is none, or its ``run.json`` is damaged.
    """
    if not (out / RUN).is_file():
        raise InputError(f"there is no run in {out} to go on with: it has no {RUN}")
    content = read_json(out / RUN)
    if not isinstance(content, dict) or not isinstance(content.get("config"), dict):
        raise InputError(f"{out / RUN} is damaged: it holds no settings")
    return checked(content["config"], str(out / RUN))


def as_json(config: TrainConfig) -> dict[str, Any]:
    """The settings as JSON can hold them."""
    settings: dict[str, Any] = json.loads(json.dumps(asdict(config)))
    return settings


def differing(one: TrainConfig, other: TrainConfig) -> list[str]:
    """Names of the settings that make two runs different ones."""
    return [
        f.name
        for f in fields(TrainConfig)
        if f.name not in FREE and getattr(one, f.name) != getattr(other, f.name)
    ]


def _refuse_unknown(settings: Mapping[str, Any], source: str) -> None:
    known = [f.name for f in fields(TrainConfig)]
    for name in settings:
        if name not in known:
            raise InputError(f"{source}: there is no setting {name!r}{did_you_mean(str(name), known)}")
