"""Models for lm-eval that answer by a rule: the right answer, or a wrong one on request."""

from collections.abc import Callable
from typing import Any

from lm_eval.api.model import TemplateLM

Rule = Callable[[str], str]


def look_up(prompt: str) -> str:
    """The right answer to a phone book's prompt (space, number, newline), and a newline to other prompts."""
    if prompt.count("\n\n") != 2:
        return "\n"  # a request that stands for those that are not run
    book, _, query = prompt.split("\n\n")
    return dict(line.split(":") for line in book.split("\n"))[query.removesuffix(":")] + "\n"


def wrong_last_digit(prompt: str) -> str:
    answer = look_up(prompt)
    return answer[:-2] + str((int(answer[-2]) + 1) % 10) + "\n"


class Scripted(TemplateLM):
    """An LM whose greedy continuation of a prompt is ``rule(prompt)``; each character is a token."""

    backend = "causal"
    batch_size = 1

    def __init__(self, rule: Rule, window: int | None = 1_000_000) -> None:
        super().__init__()
        self.rule = rule
        self._window = window

    @property
    def max_length(self) -> int | None:
        return self._window

    @property
    def max_gen_toks(self) -> int:
        return 256

    @property
    def eot_token_id(self) -> int:
        return 0

    def tok_encode(self, string: str, add_special_tokens: bool | None = None, **_: Any) -> list[int]:
        return [ord(letter) for letter in string]

    def generate_until(self, requests: list[Any], disable_tqdm: bool = False) -> list[str]:
        return [self.rule(request.args[0]) for request in requests]

    def _loglikelihood_tokens(
        self, requests: list[Any], disable_tqdm: bool = False, **_: Any
    ) -> list[tuple[float, bool]]:
        greedy = [self.rule(prompt).startswith(answer) for (prompt, answer), _, _ in requests]
        return [(-1.0 * len(ids), ok) for ok, (_, _, ids) in zip(greedy, requests, strict=True)]

    def loglikelihood_rolling(self, requests: list[Any], disable_tqdm: bool = False) -> list[float]:
        raise NotImplementedError
