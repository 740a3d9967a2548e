"""Provenance of documents: name, revision and checksum of a source or tokenizer."""

from collections.abc import Callable
from dataclasses import dataclass

from pydantic import StrictBool, StrictStr

from dataset_builders.files import user_path


@dataclass(frozen=True)
class Origin:
    """A source of texts, or a tokenizer.

    Attributes:
        name: name of the repository on the Hub, or of the file or folder, without its parent folders.
        on_hub: whether the name is a repository on the Hub.
        revision: the commit on the Hub; None if unknown.
        sha256: checksum of the texts or the tokenizer file that was read.
    """

    name: StrictStr
    on_hub: StrictBool
    revision: StrictStr | None
    sha256: StrictStr


@dataclass(frozen=True)
class TextSource:
    """The source of a benchmark's documents.

    Attributes:
        parameter: the builder's parameter that takes the source; also the key in lm-eval's ``--metadata``
            and, with dashes, the option of the command line. Its default is a source on the Hub.
        help: command-line help.
        origin: function that takes the names of the source and the tokenizer and returns the provenance.
    """

    parameter: str
    help: str
    origin: Callable[[str, str], Origin]


def option(parameter: str) -> str:
    """The command-line option of a builder's parameter."""
    return f"--{parameter.replace('_', '-')}"


def public_name(source: str, on_hub: bool) -> str:
    """A name that does not depend on the machine: parent folders of a local file are left out."""
    return source if on_hub else user_path(source).resolve().name


def tokenizer_origin(tokenizer: str) -> Origin:
    """The provenance of a tokenizer.

    Raises:
        InputError: the tokenizer cannot be read.
    """
    from dataset_builders.sources.tokenizer import load_tokenizer

    on_hub = not user_path(tokenizer).exists()
    return Origin(public_name(tokenizer, on_hub), on_hub, None, load_tokenizer(tokenizer).sha256)
