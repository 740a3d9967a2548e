"""The colour, marker and name of each model and test, the same in all plots."""

from collections.abc import Sequence
from typing import Any

from dataset_builders.plotting import ARCHITECTURES
from synthetic_training.figures.plan import Result

Style = dict[str, Any]

_STYLES = {
    **ARCHITECTURES,
    "T_rope": ARCHITECTURES["transformer"],
    "T_nope": ("#56B4E9", "s"),
    "T_alibi": ("#009E73", "^"),
    "T_hard_alibi": ("#332288", "D"),
    "T_hard_alibi_isolated": ("#AA4499", "d"),
    "mamba_authors": ("#ee7733", "1"),
    "gated_deltanet_window": ("#117733", "p"),
    "gated_deltanet": ("#44AA99", "*"),
    "gla": ("#999933", "h"),
    "rwkv7": ("#DDAA33", "H"),
}
_OTHERS = (
    ("#0072b2", "o"),
    ("#d55e00", "v"),
    ("#117733", "p"),
    ("#999933", "h"),
    ("#44AA99", "*"),
    ("#DDAA33", "H"),
    ("#882255", "X"),
    ("#332288", "D"),
    ("#666666", "s"),
)
_NAMES = {
    "T_rope": "Transformer: RoPE",
    "T_nope": "Transformer: NoPE",
    "T_alibi": "Transformer: ALiBi",
    "T_hard_alibi": "Transformer: Hard-ALiBi",
    "T_hard_alibi_isolated": "Hard-ALiBi, examples apart",
    "transformer": "Transformer",
    "mamba": "Mamba",
    "hybrid": "Hybrid",
    "lstm": "LSTM",
    "mamba2": "Mamba-2",
    "griffin": "Griffin",
    "minimax": "MiniMax",
    "mamba_authors": "Mamba, authors' weights",
    "gated_deltanet_window": "Hybrid: Gated DeltaNet, window",
    "gated_deltanet": "Gated DeltaNet",
    "gla": "GLA",
    "rwkv7": "RWKV-7",
    "as_published": "As published",
    "log_length": "Scores times log length",
    "repeats": "Repeats in training",
    "log_length_repeats": "Repeats, log length",
    "short_repeats": "Short repeats",
    "log_length_short_repeats": "Short repeats, log length",
    "few_letters": "Few letters",
    "log_length_few_letters": "Few letters, log length",
    "rows_64": "64 rows",
    "long_rows": "Long rows",
    "long_rows_log_length": "Long rows, log length",
    "mamba_hf": "Mamba of transformers",
}
_SETTINGS = {
    "lr": "learning rate",
    "width": "width",
    "embeddings": "embeddings' standard deviation",
    "x_proj_gain": "factor on x_proj's initial weights",
    "initializer_range": "standard deviation of the initial weights",
}
DASHES = ("-", "--", ":", "-.")


def style_of(label: str, results: Sequence[Result]) -> Style:
    """Colour, marker and name of a model; one without a style of its own gets the next that is free."""
    if label in _STYLES:
        color, marker = _STYLES[label]
    else:
        labels = {result["label"] for result in results}
        taken = {_STYLES[one][0].lower() for one in labels & _STYLES.keys()}
        free = [style for style in _OTHERS if style[0].lower() not in taken]
        others = sorted(labels - _STYLES.keys())
        color, marker = free[others.index(label) % len(free)]
    return {"color": color, "marker": marker, "label": model_title(label)}


def styles_of_tests(tests: Sequence[str]) -> list[Style]:
    """The style of each test: black for copying, and darker colours for longer keys."""
    import matplotlib as mpl

    plain = [name for name in tests if "=" not in name]
    rest = [name for name in tests if "=" in name]
    shades = mpl.colormaps["viridis_r"]
    colors: dict[str, Any] = dict.fromkeys(plain, "black")
    colors |= {name: shades(0.15 + 0.75 * i / max(1, len(rest) - 1)) for i, name in enumerate(rest)}
    return [
        {"color": colors[name], "marker": marker, "label": task_title(name)}
        for name, marker in zip(tests, "osD^vPX<>hpd" * len(tests), strict=False)
    ]


def model_title(name: str) -> str:
    """A model's name in a legend; a label such as ``lr_1e-3`` becomes the name and value of the setting."""
    label, comma, rest = name.partition(",")
    setting, _, value = label.rpartition("_")
    if setting in _SETTINGS and value[:1].isdecimal():
        return f"{setting_title(setting).capitalize()} {value}{comma}{rest}"
    return _NAMES.get(label, label) + comma + rest


def setting_title(name: str) -> str:
    """The name of a swept setting in an axis label."""
    plain = name.removeprefix("model_args.")
    return _SETTINGS.get(plain, plain.replace("_", " "))


def task_title(name: str) -> str:
    """A task's name in a title or legend."""
    return name.replace("_", " ").replace("ngram", "n-gram")
