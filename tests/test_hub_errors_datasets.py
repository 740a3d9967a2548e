"""Errors of the Hub in ``datasets`` are one sentence too; all cases share a process."""

import json
import subprocess
import sys

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from huggingface_hub import CommitOperationAdd

from tests.hub.fixture import GOOD, OTHER

pytest.importorskip("httpx2", reason="huggingface-hub below 2 has another HTTP library")

SECRET = "hf_abcdefghijklmnopqrstuvwxyz01234567"

SCRIPT = """
import json
from datasets import Dataset, load_dataset
from dataset_builders import InputError
from dataset_builders.hub import hub_errors

def told(name, config=None, split="test", **options):
    try:
        with hub_errors("read"):
            rows = load_dataset(name, config, split=split, **options)
            return len(list(rows))
    except InputError as error:
        return str(error)

found = {name: told("org/" + name) for name in ("none", "weights", "gated", "down", "cut", "damaged")}
found["revision"] = told("org/good", revision="v9")
found["config"] = told("org/good", "large")
found["split"] = told("org/good", "small", "train")
found["good"] = told("org/good", "small")
found["streamed"] = told("org/lost", "small", streaming=True)
found["token"] = told("org/token", token="TOKEN")
try:
    with hub_errors("push"):
        Dataset.from_dict({"a": [1]}).push_to_hub("other/x", token="hf_good")
except InputError as error:
    found["push"] = str(error)
print(json.dumps(found))
"""

LOADED = {
    "none": "Dataset 'org/none' doesn't exist on the Hub or cannot be accessed; check the name, or",
    "weights": "Dataset 'org/weights' doesn't exist on the Hub",
    "gated": "Dataset 'org/gated' is a gated dataset on the Hub",
    "down": "the Hub has an internal error (status 503)",
    "cut": "was closed; run the command again",
    "damaged": "one of its files is damaged (Parquet",
    "revision": "the data set 'org/good' has no branch, tag or commit 'v9'",
    "config": "BuilderConfig 'large' not found",
    "split": 'Unknown split "train"',
    "streamed": "was closed; run the command again",
    "token": "the Hub does not accept the token",
    "push": 'under the namespace "other")',
}


def test_datasets(hub, tmp_path):
    api, parquet, table = hub.api(GOOD), tmp_path / "test.parquet", pa.table({"a": [1, 2, 3]})
    pq.write_table(table, parquet)
    config = b"- config_name: small\n  data_files:\n  - split: test\n    path: data/test.parquet\n"
    card = b"---\nconfigs:\n" + config + b"---\n"
    for name in ("good", "gated", "down", "cut", "damaged", "lost", "token"):
        api.create_repo(f"org/{name}", repo_type="dataset")
        content = b"PAR1 damaged PAR1" if name == "damaged" else parquet.read_bytes()
        files = {"data/test.parquet": content, "README.md": card}
        operations = [CommitOperationAdd(path, content) for path, content in files.items()]
        api.create_commit(f"org/{name}", operations, commit_message="m", repo_type="dataset")
    api.create_repo("org/weights")
    hub.repository("org/gated").gated = True
    hub.fail("503", match=(".*", "/org/down"), always=True)
    hub.fail("drop_after", match=(".*", "/org/cut"), always=True)
    hub.fail("reset", match=("GET", "/org/lost/.*parquet"), always=True)
    script = SCRIPT.replace("TOKEN", SECRET)
    done = subprocess.run(
        [sys.executable, "-c", script],
        env=hub.env(OTHER),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.pop("good") == 3
    assert {name: sentence for name, sentence in found.items() if LOADED[name] not in str(sentence)} == {}
    assert not [token for token in (GOOD, OTHER, SECRET) if token in done.stdout + done.stderr]
