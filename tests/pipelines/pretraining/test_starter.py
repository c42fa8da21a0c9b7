"""From a home's champion to the starter model that ships, and what is refused."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import photoshoot
from components.core.networks.generator.reposer import Generator, Reposer
from components.core.networks.pretrained import weights
from components.core.networks.pretrained.starter import starter
from components.core.record.tracking import client
from components.core.settings import PreprocessSettings, TrainSettings
from pipelines.pretraining import starter as export
from pipelines.pretraining.publish import readable

TAGS = {"verdict": "passed", "verdict.summary": "passed all 1 requirements", "digest.people": "ab" * 32,
        "gate.ssim": "pass  ssim 0.81 >= 0.6: 95 % interval 0.78 to 0.83"}


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three versions of a small generator: one as it should be, one of photos, one with large weights."""
    home = tmp_path_factory.mktemp("home")
    (home / "runs").mkdir()
    torch.manual_seed(0)
    settings = TrainSettings.model_validate({"width": 4, "max_width": 8, "latent": 8})
    cut = PreprocessSettings.model_validate({"resolution": 64, "texel": 16}).model_dump_json()
    mlflow = client(f"sqlite:///{home}/mlflow.db")
    mlflow.create_registered_model("photoshoot")
    for number, (origin, size) in enumerate((("synthetic", 1.0), ("photos", 1.0), ("synthetic", 1e5))):
        network = Generator(settings, 64, 16)
        with torch.no_grad():
            next(network.parameters()).fill_(size)
        files = home / "models" / str(number) / "artifacts"
        files.mkdir(parents=True)
        Reposer(network, settings, 64, 16, origin).save(files / "generator.safetensors")
        (files / "preprocess.json").write_text(cut, encoding="utf-8")
        (files / "lineage.json").write_text('{"training_photos": ["a", "b"]}', encoding="utf-8")
        mlflow.create_model_version("photoshoot", str(files.parent), tags=TAGS)
    return home


def exported(home: Path, out: Path, capsys: pytest.CaptureFixture[str], champion: str = "1") -> tuple[int, str]:
    client(f"sqlite:///{home}/mlflow.db").set_registered_model_alias("photoshoot", "champion", champion)
    capsys.readouterr()
    code = export.main(["--home", str(home), "--out", str(out)])
    said = capsys.readouterr()
    return code, said.out + said.err


def test_a_champion_becomes_the_model_that_ships_the_same_each_time(
        home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    other: dict[str, Any] = {"format": weights.CARDS_FORMAT, "networks": {}}
    (tmp_path / "cards.json").write_text(json.dumps(other), encoding="utf-8")
    code, said = exported(home, tmp_path, capsys)
    assert code == 0, said
    content = (tmp_path / "starter.safetensors").read_bytes()
    assert json.loads(said)["bytes"] == len(content)
    document = json.loads((tmp_path / "cards.json").read_text(encoding="utf-8"))
    card = document["models"]["starter"]
    assert card["digests"] == {"people": "ab" * 32} and card["gate"] == {"ssim": TAGS["gate.ssim"][11:]}
    assert "2 photos of synthetic people" in card["trained_on"] and "settings of its own" in card["command"]
    assert str(home) not in json.dumps(document)
    assert (tmp_path / "README.md").read_text(encoding="utf-8") == readable(document)
    assert exported(home, tmp_path, capsys)[0] == 0
    assert (tmp_path / "starter.safetensors").read_bytes() == content
    monkeypatch.setattr(weights, "folder", lambda: tmp_path)
    assert starter().preprocess.resolution == photoshoot.load("starter").resolution == 64


def test_what_may_not_ship_is_refused(home: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str],
                                      monkeypatch: pytest.MonkeyPatch) -> None:
    code, said = exported(home, tmp_path / "out", capsys, "2")
    assert code == 2 and "version 2 was trained on photos" in said
    code, said = exported(home, tmp_path / "out", capsys, "3")
    assert code == 4 and "half precision cannot hold" in said
    mlflow = client(f"sqlite:///{home}/mlflow.db")
    mlflow.set_model_version_tag("photoshoot", "1", "verdict", "failed")
    code, said = exported(home, tmp_path / "out", capsys)
    assert code == 2 and "version 1 did not pass its gate (failed)" in said
    mlflow.set_model_version_tag("photoshoot", "1", "verdict", "passed")
    monkeypatch.setattr(export, "MOST_BYTES", 1000)
    code, said = exported(home, tmp_path / "out", capsys)
    assert code == 2 and "more than 1,000" in said
    assert not (tmp_path / "out").exists()
    assert export.main(["--home", str(tmp_path / "nowhere")]) == 2
