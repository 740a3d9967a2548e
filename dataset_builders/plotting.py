"""The style of the project's plots, and how they are saved."""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from dataset_builders.files import atomic_file, check_written_by_us

if TYPE_CHECKING:
    from matplotlib.artist import Artist
    from matplotlib.axes import Axes
    from matplotlib.axis import Axis
    from matplotlib.figure import Figure

STYLE: dict[Any, Any] = {
    "svg.hashsalt": "repeat-after-me",  # the same data gives the same file
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
    "axes.grid": True,
    "grid.color": "#dddddd",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.4,
    "lines.markersize": 4.5,
    "text.parse_math": False,  # a model's name may contain a $
}
"""matplotlib settings of all plots."""

_WRITER = "repeat-after-me"
"""Entry in each plot's metadata, by which :func:`check_plots` recognises plots of this project."""

_METADATA: dict[str, dict[str, str | None]] = {
    "png": {"Software": _WRITER},
    "svg": {"Creator": _WRITER, "Date": None},
}

ARCHITECTURES = {
    "transformer": ("#0072b2", "o"),
    "mamba": ("#d55e00", "v"),
    "hybrid": ("#009e73", "s"),
    "mamba2": ("#e69f00", "P"),
    "griffin": ("#cc79a7", "<"),
    "lstm": ("#666666", "X"),
    "minimax": ("#882255", ">"),
}
"""Colour and marker of each architecture, in every plot that shows it by name."""


@contextmanager
def plot_style() -> Iterator[None]:
    """Within the block, draw and save with ``STYLE``; the caller's settings are restored afterwards."""
    import matplotlib as mpl

    with mpl.rc_context(STYLE):
        yield


def save_plot(figure: "Figure", folder: Path, name: str, *, replace: bool = False) -> list[Path]:
    """Save ``NAME.png`` and ``NAME.svg`` atomically; the same figure gives the same SVG.

    Call it within :func:`plot_style`.

    Args:
        figure: the figure.
        folder: output folder.
        name: file name without extension.
        replace: whether to replace any files of these names, instead of only plots of this project.

    Raises:
        InputError: a file cannot be written, or is not a plot of this project.
    """
    if not replace:
        check_plots(folder, [name])
    paths = _files(folder, name)
    for path in paths:
        kind = path.suffix.removeprefix(".")
        with atomic_file(path) as file:
            figure.savefig(file, format=kind, dpi=160, metadata=_METADATA[kind])
    return paths


def check_plots(folder: Path, names: Iterable[str]) -> None:
    """Check that saving plots under these names would replace only earlier plots of this project.

    Raises:
        InputError: another file has one of the names, or a file cannot be read.
    """
    for path in (path for name in names for path in _files(folder, name)):
        check_written_by_us(path, _WRITER, f"was not drawn by {_WRITER}", "choose another folder")


def _files(folder: Path, name: str) -> list[Path]:
    return [folder / f"{name}.{kind}" for kind in _METADATA]


def legend_beside(figure: "Figure", handles: Iterable["Artist"], labels: Iterable[str]) -> None:
    """Place a legend to the right of the axes.

    The figure becomes wider by the width of the legend, so that the axes keep their size.
    """
    legend = figure.legend(list(handles), list(labels), loc="outside right center", frameon=False)
    width, height = figure.get_size_inches()
    figure.set_size_inches(width + legend.get_window_extent().width / figure.dpi, height)


def log_scale(
    axes: "Axes",
    axis: Literal["x", "y"],
    base: int = 10,
    text: Callable[[float], str] | None = None,
) -> None:
    """Make an axis logarithmic, with plain numbers as labels instead of matplotlib's powers of ten.

    Args:
        axes: the axes.
        axis: the axis.
        base: base of the logarithm.
        text: function that formats a number (default: ``short_number``).
    """
    from matplotlib.ticker import LogFormatter

    write = text or short_number

    class PlainNumbers(LogFormatter):
        """Labels the powers, and some of their multiples if there are few powers, as matplotlib does."""

        def __call__(self, value: float, position: int | None = None) -> str:
            return write(value) if super().__call__(value, position) else ""

    (axes.set_xscale if axis == "x" else axes.set_yscale)("log", base=base)
    scaled = axes.xaxis if axis == "x" else axes.yaxis
    for which in (scaled.set_major_formatter, scaled.set_minor_formatter):
        which(PlainNumbers(base, minor_thresholds=(2, 0.4)))


def mark_1_2_5(axis: "Axis", text: Callable[[float], str] | None = None) -> None:
    """Mark and label the powers of ten of a logarithmic axis, and 2 and 5 times them; nothing in between.

    Args:
        axis: the axis.
        text: function that formats a number (default: ``short_number``).
    """
    from matplotlib.ticker import FuncFormatter, LogLocator, NullFormatter

    write = text or short_number
    axis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axis.set_major_formatter(FuncFormatter(lambda value, _: write(value)))
    axis.set_minor_formatter(NullFormatter())


def short_bytes(value: float) -> str:
    """A number of bytes as short as possible, in powers of 1000: 153600 is ``153.6 kB``."""
    units = ("B", "kB", "MB", "GB", "TB", "PB")
    power = max(k for k in range(len(units)) if k == 0 or value >= 1000**k)
    return f"{float(f'{value / 1000**power:.4g}'):g} {units[power]}"


def short_number(value: float) -> str:
    """A number as short as possible: 0.0005 is ``5e-4``."""
    digits, exponent = f"{value:e}".split("e")
    exponential = f"{float(digits):g}e{int(exponent)}"
    return f"{value:g}" if 1 <= value < 1e6 else min(f"{value:g}", exponential, key=len)
