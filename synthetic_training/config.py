"""The settings of a training run.

Unless DEVIATIONS.md says otherwise, the defaults are those of the trainer released with arXiv 2402.01032;
``--preset released`` sets all of them. A file passed with ``--config`` overrides the defaults, and the
command line overrides the file.
"""

import math
from dataclasses import MISSING, dataclass, field, fields, replace
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt
from tyro.conf import arg

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean
from dataset_builders.command_help import DEFAULT_IN_TEXT, default_hint
from dataset_builders.mqar import LEAST_TOKENS_PER_PAIR, Mqar
from dataset_builders.string_tasks import (
    StringTask,
    string_task,
    string_task_class,
    string_task_names,
    task_settings,
)
from synthetic_training.argument_types import Value, key_values, length_ranges
from synthetic_training.data import copy_few_letters, copy_repeats  # noqa: F401  registers their tasks
from synthetic_training.settings import Settings
from synthetic_training.training.schedule import Decay

Count = Annotated[int, Ge(1), Le(2**31)]

DOCUMENTS = "documents"
"""The task of documents of bytes."""

MQAR = "mqar"
"""The task of multi-query associative recall."""


def task_names() -> tuple[str, ...]:
    """The tasks that a model can be trained on: the string tasks, associative recall, and documents."""
    return (*string_task_names(), MQAR, DOCUMENTS)


@dataclass(frozen=True)
class TrainConfig(Settings):
    """Settings of a training run, validated when created.

    A step is one update of the weights by ``batch_size`` rows of ``context_length`` tokens, over all
    processes. Here, ``preset`` only sets arguments of the model. The preset ``released`` also changes
    settings of the run, such as ``steps``; the command line and figures apply them, and in Python you pass
    ``**preset_settings(preset)`` too.

    Raises:
        InputError: a value is invalid, or two values are incompatible.
    """

    model: str = "T_rope"
    """Architecture: T_rope, T_nope, T_alibi, T_hard_alibi, mamba or lstm of the paper; hf:TYPE or fla:TYPE;
    module.path:ClassName; or a folder with a config.json."""
    model_args: Annotated[dict[str, Value], key_values, DEFAULT_IN_TEXT] = field(default_factory=dict)
    """Arguments of the model's configuration, such as hidden_size=128."""
    preset: str | None = None
    """Preset of model arguments: paper or small for a size, or released for all defaults of the code released
    with the paper, including the settings of the run. Values passed in other options override it."""
    imports: Annotated[tuple[str, ...], arg(name="import", help_behavior_hint=default_hint)] = ()
    """Packages to import first, which register model types for hf:TYPE."""
    trust_remote_code: bool = False
    """Run the Python code in the model's folder."""
    embedding_std: Annotated[Annotated[float, Gt(0), Lt(math.inf)] | None, DEFAULT_IN_TEXT] = None
    """Standard deviation of the initial token embeddings and of a tied output layer (default: that of the
    model)."""

    task: str = "copy"
    """Training task: copy, copy_repeats (strings with a repeat), copy_few_letters (many repeats), reverse,
    prefix_ngram, suffix_ngram, duplicate_ngram or another string task; mqar; or documents."""
    min_length: Count = 5
    """Minimum string length in letters; lengths are uniform."""
    max_length: Count = 20
    """Maximum string length in letters."""
    vocabulary: Count = 26
    """Number of different letters in the strings, or of different tokens of mqar (8192 in Zoology); more than
    26 letters are written as numbers."""
    n: Count = 3
    """Length of the n-gram in letters; only for tasks that have one."""
    k: Annotated[Count | None, DEFAULT_IN_TEXT] = None
    """Length of the answer in letters (default: everything after the key)."""
    task_args: Annotated[dict[str, Value], key_values, DEFAULT_IN_TEXT] = field(default_factory=dict)
    """Other settings of the string task or of mqar, such as name=2."""
    pairs: Count = 4
    """Number of key-value pairs per example (mqar only); an example has context_length tokens."""
    fixed_examples: Annotated[Count | None, DEFAULT_IN_TEXT] = None
    """Number of examples in a fixed training set (mqar only; default: new examples in every step)."""
    mix: Annotated[dict[str, float], key_values, DEFAULT_IN_TEXT] = field(default_factory=dict)
    """Sampling weight of each kind of document, such as phone_book=2 (default: all kinds equally)."""
    pool_rows: Count = 16_384
    """Number of rows of documents generated before training; each epoch shuffles them."""
    context_loss_weight: Annotated[float, Ge(0), Le(1)] = 0.05
    """Fraction of non-answer tokens that also contribute to the loss (documents only)."""
    isolate_examples: bool = False
    """Prevent the examples packed into one row from attending to each other."""

    context_length: Count = 220
    """Number of tokens per row; examples are packed into rows."""
    batch_size: Count = 8
    """Number of rows per step, summed over all processes."""
    accumulation_steps: Count = 1
    """Number of forward and backward passes per step; a larger number uses less memory."""
    steps: Count = 10_000
    """Number of training steps."""
    lr: Annotated[float, Gt(0), Lt(1e38)] = 1e-5
    """Peak learning rate, reached after warm-up."""
    schedule: Decay = "linear"
    """Learning rate after warm-up: linear or cosine (decay to 0), or constant. linear_from_zero is linear
    with a first learning rate of 0, as in the trainer released with the paper."""
    warmup_steps: Annotated[Annotated[int, Ge(0)] | None, DEFAULT_IN_TEXT] = None
    """Number of steps in which the learning rate rises linearly to its peak (default: 100, or a tenth of all
    steps if that is fewer)."""
    weight_decay: Annotated[float, Ge(0), Lt(math.inf)] = 0.1
    """Weight decay of AdamW, applied to all parameters."""
    grad_clip: Annotated[float, Gt(0), Lt(math.inf)] | None = 1.0
    """Maximum norm of the gradient; larger gradients are scaled down to it. None: they are not clipped."""
    seed: Annotated[int, Ge(0), Le(2**32 - 1)] = 0
    """Random seed of the initial weights and of the training data."""

    device: Literal["auto", "cpu", "cuda"] = "auto"
    """Device to train on; auto uses a GPU if there is one."""
    precision: Literal["auto", "bf16", "tf32", "fp32"] = "auto"
    """Precision of the forward and backward pass; weights are always fp32. tf32 is fp32 with TF32 matrix
    products, on a GPU. auto is bf16 on a GPU and fp32 on a CPU."""
    compile: Literal["auto", "on", "off"] = "auto"
    """Compile the model, which takes a few seconds at the start and makes each step faster. auto compiles in
    runs of at least 1,000 steps on a GPU."""
    deterministic: bool = False
    """Use only deterministic algorithms: bitwise identical results on one machine, but slower on a GPU."""

    eval_every: Count = 1000
    """Number of steps between evaluations; the last step is always evaluated."""
    eval_lengths: Annotated[tuple[Count, ...], length_ranges, DEFAULT_IN_TEXT] = ()
    """Lengths to evaluate, as numbers or ranges such as 20:120:20 (default: max_length). For documents,
    numbers of phone book entries (default: 20); for mqar, numbers of pairs (default: pairs)."""
    eval_examples: Annotated[int, Ge(2), Le(2**31)] = 128
    """Number of examples per evaluated length."""
    stop_accuracy: Annotated[float, Gt(0), Le(1)] | None = None
    """Stop early when string accuracy at the last evaluated length reaches this value."""

    save_every: Count = 1000
    """Number of steps between checkpoints; the last two checkpoints are kept."""
    log_every: Count = 50
    """Number of steps between lines of metrics."""
    tracker: Literal["none", "trackio", "wandb"] = "none"
    """Experiment tracker to which metrics are sent, in addition to metrics.jsonl."""

    @property
    def warmup(self) -> int:
        """Number of steps of warm-up."""
        return min(100, self.steps // 10) if self.warmup_steps is None else self.warmup_steps

    @property
    def _has_ngram(self) -> bool:
        return "n" in task_settings(string_task_class(self.task))

    @property
    def string_task(self) -> StringTask:
        """The task at the training lengths.

        Raises:
            InputError: the task or one of its settings is unknown, or the lengths are too short for it.
        """
        settings = {"n": self.n if self._has_ngram else None, "k": self.k, **self.task_args}
        return string_task(self.task, self.min_length, self.max_length, self.vocabulary, settings)

    @property
    def eval_tasks(self) -> list[StringTask]:
        """The string task at each evaluated length.

        Raises:
            InputError: a length is too short for the task.
        """
        lengths = self.eval_lengths or (self.max_length,)
        return [replace(self.string_task, min_length=length, max_length=length) for length in lengths]

    def __post_init__(self) -> None:
        if isinstance(self.compile, bool):  # YAML reads an unquoted on or off as a bool
            object.__setattr__(self, "compile", "on" if self.compile else "off")
        super().__post_init__()

    @property
    def length_unit(self) -> str:
        """The unit of the evaluated lengths, such as letters."""
        return {MQAR: "pairs", DOCUMENTS: "entries"}.get(self.task, "letters")

    @property
    def mqar(self) -> Mqar:
        """The task of multi-query associative recall with the settings of training.

        Raises:
            InputError: a setting in ``task_args`` is unknown, or the context is too short for the pairs.
        """
        most = max((self.pairs, *self.eval_lengths))
        if self.context_length < most * LEAST_TOKENS_PER_PAIR:
            raise InputError(
                f"context_length = {self.context_length} is too short: {most} pairs and their queries need "
                f"{most * LEAST_TOKENS_PER_PAIR} tokens"
            )
        for name in self.task_args:
            if name not in _MQAR_ARGS:
                raise InputError(
                    f"mqar has no setting {name!r}{did_you_mean(name, _MQAR_ARGS)}; it has "
                    f"{', '.join(_MQAR_ARGS)}"
                )
        arguments: dict[str, Any] = self.task_args
        return Mqar(self.context_length, self.pairs, self.vocabulary, **arguments)

    def check(self) -> None:
        self._check_task()
        if self.batch_size % self.accumulation_steps:
            raise InputError(
                f"a batch_size of {self.batch_size} rows cannot be split into {self.accumulation_steps} "
                f"accumulation_steps; make it a multiple of {self.accumulation_steps}"
            )
        if self.warmup >= self.steps:
            raise InputError(
                f"warmup_steps = {self.warmup_steps} must be smaller than steps = {self.steps}; "
                "pass --warmup-steps or --steps"
            )

    def _check_task(self) -> None:
        if self.task not in task_names() and self.imports:
            from synthetic_training.models.user_code import import_packages

            # an imported package may register the task
            import_packages(self.imports)
        known = task_names()
        if self.task not in known:
            raise InputError(
                f"task must be one of {', '.join(known)}, not {self.task!r}{did_you_mean(self.task, known)}"
            )
        kind = self.task if self.task in (MQAR, DOCUMENTS) else _STRINGS
        for one in fields(self):
            owners = _TASKS.get(one.name, (kind,))
            default = one.default if one.default is not MISSING else {}
            if kind not in owners and getattr(self, one.name) != default:
                raise InputError(
                    f"{one.name} is a setting of {' and '.join(owners)}; {self.task} does not have it"
                )
        if kind == _STRINGS and self.n != TrainConfig.n and not self._has_ngram:
            raise InputError(f"n is a setting of the n-gram tasks; {self.task} does not have it")


_STRINGS = "the string tasks"

_TASKS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("min_length", "max_length", "n", "k"), (_STRINGS,)),
    **dict.fromkeys(("vocabulary", "task_args"), (_STRINGS, MQAR)),
    **dict.fromkeys(("pairs", "fixed_examples"), (MQAR,)),
    **dict.fromkeys(("mix", "pool_rows", "context_loss_weight"), (DOCUMENTS,)),
    "isolate_examples": (_STRINGS, DOCUMENTS),
}
"""The tasks that use each setting, for settings that not all tasks use."""

_MQAR_ARGS = ("power_a", "random_non_queries")
"""Settings of mqar that are passed in ``task_args``."""

CHANGEABLE = frozenset({"tracker", "log_every", "save_every", "trust_remote_code"})
"""Settings that may change when a run is resumed, because they affect neither the training nor its length."""

_HOW = frozenset({"accumulation_steps", "compile"})
"""Settings for how a step is computed, which a resumed run may change: with fewer GPUs, a step may need
more passes. As with another number of processes, only rounding and dropout then differ."""


def differing(one: TrainConfig, other: TrainConfig) -> list[str]:
    """Names of the settings that differ between two runs and affect what is trained."""
    names = [f.name for f in fields(TrainConfig) if f.name not in CHANGEABLE | _HOW]
    return [name for name in names if getattr(one, name) != getattr(other, name)]


def shipped_configs() -> dict[str, Path]:
    """The files of settings that come with the package, by name."""
    return {file.stem: file for file in sorted((Path(__file__).parent / "configs").glob("*.yaml"))}


def config_path(name: str) -> Path:
    """The file of a config that comes with the package, or the path of the user's own file.

    Raises:
        InputError: the name is neither.
    """
    known = shipped_configs()
    file = known.get(name, Path(name))
    if not file.exists():
        raise InputError(
            f"there is no file {name!r}; the configs that come with the package are {', '.join(known)}"
            f"{did_you_mean(file.stem, known)}"
        )
    return file
