"""A version that an earlier commit registered works with the code of today.

MLflow keeps a copy of `components/register/pyfunc_model.py` with every version. Since photoshoot 0.2.0 that file asks
`photoshoot.serving` alone. Before, as in `tests/fixtures/version-ce91e44`, it imported these names itself, which are
frozen thereby, with the way it calls them: they stay importable from these modules for as long as there may be such a
version.

- components.core.errors: InputError (problem, remedy=...)
- components.core.networks.generator.reposer: Reposer (load(path))
- components.core.pictures.images: encode_png(pixels), read_photo(path, max_megapixels)
- components.core.settings: PreprocessSettings (model_validate_json, max_megapixels)
- components.core.shooting.shots: shoot(reposer, crops, poses, background).images
- components.core.shooting.sitters: Sitter(photo, iuv, matte), cut_out(sitter, settings), target_pose(path, settings)
"""

from __future__ import annotations

import ast
import json
import shutil
import subprocess
import sys
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest

import photoshoot
from components.core.pictures.images import decode_png, read_photo
from components.core.settings import RegisterSettings
from components.evaluate.challenge import challenge
from components.register.promotion import promote, standing
from components.register.registry import Registry

FIXTURES = Path(__file__).resolve().parents[2] / "fixtures"
EARLIER = FIXTURES / "version-ce91e44"
EXAMPLE = {path.stem: path for path in (EARLIER / "version" / "artifacts" / "example").glob("*.png")}
FROZEN = {
    "components.core.errors": {"InputError"}, "components.core.networks.generator.reposer": {"Reposer"},
    "components.core.pictures.images": {"encode_png", "read_photo"},
    "components.core.settings": {"PreprocessSettings"}, "components.core.shooting.shots": {"shoot"},
    "components.core.shooting.sitters": {"Sitter", "cut_out", "target_pose"},
}  # fmt: skip


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home folder whose fresh registry has the earlier version, put there as it is.

    A copy: MLflow writes into the folder of a version that it loads."""
    home = tmp_path_factory.mktemp("home")
    (home / "runs").mkdir()
    shutil.copytree(EARLIER / "version", home / "version")
    client = mlflow.MlflowClient(f"sqlite:///{home}/mlflow.db")
    client.create_registered_model("photoshoot")
    client.create_model_version("photoshoot", str(home / "version"),
                                tags=json.loads((EARLIER / "tags.json").read_text()))
    return home


@pytest.fixture
def uri(home: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """The registry's address, also in the environment."""
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{home}/mlflow.db")
    return f"sqlite:///{home}/mlflow.db"


def same(image: np.ndarray, name: str) -> bool:
    """Is it what the earlier commit painted, within a grey level?"""
    expected = read_photo(EARLIER / "expected" / f"{name}.png")
    assert image.shape == expected.shape and np.ptp(expected) > 50
    return int(np.abs(image.astype(int) - expected).max()) <= 1


def test_the_earlier_version_s_own_imports_are_the_frozen_ones() -> None:
    tree = ast.parse((EARLIER / "version" / "pyfunc_model.py").read_text())
    found = {node.module: {name.name for name in node.names} for node in ast.walk(tree)
             if isinstance(node, ast.ImportFrom) and str(node.module).startswith(("components", "pipelines"))}
    assert found == FROZEN


def test_nothing_in_it_names_the_machine_that_made_it() -> None:
    for path in (path for path in EARLIER.rglob("*") if path.is_file()):
        content = path.read_bytes()
        here = f"{FIXTURES.parents[2]}/".encode()  # where the checkout lies, on whatever machine
        assert not [word for word in (b"/tmp/", b"/home/", b"/root/", here, b"://") if word in content], path


def test_mlflow_loads_it_and_it_paints_what_it_painted(uri: str) -> None:
    model = mlflow.pyfunc.load_model("models:/photoshoot/1")
    shown = {column: path.read_bytes() for column, path in EXAMPLE.items()}
    several = {**shown, "background": shown["source_photo"], "more_photos": [shown["source_photo"]],
               "more_poses": [shown["source_pose"]], "more_mattes": [shown["source_matte"]]}
    (image,) = model.predict(pd.DataFrame([shown]))["image"]
    (second,) = model.predict(pd.DataFrame([several]))["image"]
    assert same(decode_png(image), "image") and same(decode_png(second), "several")
    with pytest.raises(photoshoot.InputError, match="2 more_photos, 1 more_poses"):
        model.predict(pd.DataFrame([several | {"more_photos": [shown["source_photo"]] * 2}]))


def test_photoshoot_loads_it(uri: str) -> None:
    model = photoshoot.load("models:/photoshoot/1", tracking_uri=uri)
    photo = photoshoot.Photo(EXAMPLE["source_photo"], EXAMPLE["source_pose"], EXAMPLE["source_matte"])
    assert same(model.shoot(photo, EXAMPLE["target_pose"]).images[0], "image")
    both = model.shoot([photo, photo], [EXAMPLE["target_pose"]], background=EXAMPLE["source_photo"])
    assert same(both.images[0], "several")


def test_the_command_shoots_with_it(home: Path, tmp_path: Path) -> None:
    options = [f"--{option}={EXAMPLE[column]}" for option, column in (
        ("photo", "source_photo"), ("iuv", "source_pose"), ("matte", "source_matte"), ("pose", "target_pose"))]
    done = subprocess.run([sys.executable, "-m", "pipelines.cli", "shoot", *options, f"--out={tmp_path}/out",
                           "--version=1", f"--home={home}"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert same(read_photo(tmp_path / "out" / "target_pose.png"), "image")


@pytest.mark.long
def test_it_is_tried_promoted_and_compared_with(uri: str, world, evaluated: Path, tmp_path: Path) -> None:
    """It is loaded in a fresh process on its way to champion, and a new model is held against it."""
    registry = Registry("photoshoot", uri)
    promote(registry, "1", reason="it was champion", force=True)
    assert standing(registry).champion == "1"
    settings = RegisterSettings.model_validate({"champion": {"min_pairs": 8}})
    done = challenge(world.model, world.people, world.identities, evaluated, tmp_path / "duel", settings,
                     tracking_uri=uri)
    assert (done.status, done.champion) == ("compared", "1")
