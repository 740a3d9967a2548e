"""Failed requests to a server, described in one line with the server's own reason."""

import json
from typing import Any

from dataset_builders.checks import first_line, shortened

_CLIENTS = ("requests", "aiohttp")
"""The packages with which lm-eval's models send requests."""

_LONGEST_REASON = 300


def is_server_error(error: BaseException) -> bool:
    """Whether an exception is about a request that lm-eval sent to a server."""
    packages = {parent.__module__.split(".")[0] for parent in type(error).__mro__}
    return not packages.isdisjoint(_CLIENTS)


def server_error(error: BaseException) -> str:
    """A failed request in one line: the client's message and, if the server gave one, its reason."""
    response = getattr(error, "response", None)
    reason = "" if response is None else _reason(response)
    line = first_line(error)
    return f"{line}: {reason}" if reason else line


def sent_token_ids(error: BaseException) -> bool:
    """Whether a server refused a request whose prompt was token ids; False if the client does not tell."""
    if getattr(error, "response", None) is None:
        return False
    body = getattr(getattr(error, "request", None), "body", None)
    try:
        content = json.loads(body or b"null")
    except ValueError:
        return False
    prompt = content.get("prompt") if isinstance(content, dict) else None
    return isinstance(prompt, list) and bool(prompt) and not isinstance(prompt[0], str)


def _reason(response: Any) -> str:
    """The message in a server's response, which may be OpenAI's object, FastAPI's, or plain text."""
    try:
        content = response.json()
    except ValueError:
        content = response.text
    for key in ("error", "detail", "message"):
        if isinstance(content, dict) and key in content:
            content = content[key]
    return shortened(str(content), _LONGEST_REASON)
