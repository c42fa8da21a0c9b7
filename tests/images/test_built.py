"""The images as they were built, where PHOTOSHOOT_CONTAINERS says that they were; and what is pushed."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import threading
import uuid
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import requests
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator
from servers import Service, free_port

from components.core.errors import DataError, InputError
from components.core.stores.published import GROUPS
from pipelines.containers import build as building
from pipelines.containers import images as naming
from pipelines.containers.engines import Engine, find_engine
from pipelines.containers.images import ENVIRONMENT, LOCAL, LOCK, REQUIREMENTS, images, services
from pipelines.containers.requirements import versions
from pipelines.containers.sbom import bill, contents_of
from pipelines.steps import SERVICE_IMAGE, STEP_IMAGE, STEP_ROOMS, STEPS

needs_images = pytest.mark.skipif("PHOTOSHOOT_CONTAINERS" not in os.environ,
                                  reason="PHOTOSHOOT_CONTAINERS is not set: .ci/containers builds the images")
every_step = pytest.mark.parametrize("step", STEPS)
REGISTRY = "registry.example/team"
PARTS = STEP_IMAGE | SERVICE_IMAGE


@pytest.fixture(scope="module")
def engine() -> Engine:
    return find_engine()


def strict(engine: Engine, part: str, *command: str, user: str = "54321:54321", **environment: str) -> list[str]:
    """The command line that runs a command in the image of a step or service as a strict cluster would."""
    return [engine.name, "run", "--rm", "--network=host", "--read-only", "--tmpfs=/tmp:mode=1777", "--cap-drop=ALL",
            "--security-opt=no-new-privileges", f"--user={user}", *(f"--env={k}={v}" for k, v in environment.items()),
            (images(LOCAL) | services(LOCAL))[part], *command]


def run(engine: Engine, step: str, *command: str, user: str = "54321:54321") -> subprocess.CompletedProcess[str]:
    """A command in an image, with the variable that KFP's own command sets."""
    return subprocess.run(strict(engine, step, *command, user=user, _KFP_RUNTIME="true"), capture_output=True,
                          text=True)


@needs_images
@every_step
def test_a_step_imports_its_code_on_a_read_only_disk_as_anybody(engine: Engine, step: str) -> None:
    rooms = STEP_ROOMS.get(step, (step,))
    done = run(engine, step, "python3", "-c", f"""
import importlib, pkgutil, kfp.dsl.executor_main
for room in {rooms}:
    package = importlib.import_module(f"components.{{room}}")
    for module in pkgutil.iter_modules(package.__path__, f"{{package.__name__}}."):
        if not module.name.endswith("component"):  # those say how KFP starts the step, on the other side
            importlib.import_module(module.name)
    print(package.__file__)""")
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [f"/opt/photoshoot/components/{room}/__init__.py" for room in rooms]


@needs_images
@pytest.mark.parametrize("step", ["synthesize", "preprocess", "train", "studio"])
def test_an_image_has_the_command_and_no_tools_to_build_with(engine: Engine, step: str) -> None:
    done = run(engine, step, "photoshoot", "--help")
    assert done.returncode == 0 and "Usage" in done.stdout, done.stderr
    tools = run(engine, step, "sh", "-c", "for t in gcc g++ cc make ninja git; do command -v $t; done; ls -A /build; "
                "find /root /opt /var/lib/apt/lists -name '*.whl' -o -path '*/.cache/*' 2>/dev/null", user="0:0")
    assert not tools.stdout.strip()


@needs_images
def test_images_say_what_they_are_and_share_their_largest_layers(engine: Engine) -> None:
    layers, sizes = list[list[str]](), list[int]()
    for step in ("synthesize", "preprocess", "train", "studio"):
        found = engine.inspect((images(LOCAL) | services(LOCAL))[step])
        assert found
        labels = found["Config"]["Labels"]
        assert labels["org.opencontainers.image.title"] == f"photoshoot-{PARTS[step]}"
        assert re.fullmatch(r"(sha256:)?[0-9a-f]{64}", labels["org.opencontainers.image.base.digest"])
        assert re.fullmatch(r"[0-9a-f]{16}", labels[building.VARIANT])
        assert re.fullmatch(r"[1-9]\d{4,}:[1-9]\d{4,}", found["Config"]["User"])
        layers.append(found["RootFS"]["Layers"])
        sizes.append(found["Size"])
    shared = [layer for layer in layers[0] if all(layer in each for each in layers)]
    whole = engine.inspect(f"{LOCAL}/photoshoot-{ENVIRONMENT}:{naming.recipe_digest(ENVIRONMENT)}-"
                           f"{labels[building.VARIANT]}")
    assert whole
    environment = whole["RootFS"]["Layers"]
    assert shared[:len(environment)] == environment
    assert max(sizes) < 1.5 * whole["Size"]


@needs_images
def test_how_pip_was_configured_is_in_no_image(engine: Engine) -> None:
    for step in ("synthesize", "preprocess", "train", "studio"):
        reference = (images(LOCAL) | services(LOCAL))[step]
        history = engine.run("history", "--no-trunc", "--format", "{{.CreatedBy}}", reference)
        for public in ("https://github.com/", building.CPU_INDEX):
            history = history.replace(public, "")
        assert "pip" in history and "://" not in history
        left = run(engine, step, "sh", "-c", "cat /etc/pip.conf /run/secrets/* 2>/dev/null", user="0:0")
        assert not left.stdout.strip()


@needs_images
@pytest.mark.parametrize("part", ["synthesize", "preprocess", "train", "studio"])
def test_an_image_holds_what_its_lists_say_and_nothing_else(engine: Engine, part: str) -> None:
    reference = (images(LOCAL) | services(LOCAL))[part]
    contents = contents_of(engine, reference)
    found = {one["name"]: one["version"] for one in contents["packages"]}
    lists = {path.stem: versions(path.read_text()) for path in (naming.repository() / REQUIREMENTS).glob("*.txt")}
    listed = lists[ENVIRONMENT] | lists[PARTS[part]] | lists["kfp"]
    assert {name: found.get(name) for name in listed} == listed
    # A build of torch of its own brings libraries of its own.
    assert found.keys() - listed.keys() <= lists["torch"].keys() | {"photoshoot"}
    assert found["torch"].partition("+")[0] == lists["torch"]["torch"]
    image = engine.inspect(reference)
    assert image
    text = bill(contents, reference, image)
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    assert {"libc6", "python3-minimal"} <= {one["name"] for one in json.loads(text)["components"]}


def get(url: str, token: str | None = None) -> tuple[int, str]:
    """Status and body of a GET, redirects not followed; 0 where nobody answers."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    try:
        answer = requests.get(url, headers=headers, timeout=30, allow_redirects=False)
    except requests.ConnectionError:
        return 0, ""
    return answer.status_code, answer.text


@needs_images
def test_the_studio_starts_on_a_read_only_disk_and_answers_who_has_the_token(engine: Engine, tmp_path: Path) -> None:
    port, token = free_port(), uuid.uuid4().hex
    url = f"http://127.0.0.1:{port}"
    command = strict(engine, "studio", "photoshoot", "studio", "--host", "0.0.0.0", "--port", str(port),
                     "--version", "starter", user="10001:10001", PHOTOSHOOT_STUDIO_TOKEN=token)
    with Service(command, lambda: get(f"{url}/readyz")[0] == 200, tmp_path):
        assert get(f"{url}/healthz")[0] == 200
        status, metrics = get(f"{url}/metrics", token)
        assert status == 200 and metrics.startswith("# ") and metrics.rstrip().endswith("# EOF")
        status, page = get(url)
        assert status in (302, 303, 307, 401, 403), "a page without a token"
        assert token not in page and token not in (tmp_path / "service.log").read_text()


@needs_images
def test_the_studio_image_is_the_page_and_refuses_to_be_open_to_everybody(engine: Engine) -> None:
    by_itself = subprocess.run(strict(engine, "studio", user="10001:10001"), capture_output=True, text=True)
    assert by_itself.returncode not in (0, 70) and "token" in by_itself.stderr.lower(), by_itself.stderr
    assert len(by_itself.stderr.strip().splitlines()) == 1


@needs_images
def test_the_studio_brings_along_the_networks_that_find_people(engine: Engine) -> None:
    done = run(engine, "studio", "photoshoot", "weights", "--json")
    assert done.returncode == 0, done.stderr
    found = {one["name"]: one["where"] for one in json.loads(done.stdout)["weights"]}
    needed = [name for group in ("landmarks", "faces") for name in GROUPS[group]]
    assert needed and all(found[name] == "image" for name in needed), found


def test_the_recipe_belongs_to_the_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("images", "constraints.txt", "pyproject.toml", "requirements"):
        copy = shutil.copytree if (naming.repository() / name).is_dir() else shutil.copyfile
        copy(naming.repository() / name, tmp_path / name)
    monkeypatch.setattr(naming, "repository", lambda: tmp_path)
    monkeypatch.setattr(naming.digest, "code_digest", lambda *_, **__: "the same code")

    def names() -> dict[str, str]:
        naming.code_digest.cache_clear()
        return images()

    def changed(path: str, old: str, new: str) -> set[str]:
        before, text = names(), (tmp_path / path).read_text()
        assert old in text
        (tmp_path / path).write_text(text.replace(old, new))
        return {step for step, name in names().items() if name != before[step]}

    assert changed("images/README.md", "train", "training") == set()
    assert changed("images/Dockerfile", "AS train-packages", "AS train-packages\nARG X") == {
        step for step, image in STEP_IMAGE.items() if image == "train"}
    assert changed("images/Dockerfile", "AS densepose", "AS densepose\nARG X") == {"preprocess"}
    assert changed("images/Dockerfile", "PYTHONUNBUFFERED=1", "PYTHONUNBUFFERED=x") == set(STEPS)
    assert changed("constraints.txt", "torch==", "torch===") == set(STEPS)
    assert changed("pyproject.toml", "line-length = 120", "line-length = 121") == set()
    assert changed("pyproject.toml", "playwright>=1.50", "playwright>=1.51") == set(), "no image installs it"
    assert changed("requirements/preprocess.txt", "imagehash==", "imagehash===") == {"preprocess"}
    assert changed("requirements/train.txt", "optuna==", "optuna===") == {
        step for step, image in STEP_IMAGE.items() if image == "train"}
    assert changed("requirements/environment.txt", "numpy==", "numpy===") == set(STEPS)
    assert changed("requirements/torch.txt", "torch==", "torch===") == set(STEPS)
    before = naming.services()
    assert changed("requirements/studio.txt", "tqdm==", "tqdm===") == set()
    naming.code_digest.cache_clear()
    assert naming.services() != before
    naming.code_digest.cache_clear()


@pytest.fixture
def lock(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(LOCK, str(tmp_path / "lock.json"))
    return tmp_path / "lock.json"


def test_without_a_lock_kubeflow_gets_names_by_content(lock: Path) -> None:
    assert naming.pushed_images(REGISTRY) == images(REGISTRY)


def test_kubeflow_gets_what_was_pushed_or_nothing(lock: Path) -> None:
    entries = {step: {"content": naming.code_digest(step), "variant": "v",
                      "reference": f"{REGISTRY}/photoshoot-{STEP_IMAGE[step]}@sha256:{step}"} for step in STEPS}
    naming.write_lock({REGISTRY: entries})
    assert naming.pushed_images(f"{REGISTRY}/") == {step: entries[step]["reference"] for step in STEPS}
    assert naming.pushed_images() == naming.pushed_images(REGISTRY), "the one that was pushed to"
    assert naming.pushed_images("other.example") == images("other.example")
    entries["train"]["content"] = "old"
    naming.write_lock({REGISTRY: entries})
    with pytest.raises(InputError, match=r"train -- make images, then make push"):
        naming.pushed_images(REGISTRY)


@pytest.mark.parametrize("text", ["", "[]", '{"format": "x"}', '{"format": "photoshoot.images/1", "registries": [1]}'])
def test_a_broken_lock_is_named(lock: Path, text: str) -> None:
    lock.write_text(text)
    with pytest.raises(DataError, match=re.escape(str(lock))):
        naming.pushed_images(REGISTRY)


class _Registry(BaseHTTPRequestHandler):
    """As much of the OCI distribution specification as a push asks for."""

    protocol_version = "HTTP/1.1"
    server: Any

    def do_GET(self) -> None:
        kind = "manifests" if "/manifests/" in self.path else "blobs"
        name, _, key = self.path.removeprefix("/v2/").partition(f"/{kind}/")
        there = self.path == "/v2/" or (kind, name, key) in self.server.kept
        self._send(200 if there else 404, {})

    do_HEAD = do_GET

    def do_POST(self) -> None:
        self._body()
        self._send(202, {"Location": f"{self.path.partition('?')[0]}{uuid.uuid4()}"})

    def do_PATCH(self) -> None:
        size = len(self._body())
        self._send(202, {"Location": self.path, "Range": f"0-{max(size - 1, 0)}"})

    def do_PUT(self) -> None:
        body = self._body()
        if "/manifests/" in self.path:
            import hashlib

            name, _, tag = self.path.removeprefix("/v2/").partition("/manifests/")
            digest = f"sha256:{hashlib.sha256(body).hexdigest()}"
            self.server.manifests[digest] = (name, tag)
            return self._send(201, {"Docker-Content-Digest": digest})
        path, _, query = self.path.partition("?")
        digest = query.partition("digest=")[2].replace("%3A", ":")
        self.server.kept.add(("blobs", path.removeprefix("/v2/").partition("/blobs/")[0], digest))
        return self._send(201, {"Docker-Content-Digest": digest})

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding") != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        pieces = []
        while size := int(self.rfile.readline(), 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)

    def _send(self, status: int, headers: dict[str, str]) -> None:
        self.send_response(status)
        for name, value in {"Docker-Distribution-Api-Version": "registry/2.0", "Content-Length": "0"}.items():
            self.send_header(name, value)
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def registry() -> Iterator[ThreadingHTTPServer]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), _Registry)
    server.kept, server.manifests = set(), {}  # type: ignore[attr-defined]
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield server
    server.shutdown()
    server.server_close()


@needs_images
def test_a_push_records_digests_and_keeps_those_of_unchanged_steps(
    engine: Engine, registry: Any, lock: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    mark = uuid.uuid4().hex[:8]
    content = {part: f"{image}-{mark}" for part, image in PARTS.items()}
    for module in (naming, building):
        monkeypatch.setattr(module, "code_digest", content.__getitem__)
    address = f"127.0.0.1:{registry.server_address[1]}/team"

    def built(step: str) -> None:
        dockerfile = tmp_path / "Dockerfile"
        dockerfile.write_text(f"FROM scratch\nCOPY Dockerfile /{content[step]}\nLABEL {building.VARIANT}=v\n")
        reference = (images(LOCAL) | services(LOCAL))[step]
        engine.run("build", f"--tag={reference}", f"--file={dockerfile}", str(tmp_path))
        made.append(reference)

    made: list[str] = []
    try:
        with pytest.raises(InputError, match="make images"):
            building.push_images(engine, address)
        for step in ("synthesize", "preprocess", "train", "studio"):
            built(step)
        first = building.push_images(engine, address)
        assert set(first) == set(PARTS) and len(registry.manifests) == 4
        for step, entry in first.items():
            name, _, digest = entry["reference"].partition("@")
            assert registry.manifests[digest][0] == f"team/photoshoot-{PARTS[step]}"
            assert name == f"{address}/photoshoot-{PARTS[step]}"
        assert naming.pushed_images(address) == {step: first[step]["reference"] for step in STEPS}
        content["evaluate"] += "-new"
        built("evaluate")
        second = building.push_images(engine, address)
        assert {step for step in PARTS if second[step] != first[step]} == {"evaluate"}
        assert len(registry.manifests) == 5
        assert json.loads(lock.read_text())["registries"][address] == second
    finally:
        for reference in made:
            engine.run("rmi", "--force", reference)
