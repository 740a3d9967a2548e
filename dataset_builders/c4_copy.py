"""Copying windows of running text (arXiv 2402.01032, section 4).

A prompt contains a text twice and then its first word, so that the model does not stop at once; the answer is
the rest of the text::

    The cat sat on the mat.

    The cat sat on the mat.

    The                      <- the answer is " cat sat on the mat."

The text is a window of L tokens. In the order ``random``, its tokens are shuffled; in the order ``standard``,
they are not.
"""

from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from itertools import accumulate
from random import Random

from dataset_builders.benchmark import Benchmark, Card, Column, Evaluation, Row, Variants
from dataset_builders.checks import MAX_DOCUMENTS, check_integer
from dataset_builders.errors import InputError
from dataset_builders.lengths import Lengths
from dataset_builders.sources.origin import Origin, TextSource, public_name
from dataset_builders.sources.texts import read_texts
from dataset_builders.sources.tokenizer import DEFAULT_TOKENIZER, load_tokenizer

DEFAULT_SOURCE = "allenai/c4"
ORDERS = ("standard", "random")

_JOINED = 10  # number of documents that are concatenated for each window, as in the paper's code
_TRIES = 1000  # number of unusable windows after which the source is rejected
_LONGEST_WORD = 0.5  # maximum fraction of the text that the first word may be, so that enough is left to copy


@dataclass(frozen=True)
class Pool:
    """A source's documents as token ids.

    Attributes:
        documents: token ids of each document.
        provenance: revision and checksums of the source and of the tokenizer.
    """

    documents: tuple[list[int], ...]
    provenance: dict[str, str]


@lru_cache(maxsize=2)
def pool(source: str, tokenizer: str) -> Pool:
    """Read and tokenize a source; cached, since every length uses it.

    Raises:
        InputError: the source or the tokenizer cannot be read, or the tokenizer does not restore its text.
    """
    encoder = load_tokenizer(tokenizer)
    texts = read_texts(source)
    encoder.check_lossless(texts.documents[0][:1000])
    return Pool(
        documents=tuple(encoder.encode_batch(list(texts.documents))),
        provenance={
            "source_revision": texts.revision,
            "source_sha256": texts.sha256,
            "tokenizer_sha256": encoder.sha256,
        },
    )


def rows(
    tokens: int,
    order: str = "standard",
    num_docs: int = 500,
    seed: int = 0,
    source: str = DEFAULT_SOURCE,
    tokenizer: str = DEFAULT_TOKENIZER,
) -> Iterator[Row]:
    """Documents 0 .. ``num_docs`` - 1 of windows of ``tokens`` tokens.

    Document k depends only on the source, the tokenizer and ``(tokens, order, seed, k)``. Both orders
    use the same windows, except where a window leaves nothing to copy.

    Args:
        tokens: length of each text in tokens, at least 2.
        order: order of the tokens, ``standard`` or ``random``.
        num_docs: documents per length and order, at least 1.
        seed: any integer; the released benchmark has seed 0.
        source: see ``dataset_builders.sources.texts.read_texts``.
        tokenizer: see ``dataset_builders.sources.tokenizer.load_tokenizer``.

    Yields:
        dicts with ``id``, ``prompt``, ``answer`` (as it follows the prompt, usually with a leading
        space), ``tokens`` and ``order``.

    Raises:
        InputError: an argument is out of range, or the source has too little text.
    """
    check_integer("tokens", tokens, 2)
    check_integer("num_docs", num_docs, 1, MAX_DOCUMENTS)
    check_integer("seed", seed)
    if order not in ORDERS:
        raise InputError(f"order must be one of {', '.join(ORDERS)}, not {order!r}")
    documents = pool(source, tokenizer).documents
    total = sum(map(len, documents))
    if total < tokens:
        raise InputError(
            f"the source {source!r} has {total} tokens, too few for windows of {tokens}; use more "
            "text or a smaller length"
        )
    return (_row(tokens, order, seed, index, source, tokenizer) for index in range(num_docs))


def _row(tokens: int, order: str, seed: int, index: int, source: str, tokenizer: str) -> Row:
    window = f"c4_copy_{tokens}/seed_{seed}/{index}"
    rng, shuffle = Random(window), Random(f"{window}/shuffle")
    decode = load_tokenizer(tokenizer).decode
    for _ in range(_TRIES):
        ids = _window(pool(source, tokenizer).documents, tokens, rng)
        if order == "random":
            _shuffle(ids, shuffle)
        text = decode(ids).replace("\n", " ").strip()
        cue = first_word(text)
        if cue:
            return {
                "id": f"{window}/{order}",
                "prompt": f"{text}\n\n{text}\n\n{cue}",
                "answer": text[len(cue) :],
                "tokens": tokens,
                "order": order,
            }
    raise InputError(
        f"the source {source!r} has too little text: {_TRIES} windows of {tokens} tokens left nothing to copy"
    )


def first_word(text: str) -> str:
    """The beginning of a stripped text that the prompt repeats; empty if nothing would be left to copy.

    The beginning is the first word, up to the first space. If the text has no space, or if this word is more
    than half of the text, it is the first eighth of the letters, so that scripts without spaces work too.
    """
    word = text.split(" ", 1)[0]
    if len(word) <= _LONGEST_WORD * len(text):
        return word
    return text[: -(-len(text) // 8)] if len(text) > 1 else ""


def _window(documents: tuple[list[int], ...], tokens: int, rng: Random) -> list[int]:
    """A window at a uniformly drawn position in the concatenation of a few documents.

    The documents are drawn without replacement.
    """
    chosen: list[list[int]] = []
    left = list(range(len(documents)))
    while left and (len(chosen) < _JOINED or sum(map(len, chosen)) < tokens):
        chosen.append(documents[left.pop(int(rng.random() * len(left)))])
    ends = list(accumulate(map(len, chosen)))
    start = int(rng.random() * (ends[-1] - tokens + 1))
    ids: list[int] = []
    at = bisect_right(ends, start)
    offset = start - (ends[at - 1] if at else 0)
    while len(ids) < tokens:
        ids += chosen[at][offset : offset + tokens - len(ids)]
        at, offset = at + 1, 0
    return ids


def _shuffle(ids: list[int], rng: Random) -> None:
    """Fisher-Yates shuffle with ``random()`` alone, which is the same in every version of Python."""
    for last in range(len(ids) - 1, 0, -1):
        other = int(rng.random() * (last + 1))
        ids[last], ids[other] = ids[other], ids[last]


def _origin(source: str, tokenizer: str) -> Origin:
    kept = pool(source, tokenizer).provenance
    revision = kept["source_revision"] or None
    return Origin(
        public_name(source, revision is not None), revision is not None, revision, kept["source_sha256"]
    )


BENCHMARK = Benchmark(
    name="c4_copy",
    suite="repeat_after_me",
    title="Copy running text, in order or with its tokens shuffled.",
    version="1.0",
    builder=rows,
    columns={
        "id": Column("string", "name of the document: config, seed, index, order"),
        "prompt": Column("string", "the text twice and its first word, separated by empty lines"),
        "answer": Column("string", "the rest of the text, as it follows the prompt"),
        "tokens": Column("integer", "length of the text in tokens, L"),
        "order": Column("string", "`standard` or `random`"),
    },
    lengths=Lengths("tokens", "tokens", standard=(25, 50, 100, 200, 300, 500), long=(1000, 2000, 4000)),
    variants=Variants("order", ORDERS),
    source=TextSource(
        "source", help="source of texts: a file, a folder or ORG/NAME on the Hub", origin=_origin
    ),
    license="odc-by",
    card=Card(
        heading="c4_copy: copy running text, in order or shuffled",
        text="""\
A text of L tokens twice, then its first word; the model has to continue the text. In the configs
`c4_copy_random_L` the text's tokens are shuffled. An answer ends at the first empty line; its newlines count
as spaces. It is right if it is the rest of the text, apart from surrounding spaces.""",
        made="""\
windows of L tokens at uniform positions in ten concatenated documents; newlines become spaces.""",
        license="""\
C4 is released by the Allen Institute for AI under [ODC-BY
1.0](https://opendatacommons.org/licenses/by/1-0/); by using it you are also bound by [Common Crawl's
terms of use](https://commoncrawl.org/terms-of-use) for the texts in it. It was crawled from the web, and
may contain personal or offensive text.""",
        differences="""\
a few million characters of a pinned revision are read, instead of a tenth of C4's train split;
documents are tokenized one by one; a window in which nothing is left to copy is drawn again; if the first
word is more than half of the text, the prompt ends with the text's first eighth.""",
        citation="""\
@article{raffel2020exploring,
  title   = {Exploring the Limits of Transfer Learning with a Unified Text-to-Text Transformer},
  author  = {Raffel, Colin and Shazeer, Noam and Roberts, Adam and Lee, Katherine and Narang, Sharan and
             Matena, Michael and Zhou, Yanqi and Li, Wei and Liu, Peter J.},
  journal = {Journal of Machine Learning Research},
  year    = {2020}
}""",
    ),
    evaluation=Evaluation(
        stop=("\n\n",),
        new_tokens="half_prompt",
        score="lm_eval_tasks.answers.running_text",
        metrics=("exact_match", "char_accuracy", "copied_fraction"),
        forced_target="answer",
    ),
)
