"""``eval.yaml``: the Hub's description of a data set that is a benchmark."""

import yaml

from dataset_builders.release.card import PRETTY_NAME
from dataset_builders.release.manifest import Manifest

FILE = "eval.yaml"

FRAMEWORK = "lm-evaluation-harness"
"""Not in the Hub's list of frameworks as of August 2026; see the README of this package."""


def eval_yaml(manifest: Manifest) -> str:
    """The file's text, with one task per config, named after it."""
    content = {
        "name": PRETTY_NAME,
        "description": (
            "How well a sequence model copies and looks up, by length; documents of the benchmarks of "
            "arXiv 2402.01032, evaluated by lm-evaluation-harness with repeat-after-me."
        ),
        "evaluation_framework": FRAMEWORK,
        "tasks": [{"id": name, "config": name, "split": "test"} for name in manifest.configs],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
