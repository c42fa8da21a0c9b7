"""Container images: are they in their registry, under names that change with the code?

A registry is asked as the OCI Distribution Specification 1.1 says (HEAD ``/v2/<name>/manifests/<reference>``), as
nobody or with what Google gives this machine. Nodes may be somebody else, so a refusal is a warning.
"""

from __future__ import annotations

import re
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor

from components.core.documents import MOST_LINE, json_object
from pipelines.doctor.finding import Finding, ok, problem, warning

_ANSWER_S = 6.0
_TYPES = ", ".join(("application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json",
                    "application/vnd.docker.distribution.manifest.list.v2+json",
                    "application/vnd.docker.distribution.manifest.v2+json"))
_CHALLENGE = re.compile(r'(\w+)="([^"]*)"')
_CONTENT = re.compile(r"(@sha256:[0-9a-f]{64}|:[0-9a-f]{12,64})$")
_LOOPBACK = ("localhost", "127.0.0.1")


def cache_safety(images: Mapping[str, str]) -> list[Finding]:
    """Whether each step's image (step -> reference) is named by its content: KFP's cache goes by the name alone."""
    loose = sorted({image for image in images.values() if not _CONTENT.search(image)})
    if loose:
        return [problem("cache safety", f"{', '.join(loose[:3])} can change under one name",
                        "a digest, or a tag made of the code", "name images by digest: `make push` records them")]
    return [ok("cache safety", f"{len(set(images.values()))} images, named by the code inside them")]


def present(images: Mapping[str, str]) -> list[Finding]:
    """Whether the images (step -> reference) are in their registries."""
    if any(not registry_of(image) for image in images.values()):
        return [warning("images", "without a registry: " + ", ".join(sorted(set(images.values()))[:3]),
                        "a registry that the nodes can reach", "make push REGISTRY=..., then --registry ...")]
    names = sorted(set(images.values()))
    with ThreadPoolExecutor(max_workers=8) as pool:
        return list(pool.map(_present, names))


def registry_of(image: str) -> str:
    """Host and port of an image reference, or nothing: its first part where that has a dot, a port or is localhost."""
    first, slash, _ = image.partition("/")
    return first if slash and ("." in first or ":" in first or first == "localhost") else ""


def _present(image: str) -> Finding:
    host = registry_of(image)
    name, _, reference = image.removeprefix(f"{host}/").partition("@")
    if not reference:
        name, _, reference = name.rpartition(":")
    what = f"image {name.rpartition('/')[2]}"
    scheme = "http" if host.partition(":")[0] in _LOOPBACK else "https"
    url = f"{scheme}://{host}/v2/{name}/manifests/{reference}"
    try:
        status, digest = _ask(url)
    except (urllib.error.URLError, TimeoutError, ConnectionError, ValueError) as error:
        return problem(what, f"{host} does not answer: {getattr(error, 'reason', error)}", "its registry",
                       "is --registry right?")
    if status == 200:
        return ok(what, f"{reference} is {digest[:19] or 'there'}", "in its registry")
    if status == 404:
        return problem(what, f"no {reference} at {host}", "in its registry", "make images && make push REGISTRY=...")
    return warning(what, f"{host} answers {status} to this account", "in its registry",
                   "log in here to have it checked; the nodes' account or image_pull_secrets must have the right")


def _ask(url: str) -> tuple[int, str]:
    """Status and digest; after a challenge once more, with a token."""
    status, headers = _head(url, {})
    if status in (401, 403):
        authorization = _authorization(headers.get("www-authenticate", ""), urllib.parse.urlsplit(url).hostname or "")
        if authorization:
            status, headers = _head(url, {"Authorization": authorization})
    return status, headers.get("docker-content-digest", "")


def _head(url: str, headers: Mapping[str, str]) -> tuple[int, dict[str, str]]:
    request = urllib.request.Request(url, method="HEAD", headers={"Accept": _TYPES, **headers})
    try:
        with urllib.request.urlopen(request, timeout=_ANSWER_S) as answer:
            return answer.status, {key.lower(): value for key, value in answer.headers.items()}
    except urllib.error.HTTPError as error:
        return error.code, {key.lower(): value for key, value in error.headers.items()}


def _authorization(challenge: str, host: str) -> str:
    """What answers a registry's challenge: Google's token for Google's registries, else the token that anybody gets."""
    if host.endswith((".pkg.dev", "gcr.io")):
        from kfp.client import auth

        try:
            return f"Bearer {auth.get_gcp_access_token()}"
        except Exception:  # no Google account on this machine: ask as nobody
            return ""
    parts = dict(_CHALLENGE.findall(challenge))
    realm = parts.pop("realm", "")
    if not challenge.lower().startswith("bearer") or not realm.startswith("http"):
        return ""
    query = urllib.parse.urlencode({key: parts[key] for key in ("service", "scope") if key in parts})
    with urllib.request.urlopen(f"{realm}?{query}", timeout=_ANSWER_S) as answer:
        given = json_object(answer.read(MOST_LINE))
    token = given.get("token") or given.get("access_token")
    return f"Bearer {token}" if token else ""
