"""What `photoshoot compile` writes, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest
import yaml

from components.core.errors import SettingsError
from components.core.presets import preset
from pipelines.cli import main
from pipelines.kubeflow.compilation import compile_pipeline, stable_header
from pipelines.profile import load_profile, names


def test_the_same_input_gives_the_same_bytes(tmp_path: Path, quick_kfp: None) -> None:
    """Whoever keeps compiled pipelines under version control sees changes, not the order of a protobuf map."""
    here, there = tmp_path / "here.yaml", tmp_path / "there.yaml"
    compile_pipeline(preset("smoke"), here, None, "registry", load_profile("gke-spot"))
    subprocess.run([sys.executable, "-m", "pipelines.cli", "compile", "--preset", "smoke", "--profile", "gke-spot",
                    "--registry", "registry", "--out", str(there)], check=True, capture_output=True)
    assert here.read_bytes() == there.read_bytes()


def test_the_headers_defaults_do_not_hang_on_the_order_of_a_mapping() -> None:
    inputs = {"labels": {"parameterType": "STRUCT", "defaultValue": {"b": "1", "a": "2"}}}
    texts = {stable_header(f"# Inputs:\n#    labels: dict [Default: {default}]\ncomponents: {{}}\n",
                           {"root": {"inputDefinitions": {"parameters": inputs}}})
             for default in ("{'b': '1', 'a': '2'}", "{'a': '2', 'b': '1'}")}
    assert texts == {'# Inputs:\n#    labels: dict [Default: {"a": "2", "b": "1"}]\ncomponents: {}\n'}


STATE, VOLUME = "state: gs://bucket/state\n", "state_claim: files\n"
SHARDS, TUNE, NODES = ("preprocess.shards=8",), ("tune.enabled=true", "tune.workers=4"), ("train.nodes=2",)
SHARED = "state_claim: files\nstate_access_mode: ReadWriteMany\n"
JOBS = "train_jobs: true\n"
COMBINATIONS = {
    # What the profile adds to a shipped one, the settings, and what is refused, if it is, with what to change.
    "plain": ("", (), "", ""),
    "shards 8": ("", SHARDS, "", ""),
    "tune 4": ("", TUNE, "", ""),
    "nodes 2": ("", NODES, "train.nodes=2: machines share their checkpoints on gs:// only", "state: gs://bucket/prefix"),
    "queue": ("queue: gpus\n", (*SHARDS, *TUNE), "", ""),
    "gs state": (STATE, (*SHARDS, *TUNE), "", ""),
    "volume state": (VOLUME, (), "", ""),
    "volume state, shards 8": (VOLUME, SHARDS, "preprocess.shards=8: tasks on several nodes cannot share the volume",
                               "state_access_mode: ReadWriteMany"),
    "volume state, tune 4": (VOLUME, TUNE, "tune.workers=4: tasks on several nodes cannot share", "tune.workers=1"),
    "shared volume, shards 8, tune 4": (SHARED, (*SHARDS, *TUNE), "", ""),
    "volume state, nodes 2": (SHARED + JOBS, NODES, "is the volume files", "state: gs://bucket/prefix"),
    "gs state, nodes 2": (STATE, NODES, "may not make TrainJobs", "steps.trainJobs=true in the chart"),
    "gs state, train jobs, nodes 2": (STATE + JOBS, NODES, "", ""),
    "batch": (STATE + JOBS, ("train.nodes=3", "train.batch=4"), "cannot be divided by 3", "train.batch=6"),
}


@pytest.mark.parametrize("combination", COMBINATIONS)
@pytest.mark.parametrize("profile", [name for name in names() if name != "vertex"])  # that is no cluster
def test_every_combination_compiles_or_is_refused_in_one_line(
    profile: str, combination: str, tmp_path: Path, quick_kfp: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`compile_pipeline` parses what it wrote with KFP's own protobufs, which refuse unknown fields."""
    if hasattr(yaml, "CSafeDumper"):  # the same document, in a fifth of the time
        monkeypatch.setattr("kfp.compiler.pipeline_spec_builder.yaml.dump_all",
                            partial(yaml.dump_all, Dumper=yaml.CSafeDumper))
    added, changes, refused, remedy = COMBINATIONS[combination]
    mine, out = tmp_path / "mine.yaml", tmp_path / "pipeline.yaml"
    mine.write_text(f"base: {profile}\n{added}")
    settings = preset("smoke").with_changes(changes)
    if not refused:
        compile_pipeline(settings, out, "gs://bucket/photos", "registry", load_profile(str(mine)))
        spec, platform = yaml.load_all(out.read_text(), Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        pods = platform["platforms"]["kubernetes"]["deploymentSpec"]["executors"].values()
        assert pods and all(("podMetadata" in pod) == ("queue" in added) for pod in pods)
        assert ("exec-train-on-nodes" in spec["deploymentSpec"]["executors"]) == (changes == NODES)
        return
    with pytest.raises(SettingsError) as caught:
        compile_pipeline(settings, out, "gs://bucket/photos", "registry", load_profile(str(mine)))
    assert refused in str(caught.value) and remedy in str(caught.value) and "\n" not in str(caught.value)
    assert not out.exists()


def test_a_study_needs_a_database_that_its_steps_know(tmp_path: Path) -> None:
    mine = tmp_path / "mine.yaml"
    mine.write_text("steps: {train: {cpu: '1'}}\n")
    with pytest.raises(SettingsError, match=r"the database of studies -- a Secret with PHOTOSHOOT_ST"):
        compile_pipeline(preset("smoke").with_changes(TUNE), tmp_path / "a.yaml", profile=load_profile(str(mine)))


@pytest.mark.parametrize("command", [
    ("compile", "--out", "{tmp}/a.yaml"), ("run",), ("run", "--backend", "kubeflow", "--host", "http://127.0.0.1:9"),
    ("schedule", "add", "--cron", "@daily", "--host", "http://127.0.0.1:9"),
])
def test_commands_refuse_several_machines_before_they_ask_anybody(
    command: tuple[str, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [word.replace("{tmp}", str(tmp_path)) for word in command]
    home = ["--home", str(tmp_path / "home")] if words == ["run"] else []
    monkeypatch.setattr(sys, "argv", ["photoshoot", *words, "--preset", "smoke", "--set", "train.nodes=2", *home])
    monkeypatch.setattr("pipelines.cli.options.QUICK_PATIENCE", 0.1)
    with pytest.raises(SystemExit) as end:
        main()
    said = " ".join(capsys.readouterr().err.split())
    assert end.value.code == 2 and "train.nodes=2" in said and said.count(" -- ") == 1, said
