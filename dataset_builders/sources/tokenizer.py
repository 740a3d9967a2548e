"""Tokenizers that documents depend on, with a checksum."""

import hashlib
import unicodedata
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from tokenizers import Tokenizer

from dataset_builders.checks import first_line
from dataset_builders.errors import InputError
from dataset_builders.files import read_bounded, user_path
from dataset_builders.hub import hub_errors

DEFAULT_TOKENIZER = "EleutherAI/gpt-neox-20b"
"""The GPT-NeoX tokenizer, which measures lengths in the paper."""

_MAX_BYTES = 2**29
"""Maximum size of a ``tokenizer.json`` in bytes; one with 256,000 tokens takes 35 MB."""


@dataclass(frozen=True)
class TextTokenizer:
    """A tokenizer that adds no special tokens.

    Attributes:
        name: the name on the Hub, folder or file that it was loaded from.
        sha256: checksum of its ``tokenizer.json``.
    """

    name: str
    sha256: str
    _tokenizer: Tokenizer = field(repr=False, compare=False)

    def encode(self, text: str) -> list[int]:
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def encode_batch(self, texts: list[str]) -> list[list[int]]:
        return [e.ids for e in self._tokenizer.encode_batch_fast(texts, add_special_tokens=False)]

    def decode(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=False)

    def check_lossless(self, text: str) -> None:
        """Check that decoding restores the text, up to Unicode NFC normalisation.

        Raises:
            InputError: decoding loses or changes something.
        """
        found, wanted = (unicodedata.normalize("NFC", t) for t in (self.decode(self.encode(text)), text))
        if found != wanted:
            at = next((i for i, (f, w) in enumerate(zip(found, wanted, strict=False)) if f != w), 0)
            raise InputError(
                f"the tokenizer {self.name!r} does not restore the text that it encoded: "
                f"{wanted[at : at + 20]!r} "
                f"became {found[at : at + 20]!r}; use a byte-level one, such as {DEFAULT_TOKENIZER}"
            )


@lru_cache(maxsize=4)
def load_tokenizer(name: str) -> TextTokenizer:
    """The tokenizer of a ``tokenizer.json``, of a folder that contains one, or of a repository on the Hub.

    Raises:
        InputError: the tokenizer does not exist or cannot be read.
    """
    try:
        content = read_bounded(_file(name), _MAX_BYTES)
        text = content.decode()
    except UnicodeDecodeError as error:
        raise InputError(f"the tokenizer {name!r} cannot be read: {first_line(error)}") from None
    try:
        tokenizer = Tokenizer.from_str(text)
    except Exception as error:  # noqa: BLE001  tokenizers raises all errors of a file as plain Exception
        raise InputError(f"the tokenizer {name!r} cannot be read: {first_line(error)}") from None
    # the file may contain the padding and truncation of its last use, which would change lengths
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return TextTokenizer(name, hashlib.sha256(content).hexdigest(), tokenizer)


def _file(name: str) -> Path:
    path = user_path(name)
    if path.is_dir():
        path = path / "tokenizer.json"
    if path.exists():
        return path
    if path.suffix == ".json" or path.is_absolute() or name.count("/") > 1:
        raise InputError(
            f"the tokenizer {str(path)!r} does not exist; pass a tokenizer.json, a folder that contains one, "
            "or a name on the Hub"
        )
    from huggingface_hub import hf_hub_download

    advice = (
        "pass a tokenizer.json or a folder that contains one, by --tokenizer or, in lm-eval, "
        '--metadata \'{"tokenizer": "FILE"}\''
    )
    with hub_errors(f"download the tokenizer {name!r} from the Hub", advice):
        return Path(hf_hub_download(name, "tokenizer.json"))
