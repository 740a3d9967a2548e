"""How models and tests look in every plot: each has its colour, marker and name."""

from collections.abc import Sequence
from typing import Any

from synthetic_training.figures.summary import ORDER
from synthetic_training.training.run_log import Line

Style = dict[str, Any]

_STYLES = {
    "T_rope": ("#0072B2", "o"),
    "T_nope": ("#56B4E9", "s"),
    "T_alibi": ("#009E73", "^"),
    "T_hard_alibi": ("#332288", "D"),
    "T_hard_alibi_isolated": ("#AA4499", "d"),
    "mamba": ("#D55E00", "v"),
    "lstm": ("#666666", "X"),
    "mamba2": ("#E69F00", "P"),
    "griffin": ("#CC79A7", "<"),
    "minimax": ("#882255", ">"),
}
_OTHERS = (("#999933", "h"), ("#117733", "p"), ("#44AA99", "*"), ("#DDAA33", "H"))
_NAMES = {
    "T_rope": "Transformer: RoPE",
    "T_nope": "Transformer: NoPE",
    "T_alibi": "Transformer: ALiBi",
    "T_hard_alibi": "Transformer: Hard-ALiBi",
    "T_hard_alibi_isolated": "Hard-ALiBi, examples apart",
    "mamba": "Mamba",
    "lstm": "LSTM",
    "mamba2": "Mamba-2",
    "griffin": "Griffin",
    "minimax": "MiniMax",
}
DASHES = ("-", "--", ":", "-.")

LOOK: dict[Any, Any] = {
    "svg.hashsalt": "repeat-after-me",  # the same results give the same file
    "font.size": 9,
    "axes.labelsize": 9,
    "axes.titlesize": 9,
    "legend.fontsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.linewidth": 0.8,
    "axes.axisbelow": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
}


def style_of(label: str, lines: Sequence[Line]) -> Style:
    """Colour and marker of a model: its own in all figures, or the next that is free."""
    others = sorted({line["label"] for line in lines} - set(ORDER))
    color, marker = _STYLES[label] if label in _STYLES else _OTHERS[others.index(label) % len(_OTHERS)]
    return {"color": color, "marker": marker, "label": shown(label)}


def styles_of_tests(tests: Sequence[str]) -> list[Style]:
    """Black for plain copying, and the darker the longer the key."""
    import matplotlib as mpl

    plain = [name for name in tests if "=" not in name]
    rest = [name for name in tests if "=" in name]
    shades = mpl.colormaps["viridis_r"]
    colors: dict[str, Any] = dict.fromkeys(plain, "black")
    colors |= {name: shades(0.15 + 0.75 * i / max(1, len(rest) - 1)) for i, name in enumerate(rest)}
    return [
        {"color": colors[name], "marker": marker, "label": spoken(name)}
        for name, marker in zip(tests, "osD^vPX<>hpd" * len(tests), strict=False)
    ]


def shown(name: str) -> str:
    """A model's name in a legend."""
    label, comma, rest = name.partition(",")
    return _NAMES.get(label, label) + comma + rest


def setting(name: str) -> str:
    """A setting that is swept, in words."""
    return "learning rate" if name == "lr" else name.removeprefix("model_args.").replace("_", " ")


def spoken(name: str) -> str:
    """A task's name in words."""
    return name.replace("_", " ").replace("ngram", "n-gram")
