"""Which configs the options of ``python -m dataset_builders build`` stand for."""

from collections.abc import Mapping
from typing import Any

import pytest

from dataset_builders.__main__ import main
from dataset_builders.benchmark import Config
from dataset_builders.registry import default_release, find
from dataset_builders.release import build_command


@pytest.fixture
def chosen(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The configs that a command would build, and its options."""
    found: list[tuple[list[Config], dict[str, Any]]] = []

    def build(configs: list[Config], given: Mapping[str, Any]) -> None:
        found.append((configs, dict(given)))

    monkeypatch.setattr(build_command, "_build", build)

    def command(words: str) -> tuple[list[Config], dict[str, Any]]:
        main(["build", *words.split()])
        return found[-1]

    return command


def test_without_options_all_lengths_and_variants_are_built(chosen: Any) -> None:
    for name in ("phone_book", "c4_copy", "squad_v2_retrieval", "string_copy"):
        configs, given = chosen(f"{name} --out data")
        benchmark = find(name)
        assert configs == benchmark.configs(benchmark.lengths.all)
        assert given["tokenizer"] is None and str(given["out"]) == "data"
    configs, given = chosen("all --out data")
    assert configs == list(default_release().values()) and given["squad_source"] is None


def test_options_are_arguments_of_the_builder(chosen: Any) -> None:
    configs, given = chosen(
        "string_prefix_ngram --length 20 30:50:20 --n 4 --k 2 --num-docs 7 --seed 9 --tokenizer t --out data"
    )
    more = {"n": 4, "k": 2, "num_docs": 7, "seed": 9}
    assert configs == find("string_prefix_ngram").configs([20, 30, 50], **more)
    assert configs[0].arguments.items() >= more.items() and given["tokenizer"] == "t"
    configs, given = chosen("c4_copy --out data --order random --tokens 25 --source texts.txt")
    assert [config.name for config in configs] == ["c4_copy_random_25"] and given["source"] == "texts.txt"


def test_the_help_describes_each_option_once(
    chosen: Any, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "300")
    with pytest.raises(SystemExit):
        chosen("c4_copy --help")
    shown = capsys.readouterr().out
    words = " ".join(shown.replace("│", " ").split())
    for text in (
        "output folder, new or from an earlier build",
        "lengths in tokens, or ranges such as 20:120:20 (default: 25 50 100 200 300 500 1000 2000 4000)",
        "variants to build: one or more of standard, random",
        "any integer; the released benchmark has seed 0 (default: 0)",
        "source of texts: a file, a folder or ORG/NAME on the Hub (default: allenai/c4)",
        "or a name on the Hub (default: EleutherAI/gpt-neox-20b)",
    ):
        assert words.count(text) == 1, text
