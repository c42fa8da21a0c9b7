"""The model that a training starts from, as the command that submits the run looks it up."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import pytest
import torch
import yaml
from mlflow.tracking import MlflowClient
from servers import gcs_bucket

from components.core.artifacts.version import LINEAGE
from components.core.digest import file_digest
from components.core.errors import InputError, PhotoshootError, SettingsError
from components.core.networks.generator.reposer import Generator, Reposer
from components.core.networks.pretrained.starter import starter
from components.core.presets import preset
from components.core.record.tracking import client
from components.core.settings import PreprocessSettings, Settings, TrainSettings
from components.core.stores.storage import open_location
from pipelines.cli import main
from pipelines.home.starting import with_start
from pipelines.kubeflow.compilation import compile_pipeline
from pipelines.profile import load_profile

SMALL = ("train.width=4", "train.max_width=8", "train.latent=8", "preprocess.resolution=64", "preprocess.texel=16")


def asking(start: str, *changes: str) -> Settings:
    return preset("smoke").with_changes([*SMALL, f"train.from={start}", *changes])


def model(folder: Path, seed: int) -> Path:
    folder.mkdir(parents=True)
    torch.manual_seed(seed)
    settings = TrainSettings.model_validate({"width": 4, "max_width": 8, "latent": 8})
    Reposer(Generator(settings, 64, 16), settings, 64, 16, "synthetic").save(folder / "generator.safetensors")
    return folder / "generator.safetensors"


@pytest.fixture(scope="module")
def versions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of a registry with two untrained versions, of which the first is champion."""
    folder = tmp_path_factory.mktemp("registry")
    mlflow: MlflowClient = client(f"sqlite:///{folder}/mlflow.db")
    mlflow.create_registered_model("photoshoot")
    for number in (1, 2):
        files = folder / f"version{number}" / "artifacts"
        generator = model(files, number)
        cut = PreprocessSettings.model_validate({"resolution": 64, "texel": 16})
        (files / "preprocess.json").write_text(cut.model_dump_json(), encoding="utf-8")
        (files / LINEAGE).write_text(json.dumps({"training_photos": [f"photo-{number}"]}))
        mlflow.create_model_version("photoshoot", str(files.parent), tags={"digest.model": file_digest(generator)})
    return folder


@pytest.fixture
def uri(versions: Path) -> str:
    address = f"sqlite:///{versions}/mlflow.db"
    client(address).set_registered_model_alias("photoshoot", "champion", "1")
    return address


def test_without_one_nothing_changes_and_nobody_is_asked() -> None:
    assert with_start(Settings(), None, None).to_tree() == Settings().to_tree()
    stale = Settings().with_changes(["train.from_digest=abc"])
    assert with_start(stale, None, None).train.from_digest is None


def test_the_champion_is_looked_up_once_and_kept_by_its_content(uri: str, versions: Path, tmp_path: Path) -> None:
    first, second = (versions / f"version{number}" / "artifacts" / "generator.safetensors" for number in (1, 2))
    found = with_start(asking("champion"), uri, tmp_path / "keep").train
    assert found.from_digest == file_digest(first) and found.from_ is not None
    assert Path(found.from_).read_bytes() == first.read_bytes() and Path(found.from_).is_relative_to(tmp_path / "keep")
    assert "photo-1" in (Path(found.from_).parent / LINEAGE).read_text()
    client(uri).set_registered_model_alias("photoshoot", "champion", "2")
    assert with_start(asking("champion"), uri, tmp_path / "keep").train.from_digest == file_digest(second)
    assert with_start(asking("2"), uri, tmp_path / "keep").train.from_digest == file_digest(second)


def test_a_file_stays_where_it_is_and_a_folder_means_the_model_in_it(tmp_path: Path) -> None:
    generator = model(tmp_path / "model", 3)
    for asked in (str(generator), str(generator.parent)):
        found = with_start(asking(asked), None, tmp_path / "keep").train
        assert (found.from_, found.from_digest) == (str(generator), file_digest(generator))
    assert not (tmp_path / "keep").exists()
    again = Settings.from_tree(asking(str(generator)).to_tree())  # as a run's settings.yaml has it
    assert with_start(again, None, tmp_path / "keep").train == found


@pytest.mark.parametrize(("asked", "changes", "said"), [
    ("champion", ("register.model_name=nobody",), "no version champion of nobody: nothing was registered"),
    ("7", (), r"no version 7 of photoshoot: the newest version is 2 .*`--set train.from=2` uses it"),
    ("champion", ("train.width=8",), r"made with train.width=4; asked is train.width=8 -- --set train.width=4"),
    ("champion", ("preprocess.margin=0.2",), r"cut out with preprocess.margin=0.08, not 0.2 -- --set preprocess.m"),
    ("starter", (), "made with train.width=16 train.max_width=256 .* -- --set train.width=16 --set train.max_width"),
    ("nowhere/generator.safetensors", (), "no model's file here"),
    ("{versions}/mlflow.db", (), "damaged or not a model file"),
    ("gs://bucket/model", (), "not the address of a model's file"),
])
def test_what_cannot_be_started_from_is_refused_in_one_line(uri: str, versions: Path, tmp_path: Path, asked: str,
                                                            changes: tuple[str, ...], said: str) -> None:
    with pytest.raises(PhotoshootError, match=said) as caught:
        with_start(asking(asked.replace("{versions}", str(versions)), *changes), uri, tmp_path / "keep")
    assert "\n" not in str(caught.value) and not (tmp_path / "keep").exists()


def test_pods_are_given_a_copy_on_gs_or_told_that_there_is_no_place(uri: str, tmp_path: Path) -> None:
    generator = model(tmp_path / "model", 3)
    for asked in ("champion", str(generator)):
        with pytest.raises(SettingsError, match=r"cannot read this machine's files.*state: gs://"):
            with_start(asking(asked), uri, None)
    with pytest.raises(InputError, match="no registry to look into -- set MLFLOW_TRACKING_URI"):
        with_start(asking("champion"), None, None)
    with gcs_bucket("bucket"):
        found = with_start(asking("champion"), uri, "gs://bucket/state/starts").train
        assert found.from_ == f"gs://bucket/state/starts/{str(found.from_digest)[:16]}/generator.safetensors"
        folder = open_location(found.from_.rpartition("/")[0])
        assert folder.list() == ["generator.safetensors", LINEAGE]
        assert with_start(asking(found.from_), None, None).train == found


def test_a_compiled_pipeline_carries_digest_and_address(uri: str, versions: Path, tmp_path: Path,
                                                        quick_kfp: None, monkeypatch: pytest.MonkeyPatch) -> None:
    out, profile = tmp_path / "pipeline.yaml", tmp_path / "mine.yaml"
    with pytest.raises(SettingsError, match="pods have neither this machine's files nor a registry"):
        compile_pipeline(asking("champion"), out, None, "registry", load_profile("gke-spot"))
    profile.write_text("base: gke-spot\nstate: gs://bucket/state\n")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", uri)
    settings = [word for change in (*SMALL, "train.from=champion") for word in ("--set", change)]
    monkeypatch.setattr(sys, "argv", ["photoshoot", "compile", "--preset", "smoke", "--profile", str(profile),
                                      "--registry", "registry", "--out", str(out), *settings])
    with gcs_bucket("bucket"), pytest.raises(SystemExit) as end:
        main()
    assert not end.value.code
    spec = next(yaml.load_all(out.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader)))
    tasks = [one["dag"]["tasks"] for one in spec["components"].values() if "dag" in one]
    task = next(found["train"] for found in (spec["root"]["dag"]["tasks"], *tasks) if "train" in found)
    found = TrainSettings.model_validate_json(task["inputs"]["parameters"]["settings"]["runtimeValue"]["constant"])
    assert found.from_digest == file_digest(versions / "version1" / "artifacts" / "generator.safetensors")
    assert found.from_ == f"gs://bucket/state/starts/{str(found.from_digest)[:16]}/generator.safetensors"


def test_the_starter_is_meant_by_name_everywhere(tmp_path: Path, quick_kfp: None) -> None:
    found = with_start(Settings().with_changes(["train.from=starter"]), None, None)
    assert (found.train.from_, found.train.from_digest) == ("starter", starter().digest)
    compile_pipeline(found, tmp_path / "pipeline.yaml", None, "registry", load_profile("gke-spot"))
