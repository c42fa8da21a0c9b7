"""New pictures from several photos: on the command line, from the registered model, from MLflow's server."""

import base64
import io
import json
import socket
import subprocess
import sys
import threading
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import numpy as np
import pandas as pd
import pytest
import torch
import uvicorn
from mlflow.pyfunc.scoring_server import init
from PIL import Image

from components.core.errors import InputError
from components.core.networks.generator.reposer import Generator, Reposer
from components.core.pictures.images import decode_png, read_photo, write_png
from components.core.pictures.iuv import read_iuv, write_iuv
from components.core.settings import PreprocessSettings, SynthesizeSettings, TrainSettings
from components.register.registry import Files, Registry
from components.synthesize import synthesize
from pipelines.cli import main
from pipelines.pictures.shooting import clothes_of, subjects

Command = Callable[..., tuple[int, dict[str, Any]]]


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three photos of one synthetic person, of different size, with pose maps; an untrained generator in a registry."""
    root = tmp_path_factory.mktemp("shop")
    drawn = {"people": 1, "photos_per_person": 3, "outfits_per_person": 1, "height": 160, "back_views": 0.4,
             "first_person": 3}
    synthesize(root / "drawn", SynthesizeSettings.model_validate(drawn))
    for number, path in enumerate(sorted((root / "drawn" / "photos").iterdir())):
        photo, iuv = read_photo(path), read_iuv(root / "drawn" / "iuv" / f"{path.stem}.png").planes
        margin = ((0, 30 * number), (20 * number, 0), (0, 0))
        write_png(root / f"photo{number}.png", np.pad(photo, margin, mode="edge"))
        write_iuv(root / f"iuv{number}.png", np.pad(iuv, margin))
    torch.manual_seed(0)
    settings = TrainSettings.model_validate({"width": 4, "max_width": 8, "latent": 8})
    Reposer(Generator(settings, 64, 16), settings, 64, 16, "synthetic").save(root / "generator.safetensors")
    cut = PreprocessSettings.model_validate(
        {"resolution": 64, "texel": 16, "min_person": 8, "matte": "silhouette"})
    files = Files(root / "generator.safetensors", cut.model_dump(mode="json"), {}, {})
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        Registry("photoshoot", f"sqlite:///{root}/mlflow.db").log(files, None)
    return root


@pytest.fixture(autouse=True)
def _registry(shop: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{shop}/mlflow.db")


@pytest.fixture
def photoshoot(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    """photoshoot(photos, pose maps) shoots the third photo's pose; exit code, and what --json prints."""

    def call(photos: list[Path], iuvs: list[Path], *more: str) -> tuple[int, dict[str, Any]]:
        arguments = [part for photo in photos for part in ("--photo", str(photo))]
        arguments += [part for iuv in iuvs for part in ("--iuv", str(iuv))]
        monkeypatch.setattr(sys, "argv", ["photoshoot", "shoot", *arguments, "--home", str(tmp_path / "home"),
                                          "--version", "1", "--json", *more])
        capsys.readouterr()
        with pytest.raises(SystemExit) as left:
            main()
        return int(left.value.code or 0), json.loads(capsys.readouterr().out)

    return call


def test_two_photos_on_the_command_line_in_any_order(shop: Path, photoshoot: Command, tmp_path: Path) -> None:
    photos, iuvs = ([shop / f"{kind}{number}.png" for number in (0, 1)] for kind in ("photo", "iuv"))
    pose = ("--pose", str(shop / "iuv2.png"), "--size", "64")
    code, said = photoshoot(photos, iuvs, *pose, "--out", str(tmp_path / "both"))
    assert code == 0 and said["faces"] in ([str(photos[0])], [str(photos[1])]) and said["other_clothes"] == []
    code, again = photoshoot(photos[::-1], iuvs[::-1], *pose, "--out", str(tmp_path / "turned"))
    assert code == 0 and again["faces"] == said["faces"]
    code, _ = photoshoot(photos[:1], iuvs[:1], *pose, "--out", str(tmp_path / "one"))
    both, turned, one = (read_photo(tmp_path / name / "iuv2.png") for name in ("both", "turned", "one"))
    assert both.shape == (64, 64, 3) and np.array_equal(both, turned) and not np.array_equal(both, one)


def test_a_picture_from_a_registry_on_this_machine_imports_neither_mlflow_nor_what_it_brings(
        shop: Path, tmp_path: Path) -> None:
    arguments = ["shoot", "--photo", shop / "photo0.png", "--iuv", shop / "iuv0.png", "--pose", shop / "iuv2.png",
                 "--home", tmp_path / "home", "--version", "1", "--size", "64", "--out", tmp_path / "out"]
    code = (
        "import sys\n"
        "from pipelines.cli import main\n"
        "try:\n    main()\nexcept SystemExit as end:\n    assert not end.code, end.code\n"
        "unneeded = {'mlflow', 'sqlalchemy', 'alembic', 'flask', 'fastapi', 'pandas', 'pyarrow', 'scipy', 'sklearn',"
        " 'matplotlib', 'kfp', 'yaml'}\n"
        "assert 'torch' in sys.modules and not unneeded & set(sys.modules), unneeded & set(sys.modules)\n"
    )
    done = subprocess.run([sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert read_photo(tmp_path / "out" / "iuv2.png").shape == (64, 64, 3)


def test_photos_that_cannot_be_used_are_named(shop: Path, photoshoot: Command, tmp_path: Path) -> None:
    photos, iuvs = ([shop / f"{kind}{number}.png" for number in (0, 1)] for kind in ("photo", "iuv"))
    more = ("--pose", str(shop / "iuv2.png"), "--out", str(tmp_path / "out"))
    code, said = photoshoot(photos, iuvs[:1], *more)
    assert code == 2 and "2 photos, but 1 pose maps" in str(said) and "--iuv" in str(said)
    code, said = photoshoot(photos, iuvs, *more, "--matte", str(photos[0]))
    assert code == 2 and "1 mattes" in str(said)
    write_png(tmp_path / "nobody.png", np.zeros_like(read_iuv(iuvs[1]).planes))
    code, said = photoshoot(photos, [iuvs[0], tmp_path / "nobody.png"], *more)
    assert code == 2 and "nobody.png" in str(said) and "shows nobody" in str(said)
    small = np.zeros_like(read_iuv(iuvs[1]).planes)
    small[40:44, 40:44] = (2, 99, 99)
    write_iuv(tmp_path / "small.png", small)
    code, said = photoshoot(photos, [iuvs[0], tmp_path / "small.png"], *more)
    assert code == 2 and "photo1.png" in str(said) and "only 4 pixels" in str(said)
    assert not (tmp_path / "out").exists()


def test_photos_pose_maps_and_mattes_go_together() -> None:
    a, b, c, d, e, f = (Path(name) for name in "abcdef")
    (one,) = subjects([a], [b])
    assert (one.photo, one.iuv, one.matte) == (a, b, None)
    assert [one.matte for one in subjects([a, b], [c, d], [e, f])] == [e, f]
    with pytest.raises(InputError, match="2 photos, but 3 pose maps"):
        subjects([a, b], [c, d, e])


def saved(picture: np.ndarray, kind: str) -> bytes:
    file = io.BytesIO()
    Image.fromarray(picture).save(file, format=kind)
    return file.getvalue()


def columns(shop: Path) -> dict[str, Any]:
    read = {name: (shop / f"{name}.png").read_bytes() for name in ("photo0", "photo1", "iuv0", "iuv1", "iuv2")}
    return {"source_photo": read["photo0"], "source_pose": read["iuv0"], "target_pose": read["iuv2"],
            "more_photos": [read["photo1"]], "more_poses": [read["iuv1"]]}


def test_the_registered_model_takes_one_photo_or_several(shop: Path, photoshoot: Command, tmp_path: Path) -> None:
    model, row = mlflow.pyfunc.load_model("models:/photoshoot/1"), columns(shop)
    single = {name: row[name] for name in ("source_photo", "source_pose", "target_pose")}
    turned = {"source_photo": row["more_photos"][0], "source_pose": row["more_poses"][0],
              "target_pose": row["target_pose"], "more_photos": [row["source_photo"]],
              "more_poses": [row["source_pose"]]}
    # A bitmap ends with the picture's upper right corner: where that is black, in zero bytes, which must arrive.
    dark = read_photo(shop / "photo1.png").copy()
    dark[:4] = 0
    bitmap, png = ({**row, "more_photos": [saved(dark, kind)]} for kind in ("BMP", "PNG"))
    several, none, empty, other, *same = (decode_png(data) for data in model.predict(pd.DataFrame(
        [row, single, {**single, "more_photos": [], "more_poses": None}, turned, bitmap, png]))["image"])
    assert np.array_equal(none, empty) and np.array_equal(*same)
    (alone,) = (decode_png(data) for data in model.predict(pd.DataFrame([single]))["image"])
    assert np.array_equal(none, alone) and np.array_equal(several, other) and not np.array_equal(several, alone)
    # The command line paints the same.
    files = ([shop / f"{kind}{number}.png" for number in (0, 1)] for kind in ("photo", "iuv"))
    photoshoot(*files, "--pose", str(shop / "iuv2.png"), "--out", str(tmp_path / "out"))
    assert np.array_equal(read_photo(tmp_path / "out" / "iuv2.png"), several)
    with pytest.raises(InputError, match="1 more_photos, 2 more_poses"):
        model.predict(pd.DataFrame([{**row, "more_poses": [*row["more_poses"], row["source_pose"]]}]))
    with pytest.raises(InputError, match="more_poses-0"):
        model.predict(pd.DataFrame([{**row, "more_poses": [saved(np.zeros((8, 8, 3), np.uint8), "PNG")]}]))


@pytest.fixture
def scoring(shop: Path) -> Iterator[str]:
    """Address of MLflow's server for the model."""
    server = uvicorn.Server(uvicorn.Config(init(mlflow.pyfunc.load_model("models:/photoshoot/1")), log_level="error"))
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()  # from now on connections wait until the server is up
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listening]})
        thread.start()
        yield f"http://127.0.0.1:{listening.getsockname()[1]}/invocations"
        server.should_exit = True
        thread.join(20)


def test_mlflow_s_server_takes_lists_in_base64(shop: Path, scoring: str) -> None:
    row = columns(shop)
    text = {name: [base64.b64encode(one).decode() for one in value] if isinstance(value, list)
            else base64.b64encode(value).decode() for name, value in row.items()}
    request = urllib.request.Request(scoring, json.dumps({"dataframe_records": [text]}).encode(),
                                     {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=60) as answer:
        (painted,) = json.load(answer)["predictions"]
    expected = mlflow.pyfunc.load_model("models:/photoshoot/1").predict(pd.DataFrame([row]))["image"][0]
    assert base64.b64decode(painted["image"]) == expected


def test_clothes_are_photos_or_drawn_by_chance_not_both(shop: Path, tmp_path: Path) -> None:
    photo = shop / "photo0.png"
    assert [one.photo for one in clothes_of([photo, photo])["clothes"]] == [photo, photo]
    assert {one.photo.parent for one in clothes_of([shop / "drawn"])["wardrobe"]} == {shop / "drawn" / "photos"}
    assert all(one.iuv for one in clothes_of([Path("random")])["wardrobe"])
    for several in ([photo, shop / "drawn"], [Path("random"), photo]):
        with pytest.raises(InputError, match="by chance"):
            clothes_of(several)
