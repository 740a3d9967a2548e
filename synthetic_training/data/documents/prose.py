"""Text that looks like prose: sentences of made-up words, without words from a corpus.

::

    “Tamo ri prel stounga,” 1,204 deshi vo. Nalé, a ri brumo TAMO; ri (Keth) vo-prel?
"""

from random import Random

from synthetic_training.data.documents.draws import below, pick

_ONSETS = ("", *"bcdfghjklmnprstvwyz", *"tsrlnm", "st", "tr", "pl", "gr", "sh", "th", "ch", "br", "qu", "cl")
_NUCLEI = (*"aeiou", *"aeio", "ea", "ou", "ai", "oo", "y")
_CODAS = ("",) * 8 + ("n", "r", "s", "t", "l", "m", "d", "ng", "st", "nd", "ck", "x", "ll")
_ACCENTED = ("é", "è", "ü", "ñ", "ö", "å", "ç")
_APOSTROPHE = "\N{RIGHT SINGLE QUOTATION MARK}"
_QUOTES = (("“", "”"), ('"', '"'), ("\N{LEFT SINGLE QUOTATION MARK}", _APOSTROPHE), ("(", ")"), ("'", "'"))
_DASHES = ("—", "\N{EN DASH}", "-", "&", "/", "+", "|", "•")
_STOPS = "......!?.;:"


def words(rng: Random, count: int) -> list[str]:
    """Pronounceable words; the first words, which become the most frequent, are short."""
    accents = rng.random() < 0.3
    made = []
    for i in range(count):
        syllables = 1 + below(rng, 2 if i < 20 else 4)
        word = "".join(
            [pick(rng, _ONSETS) + pick(rng, _NUCLEI) + pick(rng, _CODAS) for _ in range(syllables)]
        )
        if accents and rng.random() < 0.1:
            word += pick(rng, _ACCENTED)
        made.append(word)
    return made


def lexicon_for(rng: Random, length: int) -> list[str]:
    """A vocabulary for a text of this size in bytes; it may be small and repetitive, or mostly new words."""
    return words(rng, max(8, int(length * (0.02 + 0.1 * rng.random()))))


def prose(rng: Random, length: int) -> str:
    """Running text of about ``length`` bytes, but not more; it may begin or end within a word."""
    lexicon = lexicon_for(rng, length)
    begin = below(rng, 60)
    sentences: list[str] = []
    size = 0
    while size < begin + length:
        sentence = _sentence(rng, lexicon)
        sentences.append(sentence)
        size += len(sentence) + 1
    return cut(" ".join(sentences), begin, length)


def pieces_of_words(rng: Random, length: int) -> str:
    """Shuffled pieces of words of at most ``length`` bytes, like a text whose tokens were shuffled."""
    lexicon = lexicon_for(rng, length)
    tokens = [f" {word}" for word in lexicon] + [word[: 1 + below(rng, 4)] for word in lexicon]
    tokens += [",", ".", " the", "s", "ing", " a", " (", ")", "-", '"', _APOSTROPHE, ":", " 20", "1"]
    chosen: list[str] = []
    size = 0
    while size < length + 8:
        token = pick(rng, tokens)
        chosen.append(token)
        size += len(token)
    return cut("".join(chosen), 0, length)


def cut(text: str, begin: int, length: int) -> str:
    """At most ``length`` bytes of a text from byte ``begin``, as complete characters, stripped of spaces."""
    return text.encode()[begin : begin + length].decode(errors="ignore").strip()


def _sentence(rng: Random, lexicon: list[str]) -> str:
    """Words with frequencies proportional to 1 / rank, and punctuation."""
    count = 2 + below(rng, 18)
    size, random = len(lexicon), rng.random
    chosen = [lexicon[int(size ** random()) - 1] for _ in range(count)]
    for i in range(count):
        u = random()
        if u < 0.2:
            chosen[i] = _decorated(rng, chosen[i], u / 0.2)
    chosen[0] = chosen[0][:1].upper() + chosen[0][1:]
    text = " ".join(chosen) + pick(rng, _STOPS)
    if random() < 0.08:
        left, right = pick(rng, _QUOTES)
        return f"{left}{text}{right}"
    return text


def _decorated(rng: Random, word: str, u: float) -> str:
    if u < 0.45:
        return f"{word},"
    if u < 0.65:
        return word.capitalize()
    if u < 0.75:
        return _number(rng)
    if u < 0.8:
        return word.capitalize() + pick(rng, (_APOSTROPHE, "'")) + pick(rng, "st")
    if u < 0.85:
        left, right = pick(rng, _QUOTES)
        return f"{left}{word}{right}"
    if u < 0.9:
        return f"{word} {pick(rng, _DASHES)}"
    if u < 0.95:
        return word.upper()
    return f"{word}-{pick(rng, ('www.', '@', '#', 'non', '$', '%', '_', '…'))}{word}"


def _number(rng: Random) -> str:
    u = rng.random()
    if u < 0.4:
        return str(below(rng, 100))
    if u < 0.6:
        return str(1900 + below(rng, 130))
    if u < 0.8:
        return f"{below(rng, 1_000_000):,}"
    return f"{below(rng, 100)}.{below(rng, 100)}"
