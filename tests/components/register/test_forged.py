"""What somebody who may write tags, files or aliases cannot do unnoticed: make a bad version champion, swap what a
version consists of, take a line out of the ledger."""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import mlflow
import numpy as np
import pytest
from recording import bare_version, record

from components.core.errors import DataError, InputError
from components.core.record.registry import CHALLENGER, CHAMPION, Versions
from components.register import promotion
from components.register.audit import audit
from components.register.ledger import Ledger
from components.register.promotion import accept_changed, promote, repair, rollback, standing
from components.register.registry import Registry

TRIED: list[str] = []


def tried(uri: str, tracking_uri: str, pictures: Mapping[str, bytes]) -> np.ndarray:
    TRIED.append(uri)
    return np.zeros((4, 4, 3), np.uint8)


@pytest.fixture(scope="module")
def original(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three recorded versions: 1 and 2 passed their gate, 3 failed; 1 is champion, 3 the challenger."""
    place = tmp_path_factory.mktemp("original")
    registry = Registry("photoshoot", f"sqlite:///{place}/mlflow.db")
    client = mlflow.MlflowClient(registry.uri)
    client.create_registered_model("photoshoot")
    for number in "123":
        bare_version(client, "photoshoot", place / number, {"tried": "passed"})
    record(registry, "1")
    promote(registry, "1", try_out=None)
    record(registry, "2", champion="1")
    record(registry, "3", ssim=0.1, champion="1")
    registry.point(CHALLENGER, "3")
    return place


@pytest.fixture
def registry(original: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Registry:
    """A copy of one's own."""
    TRIED.clear()
    monkeypatch.setattr(promotion, "example", lambda *_: {"source_photo": b""})
    shutil.copytree(original, tmp_path, dirs_exist_ok=True)
    with closing(sqlite3.connect(tmp_path / "mlflow.db")) as there:
        for table, column in (("model_versions", "source"), ("model_versions", "storage_location"),
                              ("runs", "artifact_uri"), ("experiments", "artifact_location")):
            there.execute(f"UPDATE {table} SET {column} = replace({column}, ?, ?)", (str(original), str(tmp_path)))
        there.commit()
    return Registry("photoshoot", f"sqlite:///{tmp_path}/mlflow.db")


@pytest.fixture
def database(registry: Registry, tmp_path: Path) -> Callable[..., None]:
    """Runs a statement in the registry's database, behind MLflow's back."""

    def run(statement: str, *values: str) -> None:
        with closing(sqlite3.connect(tmp_path / "mlflow.db")) as there:
            assert there.execute(statement, values).rowcount
            there.commit()

    return run


def kinds(registry: Registry) -> list[str]:
    return sorted(finding.kind for finding in audit(registry).findings)


def file_of(tmp_path: Path, version: str, name: str) -> Path:
    return tmp_path / version / name


def evidence_of(tmp_path: Path, name: str, version: str, registry: Registry) -> Path:
    run = registry.get(version).run_id
    (path,) = (tmp_path / "runs" / run).rglob(name)
    return path


def test_what_was_left_alone_is_clean(registry: Registry) -> None:
    found = audit(registry)
    assert not found.findings and not found.notes and (found.versions, found.entries) == (3, 4)
    assert promote(registry, "2", try_out=tried).champion == "2" and TRIED and not kinds(registry)


def test_a_verdict_edited_in_a_tag_promotes_nobody(registry: Registry) -> None:
    registry.tag("3", {"verdict": "passed", "verdict.summary": "passed all 19 requirements"})
    with pytest.raises(InputError, match=r"its tag says passed, its evaluation says failed 1 of .*: ssim"):
        promote(registry, "3", try_out=tried)
    assert registry.aliased(CHAMPION) == "1" and not TRIED and kinds(registry) == ["tag"]


def test_figures_edited_in_the_evaluation_promote_nobody(registry: Registry, tmp_path: Path) -> None:
    path = evidence_of(tmp_path, "metrics.json", "3", registry)
    content = json.loads(path.read_text())
    content["metrics"]["ssim"] |= {"value": 0.9, "low": 0.9, "high": 0.9}
    path.write_text(json.dumps(content))
    registry.tag("3", {"verdict": "passed"})
    with pytest.raises(InputError, match=r"metrics\.json of its run was changed after it was registered"):
        promote(registry, "3", try_out=tried)
    assert kinds(registry) == ["evidence", "tag"]


@pytest.mark.parametrize("name", ["settings.json", "comparison.json"])
def test_bounds_and_comparison_are_those_that_were_recorded(registry: Registry, tmp_path: Path, name: str) -> None:
    path = evidence_of(tmp_path, name, "2", registry)
    path.write_text(path.read_text() + " ")
    with pytest.raises(InputError, match=rf"{name} of its run was changed"):
        promote(registry, "2", try_out=tried)
    path.unlink()
    with pytest.raises(InputError, match=rf"{name} of its run cannot be read"):
        promote(registry, "2", try_out=tried)


def test_another_version_s_evidence_is_no_evidence(registry: Registry, database: Callable[..., None]) -> None:
    """Version 3's entry is made to say what version 2's says: digests of another model, and the chain is broken."""
    two = next(found for found in Ledger("photoshoot", registry.uri).read().records if found.version == "2")
    text = two.to_text().replace('"version": "2"', '"version": "3"')
    database("UPDATE model_version_tags SET value = ? WHERE name = 'photoshoot-ledger' AND version = 4", text)
    database("UPDATE model_versions SET run_id = (SELECT run_id FROM model_versions WHERE name = 'photoshoot' AND "
             "version = 2) WHERE name = 'photoshoot' AND version = 3")
    registry.tag("3", {"verdict": "passed"})
    with pytest.raises(DataError, match=r"artifacts/generator\.safetensors was changed"):
        promote(registry, "3", try_out=tried)
    assert not TRIED and "ledger" in kinds(registry)  # the mark on the model knows the last entry


@pytest.mark.parametrize("name", ["pyfunc_model.py", "artifacts/generator.safetensors"])
def test_changed_files_are_refused_by_name_before_anything_is_run(registry: Registry, tmp_path: Path,
                                                                 name: str) -> None:
    file_of(tmp_path, "2", name).write_text("raise SystemExit('this ran')")
    for force in (False, True):
        with pytest.raises(DataError, match=rf"{name} was changed.*--accept-changed"):
            promote(registry, "2", force=force, reason="why not", try_out=tried)
    assert not TRIED and registry.aliased(CHAMPION) == "1"
    assert [(found.kind, found.version) for found in audit(registry).findings] == [("file", "2")]


def test_a_file_too_many_or_too_few_is_a_change(registry: Registry, tmp_path: Path) -> None:
    file_of(tmp_path, "2", "sitecustomize.py").write_text("")
    with pytest.raises(DataError, match=r"sitecustomize\.py was not registered with it"):
        promote(registry, "2", try_out=tried)
    file_of(tmp_path, "2", "sitecustomize.py").unlink()
    file_of(tmp_path, "2", "pyfunc_model.py").unlink()
    with pytest.raises(DataError, match=r"pyfunc_model\.py is missing"):
        promote(registry, "2", try_out=tried)


def test_what_mlflow_and_python_write_themselves_is_no_change(registry: Registry, tmp_path: Path) -> None:
    file_of(tmp_path, "2", "registered_model_meta").write_text("model_name: photoshoot")
    file_of(tmp_path, "2", "__pycache__").mkdir()
    file_of(tmp_path, "2", "__pycache__/pyfunc_model.cpython-311.pyc").write_bytes(b"")
    assert promote(registry, "2", try_out=tried).champion == "2"


def test_loading_checks_the_weights(registry: Registry, tmp_path: Path) -> None:
    versions = Versions("photoshoot", registry.uri)
    with versions.files(versions.get("1")) as folder:
        assert (folder / "generator.safetensors").is_file()
    file_of(tmp_path, "1", "artifacts/generator.safetensors").write_bytes(b"another")
    with (pytest.raises(DataError, match=r"version 1 of photoshoot.*generator\.safetensors was changed"),
          versions.files(versions.get(CHAMPION))):
        pass


def test_changed_files_are_accepted_with_a_reason_that_the_ledger_keeps(registry: Registry, tmp_path: Path) -> None:
    file_of(tmp_path, "1", "artifacts/generator.safetensors").write_bytes(b"another")
    with pytest.raises(InputError, match="needs a reason"):
        accept_changed(registry, "1", " ")
    assert "was changed" in accept_changed(registry, CHAMPION, "pruned by hand")
    assert accept_changed(registry, "1", "again") == ""  # nothing left to accept
    versions = Versions("photoshoot", registry.uri)
    with versions.files(versions.get("1")):
        pass
    (kept,) = (found for found in standing(registry).journal.records if found.action == "accept")
    assert kept.why == "pruned by hand" and kept.who
    # Its evaluation was of the other weights: what was accepted is used, but makes no champion anew.
    promote(registry, "2", try_out=tried)
    with pytest.raises(InputError, match="its evaluation is of another model"):
        promote(registry, "1", try_out=tried)
    assert rollback(registry, try_out=tried).champion == "1"


def test_an_alias_set_by_hand_is_said_not_obeyed_and_put_back(registry: Registry) -> None:
    registry.point(CHAMPION, "3")
    now, versions = standing(registry), Versions("photoshoot", registry.uri)
    assert now.champion == "1" and "points to version 3, the ledger says version 1" in now.notes[-1]
    assert registry.aliased(CHAMPION) == "3"  # looking changes nothing
    found, _ = versions.usual()
    assert found and found.number == "1" and "ledger says version 1" in versions.notes[0]
    assert kinds(registry) == ["alias"]
    assert repair(registry) == ("1", "the alias champion pointed to version 3: it points to version 1 again, as the "
                                     "ledger says")
    assert registry.aliased(CHAMPION) == "1" and not kinds(registry) and repair(registry)[1].endswith("right already")


def test_an_alias_that_nobody_promoted_is_taken_away(registry: Registry) -> None:
    mlflow.MlflowClient(registry.uri).create_registered_model("other")
    client, other = mlflow.MlflowClient(registry.uri), Registry("other", registry.uri)
    client.copy_model_version("models:/photoshoot/3", "other")
    record(other, "1", ssim=0.1)
    other.point(CHAMPION, "1")
    assert standing(other).champion is None and "knows of no promotion" in standing(other).notes[0]
    assert Versions("other", registry.uri).usual()[0] is None
    with pytest.raises(InputError, match="knows of no promotion"):
        Versions("other", registry.uri).get(CHAMPION)
    assert repair(other)[0] is None and other.aliased(CHAMPION) is None


@pytest.mark.parametrize(("first", "complaint"), [(1, "entries 1 to 4 were deleted"), (4, "entry 4 was deleted")])
def test_entries_gone_from_the_database_are_missed(registry: Registry, database: Callable[..., None], first: int,
                                                   complaint: str) -> None:
    for table in ("model_version_tags", "model_versions"):
        database(f"DELETE FROM {table} WHERE name = 'photoshoot-ledger' AND version >= ?", str(first))
    assert complaint in standing(registry).notes
    found = audit(registry).findings
    assert complaint in [one.what for one in found] and any("entry 4, the record" in one.what for one in found)
    registry.tag("3", {"verdict": "passed"})
    with pytest.raises(InputError, match="the ledger's record of it is gone"):
        promote(registry, "3", try_out=tried)
    with pytest.raises(InputError, match=f"not whole: {complaint}"):
        repair(registry)
    record(registry, "2", champion="1")  # the next entry takes the number of one that is gone, and wipes out no trace
    assert complaint in standing(registry).notes and complaint in [one.what for one in audit(registry).findings]


def test_an_edited_last_entry_is_noticed(registry: Registry, database: Callable[..., None]) -> None:
    promote(registry, "2", try_out=tried)
    head = standing(registry).journal.counting[-1]
    database("UPDATE model_version_tags SET value = ? WHERE name = 'photoshoot-ledger' AND version = 5",
             head.to_text().replace('"to": "2"', '"to": "3"'))
    assert "entry 5 was changed after it was written" in standing(registry).notes


def test_code_that_no_photoshoot_wrote_is_not_run_for_a_version_without_a_record(registry: Registry,
                                                                                 tmp_path: Path) -> None:
    client = mlflow.MlflowClient(registry.uri)
    bare_version(client, "photoshoot", tmp_path / "4", {"verdict": "passed"})
    with pytest.raises(InputError, match="not recorded"):
        promote(registry, "4", try_out=tried)
    with pytest.raises(DataError, match="is not the code of any photoshoot"):
        promote(registry, "4", force=True, reason="old", try_out=tried)
    assert not TRIED and kinds(registry) == ["file"]
    accept_changed(registry, "4", "read it, it is fine")
    assert promote(registry, "4", force=True, reason="old", try_out=tried).champion == "4"
