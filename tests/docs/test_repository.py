"""What people expect beside the code of a public repository, and that it agrees with the rest."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

REPOSITORY = Path(__file__).resolve().parents[2]
PYPROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())
PROJECT, BUILD = PYPROJECT["project"], PYPROJECT["build-system"]
FORMS = sorted((REPOSITORY / ".github" / "ISSUE_TEMPLATE").glob("[!c]*.yml"))
# What GitHub takes in a form: https://docs.github.com/en/communities, "Syntax for GitHub's form schema".
INPUTS = {"markdown": {"value"}, "textarea": {"label", "description", "render", "placeholder", "value"},
          "input": {"label", "description", "placeholder", "value"}, "dropdown": {"label", "description", "options"}}


def read(name: str) -> Any:
    return yaml.safe_load((REPOSITORY / name).read_text())


def test_the_changelog_knows_the_version_and_every_version_once() -> None:
    text = (REPOSITORY / "CHANGELOG.md").read_text()
    headings = re.findall(r"^## \[(.+?)\] - (.+)$", text, re.M)
    versions = [words.removeprefix("to be ") if name == "Unreleased" else name for name, words in headings]
    assert PROJECT["version"] in versions and len(set(versions)) == len(versions)
    assert all(re.fullmatch(r"\d{4}-\d\d-\d\d", words) for name, words in headings if name != "Unreleased")
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.+)$", text, re.M)) <= kinds


def test_the_citation_is_of_this_version_and_complete() -> None:
    found = read("CITATION.cff")
    assert {"cff-version", "message", "title", "authors", "type"} <= found.keys()
    assert (str(found["version"]), found["license"]) == (PROJECT["version"], PROJECT["license"])


def test_the_chart_installs_images_of_this_version() -> None:
    assert read("charts/photoshoot/Chart.yaml")["appVersion"] == PROJECT["version"]


def test_the_workflow_runs_what_anybody_can_run() -> None:
    workflow = read(".github/workflows/ci.yml")
    assert workflow["permissions"] == {"contents": "read"}
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert commands[-1] == ".ci/run" and os.access(REPOSITORY / ".ci" / "run", os.X_OK)
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())


@pytest.mark.parametrize("form", FORMS, ids=lambda path: path.stem)
def test_issue_forms_are_forms(form: Path) -> None:
    content = yaml.safe_load(form.read_text())
    assert content["name"] and content["description"] and any(part["type"] != "markdown" for part in content["body"])
    ids = [part["id"] for part in content["body"] if part["type"] != "markdown"]
    assert len(set(ids)) == len(ids)
    for part in content["body"]:
        assert part["attributes"].keys() <= INPUTS[part["type"]], part
        assert part.keys() <= {"type", "id", "attributes", "validations"}


def test_nobody_is_sent_to_an_address_that_is_made_up() -> None:
    for name in ("SECURITY.md", "CONTRIBUTING.md", "CITATION.cff", "CHANGELOG.md", "README.md"):
        assert not re.findall(r"[\w.]+@[\w-]+\.\w+", (REPOSITORY / name).read_text()), name


def test_every_dependency_has_an_upper_bound_and_the_tested_version_is_within() -> None:
    pinned = {canonicalize_name(name): version for name, version in re.findall(
        r"^([\w.-]+)==(\S+)", (REPOSITORY / "constraints.txt").read_text(), re.MULTILINE)}
    groups = [PROJECT["dependencies"], *PROJECT["optional-dependencies"].values()]
    wanted = [one for one in map(Requirement, sum(groups, BUILD["requires"])) if one.name != "photoshoot"]
    assert len(wanted) > 50
    for one in wanted:
        assert any(part.operator in ("<", "<=", "==") for part in one.specifier), f"{one}: no upper bound"
        assert one.name == "setuptools" or pinned[canonicalize_name(one.name)] in one.specifier, f"{one}: not tested"
