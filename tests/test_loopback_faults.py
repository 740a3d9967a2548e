"""Each fault of the loopback Hub, as seen by the real client and in the repositories."""

import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier

import pytest
from huggingface_hub import CommitOperationAdd, HfApi, errors, get_hf_file_metadata, hf_hub_url

from tests.hub.fixture import GOOD
from tests.hub.server import LoopbackHub

httpx2 = pytest.importorskip("httpx2", reason="huggingface-hub below 2 has another HTTP library")

NAME = "org/benchmark"
PARQUET = b"PAR1" + bytes(range(256)) * 4000 + b"PAR1"


@pytest.fixture
def api(hub: LoopbackHub) -> HfApi:
    made = hub.api(GOOD)
    made.create_repo(NAME, repo_type="dataset")
    hub.log.clear()
    return made


def commit(api: HfApi, content: bytes, path: str = "a", **options: str) -> None:
    operations = [CommitOperationAdd(path, content)]
    api.create_commit(NAME, operations, commit_message="change", repo_type="dataset", **options)


def commits(hub: LoopbackHub) -> int:
    repository = hub.repository(NAME)
    return len(list(repository.history(repository.resolve("main"))))


@pytest.mark.parametrize(
    ("kind", "seen", "logged", "processed"),
    [
        ("refuse", (httpx2.RemoteProtocolError, httpx2.ReadError, httpx2.WriteError), 0, False),
        ("cut", httpx2.RemoteProtocolError, 0, True),
        ("reset", httpx2.ReadError, 0, True),
        ("drop_after", httpx2.RemoteProtocolError, 0, True),
        ("timeout", (httpx2.RemoteProtocolError, httpx2.ReadError), 0, False),
        ("500", errors.HfHubHTTPError, 500, False),
        ("502", errors.HfHubHTTPError, 502, False),
        ("503", errors.HfHubHTTPError, 503, False),
        ("412", errors.HfHubHTTPError, 412, False),
        ("429", errors.HfHubHTTPError, 429, False),
    ],
)
def test_what_a_commit_sees_of_each_fault(hub, api, kind, seen, logged, processed):
    hub.hold = 0.2
    fault = hub.fail(kind, match=("POST", "/commit/main$"))
    with pytest.raises(seen) as caught:
        commit(api, b"1")
    if logged:
        assert caught.value.response.status_code == logged
    assert (commits(hub) == 2) is processed
    assert hub.log[-1] == ("POST", f"/api/datasets/{NAME}/commit/main", logged)
    commit(api, b"2")
    assert hub.repository(NAME).files()["a"] == b"2" and fault.struck == 1


def test_a_timeout_is_silence_for_longer_than_the_client_waits(hub, api):
    commit(api, b"1")
    fault = hub.fail("timeout", match=("HEAD", "/resolve/"))
    began = time.monotonic()
    with pytest.raises(httpx2.ReadTimeout):
        url = hf_hub_url(NAME, "a", repo_type="dataset", endpoint=hub.url)
        get_hf_file_metadata(url, timeout=0.2, token=GOOD)
    assert 0.15 < time.monotonic() - began < 2 and fault.struck == 1


def test_closing_wakes_whoever_is_held(hub, api):
    hub.fail("timeout")
    with ThreadPoolExecutor(1) as pool:
        held = pool.submit(api.dataset_info, NAME)
        time.sleep(0.1)
        began = time.monotonic()
        hub.close()
        assert isinstance(held.exception(timeout=2), httpx2.TransportError)
    assert time.monotonic() - began < 2
    with pytest.raises(httpx2.ConnectError):
        api.dataset_info(NAME)


@pytest.mark.parametrize("kind", ["refuse", "drop_after", "500", "429"])
def test_what_the_client_tries_again(hub, api, kind):
    fault = hub.fail(kind, match=("POST", "/preupload/"))
    commit(api, b"1")
    asked = [status for method, path, status in hub.log if "/preupload/" in path]
    assert len(asked) == 2 and asked[-1] == 200 and fault.struck == 1


def test_a_lasting_fault_is_met_six_times_at_once(hub, api):
    fault = hub.fail("503", match=("POST", "/preupload/"), always=True)
    began = time.monotonic()
    with pytest.raises(errors.HfHubHTTPError):
        commit(api, b"1")
    assert fault.struck == 6 and time.monotonic() - began < 3
    hub.heal()
    commit(api, b"1")


def test_a_subprocess_tries_again_at_once_too(hub, api):
    fault = hub.fail("503", match=("POST", "/preupload/"), always=True)
    script = (
        "import time; from huggingface_hub import HfApi; began = time.monotonic()\n"
        f"asked = dict(repo_id='{NAME}', repo_type='dataset', path_in_repo='a')\n"
        "try: HfApi().upload_file(path_or_fileobj=b'1', **asked)\n"
        "except OSError as error: print(error.response.status_code, time.monotonic() - began)"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env=hub.env(GOOD), capture_output=True, text=True, timeout=60
    )
    status, seconds = done.stdout.split()
    assert (status, fault.struck) == ("503", 6) and float(seconds) < 5, done.stderr


def test_a_download_that_is_cut_is_tried_again_and_a_reset_one_is_not(hub, api):
    commit(api, PARQUET, "data.parquet")
    hub.fail("reset", match=("GET", "data.parquet$"))
    with pytest.raises(httpx2.ReadError):
        api.hf_hub_download(NAME, "data.parquet", repo_type="dataset")
    fault = hub.fail("cut", match=("GET", "data.parquet$"))
    path = api.hf_hub_download(NAME, "data.parquet", repo_type="dataset")
    assert Path(path).read_bytes() == PARQUET and fault.struck == 1
    assert [status for method, path, status in hub.log if method == "GET"][-2:] == [0, 200]


def test_every_request_of_a_push_can_be_cut(hub, api):
    """After a fault at the k-th request, the branch is unchanged or has the complete push."""
    commit(api, PARQUET[:-5], "data.parquet")
    requests = len(hub.log)
    assert [path.split("/")[-2] for _, path, _ in hub.log] == ["preupload", "objects", "benchmark", "commit"]
    for nth in range(1, requests + 1):
        before = commits(hub)
        content = PARQUET + b"%d" % nth
        hub.fail("drop_after", nth=nth)
        outcome = None
        try:
            commit(api, content, "data.parquet")
        except (httpx2.HTTPError, RuntimeError) as error:
            outcome = error
        hub.heal()
        assert (outcome is not None) is (nth == requests), "the commit alone is not tried again"
        assert commits(hub) == before + 1 and hub.repository(NAME).files()["data.parquet"] == content


def test_faults_count_from_when_they_are_planned(hub, api):
    fault = hub.fail("500", nth=2, match=("GET", "benchmark$"))
    later = hub.fail("503", nth=3, match=("GET", "benchmark$"), always=True)
    found = []
    for _ in range(4):
        try:
            api.dataset_info(NAME)
            found.append(200)
        except errors.HfHubHTTPError as error:
            found.append(error.response.status_code)
    assert found == [200, 500, 503, 503] and (fault.struck, later.struck) == (1, 2)
    assert [status for *_, status in hub.log] == found


def test_of_concurrent_commits_on_one_parent_one_succeeds(hub, api):
    commit(api, b"0")
    parent, ready = hub.repository(NAME).resolve("main").sha, Barrier(6)
    contents = [b"%d" % number * 500_000 for number in range(6)]

    def attempt(number: int) -> int:
        client = hub.api(GOOD)
        ready.wait()
        try:
            commit(client, contents[number], parent_commit=parent)
        except errors.HfHubHTTPError as error:
            return error.response.status_code
        return 200

    with ThreadPoolExecutor(6) as pool:
        found = list(pool.map(attempt, range(6)))
    assert sorted(found) == [200, 412, 412, 412, 412, 412]
    assert hub.repository(NAME).files()["a"] == contents[found.index(200)]
    assert commits(hub) == 3
