"""A stand-in for the trainer released with the paper (arXiv 2402.01032), as a baseline for speed.

The released code is not part of this project. The stand-in has the properties that determine its speed:
float32 throughout, eager execution, attention as two matrix products with an explicit mask that is rebuilt in
each forward pass, examples sampled one by one in Python, and ``.item()`` on the loss in each step. The models
are those of transformers, ``torch.nn.LSTM``, and the model of the ``mamba_ssm`` package.
"""

import random
from collections.abc import Callable

import torch
from torch import Tensor, nn

from dataset_builders import InputError

WIDTH, LAYERS, HEADS, MASKED_HEADS, STATE = 1024, 12, 16, 8, 32
_LETTERS = "abcdefghijklmnopqrstuvwxyz"
_SYMBOLS = {symbol: index for index, symbol in enumerate(_LETTERS + "$|.*")}
_MIN_LENGTH, _MAX_LENGTH = 5, 20

Logits = Callable[[Tensor], Tensor]
Build = Callable[[str], tuple[nn.Module, Logits]]


class PaperTrainer:
    """Trains one of the paper's models to copy, in the way of the released trainer; ``step()`` is one update.

    Args:
        name: ``T_rope``, ``T_nope``, ``T_alibi``, ``T_hard_alibi``, ``lstm`` or ``mamba``.
        batch_size: rows per step.
        context_length: tokens per row.
        device: a device such as ``cuda``.

    Raises:
        InputError: the model is ``mamba``, and the package ``mamba_ssm`` is not installed.
    """

    def __init__(self, name: str, batch_size: int, context_length: int, device: str) -> None:
        self.batch_size, self.context_length, self.device = batch_size, context_length, device
        module, self._logits = _BUILD[name](device)
        self._optimizer = torch.optim.AdamW(module.parameters(), lr=1e-5, weight_decay=0.1)
        self._parameters = list(module.parameters())
        self._random = random.Random(0)

    def step(self) -> float:
        """Do one update, and return the loss."""
        rows = [_packed_row(self._random, self.context_length) for _ in range(self.batch_size)]
        ids = torch.tensor([ids for ids, _ in rows]).to(self.device)
        trained = torch.tensor([mask for _, mask in rows]).to(self.device)
        logits = self._logits(ids)
        losses = nn.functional.cross_entropy(logits[:, :-1].transpose(1, 2), ids[:, 1:], reduction="none")
        mask = trained[:, 1:]
        loss = (losses * mask).sum() / mask.sum()
        self._optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(self._parameters, 1.0)
        self._optimizer.step()
        return loss.item()


def _packed_row(rng: random.Random, context_length: int) -> tuple[list[int], list[float]]:
    """Token ids of one packed row, and loss weights: 1.0 for answers and their full stops, otherwise 0.0."""
    text, mask = "", []
    while len(text) < context_length:
        string = "".join(rng.choice(_LETTERS) for _ in range(rng.randint(_MIN_LENGTH, _MAX_LENGTH)))
        text += f"${string}|{string}."
        whole = len(text) <= context_length
        mask += [0.0] * (len(string) + 2) + [float(whole)] * (len(string) + 1)
    return [_SYMBOLS[symbol] for symbol in text[:context_length]], mask[:context_length]


def _transformer(
    bias: Callable[[Tensor], Tensor] | None, rotary: float
) -> Callable[[str], tuple[nn.Module, Logits]]:
    def build(device: str) -> tuple[nn.Module, Logits]:
        from transformers import GPTNeoXConfig, GPTNeoXForCausalLM

        config = GPTNeoXConfig(
            vocab_size=len(_SYMBOLS),
            hidden_size=WIDTH,
            intermediate_size=4 * WIDTH,
            num_hidden_layers=LAYERS,
            num_attention_heads=HEADS,
            rotary_pct=rotary,
        )
        config._attn_implementation = "eager"
        model = GPTNeoXForCausalLM(config).to(device)
        if bias is None:
            return model, lambda ids: model(ids, use_cache=False).logits
        return model, lambda ids: model(ids, attention_mask=bias(ids), use_cache=False).logits

    return build


def _no_bias(ids: Tensor) -> Tensor:
    """The causal mask, (batch, 1, length, length): minus infinity above the diagonal."""
    length = ids.shape[1]
    full = torch.full((length, length), torch.finfo(torch.float32).min, device=ids.device)
    return torch.triu(full, 1).expand(len(ids), 1, length, length)


def _alibi(ids: Tensor) -> Tensor:
    """ALiBi's bias and the causal mask, (batch, heads, length, length)."""
    length = ids.shape[1]
    slopes = torch.tensor([2 ** (-8 * (head + 1) / HEADS) for head in range(HEADS)], device=ids.device)
    place = torch.arange(length, device=ids.device)
    bias = -slopes[:, None, None] * (place[:, None] - place)
    return bias.repeat(len(ids), 1, 1, 1) + _no_bias(ids)


def _hard_alibi(ids: Tensor) -> Tensor:
    """Hard-ALiBi's mask, (batch, heads, length, length), filled on the CPU, one row of one head at a time."""
    length = ids.shape[1]
    least = torch.finfo(torch.float32).min
    bias = torch.zeros(HEADS, length, length)
    for head in range(HEADS):
        for row in range(length):
            bias[head, row, row + 1 :] = least
            if head < MASKED_HEADS:
                bias[head, row, : max(0, row - head)] = least
    return bias.repeat(len(ids), 1, 1, 1).to(ids.device)


def _lstm(device: str) -> tuple[nn.Module, Logits]:
    embedding = nn.Embedding(len(_SYMBOLS), WIDTH)
    lstm = nn.LSTM(WIDTH, WIDTH, LAYERS, batch_first=True)
    head = nn.Linear(WIDTH, len(_SYMBOLS))
    module = nn.ModuleList([embedding, lstm, head]).to(device)
    return module, lambda ids: head(lstm(embedding(ids))[0])


def _mamba(device: str) -> tuple[nn.Module, Logits]:
    try:
        from mamba_ssm.models.config_mamba import MambaConfig
        from mamba_ssm.models.mixer_seq_simple import MambaLMHeadModel
    except ImportError:
        raise InputError(
            "the paper's Mamba needs the package mamba_ssm; run: pip install 'repeat-after-me[cuda]', or "
            "leave mamba out of --models"
        ) from None
    config = MambaConfig(
        d_model=WIDTH,
        n_layer=LAYERS,
        vocab_size=len(_SYMBOLS),
        ssm_cfg={"d_state": STATE},
        pad_vocab_size_multiple=1,
    )
    model = MambaLMHeadModel(config, device=device, dtype=torch.float32)
    return model, lambda ids: model(ids).logits


_BUILD: dict[str, Build] = {
    "T_rope": _transformer(None, 0.25),
    "T_nope": _transformer(_no_bias, 0.0),
    "T_alibi": _transformer(_alibi, 0.0),
    "T_hard_alibi": _transformer(_hard_alibi, 0.0),
    "lstm": _lstm,
    "mamba": _mamba,
}
