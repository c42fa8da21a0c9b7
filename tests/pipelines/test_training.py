from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml
from google.protobuf import json_format
from kfp.pipeline_spec import pipeline_spec_pb2

from components.core.errors import InputError
from components.core.presets import preset
from pipelines.kubeflow.compilation import compile_pipeline
from pipelines.steps import steps_of_run


def _compiled(tmp_path: Path, **kwargs: str) -> pipeline_spec_pb2.PipelineSpec:
    out = tmp_path / "pipeline.yaml"
    compile_pipeline(preset("smoke"), out, **kwargs)
    document = next(yaml.safe_load_all(out.read_text()))
    return json_format.ParseDict(document, pipeline_spec_pb2.PipelineSpec())


def _after(spec: pipeline_spec_pb2.PipelineSpec) -> dict[str, set[str]]:
    return {name: set(task.dependent_tasks) for name, task in spec.root.dag.tasks.items()}


def test_the_compiled_pipeline_is_the_picture(tmp_path: Path) -> None:
    assert _after(_compiled(tmp_path)) == {
        "synthesize": set(),
        "preprocess": {"synthesize"},
        "cluster": {"preprocess"},
        "train": {"preprocess", "cluster"},
        "evaluate": {"preprocess", "cluster", "train"},
        "challenge": {"preprocess", "cluster", "train", "evaluate"},
        "register": {"preprocess", "cluster", "train", "evaluate", "challenge"},
    }


def test_photos_are_imported_instead_of_synthesised(tmp_path: Path) -> None:
    spec = _compiled(tmp_path, photos="gs://bucket/photos")
    assert _after(spec)["preprocess"] == {"importer"}
    assert "synthesize" not in spec.root.dag.tasks
    importer = json_format.MessageToDict(spec.deployment_spec)["executors"]["exec-importer"]["importer"]
    assert importer["artifactUri"]["constant"] == "gs://bucket/photos"


def test_every_step_gets_its_own_section_and_image(tmp_path: Path) -> None:
    spec = _compiled(tmp_path, registry="registry.example/team")
    executors = json_format.MessageToDict(spec.deployment_spec)["executors"]
    tree = preset("smoke").to_tree()
    for step in steps_of_run(synthetic=True, tuned=False):
        value = spec.root.dag.tasks[step].inputs.parameters["settings"].runtime_value.constant.string_value
        assert json.loads(value) == tree["register" if step == "challenge" else step]  # margins, name of the model
        assert executors[f"exec-{step}"]["container"]["image"].startswith("registry.example/team/photoshoot-")
    for step in ("challenge", "register"):
        assert not spec.root.dag.tasks[step].caching_options.enable_cache
    assert spec.root.dag.tasks["train"].caching_options.enable_cache


def test_steps_install_nothing_when_they_start(tmp_path: Path) -> None:
    spec = _compiled(tmp_path)
    for executor in json_format.MessageToDict(spec.deployment_spec)["executors"].values():
        assert "pip install" not in " ".join(executor["container"]["command"])


def test_a_file_that_is_not_yaml_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"pipeline\.json"):
        compile_pipeline(preset("smoke"), tmp_path / "pipeline.json")
