"""What comes into the images: licences, bills of materials, and who looks after both."""

from __future__ import annotations

import json
from email.message import Message
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from pipelines.containers import licences
from pipelines.containers.contents import installed, licence
from pipelines.containers.licences import Rules, allows, findings, rules
from pipelines.containers.sbom import bill

REPOSITORY = Path(__file__).resolve().parents[2]
ALLOWED = frozenset({"MIT", "Apache-2.0", "Apache-2.0 WITH LLVM-exception", "BSD-3-Clause"})
IMAGE = {"Id": f"sha256:{'a' * 64}", "Created": "2026-11-30T14:00:00.123456789Z",
         "Config": {"Labels": {"org.opencontainers.image.revision": "0" * 40, "photoshoot.variant": ""}}}


@pytest.mark.parametrize(("expression", "fine"), [
    ("MIT", True), ("GPL-3.0-only", False), ("MIT AND Apache-2.0", True), ("MIT AND GPL-3.0-only", False),
    ("GPL-3.0-only OR MIT", True), ("GPL-3.0-only OR MIT AND GPL-2.0-only", False),
    ("(GPL-3.0-only OR MIT) AND Apache-2.0 WITH LLVM-exception", True), ("(MIT OR GPL-3.0-only) AND LGPL-2.1", False),
    ("", False), ("(MIT", False), ("MIT)", False), ("MIT MIT", False), ("MIT AND", False), ("OR", False),
])
def test_an_expression_is_allowed_where_it_leaves_a_choice(expression: str, fine: bool) -> None:
    assert allows(expression, ALLOWED) is fine


@pytest.mark.parametrize(("said", "found"), [
    ({"License-Expression": "MIT OR Apache-2.0", "License": "GPL"}, "MIT OR Apache-2.0"),
    ({"License": "Apache 2.0", "Classifier": ["License :: OSI Approved :: MIT License"]}, "Apache-2.0"),
    ({"License": "MPL-2.0 AND MIT"}, "MPL-2.0 AND MIT"),
    ({"License": "BSD", "Classifier": ["License :: OSI Approved :: MIT License"]}, "MIT"),
    ({"License": "BSD"}, "LicenseRef-BSD"),
    ({"Classifier": ["License :: OSI Approved :: BSD License", "License :: OSI Approved :: Apache Software License"]},
     "Apache-2.0 AND LicenseRef-BSD"),
    ({"License": "Copyright (c) 2015, somebody\n and more"}, ""), ({}, ""),
])
def test_a_licence_is_read_from_wherever_a_package_says_it(said: dict[str, Any], found: str) -> None:
    metadata = Message()
    for key, value in said.items():
        for one in value if isinstance(value, list) else [value]:
            metadata[key] = one
    assert licence(metadata) == found  # type: ignore[arg-type]


def test_every_dependency_comes_under_a_licence_that_is_allowed(capsys: pytest.CaptureFixture[str]) -> None:
    by = rules()
    found = findings(by)
    assert not [one for one in found if one.wrong]
    assert len(found) > 150 and all(one.licence for one in found)
    assert "GPL-2.0-only" not in by.allowed and "LicenseRef-NVIDIA" not in by.allowed
    names = [one.name for one in found]
    for pattern in by.exceptions:
        assert any(licences.fnmatch(name, pattern) for name in names), f"{pattern} is no dependency any more"
    assert licences.main([]) == 0 and len(capsys.readouterr().out.splitlines()) == len(found)


def test_one_that_is_not_allowed_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    by = rules()
    monkeypatch.setattr(licences, "rules", lambda: Rules(by.allowed - {"MPL-2.0"}, by.known, by.exceptions))
    assert licences.main([]) == 1
    assert "certifi (MPL-2.0)" in capsys.readouterr().err
    monkeypatch.setattr(licences, "rules", lambda: Rules(by.allowed, {"numpy": ""} | {"certifi": "EULA"}, {}))
    assert licences.main([]) == 1
    assert "certifi (EULA)" in capsys.readouterr().err


def test_a_bill_is_valid_complete_and_the_same_each_time() -> None:
    contents = installed()
    contents["system"] = [{"name": "libc6", "version": "2.36-9+deb12u13", "architecture": "amd64"}]
    contents["networks"] = [{"name": "yunet", "file": "yunet.onnx", "sha256": "b" * 64, "licence": "MIT",
                             "source": "a model zoo"}]
    text = bill(contents, "localhost/photoshoot-studio:0123", IMAGE)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert bill(contents, "localhost/photoshoot-studio:0123", IMAGE) == text
    found = json.loads(text)
    assert found["metadata"]["component"]["name"] == "photoshoot-studio"
    assert found["metadata"]["component"]["purl"].startswith("pkg:oci/photoshoot-studio@sha256")
    assert found["metadata"]["timestamp"] == "2026-11-30T14:00:00.123456+00:00"
    components = {one["bom-ref"]: one for one in found["components"]}
    python = {one["name"]: one for one in found["components"] if one.get("purl", "").startswith("pkg:pypi/")}
    assert {name: one["version"] for name, one in python.items()} == {
        one["name"]: one["version"] for one in contents["packages"]}
    assert python["numpy"]["licenses"] and "pkg:deb/debian/libc6@2.36-9%2Bdeb12u13?arch=amd64" in components
    assert components["network:yunet"]["hashes"] == [{"alg": "SHA-256", "content": "b" * 64}]
    needs = {one["ref"]: one.get("dependsOn", []) for one in found["dependencies"]}
    assert python["numpy"]["bom-ref"] in needs[python["pandas"]["bom-ref"]]
    broken = text.replace('"SHA-256"', '"SHA-257"')
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(broken) is not None


def test_known_vulnerabilities_are_looked_for_on_a_schedule_in_every_list() -> None:
    workflow = yaml.safe_load((REPOSITORY / ".github" / "workflows" / "audit.yml").read_text())
    assert workflow["permissions"] == {"contents": "read"}
    (schedule,) = workflow[True]["schedule"]  # `on` is true in YAML
    assert len(schedule["cron"].split()) == 5
    commands = [step["run"] for job in workflow["jobs"].values() for step in job["steps"] if "run" in step]
    assert "make audit" in commands and "make licences" in commands
    assert all("timeout-minutes" in job for job in workflow["jobs"].values())
    recipe = (REPOSITORY / "Makefile").read_text().partition("\naudit: ")[2].partition("\n\n")[0]
    assert "pip-audit" in recipe and "requirements/*.txt" in recipe and "--require-hashes" in recipe
