from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

import components.core.settings as sections
from components.core.errors import SettingsError
from components.core.presets import names, preset
from components.core.settings import Settings, TrainSettings


@pytest.mark.parametrize("name", names())
def test_a_preset_survives_yaml(name: str, tmp_path: Path) -> None:
    settings = preset(name)
    path = tmp_path / "settings.yaml"
    path.write_text(settings.to_yaml())
    assert Settings.from_yaml(path) == settings
    assert settings.preset == name


def test_presets_differ() -> None:
    trees = {preset(name).model_copy(update={"preset": ""}).to_yaml() for name in names()}
    assert len(trees) == len(names())


def test_set_changes_one_value_and_nothing_else() -> None:
    before = preset("demo")
    after = before.with_changes(["train.batch=3", "train.weights.gan=0.5", "register.gate.ssim=0.9"])
    assert (after.train.batch, after.train.weights.gan, after.register_.gate.ssim) == (3, 0.5, 0.9)
    back = after.with_changes([
        f"train.batch={before.train.batch}", f"train.weights.gan={before.train.weights.gan}",
        f"register.gate.ssim={before.register_.gate.ssim}",
    ])
    assert back == before


@pytest.mark.parametrize(("key", "nearest"), [
    ("train.bach", "train.batch"),
    ("trian.batch", "train"),
    ("train.weights.fase", "train.weights.face"),
    ("register.gates.ssim", "register.gate"),
    ("batch", "train.batch"),
])
def test_an_unknown_key_names_the_nearest(key: str, nearest: str) -> None:
    with pytest.raises(SettingsError) as raised:
        preset("demo").with_changes([f"{key}=1"])
    assert nearest in str(raised.value)


@pytest.mark.parametrize("change", [
    "train.batch=0", "train.batch=many", "train.batch", "preprocess.resolution=100", "train.generator=gan",
    "cluster.test=1.5", "cluster.validation=0.9", "train=3", "train.batch={", "train.steps=null",
])
def test_a_wrong_value_is_one_line_that_names_it(change: str) -> None:
    with pytest.raises(SettingsError) as raised:
        preset("demo").with_changes([change])
    message = str(raised.value)
    assert "\n" not in message
    assert change.partition("=")[0].rpartition(".")[2] in message


def test_yaml_over_a_preset_keeps_the_rest(tmp_path: Path) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text(yaml.safe_dump({"train": {"steps": 7}}))
    settings = Settings.from_yaml(path, preset("smoke"))
    assert settings.train.steps == 7
    assert settings.train.batch == preset("smoke").train.batch


@pytest.mark.parametrize("content", ["", "- a\n- b\n", "train: [1]\n", "a: b: c", "\x00"])
def test_a_file_that_is_not_settings_is_refused_by_name(content: str, tmp_path: Path) -> None:
    path = tmp_path / "broken.yaml"
    path.write_text(content)
    with pytest.raises(SettingsError, match=r"broken\.yaml"):
        Settings.from_yaml(path)


def test_an_old_name_is_taken_and_said_where_somebody_gives_it(tmp_path: Path,
                                                               caplog: pytest.LogCaptureFixture) -> None:
    path = tmp_path / "mine.yaml"
    path.write_text("train:\n  momentum: 0.25\n")
    assert Settings.from_yaml(path, preset("smoke")).train.beta1 == 0.25
    assert preset("demo").with_changes(["train.momentum=0.75"]).train.beta1 == 0.75
    said = [record.getMessage() for record in caplog.records]
    assert said == [f"{path}: train.momentum is the old name of train.beta1",
                    "--set: train.momentum is the old name of train.beta1"]


def test_a_setting_that_moved_to_another_section_is_taken_under_its_old_name(tmp_path: Path,
                                                                             caplog: pytest.LogCaptureFixture) -> None:
    old, new = "preprocess.densepose.person", "preprocess.person"
    path = tmp_path / "mine.yaml"
    path.write_text("preprocess:\n  densepose: {person: all, batch: 4}\n")
    read = Settings.from_yaml(path, preset("smoke")).preprocess
    assert (read.person, read.densepose.batch) == ("all", 4)
    assert preset("demo").with_changes([f"{old}=centre"]).preprocess.person == "centre"
    assert [one.getMessage() for one in caplog.records] == [f"{source}: {old} is the old name of {new}"
                                                            for source in (path, "--set")]
    path.write_text("preprocess:\n  person: centre\n  densepose: {person: all}\n")
    assert Settings.from_yaml(path).preprocess.person == "centre"
    with pytest.raises(SettingsError, match=r"preprocess\.person = 'both'"):
        preset("demo").with_changes([f"{old}=both"])


def test_what_is_stored_under_an_old_name_is_read_in_silence(caplog: pytest.LogCaptureFixture) -> None:
    assert TrainSettings.model_validate_json('{"momentum": 0.25}').beta1 == 0.25
    assert Settings.from_tree({"train": {"momentum": 0.25}}).train.beta1 == 0.25
    assert not caplog.records
    assert "momentum" not in Settings().to_yaml()


def test_a_missing_file_is_refused_by_name(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"nowhere\.yaml"):
        Settings.from_yaml(tmp_path / "nowhere.yaml")


@given(st.integers(1, 10_000), st.floats(1e-6, 1.0))
def test_any_valid_value_survives_set_and_yaml(steps: int, rate: float) -> None:
    settings = preset("smoke").with_changes([f"train.steps={steps}", f"train.learning_rate={rate!r}"])
    assert (settings.train.steps, settings.train.learning_rate) == (steps, pytest.approx(rate))
    assert Settings.from_tree(yaml.safe_load(settings.to_yaml())) == settings


def test_sections_are_frozen() -> None:
    with pytest.raises(Exception, match="frozen"):
        preset("demo").train.batch = 4  # type: ignore[misc]


def test_every_section_can_be_imported_from_the_package_and_one_that_does_not_exist_is_missed() -> None:
    for name in sections.__all__:
        assert getattr(sections, name) is not None
    assert set(sections._MODULE_OF) == set(sections.__all__)
    with pytest.raises(ImportError, match="TrainSetings"):
        from components.core.settings import TrainSetings  # type: ignore[attr-defined]  # noqa: F401


def _numbers(schema: dict[str, Any], defs: dict[str, Any], where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Path and schema of every number that the settings can hold."""
    if "$ref" in schema:
        schema = defs[schema["$ref"].rpartition("/")[2]]
    if schema.get("type") in ("integer", "number") and "enum" not in schema:
        yield where, schema
    for key, below in schema.get("properties", {}).items():
        yield from _numbers({"because": below.get("because"), **below}, defs, f"{where}.{key}".lstrip("."))
    for below in (*schema.get("anyOf", []), *schema.get("prefixItems", []), *schema.get("allOf", []),
                  *[schema[key] for key in ("items", "additionalProperties") if isinstance(schema.get(key), dict)]):
        yield from _numbers({"because": schema.get("because"), **below}, defs, where)


def test_every_number_has_bounds_and_a_large_one_its_reason() -> None:
    schema = Settings.model_json_schema(by_alias=True)
    found = list(_numbers(schema, schema["$defs"], ""))
    assert len(found) > 100
    for where, number in found:
        if where != "preprocess.densepose.overrides":  # detectron2's own, of which there are 200 at most
            assert number.get("maximum", number.get("exclusiveMaximum")) is not None, where
            assert "minimum" in number or "exclusiveMinimum" in number or where.startswith("tune.space"), where
            assert number["maximum" if "maximum" in number else "exclusiveMaximum"] <= 4096 or number["because"], where


@pytest.mark.parametrize(("change", "reason"), [
    ("train.batch=99999999999999999999", "a larger batch teaches nothing more"),
    ("train.weights.l1=1e+30", "every other loss is lost"),
    ("train.learning_rate=.inf", "finite"), ("register.gate.ssim=.nan", "finite"),
    (f"train.steps=0x{'f' * 1020}", "100000000"), (f"train.seed={'9' * 5000}", "digits"),
    (f"experiment={'x' * 5000}", "4096"), ("train=" + "{a: " * 100, "deeper"),
    ("costs.prices={" + ", ".join(f"a{n}: 1" for n in range(101)) + "}", "100"),
])
def test_what_no_machine_can_do_is_refused_with_the_reason(change: str, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason) as raised:
        preset("demo").with_changes([change])
    assert len(str(raised.value)) < 700 and "\n" not in str(raised.value)


def test_a_file_of_nested_anchors_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "laughs.yaml"
    lines = [f"  {name}: &{name} [{', '.join([f'*{before}'] * 9)}]" for before, name in zip("abcdefgh", "bcdefghi",
                                                                                         strict=True)]
    path.write_text("train:\n  a: &a [x, x, x, x, x, x, x, x, x]\n" + "\n".join(lines))
    with pytest.raises(SettingsError, match=r"laughs\.yaml: not YAML: stands for more than"):
        Settings.from_yaml(path)
