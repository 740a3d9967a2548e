"""A string task of another package: multi-query associative recall, with numbers and several answers."""

from dataclasses import dataclass
from typing import ClassVar

from dataset_builders import InputError
from dataset_builders.checks import check_integer
from dataset_builders.string_tasks import (
    Array,
    Examples,
    Part,
    RandomIntegers,
    StringTask,
    register_string_task,
)


@register_string_task
@dataclass(frozen=True)
class AssociativeRecall(StringTask):
    """Pairs of a key and its value, then some of the keys, each followed by its value: ``$ 4 9 2 8 | 2 8 .``

    The length is the number of pairs. The first half of the vocabulary are keys, and the second half values.

    Attributes:
        num_queries: number of keys that are queried.
    """

    name: ClassVar[str] = "associative_recall"
    benchmark_lengths: ClassVar[tuple[int, ...]] = (4, 8)

    num_queries: int = 2

    def check(self) -> None:
        check_integer("num_queries", self.num_queries, 1)
        if self.vocabulary < 2 * self.max_length:
            raise InputError(
                f"{self.max_length} pairs need a vocabulary of at least {2 * self.max_length}, "
                f"not {self.vocabulary}"
            )

    @property
    def shortest(self) -> int:
        return self.num_queries

    def draw(self, random: RandomIntegers, lengths: Array) -> Examples:
        xp, count = random.xp, self.vocabulary // 2
        keys = xp.argsort(random.integers(2**31, (count,)), axis=1)[:, : self.max_length]
        values = count + random.integers(count, (self.max_length,))
        # pairs in a random order, those beyond the length last
        order = random.integers(2**31, (self.max_length,))
        place = xp.cumulative_sum(xp.ones_like(order), axis=1) - 1
        order = xp.where(place < lengths[:, None], order, 2**31)
        asked = xp.argsort(order, axis=1)[:, : self.num_queries]
        queries, answers = (xp.take_along_axis(one, asked, axis=1) for one in (keys, values))
        is_answer = xp.ones_like(lengths[:1]) * xp.asarray([0, 1] * self.num_queries) > 0
        return Examples(
            (
                Part(_interleaved(xp, keys, values), 2 * lengths),
                "|",
                Part(
                    _interleaved(xp, queries, answers),
                    xp.full_like(lengths, 2 * self.num_queries),
                    scored=is_answer,
                ),
            )
        )


def _interleaved(xp: object, a: Array, b: Array) -> Array:
    return xp.reshape(xp.stack([a, b], axis=2), (a.shape[0], -1))
