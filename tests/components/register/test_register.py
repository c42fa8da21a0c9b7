import io
import json
import os
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
import pytest
from mlflow.models import Model
from PIL import Image
from recording import believed, lenient

from components.core.artifacts.start import Start, write_start
from components.core.artifacts.version import SERVING_FORMAT, lineage, trained_on, write_lineage
from components.core.digest import file_digest
from components.core.errors import DataError, InputError, MachineError
from components.core.networks.generator.reposer import Reposer
from components.core.people.dataset import PeopleDataset
from components.core.people.person import person_from_photo, pose_square
from components.core.pictures.images import decode_png, encode_png
from components.core.settings import PreprocessSettings, RegisterSettings
from components.core.shooting.shots import shoot
from components.evaluate.challenge import challenge
from components.register import register
from components.register.card import model_card
from components.register.evidence import VersionEvidence
from components.register.gate import verdict
from components.register.promotion import standing
from components.register.registry import Registry, signature
from components.register.run import RegisterSummary
from components.register.try_out import try_version

STRICT = RegisterSettings()
OTHER = "5" * 64


@dataclass(frozen=True)
class Store:
    """An sqlite store with two versions of the small world's model, registered one after the other."""

    uri: str
    folder: Path
    believed: Path
    first: RegisterSummary
    second: RegisterSummary


def registered(world, evaluation: Path, out: Path, settings: RegisterSettings, uri: str | None) -> RegisterSummary:
    return register(world.model, evaluation, world.people, world.identities, out, settings, tracking_uri=uri)


@pytest.fixture(scope="module", autouse=True)
def tried_here() -> Iterator[None]:
    """Stands for the fresh process, which takes longer than all the rest; two tests below start it for real."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("components.register.run.try_version", lambda *_: np.zeros((64, 64, 3), np.uint8))
        yield


@pytest.fixture(scope="module")
def store(world, evaluated: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    folder = tmp_path_factory.mktemp("store")
    uri, evaluation = f"sqlite:///{folder}/mlflow.db", believed(evaluated, folder / "believed")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)  # where MLflow puts artifacts when nothing else is said
        first = registered(world, evaluation, folder / "one", lenient(1), uri)
        # The same model, as if it had been trained from another.
        started = Path(shutil.copytree(world.model, folder / "started"))
        write_start(started, Start(OTHER, known=False))
        write_lineage(started, lineage("people", "identities", {"somebody"}))
        second = register(started, evaluation, world.people, world.identities, folder / "two", lenient(2),
                          tracking_uri=uri)
        yield Store(uri, folder, evaluation, first, second)


def columns(people: PeopleDataset) -> dict[str, bytes]:
    source, target = people[0], people[1]
    return {"source_photo": encode_png(source.photo), "source_pose": encode_png(source.iuv),
            "target_pose": encode_png(target.iuv), "source_matte": encode_png(source.matte)}


def test_the_first_version_that_passes_becomes_champion_and_the_next_challenges(store: Store) -> None:
    assert (store.first.model_version, store.first.aliases, store.first.passed) == (
        "1", ["challenger", "champion"], True)
    assert (store.second.model_version, store.second.aliases) == ("2", ["challenger"])
    registry = Registry("photoshoot", store.uri)
    assert (registry.aliased("champion"), registry.aliased("challenger")) == ("1", "2")


def test_a_version_carries_its_evidence_and_no_copy_of_this_package(store: Store) -> None:
    client = mlflow.MlflowClient(store.uri)
    version = client.get_model_version_by_alias("photoshoot", "challenger")
    metrics = json.loads((store.believed / "metrics.json").read_text())
    assert version.tags["verdict"] == "passed" and version.tags["tried"] == "passed"
    assert version.tags["gate.ssim"].startswith("pass  ssim") and version.tags["run_id"] == store.second.run_id
    assert version.tags["digest.model"] == metrics["model"]["digest"]
    shown, _, _ = version.description.partition("\n\n... The whole card")  # where it is long
    assert len(shown) > 2000 and (store.folder / "two" / "model_card.md").read_text().startswith(shown)
    kept = {item.path for item in client.list_artifacts(store.second.run_id)}
    assert {"model_card.md", "report.html", "verdict.json"} <= kept
    code = list(store.folder.rglob("*.py"))
    assert code and {path.name for path in code} == {"pyfunc_model.py"}
    assert all("components" not in path.read_text() for path in code)  # what moves does not break what is stored
    models = [Model.load(path) for path in store.folder.rglob("MLmodel")]
    assert models and all(model.metadata == {"format": SERVING_FORMAT} for model in models)


def test_a_version_says_what_it_started_from_and_whom_that_had_seen(store: Store) -> None:
    one, two = ((store.folder / name / "model_card.md").read_text() for name in ("one", "two"))
    assert "- Started from random weights\n" in one
    assert (f"- Started from a model that is not in this registry, `{OTHER}`; it does not say which photos it was "
            "trained on\n") in two
    registry = Registry("photoshoot", store.uri)
    first, second = registry.get("1"), registry.get("2")
    assert "start" not in first.tags and second.tags["start"] == OTHER
    with registry.files(first) as before:
        seen = trained_on(before)
    with registry.files(second) as after:
        assert seen and trained_on(after) == seen | {"somebody"}


def test_the_verdict_is_in_the_report(store: Store) -> None:
    report = (store.folder / "two" / "report.html").read_text()
    assert "Passed the gate" in report and "No verdict yet" not in report and "photoshoot version 2" in report
    assert json.loads((store.folder / "two" / "verdict.json").read_text())["format"] == "photoshoot.version/1"
    assert decode_png((store.folder / "two" / "try.png").read_bytes()).shape == (64, 64, 3)


def test_a_fresh_process_paints_what_this_one_does(world, store: Store) -> None:
    people = PeopleDataset.open(world.people)
    painted = try_version("models:/photoshoot@challenger", store.uri, columns(people))
    settings = PreprocessSettings.model_validate({**people.settings, "min_person": 8, "min_coverage": 0})
    person = person_from_photo(people[0].photo, people[0].iuv, settings, people[0].matte)
    ours = shoot(Reposer.load(world.model / "generator.safetensors"), person, [pose_square(people[1].iuv, settings)])
    # Another number of threads sums in another order: a grey level, no more.
    assert np.abs(painted.astype(int) - ours.images[0]).max() <= 1


def test_a_size_can_be_asked_for(world, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    model = mlflow.pyfunc.load_model("models:/photoshoot@champion")
    row = pd.DataFrame([columns(PeopleDataset.open(world.people))])
    for params, side in ((None, 64), ({"size": 0}, 64), ({"size": 96}, 96), ({"size": 128}, 128)):
        assert decode_png(model.predict(row, params=params)["image"][0]).shape == (side, side, 3)
    with pytest.raises(InputError, match="64 to 2048"):
        model.predict(row, params={"size": 5000})


def test_the_model_takes_optional_columns_and_both_channel_orders(world, store: Store,
                                                                  monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MLFLOW_TRACKING_URI", store.uri)
    model = mlflow.pyfunc.load_model("models:/photoshoot@champion")
    people = PeopleDataset.open(world.people)
    row = columns(people)
    wall = np.full((50, 90, 3), (10, 200, 30), np.uint8)
    jpeg = io.BytesIO()
    Image.fromarray(people[0].photo).save(jpeg, format="JPEG", quality=95)
    turned = encode_png(np.ascontiguousarray(people[1].iuv[..., ::-1]))
    bare = {name: row[name] for name in ("source_photo", "source_pose", "target_pose")}
    answers = model.predict(pd.DataFrame([
        {**row, "background": encode_png(wall)}, {**bare, "source_photo": jpeg.getvalue()},
        {**row, "target_pose": turned, "background": encode_png(wall)}]))
    images = [decode_png(data) for data in answers["image"]]
    assert all(image.shape == (64, 64, 3) for image in images)
    assert np.array_equal(images[0], images[2]) and not np.array_equal(images[0], images[1])
    with pytest.raises(InputError, match=r"target_pose.*black"):
        model.predict(pd.DataFrame([{**row, "target_pose": encode_png(np.zeros((64, 64, 3), np.uint8))}]))


@pytest.mark.long
def test_no_alias_moves_to_a_version_that_does_not_work(world, store: Store, tmp_path: Path,
                                                        monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("components.register.run.try_version", try_version)
    monkeypatch.setattr(VersionEvidence, "example", lambda _: {"source_photo": b"not a picture", "source_pose": b"x",
                                                               "target_pose": b"x"})
    with pytest.raises(DataError, match=r"does not work in a fresh process.*not a photo"):
        registered(world, store.believed, tmp_path / "bad", lenient(3), store.uri)
    registry = Registry("photoshoot", store.uri)
    assert (registry.aliased("champion"), registry.aliased("challenger")) == ("1", "2")
    assert not (tmp_path / "bad").exists()
    assert mlflow.MlflowClient(store.uri).get_model_version("photoshoot", "3").tags["tried"] == "failed"


def test_the_same_evidence_again_is_the_same_version(world, store: Store, tmp_path: Path) -> None:
    again = registered(world, store.believed, tmp_path / "again", lenient(1), store.uri)
    assert (again.model_version, again.run_id) == (store.first.model_version, store.first.run_id)
    assert again.aliases == ["challenger", "champion"]
    assert Registry("photoshoot", store.uri).aliased("challenger") == "1"


def test_a_version_that_fails_the_gate_is_no_champion_and_mlflow_is_left_as_it_was(
        world, evaluated: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    uri, before = f"sqlite:///{tmp_path}/other.db", mlflow.get_tracking_uri()
    summary = registered(world, evaluated, tmp_path / "out", STRICT, uri)
    assert not summary.passed and summary.aliases == ["challenger"]
    assert Registry("photoshoot", uri).aliased("champion") is None
    failed = [line["name"] for line in summary.lines if not line["passed"]]
    assert "over_warp" in failed  # nobody trained this model: it is worse than no network at all
    assert all(name in summary.verdict for name in failed)
    # Nor can this evaluation tell: it has too few people for its controls to be tried.
    assert summary.outcome == "not judged"
    assert "Not judged: too little to go by" in (tmp_path / "out" / "report.html").read_text()
    assert mlflow.get_tracking_uri() == before != uri and mlflow.active_run() is None
    assert not {"MLFLOW_TRACKING_URI", "MLFLOW_REGISTRY_URI"} & set(os.environ)


def test_evidence_about_something_else_is_refused(world, evaluated: Path, tmp_path: Path) -> None:
    store = f"sqlite:///{tmp_path}/mlflow.db"
    with pytest.raises(InputError, match="no registry"):
        registered(world, evaluated, tmp_path / "out", STRICT, None)
    with pytest.raises(InputError, match="no evaluation here"):
        registered(world, tmp_path, tmp_path / "out", STRICT, store)
    other = tmp_path / "other"
    shutil.copytree(evaluated, other)
    metrics = json.loads((other / "metrics.json").read_text())
    for part, message in (("model", "of another model"), ("people", "of other people")):
        changed = {**metrics, part: {**metrics[part], "digest": "0" * 64}}
        (other / "metrics.json").write_text(json.dumps(changed))
        with pytest.raises(InputError, match=message):
            registered(world, other, tmp_path / "out", STRICT, store)
    (other / "metrics.json").write_text(json.dumps({**metrics, "format": "photoshoot.evaluation/9"}))
    with pytest.raises(DataError, match=r"photoshoot\.evaluation/9"):
        registered(world, other, tmp_path / "out", STRICT, store)
    (other / "metrics.json").write_text("{")
    with pytest.raises(DataError, match="damaged"):
        registered(world, other, tmp_path / "out", STRICT, store)


def test_a_store_that_cannot_be_used_is_one_line(world, evaluated: Path, tmp_path: Path) -> None:
    with pytest.raises(MachineError, match="MLflow"):
        registered(world, evaluated, tmp_path / "out", STRICT, "nonsense://nowhere")


def test_the_card_says_what_was_measured_and_what_was_not(evaluated: Path) -> None:
    metrics = json.loads((evaluated / "metrics.json").read_text())
    card = model_card("photoshoot", metrics, verdict(metrics, None, None, STRICT))
    assert metrics["model"]["digest"] in card and "synthetic people" in card
    assert f"{metrics['metrics']['ssim']['value']:.4g}" in card
    assert f"none: {metrics['metrics']['frechet']['reason']}" in card
    widths = {line.count("|") for line in card.splitlines() if line.startswith("| ") and "texture warp" in line.lower()}
    assert widths == {5}


def test_a_version_is_held_against_the_champion_and_takes_its_place_where_the_settings_say_so(
        world, store: Store, untrained: Callable[..., Path], tmp_path: Path) -> None:
    """Another network that, by its evaluation, answers exactly as the champion does: no worse, so it passes."""
    settings = RegisterSettings.model_validate(
        lenient(4).model_dump() | {"auto_promote": "passed", "champion": {"min_pairs": 8, "face_similarity": 2}})
    model, evaluation = tmp_path / "model", tmp_path / "evaluation"
    untrained(model, seed=1)
    shutil.copytree(store.believed, evaluation)
    metrics = json.loads((evaluation / "metrics.json").read_text())
    metrics["model"]["digest"] = file_digest(model / "generator.safetensors")
    (evaluation / "metrics.json").write_text(json.dumps(metrics))

    def registered_with(comparison: Path | None, out: str) -> RegisterSummary:
        return register(model, evaluation, world.people, world.identities, tmp_path / out, settings,
                        comparison=comparison, tracking_uri=store.uri)

    alone = registered_with(None, "alone")
    assert not alone.passed and alone.verdict.endswith("champion.pairs") and alone.champion == "1"
    done = challenge(model, world.people, world.identities, evaluation, tmp_path / "comparison", settings,
                     tracking_uri=store.uri)
    assert (done.status, done.champion) == ("compared", "1")
    compared = registered_with(tmp_path / "comparison", "compared")
    lines = {line["name"]: line["passed"] for line in compared.lines}
    assert compared.passed and lines["champion.ssim"] and lines["champion.part.face"], compared.verdict
    assert compared.model_version == alone.model_version and compared.champion == compared.model_version
    version = Registry("photoshoot", store.uri).get(compared.model_version)
    assert version.tags["champion.compared"] == "1" and "gate.champion.perceptual" in version.tags
    assert (tmp_path / "compared" / "comparison.json").is_file()
    now = standing(Registry("photoshoot", store.uri))
    assert [(entry.before, entry.to) for entry in now.journal.counting] == [(None, "1"), ("1", version.number)]
    with pytest.raises(InputError, match="of another model or evaluation"):
        register(world.model, store.believed, world.people, world.identities, tmp_path / "out", settings,
                 comparison=tmp_path / "comparison", tracking_uri=store.uri)


def test_a_photo_and_a_pose_are_all_that_a_version_asks_for() -> None:
    inputs = signature().inputs
    assert inputs.required_input_names() == ["source_photo", "target_pose"]
    assert {"source_pose", "source_matte", "background", "more_photos"} <= set(inputs.optional_input_names())
