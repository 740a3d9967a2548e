"""Commands given a wrong file, folder or number end in one sentence and leave all files as they are."""

import re
from pathlib import Path

import pytest

from synthetic_training.figures.estimate import RESULTS
from tests.conftest import Run

KEYS = RESULTS / "hard_alibi_small.jsonl"
WRONG = [
    ("synthetic_training.figures.cost results.jsonl --speed other.json",
     "other.json was not written by synthetic_training.speed.trainer"),
    ("synthetic_training.figures.cost", "no file is named; pass files written by reproduce"),
    ("synthetic_training.figures.cost cut.jsonl", "cut.jsonl contains no results; pass files written by"),
    ("synthetic_training.figures.keys results.jsonl --fit-to 0", "fit_to must be an integer of at least 1"),
    ("synthetic_training.figures.keys results.jsonl --fit-to 5",
     "strings of up to 5 letters; the shortest strings with counts have 10, so pass --fit-to 10 or more"),
    ("synthetic_training.figures.packing merge folder --into new", "folder cannot be unpacked: Is a dir"),
    ("synthetic_training.figures.packing merge none.tar.gz --into new",
     "none.tar.gz cannot be unpacked: No such file or directory$"),
    ("synthetic_training plot folder --out new",
     "folder is neither a folder of a run nor a file written by evaluate: it has no metrics.jsonl"),
    ("synthetic_training reproduce efficiency --models nope --out new --gpus 2",
     "the schedule for a number of GPUs is part of a dry run; pass --dry-run too"),
    ("synthetic_training.theory figure --out new", "no file is named; pass files written by evaluate --out"),
    ("synthetic_training.theory table --strings 1 --longest 12 --device cpu --out text",
     "text cannot be written: text is not a folder"),
    ("synthetic_training train --out text/new", "text/new cannot be written: text is not a folder$"),
    ("synthetic_training train --model lstm --model-args trust_remote_code=true --out new",
     "trust_remote_code is no argument of lstm, but a setting of its own; pass --trust-remote-code$"),
    ("lm_eval_tasks generate --out text", "text cannot be written: text is not a folder$"),
    ("lm_eval_tasks generate --out loop/new", "loop/new cannot be written: loop is not a folder$"),
    ("synthetic_training.precision.study --device cpu --out text", "text has a damaged line: it is not JSON"),
    ("synthetic_training.precision.study --device cpu --out text/new.jsonl", "text is not a folder"),
    ("synthetic_training.precision.study --device cpu --out new.jsonl --folder text", "text is not a folder"),
    ("synthetic_training.speed.architectures --device cpu --out new.json --models nope",
     "nope has no preset paper"),
    ("synthetic_training.speed.architectures --device cpu --out new.json --rows -4",
     "rows must be an integer of at least 1, not -4"),
    ("synthetic_training.speed.architectures --device cpu --out new.json --context-length 0",
     "context_length must be an integer of at least 1, not 0"),
    ("dataset_builders build squad_v2_retrieval --squad-source folder --out new",
     "'folder' is a folder; pass a .parquet, .jsonl or .json file"),
    ("dataset_builders build c4_copy --source text --tokenizer folder.json --out new",
     "the tokenizer 'folder.json/tokenizer.json' does not exist; pass a tokenizer.json"),
    ("lm_eval_tasks.speed.evaluation --tokenizer folder --device gpu",
     "the device 'gpu' cannot be used: .*; pass --device cpu"),
    ("lm_eval_tasks.speed.evaluation --tokenizer none.json --device cpu",
     "the tokenizer 'none.json' does not exist; pass a tokenizer.json, a folder that contains one"),
]  # fmt: skip


@pytest.mark.parametrize(("command", "sentence"), WRONG, ids=[command for command, _ in WRONG])
def test_a_wrong_value_is_one_sentence(command: str, sentence: str, run_here: Run, tmp_path: Path) -> None:
    for name in ("folder", "folder.json"):
        (tmp_path / name).mkdir()
    lines = KEYS.read_bytes()
    files = {"results.jsonl": lines, "cut.jsonl": lines[:100], "other.json": b"{}", "text": b"mine\n"}
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    (tmp_path / "loop").symlink_to("loop")
    before = {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")}
    result = run_here(*command.split())
    assert result.returncode == 1 and result.stdout == ""
    assert re.fullmatch("error: [^\n]+\n", result.stderr) and re.search(sentence, result.stderr.strip())
    assert {path: path.is_file() and path.read_bytes() for path in tmp_path.rglob("*")} == before
