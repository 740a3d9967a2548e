"""What a figure is: a YAML file with its runs at each scale, read and checked.

::

    title: Training efficiency
    x: examples                # what the horizontal axis is: examples, length, or a setting that is swept
    paper: What the paper found.
    scales:
      small:
        seeds: [0, 1]
        settings: {task: copy, max_length: 30}       # of TrainConfig, common to all runs
        panels:                                      # each run once in each, with these settings
          few: {vocabulary: 3}
          many: {vocabulary: 26}
        sweep: {lr: [3e-4, 1e-3]}                    # each run once with each value; of model_args.NAME too
        runs: [T_rope, {mamba: {steps: 9000}}]       # of models.yaml, also with changes; or one's own:
        # runs: {mine: {model: T_rope, lr: 1e-3, model_args: {hidden_size: 128}}}
        tests:                                       # what each trained model is asked
          - {task: copy, lengths: [20, 30, 60], num_examples: 500}
"""

import re
from collections.abc import Mapping
from dataclasses import MISSING, dataclass, field, fields
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

from annotated_types import Ge, Le, MinLen

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean
from synthetic_training.arguments import parse_value
from synthetic_training.config import Count, read_settings, reason

SHIPPED = Path(__file__).parent / "configs"
"""The folder of the paper's figures."""

SIZED = Path(__file__).parent / "models.yaml"
"""The models of the paper's figures: sizes and learning rates at each scale, by label."""

Seed = Annotated[int, Ge(0), Le(2**32 - 1)]
Settings = dict[str, Any]
Kind = TypeVar("Kind")

MEASURED = ("examples", "length")
"""Horizontal axes that are no setting."""

_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Test:
    """What a trained model is asked; as in ``EvaluateConfig``."""

    __test__ = False

    task: Literal["copy", "prefix_ngram", "suffix_ngram", "duplicate_ngram"]
    lengths: Annotated[tuple[Count, ...], MinLen(1)]
    num_examples: Annotated[int, Ge(2)] = 500
    n: Count | None = None
    k: Count | None = None
    batch_size: Count = 64


@dataclass(frozen=True)
class Scale:
    """The runs of a figure at one size.

    Attributes:
        runs: settings by the label that the plot has for them.
        settings: common to all runs.
        seeds: each run is done with each.
        panels: settings of the parts of the plot, by name.
        sweep: values of settings.
        tests: of each trained model.
    """

    runs: Annotated[dict[str, Settings], MinLen(1)]
    settings: Settings = field(default_factory=dict)
    seeds: Annotated[tuple[Seed, ...], MinLen(1)] = (0,)
    panels: dict[str, Settings] = field(default_factory=dict)
    sweep: dict[str, Annotated[list[Any], MinLen(1)]] = field(default_factory=dict)
    tests: tuple[Test, ...] = ()


@dataclass(frozen=True)
class Figure:
    """A figure.

    Attributes:
        title: a few words.
        x: what the horizontal axis is: ``examples`` trained on, ``length`` of the strings asked, or a setting
            that every scale sweeps, such as ``lr``.
        paper: what the paper found.
        scales: ``small`` for a CPU, ``paper`` for its sizes.
    """

    title: str
    x: str
    paper: str
    scales: Annotated[dict[Literal["small", "paper"], Scale], MinLen(1)]


def shipped() -> dict[str, Path]:
    """The files of the paper's figures by name."""
    return {file.stem: file for file in sorted(SHIPPED.glob("*.yaml"))}


def figure_path(name: str) -> Path:
    """The file of one of the paper's figures, or the path of a file of one's own.

    Raises:
        InputError: it is neither.
    """
    known = shipped()
    if name in known:
        return known[name]
    if name.endswith((".yaml", ".yml", ".json")):
        return Path(name)
    raise InputError(
        f"the figures are {', '.join(known)}, or a YAML file; {name!r} is none{did_you_mean(name, known)}"
    )


def read_figure(file: Path) -> Figure:
    """A figure as its file has it; the settings of runs are checked when they are planned.

    Raises:
        InputError: the file cannot be read, a name in it is unknown, or a value of the wrong kind.
    """
    content = read_settings(file)
    scales = content.get("scales")
    if isinstance(scales, dict):
        content["scales"] = {
            name: _scale(_with_models(scale, name, str(file)), f"{file}: scale {name}")
            for name, scale in scales.items()
        }
    figure = _checked(Figure, content, str(file))
    swept = [name for name in next(iter(figure.scales.values())).sweep if _swept_by_all(figure, name)]
    if figure.x not in (known := [*MEASURED, *swept]):
        raise InputError(
            f"{file}: x = {figure.x!r} is none of {', '.join(known)}; each scale must sweep a setting to "
            "have it there"
        )
    for scale in figure.scales.values():
        for value in scale.sweep.get(figure.x, ()):
            number = parse_value(value) if isinstance(value, str) else value
            if isinstance(number, bool) or not isinstance(number, int | float) or number <= 0:
                raise InputError(
                    f"{file}: {figure.x} = {value!r} has no place on the axis; give numbers above 0"
                )
    return figure


def _swept_by_all(figure: Figure, name: str) -> bool:
    return all(name in scale.sweep for scale in figure.scales.values())


def _with_models(content: Any, scale: str, source: str) -> Any:
    """A scale's runs by label, where it lists labels of ``SIZED``, each alone or with what is changed."""
    if not isinstance(content, dict) or not isinstance(listed := content.get("runs"), list):
        return content
    sized = read_settings(SIZED).get(scale, {})
    runs: dict[str, Settings] = {}
    for one in listed:
        changes = one if isinstance(one, dict) else {str(one): {}}
        for label, changed in changes.items():
            if label not in sized:
                raise InputError(
                    f"{source}: scale {scale} has no model {label!r}{did_you_mean(str(label), sized)}; "
                    "give its settings"
                )
            if not isinstance(changed, dict):
                raise InputError(f"{source}: {label} must have settings, not {changed!r}")
            if label in runs:
                raise InputError(f"{source}: scale {scale} lists {label} twice; give one a name of its own")
            runs[label] = {**sized[label], **changed}
            if isinstance(sizes := changed.get("model_args"), dict):
                runs[label]["model_args"] = {**sized[label].get("model_args", {}), **sizes}
    return {**content, "runs": runs}


def _scale(content: Any, source: str) -> Scale:
    if isinstance(content, dict) and isinstance(tests := content.get("tests"), list):
        checked = [_checked(Test, test, f"{source}: test {i}") for i, test in enumerate(tests, 1)]
        content = {**content, "tests": checked}
    scale = _checked(Scale, content, source)
    for label in scale.runs:
        if not _LABEL.fullmatch(label):
            raise InputError(f"{source}: the run {label!r} needs a name of letters, digits, '_', '-' and '.'")
    return scale


def _checked(kind: type[Kind], content: Any, source: str) -> Kind:
    """A dataclass of plain values.

    Raises:
        InputError: a key is unknown or missing, or a value of the wrong kind or out of range.
    """
    from pydantic import TypeAdapter, ValidationError

    known = {one.name: one for one in fields(kind)}  # type: ignore[arg-type]
    if not isinstance(content, Mapping):
        raise InputError(f"{source} must hold settings, among {', '.join(known)}, not {content!r}")
    for name in content:
        if name not in known:
            raise InputError(f"{source}: there is no setting {name!r}{did_you_mean(str(name), known)}")
    for name, one in known.items():
        if name not in content and one.default is MISSING and one.default_factory is MISSING:
            raise InputError(f"{source} lacks {name}")
    try:
        return TypeAdapter(kind).validate_python(dict(content))
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"]))
        raise InputError(f"{source}: {where} = {first['input']!r}: {reason(first['msg'])}") from None
