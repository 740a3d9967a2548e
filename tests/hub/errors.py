"""The errors of the loopback Hub, in the Hub's words."""


class HubRefusalError(Exception):
    """A request that the Hub answers with an error.

    Args:
        status: HTTP status.
        message: text of the JSON body's ``error`` and of the header X-Error-Message.
        code: the header X-Error-Code, from which huggingface_hub chooses the exception; empty for none.
    """

    def __init__(self, status: int, message: str, code: str = "") -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.code = code


def repo_not_found(authenticated: bool) -> HubRefusalError:
    """Without a token, the Hub answers 401, so that private repositories stay unknown."""
    if authenticated:
        return HubRefusalError(404, "Repository not found", "RepoNotFound")
    return HubRefusalError(401, "Invalid username or password.", "RepoNotFound")


def revision_not_found(revision: str) -> HubRefusalError:
    return HubRefusalError(404, f"Invalid rev id: {revision}", "RevisionNotFound")


def entry_not_found(message: str = "Entry not found") -> HubRefusalError:
    return HubRefusalError(404, message, "EntryNotFound")
