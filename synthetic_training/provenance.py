"""The provenance of a result: versions, machine and revision."""

import platform
import subprocess
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from dataset_builders.machine import this_machine

_PACKAGES = (
    "repeat-after-me",
    "torch",
    "transformers",
    "triton",
    "mamba-ssm",
    "causal-conv1d",
    "flash-linear-attention",
)


def provenance(git_revision: str | None = None) -> dict[str, Any]:
    """Versions of this package and of the packages it depends on, the machine, and the code revision.

    Args:
        git_revision: revision of this code (default: from git), e.g. for a copy without git history.
    """
    return {
        "git_revision": git_revision or _git_revision(),
        "versions": {"python": platform.python_version(), **_versions()},
        "machine": this_machine(),
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            continue
    return found


def _git_revision() -> str | None:
    """The commit that is checked out, marked if files have changed since; None without git."""
    here = Path(__file__).parent
    try:
        described = subprocess.run(
            ["git", "-C", str(here), "describe", "--always", "--dirty", "--abbrev=40", "--exclude=*"],
            capture_output=True,
            text=True,
            check=True,
        )
        tracked = subprocess.run(
            ["git", "-C", str(here), "ls-files", "--error-unmatch", Path(__file__).name],
            capture_output=True,
            check=False,
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return described.stdout.strip() if tracked.returncode == 0 else None
