"""Checks of optional dependencies, before a command or package imports them."""

from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version

from packaging.requirements import Requirement

from dataset_builders.errors import InputError

DISTRIBUTION = "repeat-after-me"


def require(extra: str, what: str = "this command") -> None:
    """Check that every dependency of an extra is installed, in a version that pyproject.toml allows.

    Args:
        extra: name of the extra in pyproject.toml.
        what: the command or package that needs the extra, for the message.

    Raises:
        InputError: a dependency is missing or has an unsupported version; the message names the extra to
            install.
    """
    for requirement in _requirements(DISTRIBUTION, extra):
        try:
            installed = version(requirement.name)
        except PackageNotFoundError:
            state = "is not installed"
        else:
            if requirement.specifier.contains(installed, prereleases=True):
                continue
            state = f"is installed as {installed}"
        wanted = f"{requirement.name}{requirement.specifier}"
        raise InputError(f"{what} needs {wanted}, which {state}; run: pip install '{DISTRIBUTION}[{extra}]'")


def supported_versions(dependency: str) -> str:
    """The supported versions of a dependency, as declared in pyproject.toml: ``">=1.2,<2"``."""
    return next(
        str(requirement.specifier)
        for requirement in map(Requirement, requires(DISTRIBUTION) or ())
        if requirement.name == dependency
    )


def _requirements(distribution: str, extra: str) -> Iterator[Requirement]:
    """The requirements that an extra adds on this platform; those of nested extras follow them."""
    for requirement in map(Requirement, requires(distribution) or ()):
        if (
            requirement.marker is not None
            and requirement.marker.evaluate({"extra": extra})
            and not requirement.marker.evaluate({"extra": ""})
        ):
            yield requirement
            for inner in sorted(requirement.extras):
                yield from _requirements(requirement.name, inner)
