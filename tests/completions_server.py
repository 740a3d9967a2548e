"""An OpenAI-compatible server on the loopback interface, in a thread, that answers by a rule.

Like real servers, it reads prompts as text, token ids or messages, stops at ``stop``, and
returns log-probabilities of the prompt if a request has ``echo`` and the server supports it.
"""

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

Answer = Callable[[str, int], str | None]
"""The text that follows a prompt, in at most so many tokens; None as from a content filter."""

Logprobs = Callable[[list[int]], dict[str, Any]]
"""OpenAI's ``logprobs`` object of a prompt's tokens and one new token."""


class RefusedError(Exception):
    """The server answers with status 400 and this text."""


class CompletionsServer:
    """A context manager: ``with CompletionsServer(answer) as server: ... server.url("completions")``.

    Attributes:
        bodies: the requests received so far.
    """

    def __init__(self, answer: Answer, tokenizer: Any = None, logprobs: Logprobs | None = None) -> None:
        self.bodies: list[dict[str, Any]] = []
        self._answer = answer
        self._tokenizer = tokenizer
        self._logprobs = logprobs
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), self._handler())
        self._thread = threading.Thread(target=self._http.serve_forever, kwargs={"poll_interval": 0.01})

    def __enter__(self) -> "CompletionsServer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._http.shutdown()
        self._thread.join()
        self._http.server_close()

    def url(self, endpoint: str) -> str:
        return f"http://127.0.0.1:{self._http.server_port}/v1/{endpoint}"

    def reply(self, body: dict[str, Any], chat: bool) -> dict[str, Any]:
        """The response to one request."""
        self.bodies.append(body)
        choices: list[dict[str, Any]] = []
        for index, prompt in enumerate(self._prompts(body, chat)):
            choice: dict[str, Any] = {"index": index, "finish_reason": "stop", "logprobs": None}
            if body.get("echo"):
                text: str | None = self._text(prompt) + "."
                choice["logprobs"] = self._logprobs(self._ids(prompt)) if self._logprobs else None
            else:
                text = self._stopped(self._answer(self._text(prompt), body["max_tokens"]), body.get("stop"))
            choice |= {"message": {"role": "assistant", "content": text}} if chat else {"text": text}
            choices.append(choice)
        return {"id": "0", "object": "text_completion", "choices": choices}

    @staticmethod
    def _prompts(body: dict[str, Any], chat: bool) -> list[Any]:
        if chat:
            return ["".join(message["content"] for message in body["messages"])]
        prompt = body["prompt"]
        return [prompt] if isinstance(prompt, str) or isinstance(prompt[0], int) else prompt

    def _text(self, prompt: str | list[int]) -> str:
        return prompt if isinstance(prompt, str) else self._tokenizer.decode(prompt)

    def _ids(self, prompt: str | list[int]) -> list[int]:
        return self._tokenizer(prompt)["input_ids"] if isinstance(prompt, str) else prompt

    @staticmethod
    def _stopped(text: str | None, stop: list[str] | None) -> str | None:
        for end in stop or []:
            if text and end:
                text = text.split(end, 1)[0]
        return text

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        server = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def log_message(self, *_: Any) -> None:
                pass

            def do_GET(self) -> None:
                self._send(404, {"error": "no such page"})

            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                try:
                    self._send(200, server.reply(body, chat=self.path.endswith("/chat/completions")))
                except RefusedError as reason:
                    self._send(400, {"error": str(reason)})

            def _send(self, status: int, content: dict[str, Any]) -> None:
                data = json.dumps(content).encode()
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(data)))
                self.end_headers()
                self.wfile.write(data)

        return Handler
