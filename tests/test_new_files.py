"""Results of earlier calls are not overwritten, and this is checked before anything is done."""

import importlib
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import tyro

from dataset_builders import InputError
from dataset_builders.files import check_new_file, check_written_by_us, write_text
from synthetic_training.figures import examples_by_length, state
from synthetic_training.figures.estimate import RESULTS
from synthetic_training.speed import architectures

KEYS = RESULTS / "hard_alibi_small.jsonl"
COMMANDS = {
    "dataset_builders.speed.phone_book": [],
    "lm_eval_tasks.speed.evaluation": ["--tokenizer", "nowhere"],
    "synthetic_training.deviations.duplicates": [],
    "synthetic_training.figures.claims": [str(RESULTS)],
    "synthetic_training.figures.keys": [str(KEYS)],
    "synthetic_training.precision.gradient_errors": ["nowhere"],
    "synthetic_training.speed.kernels": [],
    "synthetic_training.speed.scaling": [],
    "synthetic_training.speed.trainer": [],
}
"""Commands with ``--out`` for a file, and their other arguments."""


@pytest.mark.parametrize("module", COMMANDS)
def test_a_file_that_exists_is_refused_at_once(
    module: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "out.json"
    out.write_text("mine")
    command = importlib.import_module(module).main
    monkeypatch.setattr(sys, "argv", ["x", *COMMANDS[module], "--out", str(out)])
    with pytest.raises((InputError, SystemExit), match=r"out.json exists; pass another file with --out"):
        tyro.cli(command) if module == "dataset_builders.speed.phone_book" else command()
    assert out.read_text() == "mine"


@pytest.mark.parametrize(("command", "name"), [(state, "state"), (examples_by_length, "examples_by_length")])
def test_tables_replace_only_their_own(
    command: Any, name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for slow, found in (("models_of", {}), ("needed", {}), ("draw", [])):
        monkeypatch.setattr(command, slow, lambda *_, found=found: found, raising=False)
    texts = {
        "state": (RESULTS / "state.md").read_text(),
        "examples_by_length": examples_by_length.as_text({}, 0.5),
    }
    monkeypatch.setattr(command, "as_text", lambda *_: texts[name])
    arguments = [str(KEYS), "--out", str(tmp_path)]
    table = tmp_path / f"{name}.md"
    table.write_text("mine")
    with pytest.raises(SystemExit, match=f"{name}.md was not written by this command and is not overwritten"):
        command.main(arguments)
    assert table.read_text() == "mine"
    table.unlink()
    for _ in range(2):
        command.main(arguments)
        assert table.read_text() == texts[name]


def test_no_table_is_written_into_a_file(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    table = tmp_path / "file" / "table.md"
    with pytest.raises(
        InputError, match=r"table.md cannot be written: .*file is not a folder; choose another"
    ):
        check_written_by_us(table, "", "is foreign", "choose another folder")
    with pytest.raises(InputError, match=r"table.md cannot be written: .*file is not a folder$"):
        write_text(table, "text")
    with pytest.raises(InputError, match=r"x.md cannot be written: .*x is not a folder$"):
        write_text(table / "x" / "x.md", "text")
    assert (tmp_path / "file").read_text() == "mine"


def test_a_new_file_must_be_possible(tmp_path: Path) -> None:
    check_new_file(tmp_path / "new" / "file.json")
    assert not (tmp_path / "new").exists()
    (tmp_path / "link").symlink_to(tmp_path / "nowhere")
    with pytest.raises(InputError, match="link exists; pass another file with --out"):
        check_new_file(tmp_path / "link")
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match=r"cannot be written: .*file is not a folder"):
        check_new_file(tmp_path / "file" / "out.json")
    for name in ("x" * 300, "x" * 251):  # the second has no room for the partial file's name
        with pytest.raises(InputError, match="cannot be written: the name .*xxx'... is too long"):
            check_new_file(tmp_path / name)
    with pytest.raises(InputError, match="is too long"):
        check_new_file(tmp_path / ("x" * 300) / "out.json")
    check_new_file(tmp_path / ("x" * 200) / ("y" * 240))


@pytest.mark.parametrize(
    "content", [{}, [], {"rows": [{"preset": "paper"}, 3], "shape": {"rows": 64, "context_length": 220}},
                {"rows": [{"model": "T_rope", "preset": "small", "jobs": []}],
                 "shape": {"rows": 64, "context_length": 220}},
                {"rows": [], "shape": {"rows": 8, "context_length": 220}}]
)  # fmt: skip
def test_a_table_of_architectures_continues_only_its_own(
    content: object, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "table.json"
    out.write_text(json.dumps(content))
    before = out.read_bytes()
    monkeypatch.setattr(sys, "argv", ["x", "--out", str(out), "--device", "cpu", "--models", "T_rope"])
    with pytest.raises(
        InputError, match="is not a table of the preset paper with 64 rows of 220 tokens; pass"
    ):
        architectures.main()
    assert out.read_bytes() == before


def test_an_architecture_that_runs_only_compiled_has_a_row(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    out = tmp_path / "table.json"
    eager = {"error": "TimeoutError: not ready after 150 s"}
    sizes = {"parameters": 10, "embedding": 2, "attention_width": 0}
    compiled = {**sizes, "compiled_tokens_per_s": 1000.0, "loss": 1.0}

    def measured(jobs: Any, *_: Any) -> Any:
        return [(job, compiled if job.compile else eager) for job in jobs]

    monkeypatch.setattr(architectures, "_measurements", measured)
    monkeypatch.setattr(sys, "argv", ["x", "--out", str(out), "--device", "cpu", "--models", "fla:gla"])
    architectures.main()
    (row,) = json.loads(out.read_text())["rows"]
    assert row["jobs"] == ["fla:gla", "fla:gla --compile"]
    assert row.items() >= {**sizes, **eager, "tokens_per_s": 1000.0, "compiled_loss": 1.0}.items()
