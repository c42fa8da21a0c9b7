from __future__ import annotations

from pathlib import Path

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
