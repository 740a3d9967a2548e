"""The pytest fixture ``hub``: a fresh loopback Hub that this process may use."""

import os
import time
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.hub.server import LoopbackHub, start

GOOD, OTHER = "hf_good", "hf_other"


@pytest.fixture
def hub(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[LoopbackHub]:
    """A Hub on which the token ``hf_good`` may write to ``org``, and ``hf_other`` to ``other``.

    In this process huggingface_hub is online, keeps its cache and its token in ``tmp_path``, and waits
    20 ms at most between attempts. ``datasets`` reads its endpoint at import, so it needs a subprocess.
    """
    from huggingface_hub import constants, file_download
    from huggingface_hub.utils import _http

    served = start(tmp_path / "hub", {GOOD: "org", OTHER: "other"})
    home = tmp_path / "hub" / "in_process"
    for name, value in {
        "HF_HUB_OFFLINE": False,
        "HF_HUB_DISABLE_XET": True,
        "HF_HUB_DISABLE_TELEMETRY": True,
        "HF_HUB_ETAG_TIMEOUT": 1,
        "HF_HUB_DOWNLOAD_TIMEOUT": 1,
        "HF_HUB_CACHE": str(home / "cache"),
        "HF_TOKEN_PATH": str(home / "token"),
        "ENDPOINT": served.url,
        "HUGGINGFACE_CO_URL_TEMPLATE": served.url + "/{repo_id}/resolve/{revision}/{filename}",
    }.items():
        monkeypatch.setattr(constants, name, value)
        if hasattr(file_download, name):  # below version 1 it has a copy of some
            monkeypatch.setattr(file_download, name, value)
    for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN"):
        monkeypatch.delenv(name, raising=False)
    quick = SimpleNamespace(sleep=lambda seconds: time.sleep(min(seconds, 0.02)), time=time.time)
    for module in (_http, file_download):
        monkeypatch.setattr(module, "time", quick)
    _forget_clients()
    monkeypatch.setenv("NO_PROXY", "127.0.0.1,localhost")
    yield served
    served.close()
    _forget_clients()


def _forget_clients() -> None:
    """Close shared clients, which would keep the environment of another test."""
    try:
        from huggingface_hub import close_session
    except ImportError:  # below version 1 they are online or offline from the beginning
        from huggingface_hub.utils import reset_sessions

        reset_sessions()
    else:
        if any(key.lower().endswith("_proxy") for key in os.environ):
            close_session()  # it may have been made before NO_PROXY was set
