"""All that reads files of others, each with whole examples to start from, for fuzzing (`fuzzing.py`)."""

from __future__ import annotations

import io
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import torch
from fuzzing import Reader
from PIL import Image

from components.cluster.byhand.overrides import read_overrides
from components.core.artifacts import comparison, evaluation, loss_weights, model, study, version
from components.core.artifacts.files import read_summary
from components.core.documents import json_value, yaml_value
from components.core.errors import InputError
from components.core.faces.embedders import _card
from components.core.judging import gate as judging
from components.core.networks.generator.reposer import Generator, Reposer
from components.core.people.assembly import assemble
from components.core.people.dataset import PeopleDataset, PersonRecord
from components.core.people.identities import Assignment, Identities
from components.core.people.writer import EncodedPerson, PartWriter, Plan
from components.core.pictures.images import encode_png, read_photo
from components.core.pictures.iuv import read_iuv
from components.core.pictures.labels import read_labels
from components.core.pictures.matte import read_matte
from components.core.pictures.smpl import read_lookup
from components.core.pictures.texture import to_picture, unwrap
from components.core.poses.pose import read_pose
from components.core.presets import preset
from components.core.settings import EvaluateSettings, GateSettings, RegisterSettings, Settings, TrainSettings
from components.core.stores.storage import mirror, open_location
from components.evaluate.challenge import compare_lines
from components.evaluate.measuring.reference import _read as read_reference
from components.preprocess.densepose.dump import _entries
from components.register.card import model_card
from components.register.gate import verdict
from components.register.ledger import Entry, Record
from components.train.checkpoint import Checkpoints
from pipelines.containers.images import LOCK, read_lock
from pipelines.home import moved
from pipelines.home.contents import contents
from pipelines.home.folder import Home
from pipelines.profile import load_profile
from pipelines.results.records import read_result

_SIDE, _TEXEL = 64, 8
_METRIC = {"value": 0.5, "low": 0.4, "high": 0.6, "n": 16, "by": "pair"}
_NAMES = ("ssim", "perceptual", "over_warp", "matte_iou", "identity_recovered", "frechet_ratio", "pose_fidelity",
          "face_found", "psnr", "l1", "face_similarity")
_GAIN = {who: _METRIC for who in ("champion", "challenger", "gain")}
_PARTS = {part: {"l1": _METRIC} for part in ("face", "hands", "upper_body", "lower_body")}

METRICS = {
    "format": evaluation.FORMAT, "valid": True, "pairs": 16,
    "model": {"digest": "a" * 64, "bytes": 10, "generator": "warp", "resolution": 64, "texel": 16,
              "trained_on": "synthetic", "settings": TrainSettings().model_dump(mode="json")},
    "people": {"digest": "b" * 64, "origin": "synthetic", "accepted": 48, "pose_maps": {"given": 48},
               "mattes": {"grabcut": 48}, "rejected": [{"photo": "a.jpg", "reason": "nobody in it"}]},
    "identities": {"digest": "c" * 64, "scores": {"set_aside": ["x"], "identities_per_split": {"train": 6},
                                                  "photos_per_split": {"train": 30}}},
    "settings": EvaluateSettings().model_dump(mode="json"), "counts": {"identities": 4, "pairs": 16},
    "judge": {"embedder": "builtin-judge", "face_loss": "builtin-face", "judge_in_loss": False},
    "networks": {"features": "builtin-features"}, "notes": ["few people"],
    "metrics": {name: {**_METRIC, "features": "builtin-features"} for name in _NAMES}, "parts": _PARTS,
    "baselines": {"texture_warp": {**dict.fromkeys(_NAMES, _METRIC), "parts": _PARTS}},
    "memorisation": {name: {**_METRIC, "meaning": "x"} for name in judging.MEMORISATION},
    "controls": {name: {"verdict": "failed", "failed_lines": ["ssim"], "expected": "failed", "behaved": True,
                        "reason": ""} for name in judging.CONTROLS},
}
COMPARISON = {
    "format": comparison.FORMAT, "model_name": "photoshoot", "model": "a" * 64, "evaluation": "d" * 64,
    "champion": {"version": "1", "digest": "e" * 64}, "status": "compared", "reason": "", "pairs": 16, "identities": 4,
    "metrics": dict.fromkeys(("perceptual", "ssim", "matte_iou", "pose", "face_similarity"), _GAIN),
    "parts": dict.fromkeys(_PARTS, _GAIN), "slices": {"view.front": _GAIN},
}
PAIR = {"kind": "transfer", "identity": "anna", "source": "p0", "target": "p1", "ssim": 0.7, "psnr": 20.0, "l1": 0.05,
        "matte_iou": 0.95, "perceptual": 0.06, "pose": 0.6, "face_similarity": 0.9,
        "parts": {"face": 0.1, "hands": None}, "slices": {"view": "front", "clothes": "other"}}


def readers(made: Path) -> list[Reader]:
    """All readers; their examples are made in the folder `made`."""
    return [*_texts(), *_artifacts(), *_pictures(), *_people(made / "people"), *_tensors(made / "model"), *_homes(made)]


def _json(content: Any) -> bytes:
    return json.dumps(content, indent=1).encode()


def _texts() -> list[Reader]:
    profile = Path("pipelines/profiles/gke-spot.yaml")
    poses = sorted((Path(judging.__file__).parents[1] / "data" / "poses").glob("*.yaml"))[:3]
    photos = ["anna/1.jpg", "anna/2.jpg", "bo.jpg"]
    labels = "photo,identity\nanna/1.jpg,anna\nanna/2.jpg,anna\nbo.jpg,bo\n"
    decisions = [{"what": "merge", "when": "2026-01-01T00:00:00", "together": ["a", "b"], "name": "anna",
                  "format": "photoshoot.overrides/1"},
                 {"what": "split", "when": "2026-01-02T00:00:00", "apart": [["a"], ["c"]], "aside": ["d"],
                  "format": "photoshoot.overrides/1"}]
    small = "train:\n  batch: 4\n  weights: {l1: 1.0}\ncosts:\n  prices: {cpu: 0.2}\ntune:\n  space: {l1: [1, 2]}\n"
    return [
        Reader("settings", "mine.yaml", (preset("smoke").to_yaml().encode(), small.encode()),
               lambda path: Settings.from_yaml(path).to_yaml()),
        Reader("--set", "change.txt", (b"train.batch=4", b"train.weights.l1=0.5", b"costs.prices={cpu: 1}",
                                       b"tune.space.l1=[1, 2]", b"experiment=mine", b"tune.seed=0"),
               lambda path: preset("smoke").with_changes([os.fsdecode(path.read_bytes())]).to_yaml()),
        Reader("labels", "labels.csv", (labels.encode(), labels.replace(",", ";").encode(), labels.encode("utf-16")),
               lambda path: read_labels(path, photos)),
        Reader("profile", "mine.yaml", ((Path(__file__).parents[2] / profile).read_bytes(),),
               lambda path: load_profile(str(path)).inputs()),
        Reader("pose", "pose.yaml", tuple(path.read_bytes() for path in poses),
               lambda path: read_pose(path).mirrored()),
        Reader("decisions", "overrides.jsonl", ("".join(json.dumps(one) + "\n" for one in decisions).encode(),),
               read_overrides),
        Reader("card of a network", "net.json",
               (_json({"size": 112, "mean": [127.5, 127.5, 127.5], "std": 128, "channels": "BGR"}),),
               lambda path: _card(str(path.with_suffix(".onnx")))),
        Reader("any JSON", "a.json", (_json({"a": [1, {"b": None}]}),),
               _refusing(lambda path: json_value(path.read_bytes()))),
        Reader("any YAML", "a.yaml", (b"a: &b [1, 2]\nc: *b\nd: {e: f}\n",),
               _refusing(lambda path: yaml_value(path.read_bytes()))),
    ]


def _refusing(read: Callable[[Path], object]) -> Callable[[Path], object]:
    """What documents.py raises, as its callers do."""

    def wrapped(path: Path) -> object:
        try:
            return read(path)
        except ValueError as error:
            raise InputError(str(error)) from None

    return wrapped


def _artifacts() -> list[Reader]:
    weights = {"format": loss_weights.FORMAT, "weights": {"l1": 5.0}, "study": "s", "trial": 3, "score": 0.5,
               "mlflow_run": "r"}
    result = {"status": "succeeded", "run_id": "r", "mlflow_run_id": "m", "model_version": "1", "verdict": "passed",
              "metrics": {"ssim": _METRIC}, "people": {"accepted": 4, "rejected": []}, "seconds": 1.0,
              "gate": [{"name": "ssim", "passed": True, "value": 0.7, "bound": 0.6, "comparison": ">=", "reason": ""}]}
    entry = Entry("promote", None, "1", "anna", "2026-01-01T00:00:00", "better", False, {"model": "a"}).to_text()
    record = Record("register", "1", "anna", "2026-01-01T00:00:00", "", {"a": "b"}, outcome="passed").to_text()
    return [
        Reader("metrics", evaluation.METRICS, (_json(METRICS),), _judged),
        Reader("pairs", evaluation.PAIRS, (f"{json.dumps(PAIR)}\n{json.dumps({**PAIR, 'target': 'p2'})}\n".encode(),),
               lambda path: compare_lines(*[evaluation.read_pairs(path.parent)] * 2,
                                          EvaluateSettings.model_validate({"bootstrap": 100}))),
        Reader("comparison", comparison.COMPARISON, (_json(COMPARISON),), lambda path: verdict(
            METRICS, comparison.read_comparison(path.parent), "1", RegisterSettings())),
        Reader("comparison of 0.1", "duel.json", (_json({**COMPARISON, "format": "photoshoot.duel/1"}),),
               lambda path: verdict(METRICS, comparison.read_comparison(path.parent), "1", RegisterSettings())),
        Reader("samples", f"{evaluation.SAMPLES}/{evaluation.SAMPLES_CARD}", (_json(
            {"columns": ["source", "plain warp"], "gap": 2, "rows": [{"file": "1.png", "caption": "a", "key": "k"}]}),),
            lambda path: evaluation.read_samples(path.parents[1])),
        Reader("curves", model.CURVES, (_json({"format": model.CURVES_FORMAT, "steps": [1, 2],
                                               "series": {"loss/l1": [0.5, None]}}),),
               lambda path: model.read_curves(path.parent)),
        Reader("card of a model", model.CARD, (_json({"digest": "a", "steps": 3, "losses": {}}),),
               lambda path: model.read_card(path.parent)),
        Reader("study", study.CARD, (_json({"format": study.FORMAT, "study": "s"}),),
               lambda path: study.read_study(path.parent)),
        Reader("loss weights", loss_weights.FILE, (_json(weights),),
               lambda path: loss_weights.read_weights(path.parent)),
        Reader("lineage", version.LINEAGE, (_json(version.lineage("a", "b", {"c", "d"})),),
               lambda path: version.trained_on(path.parent)),
        Reader("summary", "summary.json", (_json({"accepted": 3, "rejected": []}),), read_summary),
        Reader("result", "result.json", (_json(result),), read_result),
        Reader("entry of the ledger", "entry.json", (entry.encode(),), lambda path: _entry(path, Entry.from_text)),
        Reader("record of the ledger", "entry.json", (record.encode(),), lambda path: _entry(path, Record.from_text)),
        Reader("plan", "plan.json", (Plan("a", 64, 16, "synthetic", {"resolution": 64}, 3).to_json().encode(),),
               lambda path: Plan.read(path.parent)),
        Reader("lock of images", "images.lock.json", (_json(
            {"format": "photoshoot.images/1", "registries": {"r": {"train": {"content": "a"}}}}),), _lock),
    ]


def _entry(path: Path, read: Callable[[int, str], Entry | Record | None]) -> object:
    found = read(1, path.read_bytes().decode(errors="replace"))
    if found is None:
        raise InputError("none")
    return found.digest


def _judged(path: Path) -> object:
    metrics = evaluation.read_metrics(path.parent, whole=True)
    found = verdict(metrics, None, None, RegisterSettings())
    judging.thresholds(metrics, GateSettings())
    return model_card("photoshoot", metrics, found)


def _lock(path: Path) -> object:
    with mock.patch.dict(os.environ, {LOCK: str(path)}):
        return read_lock()


def _pictures() -> list[Reader]:
    draw = np.random.default_rng(0)
    pixels = draw.integers(0, 256, (24, 20, 3)).astype(np.uint8)
    iuv = _pose_map()
    photos = tuple(_saved(pixels, kind, **options) for kind, options in (
        ("JPEG", {"exif": _exif(6)}), ("PNG", {}), ("WEBP", {}), ("TIFF", {}), ("BMP", {}), ("AVIF", {}), ("HEIF", {}),
        ("MPO", {}), ("TIFF", {"compression": "tiff_lzw"}), ("PNG", {"mode": "I;16"}), ("GIF", {}),
        ("JPEG", {"mode": "CMYK"}), ("PNG", {"mode": "P"}), ("PNG", {"mode": "RGBA"})))
    array, lookup = io.BytesIO(), io.BytesIO()
    np.save(array, iuv)
    np.savez_compressed(lookup, np.full((24, 256, 256, 2), 0.5, np.float16))
    return [
        Reader("photo", "photo.jpg", photos, lambda path: read_photo(path, 1.0)),
        Reader("pose map", "map.png", (encode_png(iuv),), lambda path: read_iuv(path, (_SIDE, _SIDE))),
        Reader("pose map of any size", "map.png", (encode_png(iuv),), read_iuv),
        Reader("pose map, NumPy", "map.npy", (array.getvalue(),), read_iuv),
        Reader("matte", "matte.png", (encode_png(iuv[..., 0]), _saved(iuv, "PNG", mode="RGBA")),
               lambda path: read_matte(path, (_SIDE, _SIDE), 1.0)),
        Reader("lookup of SMPL", "lookup.npz", (lookup.getvalue(),), read_lookup),
    ]


def _exif(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


def _saved(pixels: np.ndarray, kind: str, mode: str = "RGB", **options: Any) -> bytes:
    if kind == "HEIF":
        from pillow_heif import register_heif_opener

        register_heif_opener()
    image = Image.fromarray(pixels) if mode != "I;16" else Image.fromarray(pixels[..., 0].astype(np.uint16) * 256)
    buffer = io.BytesIO()
    (image if mode == "I;16" else image.convert(mode)).save(buffer, kind, **options)
    return buffer.getvalue()


def _pose_map() -> np.ndarray:
    iuv = np.zeros((_SIDE, _SIDE, 3), np.uint8)
    for part, x0, x1, y0, y1 in ((23, 24, 32, 5, 22), (24, 32, 40, 5, 22), (2, 22, 42, 23, 42), (9, 23, 32, 42, 56),
                                 (10, 32, 41, 42, 56)):
        across = np.linspace(0, 255, x1 - x0).round()[None].repeat(y1 - y0, 0)
        down = np.linspace(0, 255, y1 - y0).round()[:, None].repeat(x1 - x0, 1)
        iuv[y0:y1, x0:x1] = np.stack([np.full_like(across, part), across, 255 - down], -1)
    return iuv


def _people(made: Path) -> list[Reader]:
    """A data set of three photos, of which one file is exchanged."""
    iuv = _pose_map()
    photo = np.random.default_rng(0).integers(0, 256, iuv.shape).astype(np.uint8)
    texture, seen = unwrap(photo, iuv, _TEXEL)
    members = {"photo": photo, "iuv": iuv, "matte": (iuv[..., 0] > 0).astype(np.uint8) * 255,
               "texture": to_picture(texture), "seen": to_picture(seen.astype(np.uint8) * 255)}
    members |= {"large-photo": photo, "large-iuv": iuv, "large-matte": iuv[..., 0]}
    with PartWriter(made.with_suffix(".work"), Plan("", _SIDE, _TEXEL, "photos", {}, 1, _SIDE)) as writer:
        with writer.shard(0) as shard:
            for name in ("p0", "p1", "p2"):
                record = PersonRecord(
                    id=name, photo=f"{name}.png", photo_digest=name, inputs_digest=name, shard=0, offset=0, length=0,
                    box=(0, 0, 64, 64), scale=1.0, coverage=0.2, head_box=(24, 5, 40, 22), face_seen=True, view="front",
                    channel_order="IUV", label="anna")
                shard.add(EncodedPerson(record, {kind: encode_png(plane) for kind, plane in members.items()}))
        assemble([writer.folder], made, lambda hashes: {})
    dataset = PeopleDataset.open(made)
    Identities([Assignment(name, "anna", 1.0, "train") for name in dataset.ids], dataset.digest, {"k": 1}).write(made)
    files = ("people.json", "manifest.parquet", "shard-00000.tar")
    found = [Reader(name, f"set/{name}", ((made / name).read_bytes(),), _beside([made / one for one in files], _opened))
             for name in files]
    owners = ("identities.parquet", "scores.json")
    found += [Reader(name, f"who/{name}", ((made / name).read_bytes(),), _beside(
        [made / one for one in owners], lambda folder: _owned(Identities.open(folder), dataset))) for name in owners]
    return found


def _owned(owners: Identities, people: PeopleDataset) -> object:
    return [owners.digest, owners.scores, owners.members(people, "train")]


def _beside(others: list[Path], read: Callable[[Path], object]) -> Callable[[Path], object]:
    """Read the file's folder with the others in it, which are taken away again."""

    def wrapped(path: Path) -> object:
        links = [path.parent / other.name for other in others if other.name != path.name]
        try:
            for link, other in zip(links, [one for one in others if one.name != path.name], strict=True):
                link.symlink_to(other)
            return read(path.parent)
        finally:
            for link in links:
                link.unlink(missing_ok=True)

    return wrapped


def _opened(folder: Path) -> object:
    people = PeopleDataset.open(folder)
    return [people[0], people.larger(0), people.labels, people.rejected, people.column("photo_digest"),
            people.counted("pose_source")]


def _tensors(made: Path) -> list[Reader]:
    torch.manual_seed(0)
    settings = TrainSettings.model_validate({"width": 4, "max_width": 8, "latent": 8})
    made.mkdir(parents=True)
    Reposer(Generator(settings, 64, 16), settings, 64, 16, "synthetic").save(made / "generator.safetensors")
    network = torch.nn.Linear(3, 3)
    with Checkpoints(made / "state", 1) as checkpoints:
        checkpoints.save(3, {"net": network}, {})
    note, weights = made / "state" / "step-00000003.json", made / "state" / "step-00000003.safetensors"
    reference = io.BytesIO()
    np.savez(reference, photos=np.zeros(3))
    dump = io.BytesIO()
    torch.save([{"file_name": "a.jpg", "scores": torch.ones(1), "pred_boxes_XYXY": torch.ones(1, 4)}], dump)
    return [
        Reader("model", "generator.safetensors", ((made / "generator.safetensors").read_bytes(),), Reposer.load),
        Reader("note of a checkpoint", f"state/{note.name}", (note.read_bytes(),),
               _beside([weights], lambda folder: Checkpoints(folder, 1).load())),
        Reader("checkpoint", f"state/{weights.name}", (weights.read_bytes(),),
               _beside([note], lambda folder: Checkpoints(folder, 1).load())),
        Reader("reference", "reference.npz", (reference.getvalue(),), read_reference),
        Reader("dump of DensePose", "dump.pkl", (dump.getvalue(),), lambda path: list(_entries(path))),
    ]


def _homes(made: Path) -> list[Reader]:
    entry = {"outputs": {"artifacts": {"model": {"artifacts": [{"uri": "/old/artifacts/x/model"}]}}}}
    record = {"format": moved.FORMAT, "root": "/old", "cached_as": "home:", "pending": ["/older"]}
    return [
        Reader("record of a home", moved.FILE, (_json(record),), _settled),
        Reader("entry of the cache", "cache/a.json", (_json(entry),), _settled),
        Reader("index of a mirror", ".copy.mirror", (b'["a.txt", "1 2", 3, 4]\n["b.txt", "1 2", 3, 4]\n',),
               lambda path: _mirrored(path, made)),
    ]


def _settled(path: Path) -> object:
    """In a copy: a home is put right by writing to it."""
    with tempfile.TemporaryDirectory() as name:
        root = path.parents[1] if path.parent.name == "cache" else path.parent
        home = Home(Path(shutil.copytree(root, Path(name).resolve() / "home")))
        moved.settle(home.root, again=True)
        return contents(home)


def _mirrored(path: Path, made: Path) -> object:
    with tempfile.TemporaryDirectory() as name:
        source, index = Path(name) / "source", Path(name) / ".copy.mirror"
        source.mkdir()
        (source / "a.txt").write_text("a")
        shutil.copyfile(path, index)
        return mirror(open_location(source), Path(name) / "copy")
