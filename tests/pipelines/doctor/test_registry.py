"""Image names, and a registry over HTTP that wants a token."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from servers import Handler, http_server

from pipelines.containers.images import images
from pipelines.doctor.finding import Level
from pipelines.doctor.registry import cache_safety, present, registry_of

DIGEST = "sha256:" + "0123456789abcdef" * 4
THERE = "/v2/team/photoshoot-train/manifests/0123456789abcdef"
PRIVATE = "/v2/team/photoshoot-secret/manifests/"


@pytest.fixture
def registry() -> Iterator[str]:
    """Host and port of a registry that gives tokens to anybody, but not for everything."""

    class Registry(Handler):
        def do_GET(self) -> None:
            assert "scope=repository%3Ateam%3Apull" in self.path
            self.reply_json(200, {"token": "anybody"})

        def do_HEAD(self) -> None:
            host = self.headers["Host"]
            if self.headers.get("Authorization") != "Bearer anybody" or self.path.startswith(PRIVATE):
                challenge = f'Bearer realm="http://{host}/token",service="registry",scope="repository:team:pull"'
                self.reply(401, WWW_Authenticate=challenge)
            elif self.path == THERE or self.path.endswith(DIGEST):
                self.reply(200, Docker_Content_Digest=DIGEST)
            else:
                self.reply(404)

    with http_server(Registry) as server:
        yield f"127.0.0.1:{server.server_port}"


def test_images_are_looked_up_by_tag_and_digest(registry: str) -> None:
    found = present({"train": f"{registry}/team/photoshoot-train:0123456789abcdef",
                     "tune": f"{registry}/team/photoshoot-train@{DIGEST}",
                     "cluster": f"{registry}/team/photoshoot-tools:fedcba9876543210",
                     "register": f"{registry}/team/photoshoot-secret:0123456789abcdef"})
    levels = {one.what: one.level for one in found}
    assert levels == {"image photoshoot-secret": Level.WARNING, "image photoshoot-tools": Level.PROBLEM,
                      "image photoshoot-train": Level.OK}
    assert [one.level for one in found].count(Level.OK) == 2


def test_a_registry_that_is_not_there_or_not_named() -> None:
    (found,) = present({"train": "localhost:1/team/photoshoot-train:0123456789abcdef"})
    assert found.level == Level.PROBLEM and "does not answer" in found.found
    (found,) = present(images())
    assert found.level == Level.WARNING and "--registry" in found.how_to_mend


def test_only_names_that_change_with_the_content_are_safe_for_the_cache() -> None:
    (safe,) = cache_safety(images("registry.example/team"))
    assert safe.level == Level.OK
    (loose,) = cache_safety({"train": "registry.example/photoshoot-train:latest", "tune": f"r.example/x@{DIGEST}"})
    assert loose.level == Level.PROBLEM and "photoshoot-train:latest" in loose.found and "x@" not in loose.found


@pytest.mark.parametrize(("image", "host"), [
    ("europe-docker.pkg.dev/p/r/photoshoot-train:1", "europe-docker.pkg.dev"), ("localhost/x:1", "localhost"),
    ("localhost:5000/x:1", "localhost:5000"), ("team/x:1", ""), ("photoshoot-train:1", "")])
def test_the_registry_of_a_name(image: str, host: str) -> None:
    assert registry_of(image) == host
