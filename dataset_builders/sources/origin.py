"""Where documents come from: a source or a tokenizer, by name, revision and checksum."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Origin:
    """A source of texts, or a tokenizer.

    Attributes:
        name: of the repository on the Hub, or of the file or folder, without the folders it lies in.
        on_hub: whether it is a repository on the Hub.
        revision: the commit on the Hub; None where none is known.
        sha256: checksum of what was read.
    """

    name: str
    on_hub: bool
    revision: str | None
    sha256: str


@dataclass(frozen=True)
class TextSource:
    """What the documents of a benchmark are cut from.

    Attributes:
        parameter: the builder's parameter that names it, the key of lm-eval's ``--metadata`` and, with
            dashes, the option of the command line. Its default is the benchmark's own source on the Hub.
        help: what it may be, for the command line.
        origin: from the source's name and the tokenizer's to where the documents come from.
    """

    parameter: str
    help: str
    origin: Callable[[str, str], Origin]


def option(parameter: str) -> str:
    """The command-line option of a builder's parameter."""
    return f"--{parameter.replace('_', '-')}"


def public_name(source: str, on_hub: bool) -> str:
    """A name that says nothing of the machine: folders that a local file lies in are left out."""
    return source if on_hub else Path(source).expanduser().resolve().name


def tokenizer_origin(tokenizer: str) -> Origin:
    """Where a tokenizer comes from.

    Raises:
        InputError: it cannot be read.
    """
    from dataset_builders.sources.tokenizer import load_tokenizer

    on_hub = not Path(tokenizer).expanduser().exists()
    return Origin(public_name(tokenizer, on_hub), on_hub, None, load_tokenizer(tokenizer).sha256)
