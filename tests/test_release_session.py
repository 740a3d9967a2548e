"""One session with the whole benchmark: build, verify, push, load, stream, and evaluate from the Hub."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

from dataset_builders.registry import default_release
from lm_eval_tasks import TASKS_FOLDER
from tests import material as texts
from tests.hub.fixture import GOOD
from tests.hub.server import LoopbackHub
from tests.squad_sample import write_squad

NAME = "org/benchmark"

LOAD = f"""
import json
from datasets import get_dataset_config_names, load_dataset
seen = {{}}
for config in get_dataset_config_names("{NAME}"):
    seen[config] = [len(load_dataset("{NAME}", config, split="test", revision="v1.0")), 0]
for row in load_dataset("{NAME}", "c4_copy_25", split="test", streaming=True):
    seen["c4_copy_25"][1] += 1
print(json.dumps(seen))
"""


@pytest.fixture
def sources(tmp_path: Path) -> dict[str, str]:
    """Prose instead of C4, our own paragraphs in SQuAD's schema, and GPT-NeoX's tokenizer."""
    return {
        "source": str(texts.prose()),
        "squad_source": str(write_squad(tmp_path / "squad.jsonl")),
        "tokenizer": str(texts.neox_tokenizer()),
    }


def options(sources: dict[str, str]) -> list[str]:
    return ["--source", str(sources["source"]), "--squad-source", str(sources["squad_source"]),
            "--tokenizer", str(sources["tokenizer"])]  # fmt: skip


@pytest.mark.slow
def test_the_whole_release(
    hub: LoopbackHub, model_folder: Path, sources: dict[str, str], tmp_path: Path
) -> None:
    def run(*command: str | Path) -> str:
        done = subprocess.run(
            [sys.executable, *map(str, command)], cwd=tmp_path, env=hub.env(GOOD), capture_output=True,
            text=True, check=False, timeout=900,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        assert GOOD not in done.stdout + done.stderr
        return done.stdout

    builders = ("-m", "dataset_builders")
    assert run(*builders, "build", "all", *options(sources), "--out", "release").count("  built") == len(
        default_release()
    )
    verified = run(*builders, "verify", "release", *options(sources)).splitlines()
    assert len(verified) == len(default_release()) and all(line.endswith("  same") for line in verified)
    assert "tagged v1.0" in run(*builders, "push", "release", NAME, "--tag", "v1.0")
    assert "nothing to do" in run(*builders, "push", "release", NAME, "--tag", "v1.0")

    manifest = json.loads((tmp_path / "release" / "manifest.json").read_text())
    seen = json.loads(run("-c", LOAD).splitlines()[-1])
    assert {config: count for config, (count, _) in seen.items()} == {
        config: entry["rows"] for config, entry in manifest["configs"].items()
    }
    assert seen["c4_copy_25"][1] == 500

    asked = {
        "phone_book_20": {},
        "c4_copy_25": {"source": sources["source"], "tokenizer": sources["tokenizer"]},
    }
    for task, built_from in asked.items():
        scores = {}
        for kind, metadata in {
            "released": {"dataset": NAME, "dataset_revision": "v1.0"},
            "built": built_from,
        }.items():
            run("-m", "lm_eval", "--model", "hf", "--model_args", f"pretrained={model_folder}", "--device",
                "cpu", "--include_path", TASKS_FOLDER, "--tasks", task, "--limit", "4", "--batch_size", "4",
                "--metadata", json.dumps(metadata), "--output_path", f"{task}-{kind}")  # fmt: skip
            (file,) = (tmp_path / f"{task}-{kind}").glob("**/results_*.json")
            content = json.loads(file.read_text())
            sha256 = content["configs"][task]["metadata"]["documents_sha256"]
            assert sha256 == manifest["configs"][task]["content_sha256"]
            scores[kind] = {key: value for key, value in content["results"][task].items() if "," in key}
        assert scores["released"] == scores["built"]
