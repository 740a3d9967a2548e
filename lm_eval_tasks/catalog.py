"""Which tasks and groups this package holds."""

from dataclasses import dataclass
from pathlib import Path

from lm_eval.tasks._yaml_loader import load_yaml

from lm_eval_tasks import TASKS_FOLDER


@dataclass(frozen=True)
class Entry:
    """One YAML file: ``name`` is what ``lm_eval --tasks`` takes; ``members`` are empty for a task."""

    name: str
    file: Path
    members: tuple[str, ...]


def entries() -> list[Entry]:
    """Every task and group of the package, by file."""
    found = []
    for file in sorted(TASKS_FOLDER.glob("**/*.yaml")):
        config = load_yaml(file, resolve_func=False)
        if "group" in config:
            found.append(Entry(config["group"], file, tuple(config["task"])))
        else:
            found.append(Entry(config["task"], file, ()))
    return found
