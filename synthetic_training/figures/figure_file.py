"""A figure's file: YAML with its runs at each scale, read and checked.

::

    title: Training efficiency
    x: examples                # horizontal axis: examples, length, or a setting that is swept
    # best_of: lr              # if x is a setting: draw accuracy at the best value of another swept setting
    paper: What the paper found.
    scales:
      small:
        seeds: [0, 1]
        settings: {task: copy, max_length: 30}       # of TrainConfig, common to all runs
        panels:                                      # each run is repeated for each panel, with its settings
          few: {vocabulary: 3}
          many: {vocabulary: 26}
        sweep: {lr: [3e-4, 1e-3]}                    # each run is repeated for each value; or model_args.NAME
        runs: [T_rope, {mamba: {steps: 9000}}]       # from models.yaml, possibly with changes; or your own:
        # runs: {mine: {model: T_rope, lr: 1e-3, model_args: {hidden_size: 128}}}
        # learning_rates: {others: [3e-4, 1e-3]}     # tried first; the runs use the best
        # rates_of: efficiency_50                    # or: the learning rates chosen for another figure
        # runs_of: length_generalization             # or: runs, settings and rates of another figure
        tests:                                       # evaluations of each trained model
          - {task: copy, lengths: [20, 30, 60], num_examples: 500}
"""

import os
import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, Literal

from annotated_types import Ge, Gt, Le, Lt, MinLen

from dataset_builders import InputError
from dataset_builders.checks import did_you_mean
from synthetic_training.argument_types import parse_value
from synthetic_training.config import Count
from synthetic_training.settings import Settings, parse_settings, read_settings

SHIPPED = Path(__file__).parent / "configs"
"""The folder of the paper's figures."""

SIZED = Path(__file__).parent / "models.yaml"
"""The models of the paper's figures: sizes and learning rates at each scale, by label."""

Seed = Annotated[int, Ge(0), Le(2**32 - 1)]
Values = dict[str, Any]
"""Settings of ``TrainConfig`` by name, not yet checked."""

MEASURED = ("examples", "length")
"""Horizontal axes other than settings."""

Rate = Annotated[float, Gt(0), Lt(1e38)]
"""A learning rate."""

OTHERS = "others"
"""Key of the learning rates of all labels that are not listed."""

_LABEL = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Test(Settings):
    """An evaluation of each trained model, with fields of ``EvaluateConfig``.

    Attributes:
        task: a string task (default: the training task).
        keys: whether to count competing keys for ``figures.keys``; only for copy.
    """

    __test__ = False

    lengths: Annotated[tuple[Count, ...], MinLen(1)]
    task: Literal["copy", "prefix_ngram", "suffix_ngram", "duplicate_ngram"] | None = None
    num_examples: Annotated[int, Ge(2)] = 500
    n: Count | None = None
    k: Count | None = None
    batch_size: Count = 64
    keys: bool = False

    def check(self) -> None:
        if self.keys and self.task != "copy":
            raise InputError(f"keys: true needs task: copy, not {self.task or 'the training task'}")
        if self.keys and self.k is not None:
            raise InputError(f"keys: true needs whole strings; remove k = {self.k}")


@dataclass(frozen=True)
class Scale(Settings):
    """The runs of a figure at one size.

    Attributes:
        runs: settings by label in the plot.
        settings: settings common to all runs.
        seeds: seeds; each run is repeated with each of them.
        panels: settings of the parts of the plot, by name.
        sweep: values of each swept setting.
        tests: evaluations of each trained model.
        learning_rates: learning rates to try for each label, or for ``others``; each run then uses the best
            learning rate of its label, by the rule in ``rates``.
        rates_of: name of the figure whose chosen learning rates the runs use.
        runs_of: name of the figure from which runs, settings, panels, seeds and learning rates are taken.
            ``runs`` may then list some of its labels, and other fields override those of that figure.
    """

    runs: Annotated[dict[str, Values], MinLen(1)]
    settings: Values = field(default_factory=dict)
    seeds: Annotated[tuple[Seed, ...], MinLen(1)] = (0,)
    panels: dict[str, Values] = field(default_factory=dict)
    sweep: dict[str, Annotated[list[Any], MinLen(1)]] = field(default_factory=dict)
    tests: tuple[Test, ...] = ()
    learning_rates: dict[str, Annotated[list[Rate], MinLen(2)]] = field(default_factory=dict)
    rates_of: str | None = None
    runs_of: str | None = None

    def check(self) -> None:
        if self.learning_rates and self.rates_of is not None:
            raise InputError("learning_rates cannot be combined with rates_of; use one of them")
        if (self.learning_rates or self.rates_of) and "lr" in self.sweep:
            raise InputError("a sweep over lr cannot be combined with learning_rates or rates_of")
        if self.learning_rates and self.sweep:
            raise InputError(
                f"learning_rates cannot be combined with a sweep over {next(iter(self.sweep))}, because one "
                "rate is chosen for all of its values; sweep lr too, with best_of: lr"
            )
        for label in self.learning_rates:
            if label != OTHERS and label not in self.runs:
                raise InputError(
                    f"learning_rates of {label!r}: there is no such run; use {OTHERS} for all others"
                )
        if self.learning_rates and OTHERS not in self.learning_rates:
            missing = [label for label in self.runs if label not in self.learning_rates]
            if missing:
                raise InputError(f"learning_rates lack {missing[0]}; add it, or {OTHERS}")

    def rates_to_try(self, label: str) -> list[float]:
        """The learning rates to try for a label."""
        return list(self.learning_rates.get(label, self.learning_rates.get(OTHERS, [])))


@dataclass(frozen=True)
class Figure(Settings):
    """A figure.

    Attributes:
        title: title of a few words.
        x: the horizontal axis: ``examples`` trained on, ``length`` of the evaluated strings, or a setting
            that every scale sweeps, such as ``lr``.
        paper: the paper's finding.
        scales: ``small`` for a CPU, ``paper`` for the paper's sizes.
        best_of: a setting, such as ``lr``, that every scale sweeps besides ``x``. The plot then shows
            accuracy after training at the value of this setting with the highest accuracy; otherwise, it
            shows the training loss.
    """

    title: str
    x: str
    paper: str
    scales: Annotated[dict[Literal["small", "paper"], Scale], MinLen(1)]
    best_of: str | None = None


def shipped() -> dict[str, Path]:
    """The files of the paper's figures by name."""
    return {file.stem: file for file in sorted(SHIPPED.glob("*.yaml"))}


def figure_path(name: str) -> Path:
    """The file of one of the paper's figures, or the path of the user's own file.

    Raises:
        InputError: the name is neither.
    """
    known = shipped()
    if name in known:
        return known[name]
    is_file = name.endswith((".yaml", ".yml", ".json"))
    if is_file and Path(name).exists():
        return Path(name)
    what = "file" if (is_file or os.sep in name) and not Path(name).exists() else "figure"
    raise InputError(
        f"there is no {what} {name!r}; use {', '.join(known)} or a YAML file"
        f"{did_you_mean(Path(name).stem, known)}"
    )


def read_figure(file: Path) -> Figure:
    """The figure in a file; the settings of its runs are checked by ``plan``.

    Raises:
        InputError: the file cannot be read, or a name or value in it is invalid.
    """
    content = read_settings(file)
    scales = content.get("scales")
    if isinstance(scales, dict):
        content["scales"] = {
            name: _scale(_with_runs(scale, name, file), f"{file}: scale {name}")
            for name, scale in scales.items()
        }
    figure = parse_settings(Figure, content, str(file))
    swept = [name for name in next(iter(figure.scales.values())).sweep if _swept_by_all(figure, name)]
    if figure.x not in (known := [*MEASURED, *swept]):
        raise InputError(
            f"{file}: x = {figure.x!r} must be one of {', '.join(known)}; a setting can be the axis if every "
            "scale sweeps it"
        )
    if figure.best_of is not None and (figure.x in MEASURED or figure.best_of not in {*swept} - {figure.x}):
        raise InputError(
            f"{file}: best_of = {figure.best_of!r} must be a setting that every scale sweeps, other than x"
        )
    for name, scale in figure.scales.items():
        if figure.x == "length" and not scale.tests:
            raise InputError(
                f"{file}: scale {name}: x = 'length' needs the lengths to draw, as in "
                "tests: [{lengths: [10, 20]}]"
            )
        for value in scale.sweep.get(figure.x, ()):
            number = parse_value(value) if isinstance(value, str) else value
            if isinstance(number, bool) or not isinstance(number, int | float) or number <= 0:
                raise InputError(
                    f"{file}: {figure.x} = {value!r} cannot be on a logarithmic axis; use numbers above 0"
                )
    return figure


def _swept_by_all(figure: Figure, name: str) -> bool:
    return all(name in scale.sweep for scale in figure.scales.values())


def _with_runs(content: Any, scale: str, file: Path) -> Any:
    """A scale with the settings of each run, from another figure, ``SIZED`` or the scale itself."""
    if not isinstance(content, dict) or (owner := content.get("runs_of")) is None:
        return _with_models(content, scale, str(file))
    if not isinstance(owner, str) or owner not in shipped() or owner == file.stem:
        raise InputError(
            f"{file}: runs_of = {owner!r} must be one of {', '.join(n for n in shipped() if n != file.stem)}"
        )
    other = read_settings(shipped()[owner])["scales"].get(scale)
    if other is None or "runs_of" in other:
        raise InputError(f"{file}: {owner} defines no runs at the scale {scale}")
    other = _with_models(other, scale, str(shipped()[owner]))
    kept = {name: value for name, value in other.items() if name not in ("tests", "learning_rates")}
    if other.get("learning_rates"):
        kept["rates_of"] = owner
    if (labels := content.get("runs")) is not None:
        if not isinstance(labels, list):
            raise InputError(f"{file}: runs must list labels of {owner}, not {labels!r}")
        for label in labels:
            if not isinstance(label, str) or label not in other["runs"]:
                raise InputError(f"{file}: {owner} has no run {label!r}; it has {', '.join(other['runs'])}")
        kept["runs"] = {label: other["runs"][label] for label in labels}
    return {**kept, **{name: value for name, value in content.items() if name != "runs"}}


def _with_models(content: Any, scale: str, source: str) -> Any:
    """A scale in which labels of ``SIZED``, alone or with changes, are replaced by their settings."""
    if not isinstance(content, dict) or not isinstance(listed := content.get("runs"), list):
        return content
    sized = read_settings(SIZED).get(scale, {})
    runs: dict[str, Values] = {}
    for one in listed:
        changes = one if isinstance(one, dict) else {str(one): {}}
        for label, changed in changes.items():
            if label not in sized:
                raise InputError(
                    f"{source}: scale {scale} has no model {label!r}; add its settings, or use one of "
                    f"{', '.join(sized)}{did_you_mean(str(label), sized)}"
                )
            if not isinstance(changed, dict):
                raise InputError(f"{source}: {label} must have settings, not {changed!r}")
            if label in runs:
                raise InputError(f"{source}: scale {scale} lists {label} twice; rename one of them")
            runs[label] = {**sized[label], **changed}
            if isinstance(sizes := changed.get("model_args"), dict):
                runs[label]["model_args"] = {**sized[label].get("model_args", {}), **sizes}
    return {**content, "runs": runs}


def _scale(content: Any, source: str) -> Scale:
    if isinstance(content, dict) and isinstance(tests := content.get("tests"), list):
        parsed = [parse_settings(Test, test, f"{source}: test {i}") for i, test in enumerate(tests, 1)]
        content = {**content, "tests": parsed}
    if isinstance(content, dict) and isinstance(tried := content.get("learning_rates"), dict):
        # YAML reads 1e-3, without a decimal point, as text
        content = {**content, "learning_rates": {label: _numbers(rates) for label, rates in tried.items()}}
    scale = parse_settings(Scale, content, source)
    for label in scale.runs:
        if not _LABEL.fullmatch(label):
            raise InputError(
                f"{source}: the label {label!r} may contain only letters, digits, '_', '-' and '.'"
            )
    return scale


def _numbers(values: Any) -> Any:
    return (
        [parse_value(v) if isinstance(v, str) else v for v in values] if isinstance(values, list) else values
    )
