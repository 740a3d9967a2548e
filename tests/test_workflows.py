"""The workflows run existing commands, on the Python versions that the package names."""

import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from dataset_builders.registry import own_benchmarks
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


def test_the_placeholder_is_refused_and_replaced_by_the_documented_command(tmp_path: Path) -> None:
    for name in ("pyproject.toml", "CITATION.cff", "docs/licences.md", "docs/releasing.md"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        shutil.copy(ROOT / name, tmp_path / name)
    (step,) = (one["run"] for one in jobs("release.yml")["build"]["steps"] if "ORG" in one.get("run", ""))
    check = step.strip().splitlines()[-1]
    (replace,) = re.findall(r"^git grep .*ORG.*$", (ROOT / "docs/releasing.md").read_text(), re.MULTILINE)

    def bash(command: str) -> int:
        return subprocess.run(["/bin/bash", "-ec", command], cwd=tmp_path, check=False).returncode

    assert bash("git init -q . && git add .") == 0
    assert bash(check) != 0
    assert bash(replace) == 0 and bash(check) == 0
    urls = tomllib.loads((tmp_path / "pyproject.toml").read_text())["project"]["urls"]
    assert urls["Repository"] == "https://github.com/my-lab/repeat-after-me"


def test_licences_and_citations_are_those_of_the_benchmarks() -> None:
    page = (ROOT / "docs" / "licences.md").read_text(encoding="utf-8")
    rows = {line.split(" | ")[1].lower() for line in page.splitlines() if line.startswith("| documents of")}
    written = {"cc-by-sa-4.0": "cc by-sa 4.0"}
    for benchmark in own_benchmarks().values():
        licence = written.get(benchmark.license, benchmark.license)
        assert any(licence in row for row in rows), benchmark.name
        assert (benchmark.card.citation or "") in page
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert f"version = {{{project['version']}}}" in page
    of_the_paper = re.findall(r"@article\{jelassi.*?\n}", page, re.DOTALL)
    template = ROOT / "dataset_builders" / "release" / "card_template.md"
    assert of_the_paper[0] in template.read_text(encoding="utf-8")


def test_the_citation_has_the_version_of_the_package() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text(encoding="utf-8"))
    assert (citation["title"], citation["version"]) == (project["name"], project["version"])
