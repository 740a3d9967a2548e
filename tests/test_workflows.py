"""The workflows run commands that there are, on the versions of Python that the package names."""

import re
import tomllib
from typing import Any

import pytest
import yaml

from tests.import_graph import ROOT

WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
pytestmark = pytest.mark.skipif(not WORKFLOWS, reason="a source distribution has no workflows")


def jobs(name: str) -> dict[str, Any]:
    content = yaml.safe_load((ROOT / ".github" / "workflows" / name).read_text(encoding="utf-8"))
    return dict(content["jobs"])


@pytest.mark.parametrize("name", ["ci.yml", "release.yml"])
def test_make_targets_exist(name: str) -> None:
    text = (ROOT / "Makefile").read_text(encoding="utf-8")
    targets = set(re.findall(r"^([\w-]+)(?:-%)?:", text, re.MULTILINE))
    used = [
        word
        for job in jobs(name).values()
        for step in job["steps"]
        for command in re.findall(r"^make (.*)$", step.get("run", ""), re.MULTILINE)
        for word in re.sub(r"-\$\{\{.*?\}\}", "", command).split()
        if "=" not in word
    ]
    assert used and set(used) <= targets


def test_the_versions_of_python_are_those_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    named = [one.rpartition(" ")[2] for one in project["classifiers"] if re.search(r":: 3\.\d+$", one)]
    assert jobs("ci.yml")["test"]["strategy"]["matrix"]["python"] == named
    assert project["requires-python"] == f">={named[0]}"


def test_ci_runs_what_the_script_for_a_clean_clone_runs() -> None:
    script = (ROOT / ".ci" / "run").read_text(encoding="utf-8")
    workflow = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    script = script.replace("test-lowest-hf", "test-lowest-${{ matrix.extra }}")
    missing = [line for line in re.findall(r"^make \S+$", script, re.MULTILINE) if line not in workflow]
    assert not missing


def test_the_citation_has_the_version_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["title"], citation["version"]) == (project["name"], project["version"])
