"""The public package: what it shows, what importing it costs, and models from files, folders and the registry."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import mlflow
import numpy as np
import pytest
from networks import needs_weights
from PIL import Image

import photoshoot
from components.core.artifacts.version import SERVING_FORMAT
from components.core.stores.published import GROUPS
from photoshoot import version

REPOSITORY = Path(__file__).resolve().parents[2]
VERSION = REPOSITORY / "tests" / "fixtures" / "version-ce91e44" / "version"
EXAMPLE = {path.stem: path for path in (VERSION / "artifacts" / "example").glob("*.png")}
PIXELS = {name: np.asarray(Image.open(path)) for name, path in EXAMPLE.items()}


@pytest.fixture(scope="module")
def model() -> photoshoot.Model:
    return photoshoot.load(VERSION)


@pytest.fixture
def photo() -> photoshoot.Photo:
    return photoshoot.Photo(EXAMPLE["source_photo"], EXAMPLE["source_pose"], EXAMPLE["source_matte"])


def run(code: str) -> str:
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, cwd=REPOSITORY)
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_importing_it_imports_nothing_heavy_and_a_model_from_a_file_no_mlflow() -> None:
    loaded = "print(*sorted({'numpy', 'torch', 'mlflow', 'kfp', 'pandas', 'cv2', 'pipelines'} & set(sys.modules)))"
    assert run(f"import sys, photoshoot; {loaded}").split() == []
    code = f"import sys, photoshoot; photoshoot.load({str(VERSION)!r}); {loaded}"
    assert run(code).split() == ["cv2", "numpy", "torch"]


def test_every_public_name_is_there_and_is_what_type_checkers_see() -> None:
    tree = ast.parse(Path(photoshoot.__file__).read_text())
    (block,) = [node for node in tree.body if isinstance(node, ast.If)]
    typed = {(alias.name, node.module) for node in block.body if isinstance(node, ast.ImportFrom)
             for alias in node.names}
    assert {name for name, _ in typed} | {"__version__"} == set(photoshoot.__all__) == set(dir(photoshoot))
    for name, module in typed:
        assert getattr(photoshoot, name) is getattr(sys.modules[str(module)], name)
        assert name == "Picture" or getattr(photoshoot, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'loud'"):
        _ = photoshoot.loud
    assert (Path(photoshoot.__file__).parent / "py.typed").is_file()


def test_the_version_is_the_installed_one_and_in_a_bare_checkout_the_project_s(
        tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert photoshoot.__version__ == importlib.metadata.version("photoshoot")

    def nowhere(name: str) -> str:
        raise importlib.metadata.PackageNotFoundError(name)

    monkeypatch.setattr(version, "version", nowhere)
    project = tomllib.loads((REPOSITORY / "pyproject.toml").read_text())["project"]
    assert version.installed_version() == project["version"]
    monkeypatch.setattr(version, "_PROJECT", tmp_path / "pyproject.toml")
    assert version.installed_version() == "0+unknown"


def test_files_and_arrays_give_the_same_pictures(model: photoshoot.Model, photo: photoshoot.Photo) -> None:
    side = model.resolution
    files = model.shoot(photo, [EXAMPLE["target_pose"], EXAMPLE["source_pose"]], background=EXAMPLE["source_photo"])
    assert files.images.shape == (2, side, side, 3) and files.mattes.shape == (2, side, side)
    assert files.images.dtype == files.mattes.dtype == np.uint8 and (files.faces, files.other_clothes) == ([0, 0], [])
    same = photoshoot.Photo(PIXELS["source_photo"], str(EXAMPLE["source_pose"]), PIXELS["source_matte"])
    arrays = model.shoot([same], np.stack([PIXELS["target_pose"], PIXELS["source_pose"]]),
                         background=PIXELS["source_photo"])
    assert np.array_equal(arrays.images, files.images) and np.array_equal(arrays.mattes, files.mattes)
    one = model.shoot(same, PIXELS["target_pose"], background=PIXELS["source_photo"])
    assert np.array_equal(one.images[0], files.images[0])
    black, white = (model.shoot(same, PIXELS["target_pose"], background=np.full((64, 64, 3), grey, np.uint8)).images[0]
                    for grey in (0, 255))
    assert np.abs((white.astype(int) - black)[..., 0] - (255 - one.mattes[0].astype(int))).max() <= 1


def test_somebody_else_s_clothes_can_be_worn(model: photoshoot.Model, photo: photoshoot.Photo) -> None:
    green = PIXELS["source_photo"].copy()
    green[PIXELS["source_pose"][..., 0] == 2] = (0, 200, 0)
    dressed = photoshoot.Photo(green, EXAMPLE["source_pose"], EXAMPLE["source_matte"])
    own, other = (model.shoot(photo, EXAMPLE["source_pose"], clothes=clothes).images[0].astype(int)
                  for clothes in (None, dressed))
    torso = PIXELS["source_pose"][..., 0] == 2
    greener = (other - own)[torso][:, 1].mean() - (other - own)[torso][:, 0].mean()
    assert greener > 20


def test_a_model_is_found_in_a_version_s_folder_a_training_s_folder_and_a_file(
        photo: photoshoot.Photo, tmp_path: Path) -> None:
    generator = VERSION / "artifacts" / "generator.safetensors"
    shutil.copy(generator, tmp_path)
    pictures = [photoshoot.load(place).shoot(photo, EXAMPLE["target_pose"]).images
                for place in (VERSION, str(VERSION / "artifacts"), generator, tmp_path)]
    assert all(np.array_equal(images, pictures[0]) for images in pictures)


def test_a_version_is_found_by_alias_in_the_home_that_the_commands_use(
        photo: photoshoot.Photo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with pytest.raises(photoshoot.InputError, match="no registry"):
        photoshoot.load("models:/anna@champion")
    home = tmp_path / ".photoshoot"
    home.mkdir()
    client = mlflow.MlflowClient(f"sqlite:///{home}/mlflow.db")
    client.create_registered_model("anna")
    shutil.copytree(VERSION, tmp_path / "version")  # MLflow writes into it
    client.create_model_version("anna", str(tmp_path / "version"))
    client.set_registered_model_alias("anna", "champion", "1")
    assert photoshoot.load("models:/anna@champion").shoot(photo, EXAMPLE["target_pose"]).images.any()
    monkeypatch.chdir("/")
    monkeypatch.setenv("PHOTOSHOOT_HOME", str(home))
    assert photoshoot.load("models:/anna/1").origin == "synthetic"
    for address, message in (("models:/anna/7", "no version 7"), ("models:/anna@nobody", "no version nobody"),
                             ("models:/bert@champion", "no version champion of bert"),
                             ("models:/anna", "models:/NAME@ALIAS"), ("models:/anna/latest", "models:/NAME/NUMBER")):
        with pytest.raises(photoshoot.InputError, match=message):
            photoshoot.load(address)


def test_what_cannot_be_loaded_is_named(tmp_path: Path) -> None:
    with pytest.raises(photoshoot.InputError, match=f"{tmp_path}/generator.safetensors: no model here"):
        photoshoot.load(tmp_path)
    shutil.copytree(VERSION / "artifacts", tmp_path / "torn")
    (tmp_path / "torn" / "preprocess.json").write_text("{")
    with pytest.raises(photoshoot.DataError, match=r"preprocess\.json: not the settings of a model"):
        photoshoot.load(tmp_path / "torn")
    (tmp_path / "torn" / "generator.safetensors").write_bytes(b"torn")
    with pytest.raises(photoshoot.DataError, match=r"generator\.safetensors: damaged"):
        photoshoot.load(tmp_path / "torn")


def test_what_cannot_be_shot_is_named(model: photoshoot.Model, photo: photoshoot.Photo, tmp_path: Path) -> None:
    pose = EXAMPLE["target_pose"]
    small = tmp_path / "small.png"
    Image.fromarray(PIXELS["source_photo"][:32]).save(small)
    nobody, floats = np.zeros((64, 64, 3), np.uint8), PIXELS["source_photo"] / 255
    cases = [
        ([], pose, {}, "no photo of the person"), (photo, [], {}, "no target pose"),
        (photoshoot.Photo(tmp_path / "none.jpg", pose), pose, {}, r"none\.jpg: no such image"),
        (photoshoot.Photo(small, pose), pose, {}, "pose.png"),
        (photoshoot.Photo(small, PIXELS["source_pose"]), pose, {}, r"small\.png: the pose map is 64 x 64"),
        (photoshoot.Photo(floats, pose), pose, {}, r"a photo is uint8 RGB \[H, W, 3\], this is float64"),
        (photoshoot.Photo(EXAMPLE["source_photo"], EXAMPLE["source_pose"], PIXELS["source_photo"]), pose, {},
         r"a matte is uint8 \[H, W\]"),
        (photo, nobody, {}, "shows nobody"),
        (photoshoot.Photo(EXAMPLE["source_photo"], nobody + 200), pose, {}, "part labels reach 200"),
        (photo, pose, {"background": nobody[..., 0]}, "a photo is uint8 RGB"),
        (photo, pose, {"clothes": []}, "no photo"),
    ]
    for photos, poses, more, message in cases:
        with pytest.raises(photoshoot.InputError, match=message):
            model.shoot(photos, poses, **more)  # type: ignore[arg-type]


def test_a_photo_and_a_pose_that_show_nobody_are_said_to(model: photoshoot.Model, photo: photoshoot.Photo,
                                                         tmp_path: Path) -> None:
    needs_weights(*GROUPS["landmarks"])
    wall = np.full((96, 80, 3), 200, np.uint8)
    Image.fromarray(wall).save(tmp_path / "wall.png")
    with pytest.raises(photoshoot.InputError, match="nobody is found in the photo"):
        model.shoot(photo, wall)
    with pytest.raises(photoshoot.InputError, match=r"wall\.png: nobody is found in the photo"):
        model.shoot(photoshoot.Photo(tmp_path / "wall.png"), EXAMPLE["target_pose"])


def test_people_are_opened(tmp_path: Path) -> None:
    with pytest.raises(photoshoot.DataError, match="no people data set"):
        photoshoot.open_people(tmp_path)


def test_a_version_s_own_file_asks_for_the_present_format_and_unknown_ones_are_refused() -> None:
    from photoshoot.serving import PhotoshootModel, served

    file = REPOSITORY / "components" / "register" / "pyfunc_model.py"
    tree = ast.parse(file.read_text())
    modules = {node.module for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert modules == {"mlflow.models", "photoshoot.serving"}
    assert re.findall(r'served\("([^"]*)"\)', file.read_text()) == [SERVING_FORMAT] == ["photoshoot.serving/1"]
    assert isinstance(served(SERVING_FORMAT), PhotoshootModel)
    with pytest.raises(photoshoot.DataError, match=r"registered as photoshoot\.serving/2"):
        served("photoshoot.serving/2")
