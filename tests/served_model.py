"""The bundled transformer behind a server, with the same weights and computation as ``--model hf``.

``write`` and ``prompt_logprobs`` are for :class:`tests.completions_server.CompletionsServer`;
``transformers_serve`` is a real server.
"""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

CHECKPOINTS = Path(__file__).parent.parent / "synthetic_training" / "checkpoints"


@cache
def served_model() -> Any:
    return AutoModelForCausalLM.from_pretrained(CHECKPOINTS / "transformer", dtype=torch.float32).eval()


@cache
def served_tokenizer() -> Any:
    return AutoTokenizer.from_pretrained(CHECKPOINTS / "transformer")


@torch.no_grad()
def write(prompt: str, tokens: int) -> str:
    """The greedy continuation, up to the end of the text."""
    tokenizer = served_tokenizer()
    ids = tokenizer(prompt, return_tensors="pt")
    out = served_model().generate(**ids, max_new_tokens=tokens, do_sample=False, pad_token_id=256)
    return tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True)


@torch.no_grad()
def prompt_logprobs(ids: list[int]) -> dict[str, Any]:
    """OpenAI's ``logprobs`` object: those of each token, and of the most likely token in its place."""
    logprobs = served_model()(torch.tensor([ids])).logits[0].log_softmax(-1)
    best = logprobs.max(-1).values.tolist()
    own = logprobs[torch.arange(len(ids) - 1), torch.tensor(ids[1:])].tolist()
    top = [{"best": value} for value in best]
    return {"token_logprobs": [None, *own, best[-1]], "top_logprobs": [None, *top]}


@contextmanager
def transformers_serve(checkpoint: str) -> Iterator[Callable[[str], str]]:
    """The server of ``transformers serve``, in a thread."""
    from transformers.cli.serve import Serve

    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    server = Serve(checkpoint, host="127.0.0.1", port=port, device="cpu", dtype="float32", non_blocking=True)
    try:
        while not server.server.started:
            server._thread.join(timeout=0.05)
        yield lambda endpoint: f"http://127.0.0.1:{port}/v1/{endpoint}"
    finally:
        server.kill_server()
