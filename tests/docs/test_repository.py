"""What people expect beside the code of a public repository, and that it agrees with the rest."""

from __future__ import annotations

import os
import re
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

REPOSITORY = Path(__file__).resolve().parents[2]
PROJECT = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
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
