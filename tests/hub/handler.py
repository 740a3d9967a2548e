"""The HTTP side of the Hub: each request gets an answer or a fault."""

import contextlib
import socket
import struct
import uuid
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, urlsplit

from tests.hub.core import Answer, Request, answer, refused
from tests.hub.errors import HubRefusalError
from tests.hub.faults import Kind

if TYPE_CHECKING:
    from tests.hub.server import LoopbackHub

MESSAGES = {
    500: "Internal Error - We're working hard to fix this as soon as possible!",
    503: "Service Unavailable",
    412: "A commit has happened since. Please refresh and try again.",
    429: "We had to rate limit you. Please retry later.",
}


def stopped(status: int) -> Answer:
    """The answer of a fault; a 502 comes from a gateway, not from the Hub."""
    if status == 502:
        return Answer(502, b"<html><h1>Bad Gateway</h1></html>", {"Content-Type": "text/html"})
    return Answer.json({"error": MESSAGES[status]}, status, **{"X-Error-Message": MESSAGES[status]})


class Handler(BaseHTTPRequestHandler):
    """A connection. Every answer has a length, so that connections are kept open."""

    protocol_version = "HTTP/1.1"
    hub: "LoopbackHub"

    def setup(self) -> None:
        super().setup()
        self.hub.connections.add(self.connection)

    def finish(self) -> None:
        self.hub.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()

    def handle(self) -> None:
        # A client that goes away in the middle is what the faults are about, and no news.
        with contextlib.suppress(ConnectionError):
            super().handle()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  the base class's name
        """Keep standard error for the tests."""

    def do_GET(self) -> None:
        path, hub = urlsplit(self.path).path, self.hub
        kind = hub.faults.of(self.command, path)
        if kind in ("refuse", "timeout"):
            if kind == "timeout":
                hub.closing.wait(hub.hold)
            self._cut(path)
            return
        body = self._read_body()
        made = stopped(int(kind)) if kind and kind.isdigit() else self._answer(path, body)
        if kind == "drop_after":
            self._cut(path)
        else:
            self._send(path, made, kind)

    do_HEAD = do_POST = do_PUT = do_DELETE = do_GET

    def _read_body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            parts.append(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():
            pass
        return b"".join(parts)

    def _answer(self, path: str, body: bytes) -> Answer:
        hub, authorization = self.hub, self.headers.get("Authorization")
        hub.tokens.add(authorization and authorization.removeprefix("Bearer "))
        query = parse_qs(urlsplit(self.path).query)
        headers = {key.lower(): value for key, value in self.headers.items()}
        method = "GET" if self.command == "HEAD" else self.command
        with hub.lock:
            try:
                user = hub.core.user(authorization)
                return answer(hub.core, Request(method, path, query, headers, body, user))
            except HubRefusalError as refusal:
                return refused(refusal)
            except (KeyError, TypeError, ValueError) as error:
                return Answer.json({"error": f"Malformed request: {type(error).__name__}: {error}"}, 400)

    def _send(self, path: str, made: Answer, kind: Kind | None) -> None:
        head = [f"HTTP/1.1 {made.status} {self.responses.get(made.status, ('',))[0]}"]
        headers = {"Content-Length": str(len(made.body)), "X-Request-Id": uuid.uuid4().hex, **made.headers}
        head += [f"{key}: {value}" for key, value in headers.items()]
        text = "\r\n".join([*head, "", ""]).encode("latin-1", "replace")
        body = b"" if self.command == "HEAD" else made.body
        if kind in ("cut", "reset"):
            # Half the body, or half the head where there is no body to cut.
            self.wfile.write(text + body[: len(body) // 2] if body else text[: len(text) // 2])
            self._cut(path, reset=kind == "reset")
            return
        self.hub.log.append((self.command, path, made.status))
        self.wfile.write(text + body)

    def _cut(self, path: str, reset: bool = False) -> None:
        """Close the connection before the end of the answer; with ``reset``, the client fails at once."""
        self.hub.log.append((self.command, path, 0))
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            socket.close(self.connection.detach())
