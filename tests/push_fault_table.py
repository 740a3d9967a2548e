"""What a push leaves behind after a fault: tries every fault at every request of a push.

``python -m tests.push_fault_table`` tries them on a loopback Hub and prints the table of
``dataset_builders/README.md``.
"""

import itertools
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING

from dataset_builders import InputError
from dataset_builders.registry import find

if TYPE_CHECKING:
    from tests.hub.server import LoopbackHub

NAME, TOKEN = "org/benchmark", "hf_good"
NOTES = b"A file that no release brought.\n"
KINDS = {
    "refuse": "connection closed before the request was read",
    "reset": "processed, answer cut in the middle",
    "drop_after": "processed, no answer",
    "timeout": "no answer, nothing processed",
    "500": "status 500",
    "503": "status 503",
    "412": "status 412 (commit alone)",
}
STEPS = {
    "first": "the repository does not exist",
    "next": "the repository holds an older release, v1.0",
}


@dataclass(frozen=True)
class Case:
    """A fault of some ``kind`` at request ``nth`` of a push, only there or also at all later ones."""

    step: str
    nth: int
    request: str
    kind: str
    always: bool


@dataclass(frozen=True)
class Outcome:
    """``message`` of the push with the fault, empty if it succeeded, and what is ``left`` after it."""

    message: str
    left: str


def build_releases(folder: Path) -> tuple[Path, Path]:
    """Two releases of a data set: in the second, a config is added, one is changed, and one is removed."""
    from dataset_builders.release.build import build

    strings, book = find("string_copy").configs([10], num_docs=4), find("phone_book").configs
    build([*book([20], num_docs=4), *strings], folder / "old", {})
    build([*book([20], num_docs=5), *book([30], num_docs=4)], folder / "new", {})
    return folder / "old", folder / "new"


def prepare(hub: "LoopbackHub", step: str, old: Path) -> None:
    """Bring a fresh Hub to the state before a push of the new release."""
    if step == "next":
        release(hub, old, "v1.0")
        hub.api(TOKEN).upload_file(
            path_or_fileobj=NOTES, path_in_repo="notes.txt", repo_id=NAME, repo_type="dataset"
        )
    hub.log.clear()


def release(hub: "LoopbackHub", folder: Path, tag: str) -> list[str]:
    """Push, and return the printed lines."""
    from dataset_builders.release.push import Target, push

    said: list[str] = []
    push(folder, Target(NAME, tag=tag), hub.api(TOKEN), said.append)
    return said


def cases(requests: dict[str, list[str]]) -> Iterator[Case]:
    """Every fault at every request of an undisturbed push, by step."""
    for step, names in requests.items():
        for (index, request), kind, always in itertools.product(enumerate(names, 1), KINDS, (False, True)):
            if kind != "412" or "/commit/" in request:
                yield Case(step, index, request, kind, always)


def requests_of(log: list[tuple[str, str, int]]) -> list[str]:
    """The requests in the log, without the parts that differ between two equal pushes."""
    return [f"{method} {_shortened(path)}" for method, path, _ in log]


def _shortened(path: str) -> str:
    parts = path.replace(NAME, "NAME").split("/")
    return "/".join("SHA" if len(part) in (40, 64) else part for part in parts)


def left(hub: "LoopbackHub", old: Path, new: Path) -> str:
    """The state of the Hub in words.

    Raises: AssertionError: the Hub has a mixture of releases, or an older release was changed.
    """
    try:
        repository = hub.repository(NAME)
    except KeyError:
        return "no repository"
    files = repository.files("main")
    tagged = "refs/tags/v2.0" in repository.refs
    if "refs/tags/v1.0" in repository.refs:
        assert _data(repository.files("v1.0")) == _data_of(old)
        assert files["notes.txt"] == NOTES
    if _data(files) == _data_of(new):
        assert b"phone_book_30" in files["README.md"] and b"phone_book_30" in files["eval.yaml"]
        assert not tagged or repository.refs["refs/tags/v2.0"] == repository.refs["refs/heads/main"]
        return "the new release" if tagged else "the new release, not tagged"
    assert not tagged
    if _data(files) == _data_of(old):
        assert b"phone_book_30" not in files["README.md"] and b"phone_book_30" not in files["eval.yaml"]
        return "the old release"
    assert list(files) == [".gitattributes"]
    return "an empty repository"


def _data(files: dict[str, bytes]) -> dict[str, bytes]:
    return {path: content for path, content in files.items() if path.endswith((".parquet", "manifest.json"))}


def _data_of(folder: Path) -> dict[str, bytes]:
    paths = [*folder.glob("*/*.parquet"), folder / "manifest.json"]
    return {path.relative_to(folder).as_posix(): path.read_bytes() for path in paths}


def attempt(hub: "LoopbackHub", case: Case, old: Path, new: Path) -> Outcome:
    """Push with the fault and check the Hub; push without it and check again.

    Raises: AssertionError: the fault left an invalid state, or the second push did not repair it.
    """
    prepare(hub, case.step, old)
    fault = hub.fail(case.kind, nth=case.nth, always=case.always)
    message = ""
    try:
        release(hub, new, "v2.0")
    except InputError as error:
        message = str(error)
    assert fault.struck and "\n" not in message and TOKEN not in message
    outcome = Outcome(message, left(hub, old, new))
    assert message or outcome.left == "the new release"
    hub.heal()
    release(hub, new, "v2.0")
    assert left(hub, old, new) == "the new release"
    repository = hub.repository(NAME)
    titles = [commit.title for commit in repository.history(repository.resolve("main"))]
    assert titles.count("Release v2.0") == 1
    assert release(hub, new, "v2.0")[0].startswith("nothing to do")
    return outcome


def table(tried: list[tuple[Case, Outcome]]) -> str:
    """A Markdown table with one row per kind of request and fault, and the state after the push."""
    from tabulate import tabulate

    def after(outcome: Outcome) -> str:
        return outcome.left if outcome.message else f"{outcome.left} (the push went on)"

    counts: dict[tuple[str, str], Counter[str]] = {}
    for case, outcome in tried:
        key = STEPS[case.step], f"`{case.request}`"
        counts.setdefault(key, Counter())[after(outcome)] += 1
    rows = [
        [step, request, sum(found.values()), "; ".join(f"{what}: {n}" for what, n in found.most_common())]
        for (step, request), found in counts.items()
    ]
    return tabulate(rows, ["before", "request", "faults", "left by the push that they struck"], "github")


def record(hub: "LoopbackHub", step: str, old: Path, new: Path) -> list[str]:
    """The requests of a push without faults to a fresh Hub."""
    prepare(hub, step, old)
    release(hub, new, "v2.0")
    return requests_of(hub.log)


def main() -> None:
    """Try every case and print the table."""
    os.environ |= {"HF_HUB_OFFLINE": "0", "HF_HUB_DISABLE_XET": "1", "HF_HUB_DISABLE_PROGRESS_BARS": "1"}
    os.environ |= {"HF_HUB_ETAG_TIMEOUT": "1", "HF_HUB_DOWNLOAD_TIMEOUT": "1", "NO_PROXY": "127.0.0.1"}
    from huggingface_hub.utils import _http, logging

    from tests.hub.server import LoopbackHub, start

    logging.set_verbosity_error()
    # Without this, the waits between attempts would be most of the time.
    _http.time = SimpleNamespace(sleep=lambda seconds: time.sleep(min(seconds, 0.02)))
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        old, new = build_releases(folder)
        numbers = itertools.count()

        def new_hub() -> LoopbackHub:
            hub = start(folder / f"hub-{next(numbers)}", {TOKEN: "org"})
            hub.hold = 0.3
            return hub

        tried = []
        planned = list(cases({step: record(new_hub(), step, old, new) for step in STEPS}))
        for case in planned:
            hub = new_hub()
            tried.append((case, attempt(hub, case, old, new)))
            hub.close()
            print(f"{len(tried)} of {len(planned)}: {case} -> {tried[-1][1]}", file=sys.stderr)
    print(table(tried))


if __name__ == "__main__":
    main()
