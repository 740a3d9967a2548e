"""``eval.yaml``: the Hub's description of a data set that is a benchmark."""

import yaml

from dataset_builders.release.card import is_of_the_paper, pretty_name
from dataset_builders.release.manifest import Manifest

FILE = "eval.yaml"

FRAMEWORK = "lm-evaluation-harness"
"""Name of the evaluation framework, which the Hub did not list in August 2026; see this package's README."""


def eval_yaml(manifest: Manifest) -> str:
    """The file's text, with one task per config, named after it."""
    description = " ".join(dict.fromkeys(entry.benchmark.title for entry in manifest.configs.values()))
    if is_of_the_paper(manifest):
        description = (
            "How well a sequence model copies and looks up, by length; documents of the benchmarks of "
            "arXiv 2402.01032, evaluated by lm-evaluation-harness with repeat-after-me."
        )
    content = {
        "name": pretty_name(manifest),
        "description": description,
        "evaluation_framework": FRAMEWORK,
        "tasks": [{"id": name, "config": name, "split": "test"} for name in manifest.configs],
    }
    return yaml.safe_dump(content, sort_keys=False, allow_unicode=True, width=100)
