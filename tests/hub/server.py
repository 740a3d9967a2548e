"""The loopback Hub: a threaded HTTP server around the repositories, with faults and a log."""

import contextlib
import os
import socket
from http.server import ThreadingHTTPServer
from pathlib import Path
from threading import Event, Lock, Thread
from typing import TYPE_CHECKING

from tests.hub import account_calls, commit_calls, discussion_calls, repo_calls  # noqa: F401  registers the calls
from tests.hub.core import Core, User
from tests.hub.faults import Fault, Faults, Kind
from tests.hub.handler import Handler
from tests.hub.repositories import Repository

if TYPE_CHECKING:
    from huggingface_hub import HfApi


class LoopbackHub:
    """A Hub on 127.0.0.1, from ``start`` to ``close``.

    Args:
        folder: folder of the repositories.

    Attributes:
        url: the endpoint, without a final slash.
        log: (method, path without the query, status) of every request in the order in which they were
            answered; status 0 if a fault cut the answer.
        hold: seconds for which a ``timeout`` fault keeps a client waiting.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.log: list[tuple[str, str, int]] = []
        self.hold = 3.0
        self.faults = Faults()
        self.lock, self.closing, self.connections = Lock(), Event(), set[socket.socket]()
        self.tokens: set[str | None] = set()
        handler = type("BoundHandler", (Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self.core = Core(folder / "repositories", self.url)
        self._thread = Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop the server; later connections are refused. May be called twice."""
        if self.closing.is_set():
            return
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def add_user(self, token: str, *namespaces: str, name: str | None = None) -> None:
        """Let ``token`` write to the namespaces and to that of the user ``name``."""
        name = name or f"user-{len(self.core.users) + 1}"
        self.core.users[token] = User(name, (name, *namespaces))

    def repository(self, name: str, repo_type: str = "dataset") -> Repository:
        """A stored repository, for inspection by a test.

        Raises: KeyError: there is none.
        """
        return self.core.repositories[repo_type, name]

    def fail(
        self,
        kind: Kind,
        *,
        nth: int = 1,
        match: tuple[str, str] = (".*", ""),
        always: bool = False,
    ) -> Fault:
        """Plan a fault.

        Args:
            kind: kind of fault, see ``Fault``.
            nth: number of the matching request with the fault, counted from now, from 1.
            match: regular expressions of the method (whole) and of the path (anywhere in it).
            always: whether all later matching requests have the fault too.

        Returns: the fault, whose ``struck`` counts how often it happened.
        """
        method, path = match
        return self.faults.add(Fault(kind, method, path, nth, always))

    def heal(self) -> None:
        """Remove all planned faults."""
        self.faults.clear()

    def saw_token(self, token: str | None) -> bool:
        """Whether any request had this token (None: had no token)."""
        return token in self.tokens

    def api(self, token: str | None = None) -> "HfApi":
        """A client of this Hub in this process; without a token, it sends none."""
        from huggingface_hub import HfApi

        return HfApi(endpoint=self.url, token=token if token is not None else False)

    def env(self, token: str | None = None, **more: str) -> dict[str, str]:
        """The environment of a subprocess that uses this Hub.

        Its caches are in a folder of this Hub, its timeouts 1 s, its waits between attempts 20 ms (by a
        sitecustomize.py on PYTHONPATH) and its proxies none.
        """
        kept = {
            key: value
            for key, value in os.environ.items()
            if not key.upper().startswith(("HF_", "HUGGING", "TRANSFORMERS_"))
        }
        kept = {key: value for key, value in kept.items() if not key.lower().endswith("_proxy")}
        quick = str(Path(__file__).with_name("quick"))
        paths = [quick, *filter(None, [kept.get("PYTHONPATH")])]
        kept |= {
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(self.folder / "hf_home"),
            "HF_HUB_OFFLINE": "0",
            "HF_HUB_DISABLE_XET": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            "HF_DATASETS_DISABLE_PROGRESS_BARS": "1",
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_ETAG_TIMEOUT": "1",
            "HF_HUB_DOWNLOAD_TIMEOUT": "1",
            "NO_PROXY": "127.0.0.1,localhost",
            "PYTHONPATH": os.pathsep.join(paths),
        }
        if token is not None:
            kept["HF_TOKEN"] = token
        return kept | more


def start(folder: Path, users: dict[str, str]) -> LoopbackHub:
    """A running Hub; ``users`` maps each token to the namespace that it may write to."""
    hub = LoopbackHub(folder)
    for token, namespace in users.items():
        hub.add_user(token, namespace)
    hub.start()
    return hub
