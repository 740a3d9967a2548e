"""Neutral English sentences without digits or names, composed from the word lists below.

The text is this project's own, needs no file or network, and answers no question. Its words are common, so
that most tokenizers of language models have one token for each.
"""

from random import Random

_ADJECTIVES = (
    "quiet", "narrow", "broad", "smooth", "pale", "deep", "distant", "gentle", "heavy", "bright", "warm",
    "cool", "wide", "dry", "soft", "dark", "clear", "long", "new", "large", "small", "plain", "flat",
    "simple",
)  # fmt: skip
_PLACES = (
    "valley", "shore", "road", "garden", "harbour", "bridge", "window", "village", "corner", "coast", "path",
    "building", "table", "entrance", "station", "kitchen", "mountain", "island", "street", "surface",
)  # fmt: skip
_THINGS = (
    "water", "air", "cloud", "wall", "roof", "grass", "river", "light", "sound", "sand", "boat", "wheel",
    "fence", "colour", "shadow", "machine", "branch", "door", "train", "paper",
)  # fmt: skip
_VERBS = (
    "moves", "rests", "appears", "remains", "turns", "settles", "drifts", "stands", "begins", "ends",
    "changes", "lies", "fades", "returns", "continues", "stops",
)  # fmt: skip
_ADVERBS = ("slowly", "often", "rarely", "again", "suddenly", "gradually", "always", "sometimes")
_RELATIONS = ("near", "above", "behind", "beside", "beyond", "below", "across", "beneath")
_FORMS = (
    "The {adjective} {thing} {verb} {relation} the {place}.",
    "The {thing} {verb} {adverb} {relation} the {other} {place}.",
    "There is a {adjective} {thing} {relation} the {place}.",
    "When the {thing} {verb}, the {other} {place} {ends} {adverb}.",
    "Each {place} has a {adjective} {thing} and a {other} entrance.",
)


def neutral_text(rng: Random, words: int) -> str:
    """A paragraph of a given number of words; the last sentence may end early.

    With the same state of the generator, a longer text begins with the words of a shorter text.
    """
    found: list[str] = []
    while len(found) < words:
        found += _sentence(rng).split(" ")
    return f"{' '.join(found[:words]).rstrip('.,')}."


def _sentence(rng: Random) -> str:
    return _pick(rng, _FORMS).format(
        adjective=_pick(rng, _ADJECTIVES),
        other=_pick(rng, _ADJECTIVES),
        thing=_pick(rng, _THINGS),
        place=_pick(rng, _PLACES),
        verb=_pick(rng, _VERBS),
        ends=_pick(rng, _VERBS),
        adverb=_pick(rng, _ADVERBS),
        relation=_pick(rng, _RELATIONS),
    )


def _pick(rng: Random, values: tuple[str, ...]) -> str:
    """A uniform choice; ``random()`` is the same in every version of Python."""
    return values[int(rng.random() * len(values))]
