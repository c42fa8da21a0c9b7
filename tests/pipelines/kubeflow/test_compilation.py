"""What `photoshoot compile` writes, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from components.core.presets import preset
from pipelines.kubeflow.compilation import compile_pipeline, stable_header
from pipelines.placement import load_profile


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
