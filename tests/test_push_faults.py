"""A push with a fault does not change the last release, and repeating it completes the new release.

``tests.push_fault_table`` has the checks and the full grid; its table is in the package's README.
"""

import itertools
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.hub.fixture import GOOD
from tests.hub.server import start
from tests.push_fault_table import (
    KINDS,
    NAME,
    NOTES,
    STEPS,
    Case,
    attempt,
    cases,
    left,
    prepare,
    record,
    release,
)
from tests.pushing import releases


def case(requests: list[str], step: str, part: str, kind: str, always: bool) -> Case:
    """The fault at the first request of a push whose path contains ``part``."""
    nth, request = next((n, r) for n, r in enumerate(requests, 1) if part in r)
    return Case(step, nth, request, kind, always)


@pytest.mark.parametrize(
    ("step", "part", "kind", "always", "expected"),
    [
        ("first", "/refs", "refuse", False, "no repository"),
        ("first", "/create", "drop_after", False, "an empty repository"),
        ("first", "PUT", "reset", True, "an empty repository"),
        ("first", "/commit/", "drop_after", False, "the new release, not tagged"),
        ("next", "GET /datasets", "reset", False, "the old release"),
        ("next", "/preupload", "503", True, "the old release"),
        ("next", "PUT", "500", False, "the new release"),
        ("next", "PUT", "refuse", True, "the old release"),
        ("next", "/commit/", "refuse", False, "the old release"),
        ("next", "/commit/", "timeout", False, "the old release"),
        ("next", "/commit/", "412", False, "the old release"),
        ("next", "/commit/", "reset", False, "the new release, not tagged"),
        ("next", "/tag/", "503", False, "the new release, not tagged"),
        ("next", "/tag/", "drop_after", False, "the new release"),
    ],
)
def test_one_fault(hub, releases, requests, step, part, kind, always, expected):
    hub.hold = 0.3
    outcome = attempt(hub, case(requests[step], step, part, kind, always), *releases)
    assert outcome.left == expected


@pytest.fixture(scope="module")
def requests() -> dict[str, list[str]]:
    """The requests of a push without faults; ``test_the_requests_of_a_push`` checks them."""
    shared = ["GET /api/datasets/NAME/refs", "GET /api/datasets/NAME/revision/main"]
    read = [
        f"{m} /datasets/NAME/resolve/SHA/{f}" for f in ("README.md", "manifest.json") for m in ("HEAD", "GET")
    ]
    write = [
        "POST /api/validate-yaml",
        "POST /api/datasets/NAME/preupload/main",
        "POST /datasets/NAME.git/info/lfs/objects/batch",
        "PUT /lfs/dataset/NAME/SHA",
        "PUT /lfs/dataset/NAME/SHA",
        "POST /api/datasets/NAME/commit/main",
        "POST /api/datasets/NAME/tag/SHA",
    ]
    return {
        "first": [shared[0], "POST /api/repos/create", *shared, *write],
        "next": [*shared, *read, *write],
    }


@pytest.mark.parametrize("step", STEPS)
def test_the_requests_of_a_push(hub, releases, requests, step):
    assert record(hub, step, *releases) == requests[step]


@pytest.mark.slow
def test_every_fault_at_every_request(hub, releases, requests, tmp_path):
    tried = 0
    for number, one in zip(itertools.count(), cases(requests)):
        fresh = start(tmp_path / f"hub-{number}", {GOOD: "org"})
        fresh.hold = 0.3
        attempt(fresh, one, *releases)
        fresh.close()
        tried += 1
    requests_in_all = sum(map(len, requests.values()))
    assert tried == 2 * (requests_in_all * (len(KINDS) - 1) + len(STEPS))


def test_a_push_that_is_killed_at_its_commit(hub, releases):
    old, new = releases
    prepare(hub, "next", old)
    hub.hold = 60
    fault = hub.fail("timeout", match=("POST", "/commit/"))
    command = [sys.executable, "-m", "dataset_builders", "push", str(new), NAME, "--tag", "v2.0"]
    with subprocess.Popen(
        command, env=hub.env(GOOD), stdout=subprocess.PIPE, stderr=subprocess.STDOUT
    ) as push:
        try:
            until = time.monotonic() + 100
            while not fault.struck and push.poll() is None and time.monotonic() < until:
                time.sleep(0.05)
        finally:
            push.send_signal(signal.SIGKILL)
    assert fault.struck
    assert left(hub, old, new) == "the old release"
    hub.heal()
    release(hub, new, "v2.0")
    assert left(hub, old, new) == "the new release"
    assert hub.repository(NAME).files("main")["notes.txt"] == NOTES


ROUND_TRIP = """
import json, logging, os, sys
logging.basicConfig(level=1)
from dataset_builders.__main__ import main

folder, name = "release", "org/benchmark"
main(["build", "phone_book", "--entries", "20", "--num-docs", "4", "--out", folder])
main(["build", "string_copy", "--length", "10", "--num-docs", "4", "--out", folder])
main(["push", folder, name, "--tag", "v1.0"])
main(["push", folder, name, "--tag", "v1.0"])
main(["verify", name, "--revision", "v1.0"])

from datasets import get_dataset_config_names, load_dataset
from dataset_builders.release.schema import features
from dataset_builders.release.parquet_file import read_rows
from dataset_builders.release.manifest import parquet_path, read_manifest
from pathlib import Path

manifest = read_manifest(Path(folder))
assert get_dataset_config_names(name) == list(manifest.configs) == ["phone_book_20", "string_copy_10"]
for config, entry in manifest.configs.items():
    rows = list(read_rows(parquet_path(Path(folder), config), entry.benchmark))
    loaded = load_dataset(name, config, split="test", revision="v1.0", verification_mode="all_checks")
    assert loaded.features == features(entry.benchmark), loaded.features
    assert loaded.to_list() == rows and len(rows) == 4
    streamed = load_dataset(name, config, split="test", streaming=True)
    assert streamed.features == features(entry.benchmark), streamed.features
    assert list(streamed) == rows
assert load_dataset(name, split="test").to_list()[0]["id"].startswith("phone_book_20/")
print("ROUND TRIP")
"""


def test_build_push_and_load_and_no_token_anywhere(hub, tmp_path):
    token = "hf_thisIsTheTokenThatNobodyMaySee"
    hub.add_user(token, "org")
    here = tmp_path / "here"
    here.mkdir()
    verbose = {"HF_DEBUG": "1", "HF_HUB_VERBOSITY": "debug", "DATASETS_VERBOSITY": "debug"}
    paths = os.pathsep.join(filter(None, [hub.env()["PYTHONPATH"], str(Path(__file__).parents[1])]))
    ran = subprocess.run(
        [sys.executable, "-c", ROUND_TRIP],
        cwd=here,
        env=hub.env(token, **verbose, PYTHONPATH=paths),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0 and "ROUND TRIP" in ran.stdout, ran.stderr[-3000:]
    assert hub.saw_token(token) and "/commit/" in ran.stderr
    secret = token.removeprefix("hf_")
    assert secret not in ran.stdout + ran.stderr
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if secret.encode() in path.read_bytes()] == []
    shown = [path for path in files if path.name == "manifest.json" and path.is_relative_to(here)]
    assert str(tmp_path) not in json.dumps(json.loads(shown[0].read_text()))
