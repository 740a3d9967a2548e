"""What is said about a failed request to a server."""

import aiohttp
import pytest
import requests

from lm_eval_tasks.server_errors import is_server_error, server_error


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (
            '{"error": {"message": "the window has\\n512 tokens", "code": null}}',
            ": the window has 512 tokens",
        ),
        ('{"error": "no such model"}', ": no such model"),
        ('{"detail": [{"msg": "Input should be a string"}]}', ": [{'msg': 'Input should be a string'}]"),
        ("Bad gateway", ": Bad gateway"),
        ('{"error": {"message": ""}}', ""),
        ("", ""),
    ],
    ids=["OpenAI", "text in JSON", "FastAPI", "text", "empty message", "empty"],
)
def test_the_servers_reason_is_quoted(content: str, reason: str) -> None:
    response = requests.Response()
    response.status_code, response.reason, response.url = 400, "Bad Request", "http://host/v1"
    response._content = content.encode()
    with pytest.raises(requests.HTTPError) as error:
        response.raise_for_status()
    assert server_error(error.value) == f"400 Client Error: Bad Request for url: http://host/v1{reason}"


def test_long_reasons_are_shortened() -> None:
    response = requests.Response()
    response._content = b"x" * 10_000
    assert len(server_error(requests.HTTPError("refused", response=response))) < 400


def test_errors_of_clients_are_known() -> None:
    assert is_server_error(requests.ConnectionError()) and is_server_error(aiohttp.ServerTimeoutError())
    assert not is_server_error(ValueError()) and not is_server_error(ConnectionError())
