"""Theorem 2.3's transformer as a checkpoint: two layers of GPT-NeoX with Hard-ALiBi and hand-set weights.

The windows of n = 2 tokens with which the layers work, for ``$ab|ab.``::

    token            $    a    b    |    a    b
    key              --   -$   $a   ab   b|   |a     the n tokens before the token
    query            -$   $a   ab   b|   |a   ab     the n tokens that end at the token
    matching key                    $    $a   ab     ``|`` counts as ``$``; tokens before it are ignored
    its token                       a    b    |      the output; ``|`` is output as ``.``

``design`` defines the codes and the scores, and explains why the correct score is the largest.

**Layer 1.** Head h = 0..n of Hard-ALiBi sees the last h + 1 tokens. It attends to all of them equally,
because its queries are 0; the result is mean_h. The code of the token h positions back is (h + 1) mean_h - h
mean_(h-1), which the layer's output matrix computes. Near the beginning, both heads see the same tokens, and
the difference is the mean of all tokens so far.

**Layer 2.** The last head sees everything. It compares the n codes that end at a token with the n codes
before each other token, multiplied by beta; its value is the other token's own code.

**Layer norm.** The residual stream contains every feature twice, as x and -x, so the mean is 0. One feature
is a constant so large that the variance is nearly the same for all tokens; the norm's weight undoes the
scaling. Weights and biases of the MLPs are 0.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from dataset_builders.string_tasks.task import MAX_LENGTH
from synthetic_training.data.symbol_tokenizer import BAR_ID, END_ID, START_ID, VOCAB_SIZE, symbol_tokenizer
from synthetic_training.theory.design import CONSTANT, ROUNDOFF, Design

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedModel

_MOST_PROVEN = 10**6
"""Maximum proven length; for longer strings, rounding in attention's own sums would have to be included."""

_WINDOW = 2048
"""Minimum context window of the checkpoint in tokens; lm-eval needs room for an answer in it."""


@dataclass(frozen=True)
class _Features:
    """Index of each feature in the residual stream; its negative is at this index plus ``half``."""

    design: Design

    constant, start = 0, 1

    @property
    def half(self) -> int:
        return self.design.dimension // 2

    def token(self, back: int) -> range:
        """The code of the token ``back`` positions back: 0 for the token itself, at most n."""
        first = 2 + back * self.design.code
        return range(first, first + self.design.code)

    @property
    def answer(self) -> range:
        return self.token(self.design.n + 1)

    def write(self, matrix: Tensor, feature: int, weight: Tensor | float) -> None:
        """Let rows (outputs) of a matrix write a feature and its negative."""
        matrix[feature] += weight
        matrix[feature + self.half] -= weight

    def read(self, row: Tensor, feature: int, weight: float = 1.0) -> None:
        """Let one row of a matrix read a feature."""
        row[feature] += weight / 2
        row[feature + self.half] -= weight / 2


def construct(letters: int, n: int, length: int = 1000) -> PreTrainedModel:
    """The transformer, in float32 and in evaluation mode.

    Args:
        letters: D, 2 to 26: the number of letters, from the start of the alphabet.
        n: length of the n-grams that the transformer looks up.
        length: L, length of the longest string. The inverse temperature suffices up to this length, and
            possibly beyond: see ``Design.proven_length``.

    Raises:
        InputError: a value is out of range, or 2n > L.
    """
    import torch

    from synthetic_training.models.registry import build_model

    design = Design(letters, n)
    check_integer("length", length, 2 * n, MAX_LENGTH)
    model = build_model(
        "T_hard_alibi",
        hidden_size=design.hidden_size,
        num_hidden_layers=2,
        num_attention_heads=design.heads,
        num_masked_heads=design.n + 1,
        intermediate_size=1,
        max_position_embeddings=max(_WINDOW, 2 * length + 3),
    )
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.zero_()
        _fill(model, design, design.inverse_temperature(length))
    return model.eval()


def save(folder: Path, letters: int, n: int, length: int = 1000) -> dict[str, Any]:
    """Write a checkpoint with its tokenizer to a new folder, and return ``description``.

    Raises:
        InputError: the folder exists or cannot be written, or a value is out of range.
    """
    from dataset_builders.files import atomic_folder, write_json
    from synthetic_training.models.saved import save_tokenizer
    from synthetic_training.training.run_folder import RUN

    if folder.exists():
        raise InputError(f"{folder} exists; pass a new folder")
    model = construct(letters, n, length)
    described = description(Design(letters, n), length)
    with atomic_folder(folder) as new:
        model.save_pretrained(new)
        save_tokenizer(symbol_tokenizer(model.config.max_position_embeddings), new)
        settings = {"task": "copy", "vocabulary": letters, "n": n, "k": None}
        write_json(new / RUN, {"kind": "construction", "config": settings, **described})
    return described


def description(design: Design, length: int) -> dict[str, Any]:
    """Sizes, inverse temperature, and the length up to which it is proven to suffice in each format."""
    beta = design.inverse_temperature(length)
    return {
        **asdict(design),
        "length": length,
        "dimension": design.dimension,
        "n_times_bits": design.n * design.bits,
        "hidden_size": design.hidden_size,
        "heads": design.heads,
        "marker": design.marker,
        "inverse_temperature": beta,
        "proven_length": {dtype: min(design.proven_length(beta, dtype), _MOST_PROVEN) for dtype in ROUNDOFF},
    }


def codes(design: Design) -> Tensor:
    """(30, b + 1): the code of every symbol; letters beyond the first D share codes with other letters."""
    import torch

    number = torch.arange(VOCAB_SIZE)[:, None]
    bits = (number >> torch.arange(design.bits)) & 1
    bits[START_ID:] = 0
    last = torch.full((VOCAB_SIZE, 1), -1)
    last[[START_ID, BAR_ID]] = design.marker
    return torch.cat([2 * bits - 1, last], dim=1).float()


def _fill(model: Any, design: Design, beta: float) -> None:
    """Set the weights of a model whose parameters are all 0."""
    features, all_codes = _Features(design), codes(design)
    embedding = model.gpt_neox.embed_in.weight
    features.write(embedding.T, features.constant, CONSTANT)
    for i, feature in enumerate(features.token(0)):
        features.write(embedding.T, feature, all_codes[:, i])
    embedding[START_ID, [features.start, features.start + features.half]] = embedding.new_tensor([1.0, -1.0])
    first, second = model.gpt_neox.layers
    _gather(first.attention, features)
    _look_up(second.attention, features, beta)
    norms = (first.input_layernorm, second.input_layernorm, model.gpt_neox.final_layer_norm)
    for norm, present in zip(norms, (1, design.n + 1, design.n + 2), strict=True):
        _undo(norm, design, present)
    for token in (*range(design.letters), END_ID):
        right = all_codes[BAR_ID if token == END_ID else token].sign()
        for i, feature in enumerate(features.answer):
            features.read(model.lm_head.weight[token], feature, float(right[i]))


def _gather(attention: Any, features: _Features) -> None:
    """Set the weights of layer 1, which writes the codes of the n tokens before each token."""
    n, size = features.design.n, features.design.head_size
    heads = _by_head(attention, features.design)
    for head in range(n + 1):
        for i, feature in enumerate(features.token(0)):
            features.read(heads[head, 2, i], feature)
    output = attention.dense.weight
    for back in range(1, n + 1):
        for i, feature in enumerate(features.token(back)):
            features.write(output[:, back * size + i], feature, float(back + 1))
            features.write(output[:, (back - 1) * size + i], feature, float(-back))


def _look_up(attention: Any, features: _Features, beta: float) -> None:
    """Set the weights of layer 2, which writes the code of the token after the matching window."""
    design = features.design
    query, key, value = _by_head(attention, design)[-1]
    sharp = beta * design.head_size**0.5
    row = 0
    for back in range(1, design.n + 1):
        for wanted, offered in zip(features.token(back - 1), features.token(back), strict=True):
            features.read(query[row], wanted, sharp)
            features.read(key[row], offered)
            row += 1
    features.read(query[row], features.constant, sharp / CONSTANT)
    features.read(key[row], features.start, -float(design.penalty))
    begin = (design.heads - 1) * design.head_size
    for i, (own, answer) in enumerate(zip(features.token(0), features.answer, strict=True)):
        features.read(value[i], own)
        features.write(attention.dense.weight[:, begin + i], answer, 1.0)


def _by_head(attention: Any, design: Design) -> Tensor:
    """(heads, 3, head size, width): a view of the weights of queries, keys and values."""
    weight: Tensor = attention.query_key_value.weight
    return weight.view(design.heads, 3, design.head_size, design.hidden_size)


def _undo(norm: nn.LayerNorm, design: Design, present: int) -> None:
    """Set a layer norm's weights so that it returns its input if ``present`` codes of letters are nonzero."""
    variance = 2 * (CONSTANT**2 + present * design.code) / design.hidden_size
    norm.weight.fill_((variance + norm.eps) ** 0.5)
