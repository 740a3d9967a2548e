"""The benchmark of a string task, derived from its class.

The builder has the parameters that all string tasks share, and the task's own settings: ``string_copy`` has
no ``n``, and ``string_duplicate_ngram`` has no ``k``.
"""

import inspect
from collections.abc import Callable, Iterator, Mapping
from dataclasses import fields
from functools import cache
from typing import Any, get_type_hints

from docstring_parser import parse

from dataset_builders.benchmark import Benchmark, Card, Column, Evaluation, RandomAnswers, Row
from dataset_builders.errors import InputError
from dataset_builders.lengths import Lengths
from dataset_builders.string_tasks import StringTask, own_string_tasks, string_task, task_settings
from dataset_builders.string_tasks.documents import COLUMNS, rows

_COMMON: dict[str, tuple[type, Any, str]] = {
    "length": (int, inspect.Parameter.empty, "length of the strings in letters."),
    "num_docs": (int, 500, "documents per length, at least 1."),
    "seed": (int, 0, "any integer; the released benchmark has seed 0."),
    "spelling": (str, "spaced", "how strings are written: symbols, plain or spaced."),
    "vocabulary": (int, 26, "number of different letters; more than 26 are written as numbers."),
}
"""Parameters of every builder: type, default and description."""

_TEXTS = {
    "id": "name of the document: task, length, seed, index",
    "prompt": "two worked examples and the string; in the spelling `symbols`, only the string",
    "answer": "the answer, spelled as in the prompt",
    "key": "the n-gram that is looked up, or that occurs twice; empty for tasks without one",
    "length": "length of the string in letters",
    "spelling": "`spaced` (a space between letters), `plain` or `symbols`",
}

_CARD = Card(
    heading="strings: copy random letters, or look up what follows an n-gram",
    text="""\
Strings of random letters to copy or reverse, or in which to look up what follows an n-gram. An answer ends at
the first newline or full stop. It is right if it is the expected one, spelled as in the prompt, apart from
surrounding spaces.""",
    made="by a seeded generator.",
    license="The documents are this project's own, under Apache-2.0.",
    differences="""\
the key occurs once in its string, so that no query has two answers; a duplicated n-gram does not overlap
itself.""",
    language=None,
)

_EVALUATION = Evaluation(
    stop=("\n", "."),
    new_tokens="answer",
    score="lm_eval_tasks.answers.letters",
    metrics=("exact_match", "char_accuracy", "copied_fraction"),
    forced_target="lm_eval_tasks.answers.forced_letters",
)


@cache
def string_benchmark(task: type[StringTask]) -> Benchmark:
    """The benchmark of a registered string task; every call with the same task returns the same object."""
    return Benchmark(
        name=f"string_{task.name}",
        title=(parse(task.__doc__ or "").short_description or "").split(": ``")[0].rstrip(".") + ".",
        version=task.version,
        builder=_builder(task),
        columns={name: Column("integer" if name == "length" else "string", _TEXTS[name]) for name in COLUMNS},
        lengths=Lengths("length", "letters", standard=task.benchmark_lengths),
        random_answers=_random_answers(task),
        license="apache-2.0",
        card=_CARD,
        evaluation=_EVALUATION,
        family="strings",
    )


def _random_answers(task: type[StringTask]) -> Callable[[Mapping[str, Any]], RandomAnswers | None]:
    """A function that returns the random content of a document: its answer, if the letters are uniform."""

    def random_answers(arguments: Mapping[str, Any]) -> RandomAnswers | None:
        settings = {name: arguments[name] for name in task_settings(task)}
        length, vocabulary = arguments["length"], arguments["vocabulary"]
        letters = string_task(task.name, length, length, vocabulary, settings).uniform_letters
        return None if letters is None else RandomAnswers(1, (vocabulary,) * letters)

    return random_answers


def _builder(task: type[StringTask]) -> Callable[..., Iterator[Row]]:
    """A function that yields the documents of a task, with the task's settings as parameters."""

    # the signature below lists the parameters, and ``rows`` rejects others
    def build(
        length: int,
        num_docs: int = 500,
        seed: int = 0,
        spelling: str = "spaced",
        vocabulary: int = 26,
        **settings: Any,
    ) -> Iterator[Row]:
        for name, value in settings.items():
            if value is None and task_settings(task).get(name) is not None:
                raise InputError(f"{name} must be a number, not None")
        return rows(task.name, length, num_docs, seed, spelling, vocabulary=vocabulary, settings=settings)

    hints, texts = get_type_hints(task), _settings_texts(task)
    vocabulary = next(one.default for one in fields(task) if one.name == "vocabulary")
    common = _COMMON | {"vocabulary": (int, vocabulary, _COMMON["vocabulary"][2])}
    parameters = common | {
        name: (hints[name], default, texts.get(name, f"{name} of the task."))
        for name, default in task_settings(task).items()
    }
    build.__name__ = build.__qualname__ = f"string_{task.name}"
    build.__annotations__ = {name: kind for name, (kind, _, _) in parameters.items()}
    build.__doc__ = "\n".join(
        [
            f"Documents of ``string_{task.name}``; see ``dataset_builders.string_tasks.documents.rows``.",
            "",
            "Args:",
            *(f"    {name}: {text}" for name, (_, _, text) in parameters.items()),
        ]
    )
    signature = inspect.Signature(
        [
            inspect.Parameter(name, inspect.Parameter.POSITIONAL_OR_KEYWORD, default=default, annotation=kind)
            for name, (kind, default, _) in parameters.items()
        ]
    )
    build.__signature__ = signature  # type: ignore[attr-defined]  # read by inspect
    return build


def _settings_texts(task: type[StringTask]) -> dict[str, str]:
    """Descriptions of a task's settings, from the docstrings of its class and base classes."""
    return {
        param.arg_name: " ".join((param.description or "").split())
        for base in reversed(task.__mro__)
        for param in parse(base.__doc__ or "").params
    }


BENCHMARKS = tuple(map(string_benchmark, own_string_tasks()))
"""The benchmarks of this package's string tasks."""
