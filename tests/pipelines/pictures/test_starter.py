"""Pictures before anything was trained, and which model makes them once something was."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from mlflow.tracking import MlflowClient
from PIL import Image

from components.core.networks.generator.reposer import Generator, Reposer
from components.core.networks.pretrained import weights
from components.core.networks.pretrained.starter import starter
from components.core.pictures.images import read_photo
from components.core.record.tracking import client
from components.core.settings import PreprocessSettings, SynthesizeSettings, TrainSettings
from components.synthesize import synthesize
from pipelines.cli import main

Shoot = Callable[..., tuple[int, Any]]


@pytest.fixture(scope="module")
def person(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("person")
    synthesize(root, SynthesizeSettings(people=1, photos_per_person=2, height=160), workers=1)
    return root


@pytest.fixture
def shoot(person: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Shoot:
    """shoot(options) paints the person of the first photo in the second's pose; exit code, and what --json prints."""
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    photo, other = sorted((person / "photos").iterdir())
    maps = [str(person / "iuv" / f"{path.stem}.png") for path in (photo, other)]

    def call(*options: str, out: str = "new") -> tuple[int, Any]:
        monkeypatch.setattr(sys, "argv", ["photoshoot", "shoot", "--photo", str(photo), "--iuv", maps[0], "--pose",
                                          maps[1], "--pose", maps[0], "--home", str(tmp_path / "home"), "--size", "128",
                                          "--out", str(tmp_path / out), "--json", *options])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), json.loads(capsys.readouterr().out)

    return call


@pytest.fixture
def registry(tmp_path: Path) -> MlflowClient:
    """The home's registry, with an untrained version that its gate did not let pass."""
    home, files = tmp_path / "home", tmp_path / "home" / "model" / "artifacts"
    (home / "runs").mkdir(parents=True)
    files.mkdir(parents=True)
    torch.manual_seed(0)
    settings = TrainSettings.model_validate({"width": 4, "max_width": 8, "latent": 8})
    Reposer(Generator(settings, 64, 16), settings, 64, 16, "synthetic").save(files / "generator.safetensors")
    cut = PreprocessSettings.model_validate({"resolution": 64, "texel": 16, "min_person": 8, "matte": "silhouette"})
    (files / "preprocess.json").write_text(cut.model_dump_json(), encoding="utf-8")
    mlflow = client(f"sqlite:///{home}/mlflow.db")
    mlflow.create_registered_model("photoshoot")
    mlflow.create_model_version("photoshoot", str(files.parent), tags={"verdict": "failed"})
    return mlflow


def test_without_home_or_run_the_starter_makes_pictures_and_they_say_so(shoot: Shoot, tmp_path: Path) -> None:
    code, said = shoot()
    assert code == 0, said
    assert said["version"] == starter().title and starter().digest[:12] in said["version"]
    assert "nothing was registered yet" in said["notes"][0] and "the starter model is used" in said["notes"][0]
    picture = Image.open(said["images"][0])
    assert picture.size == (128, 128) and picture.info["Software"] == said["version"]
    assert f'xmp:CreatorTool="{said["version"]}"' in picture.info["XML:com.adobe.xmp"]
    assert said["version"].encode() in Path(said["contact_sheet"]).read_bytes()
    assert np.asarray(picture).std() > 10
    # Looking for a version makes no home, and one that is asked for is not replaced.
    assert not (tmp_path / "home").exists()
    code, said = shoot("--version", "champion", out="refused")
    assert code == 2 and "no home folder here" in str(said) and not (tmp_path / "refused").exists()


def test_any_version_that_did_not_fail_replaces_it_and_the_champion_comes_first(shoot: Shoot, registry: MlflowClient,
                                                                                tmp_path: Path) -> None:
    code, said = shoot(out="failed")
    assert code == 0 and said["version"] == starter().title
    assert "version 1 failed its gate (`--version 1` uses it): the starter model is used" in said["notes"][0]
    # The same files once more as version 2, which nobody judged.
    source = registry.get_model_version("photoshoot", "1").source
    registry.create_model_version("photoshoot", source, tags={"verdict": "not judged"})
    code, said = shoot(out="unjudged")
    assert code == 0 and said["version"] == "photoshoot version 2"
    assert "no champion of photoshoot yet: version 2 (its gate: not judged) is used" in said["notes"][0]
    # What is asked for by name is never replaced.
    for version in ("champion", "7"):
        code, said = shoot("--version", version, out="refused")
        assert code == 2 and "`--version 2` uses it" in str(said) and not (tmp_path / "refused").exists()
    registry.set_registered_model_alias("photoshoot", "champion", "1")
    code, said = shoot(out="champion")
    assert code == 0 and said["version"] == "photoshoot version 1" and not any("used" in one for one in said["notes"])
    code, said = shoot("--version", "starter", out="starter")
    assert code == 0 and said["version"] == starter().title and not any("used" in one for one in said["notes"])
    name = Path(said["images"][0]).name
    champion, shipped = (read_photo(tmp_path / folder / name) for folder in ("champion", "starter"))
    assert not np.array_equal(champion, shipped)


def test_a_starter_that_was_tampered_with_is_refused_by_name(shoot: Shoot, tmp_path: Path,
                                                             monkeypatch: pytest.MonkeyPatch) -> None:
    folder = tmp_path / "data"
    shutil.copytree(Path(str(weights.folder())), folder)
    content = (folder / "starter.safetensors").read_bytes()
    (folder / "starter.safetensors").write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    monkeypatch.setattr(weights, "folder", lambda: folder)
    code, said = shoot()
    assert code == 4 and "starter.safetensors" in str(said) and "the card says" in str(said)
    assert not (tmp_path / "new").exists()
