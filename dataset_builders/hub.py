"""Errors of the Hugging Face Hub, each as one sentence."""

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote

from dataset_builders.errors import InputError

if TYPE_CHECKING:
    from huggingface_hub import HfApi

LOG_IN = "set HF_TOKEN or run `hf auth login`"
OTHER_TOKEN = "set HF_TOKEN to another token or run `hf auth login --force`"
RUN_AGAIN = "run the command again in a few minutes"

# Their errors are distinguished by name: huggingface_hub has changed its HTTP library twice.
_TRANSPORTS = {"aiohttp", "httpcore", "httpcore2", "httpx", "httpx2", "requests", "urllib3"}


@contextmanager
def hub_errors(doing: str, instead: str = "") -> Iterator[None]:
    """Turn errors of the Hub, the network and the disk into one sentence.

    The sentence says what failed, why, and what to do. It never contains a token or a header. Other
    exceptions pass through unchanged: they are bugs, and need their traceback.

    Args:
        doing: the action in the block, which follows "cannot" in the message, e.g. ``read the data set
            'org/name'``.
        instead: what the user can do without the Hub, which follows "or", e.g. ``pass a local file``.

    Raises:
        InputError: the Hub, the network or the disk failed.
    """
    try:
        yield
    except InputError:
        raise
    except Exception as error:  # unknown errors are raised again
        found = _sentence(error)
        if found is None:
            raise
        remedy = f"; or {instead}" if instead else ""
        raise InputError(_without_secrets(f"cannot {doing}: {found}", error) + remedy) from None


def check_repo_id(name: str) -> None:
    """Check that a name is ``ORG/NAME`` by the rules of the Hub.

    Raises:
        InputError: the name is not a valid repository name.
    """
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id  # type: ignore[attr-defined]  # not in its __all__

    message = f"{name!r} is not a valid repository name; use ORG/NAME"
    if name.startswith(("http://", "https://", "hf://", "datasets/", "models/")):
        raise InputError(f"{message} only, without a URL or a repository type before it")
    try:
        validate_repo_id(name)
        allowed = name.isascii() and name.isprintable()  # huggingface_hub below 2 does not check this
    except HFValidationError:
        allowed = False
    if not allowed:
        raise InputError(
            f"{message}, each made of letters, digits, '-', '_' and '.', without '--' or '..', without '-' "
            "or '.' at the start or end, and with at most 96 characters"
        )
    if "/" not in name:
        raise InputError(f"{message}, with the user or organization that owns the repository")


def other_type(api: "HfApi", name: str, repo_type: str) -> str | None:
    """The type of the repository ``name`` on the Hub if it is not ``repo_type``, e.g. ``model``.

    Errors of the Hub and the network pass through; see ``hub_errors``.
    """
    for candidate in ("dataset", "model", "space"):
        if candidate != repo_type and api.repo_exists(name, repo_type=candidate):
            return candidate
    return None


def _sentence(error: BaseException) -> str | None:
    """The problem and the remedy; None for errors that are not from the Hub, the network or the disk."""
    names = {cls.__name__ for cls in type(error).__mro__}
    if _is_wrapper(error, names):
        inner = error.__cause__ or error.__context__
        found = _sentence(inner) if inner is not None else None
        if found is not None or "DatasetGenerationError" in names or _is_cache_miss(error):
            return found
    response = getattr(error, "response", None)
    if isinstance(getattr(response, "status_code", None), int):
        return _answered(error, names, response)
    if "OfflineModeIsEnabled" in names:
        return "access to the Hub is disabled by HF_HUB_OFFLINE; unset it"
    if "LocalTokenNotFoundError" in names:
        return f"there is no token; {LOG_IN}"
    if "HFValidationError" in names:
        return f"{_words(str(error))}; name the repository as ORG/NAME"
    no_json = type(error).__name__ == "JSONDecodeError" and any(_rose_in(error, name) for name in _TRANSPORTS)
    if "FileMetadataError" in names or no_json:
        return f"the response is not from the Hub; check HF_ENDPOINT and the proxy, or {RUN_AGAIN}"
    if "LocalEntryNotFoundError" in names:
        return "it is not in the cache, and the Hub cannot be reached; check the network and HF_HUB_OFFLINE"
    if "DatasetNotFoundError" in names:
        remedy = "" if "gated" in str(error) else "check the name, or, if it is private, "
        return f"{_words(str(error))}; {remedy}{LOG_IN}"
    if "DatasetsError" in names or _is_user_error(error):
        return _words(str(error))
    if "ArrowException" in names and _rose_in(error, "datasets.packaged_modules"):
        return f"one of its files is damaged ({_words(str(error))})"
    if isinstance(error, UnicodeEncodeError) and str(error.object).startswith("Bearer "):
        return f"the token contains invalid characters; {LOG_IN}"
    transport = any(cls.__module__.split(".")[0] in _TRANSPORTS for cls in type(error).__mro__)
    if transport or (isinstance(error, (ConnectionError, TimeoutError)) and error.errno != errno.EPIPE):
        return _unanswered(error, names)
    if isinstance(error, OSError):
        about = ": ".join(str(part) for part in (error.strerror, error.filename) if part)
        return about or _words(str(error)) or type(error).__name__
    return None


def _is_wrapper(error: BaseException, names: set[str]) -> bool:
    """Whether this exception only wraps the exception that describes the problem."""
    if names & {"DatasetsError", "LocalEntryNotFoundError"}:
        return True
    starts: dict[type, tuple[str, ...]] = {
        RuntimeError: ("Error while uploading ",),
        ValueError: ("Force download failed", "Cannot pass 'force_download"),
        ConnectionError: ("Couldn't ",),
        FileNotFoundError: ("Couldn't ", "Dataset "),
    }
    return str(error).startswith(starts.get(type(error), ("\0",)))


def _is_cache_miss(error: BaseException) -> bool:
    """Whether datasets fell back to its cache after the Hub failed; the Hub's error is the one to report."""
    return type(error) is FileNotFoundError and " is not cached in " in str(error)


def _is_user_error(error: BaseException) -> bool:
    """Whether a card or the name of a config or split is invalid; the errors are recognised by their text."""
    starts = ("Invalid metadata in README.md", "BuilderConfig ", "Unknown split ")
    return type(error) is ValueError and str(error).startswith(starts)


def _rose_in(error: BaseException, package: str) -> bool:
    """Whether the exception was raised within this package."""
    step = error.__traceback__
    while step is not None:
        if f"{step.tb_frame.f_globals.get('__name__', '')}.".startswith(f"{package}."):
            return True
        step = step.tb_next
    return False


def _answered(error: BaseException, names: set[str], response: Any) -> str:
    """The sentence about an unsuccessful response of the Hub."""
    status, url = response.status_code, str(getattr(response, "url", ""))
    reason = _words(getattr(error, "server_message", str(error)) or "no reason given")
    with_token = "authorization" in _request_headers(error)
    if "GatedRepoError" in names:
        return f"the {_repository(url)} is gated; request access on its page, and {LOG_IN}"
    if "DisabledRepoError" in names:
        return f"the {_repository(url)} has been disabled"
    if status == 401 and with_token:
        return f"the Hub does not accept the token; {OTHER_TOKEN}"
    if "RevisionNotFoundError" in names:
        return f"the {_repository(url)} has no branch, tag or commit {_part(url, 'revision')}"
    if "EntryNotFoundError" in names:
        return f"the {_repository(url)} has no file {_part(url, 'file')} ({reason})"
    if "RepositoryNotFoundError" in names:
        remedy = "and that the token has access to it" if with_token else f"or, if it is private, {LOG_IN}"
        return f"the {_repository(url)} was not found; check the name, {remedy}"
    sentences = {
        401: f"the Hub requires a token; {LOG_IN}",
        403: f"the token does not permit this ({reason}); use one with write access",
        409: f"it already exists ({reason})",
        412: "someone else has changed the repository in the meantime; run the command again",
        429: f"the Hub's rate limit was reached; {RUN_AGAIN}",
    }
    if status >= 500:
        return f"the Hub has an internal error (status {status}); {RUN_AGAIN}"
    return sentences.get(status, f"the Hub refused the request with status {status} ({reason})")


def _unanswered(error: BaseException, names: set[str]) -> str:
    """The sentence about a request without a complete response."""
    endpoint = os.environ.get("HF_ENDPOINT", "https://huggingface.co")
    with suppress(RuntimeError):  # httpx raises it if there is no request
        request = getattr(error, "request", None)
        if request is not None:
            endpoint = re.sub(r"^(\w+://[^/]*).*", r"\1", str(request.url))
    if names & {"TimeoutException", "Timeout", "TimeoutError"}:
        return f"{endpoint} timed out; {RUN_AGAIN}"
    if names & {"UnsupportedProtocol", "InvalidURL", "InvalidSchema", "MissingSchema"}:
        return "the Hub's address is not a valid URL; correct or unset HF_ENDPOINT"
    if names & {"InvalidHeader", "LocalProtocolError"}:
        return f"the token contains invalid characters; {LOG_IN}"
    if "ProxyError" in names:
        return "the proxy cannot be reached; check HTTPS_PROXY and NO_PROXY"
    if names & {"ConnectError", "ConnectionRefusedError"} or {"ConnectionError", "RequestException"} <= names:
        return f"{endpoint} cannot be reached; check the network, the proxy and HF_ENDPOINT"
    return f"the connection to {endpoint} was closed; run the command again"


def _repository(url: str) -> str:
    """``data set 'org/name'`` from the address of a request."""
    found = re.search(
        r"://[^/]+/(?:api/)?(?:(datasets|models|spaces)/)?([^/?]+/[^/?]+?)(?:\.git)?(?:[/?]|$)", url
    )
    if found is None:
        return "repository"
    kind = {"datasets": "data set", "spaces": "space"}.get(found[1] or "", "model")
    return f"{kind} {unquote(found[2])!r}"


def _part(url: str, kind: str) -> str:
    """The revision or file in the address of a request."""
    calls = r"/(?:branch|commits?|paths-info|preupload|raw|resolve|revision|tag|tree)/"
    found = re.search(calls + r"(?P<revision>[^/?]+)(?:/(?P<file>[^?]+))?", url)
    return repr(unquote(found[kind])) if found and found[kind] else "of that name"


def _words(text: str) -> str:
    """A message of a library or the Hub, shortened to one line."""
    return " ".join(text.split())[:400].rstrip(".")


def _request_headers(error: BaseException) -> Any:
    with suppress(RuntimeError):  # httpx raises it if the request is not known
        request = getattr(getattr(error, "response", None), "request", None)
        if request is not None:
            return request.headers
    return {}


def _without_secrets(text: str, error: BaseException) -> str:
    """The text without tokens, and without the passwords and query strings (signatures) of URLs."""
    secrets = {os.environ.get(name, "") for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN")}
    step: BaseException | None = error
    while step is not None:
        secrets.add(_request_headers(step).get("authorization", "").removeprefix("Bearer "))
        step = step.__cause__ or step.__context__
    for secret in secrets:
        if len(secret.strip()) > 5:
            text = text.replace(secret.strip(), "***")
    text = re.sub(r"(\w+://)[^/@\s]*@", r"\1", text)
    text = re.sub(r"(https?://[^\s?'\"]+)\?[^\s'\"]*", r"\1", text)
    return re.sub(r"\bhf_[A-Za-z0-9]{8,}", "***", text)
