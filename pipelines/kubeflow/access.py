"""How to reach a Kubeflow Pipelines server: its address, and who one is there.

In a pod: the service account's token, which the kubelet renews. Outside: a token file, cookies of a login page (Dex,
OAuth2 proxy), Google's Identity-Aware Proxy, or nothing (a port-forward). Secrets come from files or the environment:
a command line can be read by others.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from components.core.errors import InputError, MachineError

# The names that KFP's own client reads.
ENDPOINT, UI_ENDPOINT, POD_TOKEN = "KF_PIPELINES_ENDPOINT", "KF_PIPELINES_UI_ENDPOINT", "KF_PIPELINES_SA_TOKEN_PATH"
IAP_CLIENT = "KF_PIPELINES_IAP_OAUTH2_CLIENT_ID"
IAP_APP_CLIENT, IAP_APP_SECRET = "KF_PIPELINES_APP_OAUTH2_CLIENT_ID", "KF_PIPELINES_APP_OAUTH2_CLIENT_SECRET"
COOKIES = "PHOTOSHOOT_KFP_COOKIES"
_POD_TOKEN = Path("/var/run/secrets/kubeflow/pipelines/token")
_POD_NAMESPACE = Path("/var/run/secrets/kubernetes.io/serviceaccount/namespace")
_LOGIN = "gcloud auth application-default login"
_GOOGLE_PROXY = re.compile(r"https?://\S+\.googleusercontent\.com")


class Credentials(Protocol):
    """Who one is, for each request anew."""

    def headers(self) -> dict[str, str]:
        """Headers of the next request."""
        ...

    def renew(self) -> bool:
        """After the server refused them: whether there may be better ones now."""
        ...


@dataclass(frozen=True)
class Nobody:
    """A server without login."""

    def headers(self) -> dict[str, str]:
        """None."""
        return {}

    def renew(self) -> bool:
        """Never."""
        return False


@dataclass(frozen=True)
class TokenFile:
    """A bearer token in a file that something else keeps fresh; it is read for every request."""

    path: Path

    def headers(self) -> dict[str, str]:
        """Raises `InputError` when the file cannot be read."""
        return {"authorization": f"Bearer {_secret(self.path, 'token')}"}

    def renew(self) -> bool:
        """The file may have been written meanwhile."""
        return True


@dataclass(frozen=True)
class CookiesFile:
    """Cookies of a login page (``authservice_session=...``), one line, as a browser sends them."""

    path: Path

    def headers(self) -> dict[str, str]:
        """Raises `InputError` when the file cannot be read."""
        return {"Cookie": _secret(self.path, "cookies")}

    def renew(self) -> bool:
        """The file may have been written meanwhile."""
        return True


@dataclass(frozen=True)
class CookiesText:
    """Cookies from the environment."""

    text: str

    def headers(self) -> dict[str, str]:
        """The cookies."""
        return {"Cookie": self.text}

    def renew(self) -> bool:
        """The environment of a process does not change."""
        return False


class Minted:
    """A token that Google makes: for Identity-Aware Proxy, or of this machine's account."""

    def __init__(self, mint: Callable[[], str | None]) -> None:
        self._mint = mint
        self._token: str | None = None

    def headers(self) -> dict[str, str]:
        """Raises `MachineError` when Google gives no token."""
        if self._token is None:
            try:
                self._token = self._mint()
            except Exception as error:  # google.auth raises what it likes, network errors included
                raise MachineError(f"no token from Google: {_line(error)}", remedy=_LOGIN) from None
        if not self._token:
            raise MachineError("no token from Google", remedy=_LOGIN)
        return {"authorization": f"Bearer {self._token}"}

    def renew(self) -> bool:
        """Another token is made for the next request."""
        self._token = None
        return True


@dataclass(frozen=True)
class Access:
    """What `connect` needs to know. `host` None: the server of this pod's namespace."""

    host: str | None = None
    namespace: str | None = None
    auth: str | None = None
    """``token:FILE``, ``cookies:FILE`` or ``iap:CLIENT_ID``; None: what the environment offers."""

    def address(self) -> str:
        """Base URL of the API. Raises `InputError` when there is none."""
        host = self.host or os.environ.get(ENDPOINT)
        if not host and "KUBERNETES_SERVICE_HOST" in os.environ:
            host = f"http://ml-pipeline.{self.pods_namespace()}.svc.cluster.local:8888"
        if not host:
            raise InputError("no Kubeflow Pipelines server given",
                             remedy=f"--host URL, or {ENDPOINT}; by port-forward: http://localhost:8888")
        if "://" not in host:
            raise InputError(f"--host {host} is not a URL", remedy=f"--host https://{host}")
        return host.rstrip("/")

    def pods_namespace(self) -> str:
        """Where the run's pods are: as given, that of this pod, else Kubeflow's own."""
        if self.namespace:
            return self.namespace
        try:
            return _POD_NAMESPACE.read_text(encoding="utf-8").strip() or "kubeflow"
        except OSError:
            return "kubeflow"

    def page(self, path: str) -> str:
        """Address of a page of Kubeflow's UI."""
        return f"{(os.environ.get(UI_ENDPOINT) or self.address()).rstrip('/')}/#/{path}"

    def credentials(self) -> Credentials:
        """Who to be: what was asked for, else what the environment offers."""
        kind, _, value = (self.auth or "").partition(":")
        if self.auth and not (kind in ("token", "cookies", "iap") and value):
            raise InputError(f"--auth {self.auth}", remedy="write token:FILE, cookies:FILE or iap:CLIENT_ID")
        if kind == "token":
            return TokenFile(Path(value))
        if kind == "cookies":
            return CookiesFile(Path(value))
        if not kind and os.environ.get(COOKIES):
            return CookiesText(os.environ[COOKIES])
        client = value or os.environ.get(IAP_CLIENT)
        if client:
            return Minted(lambda: _iap_token(client))
        pod = Path(os.environ.get(POD_TOKEN) or _POD_TOKEN)
        if pod.is_file():
            return TokenFile(pod)
        if _GOOGLE_PROXY.match(self.address()):
            return Minted(_google_token)
        return Nobody()


def _iap_token(client: str) -> str | None:
    from kfp.client import auth

    token = auth.get_auth_token(client, os.environ.get(IAP_APP_CLIENT), os.environ.get(IAP_APP_SECRET))[0]
    return None if token is None else str(token)


def _google_token() -> str | None:
    from kfp.client import auth

    return auth.get_gcp_access_token()  # type: ignore[no-any-return]


def _secret(path: Path, what: str) -> str:
    try:
        text = path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"no readable {what}: {_line(error)}", path=path, remedy="give a file that exists") from None
    if not text or "\n" in text:
        raise InputError(f"holds no {what}: one line is expected", path=path, remedy="write it again")
    return text


def _line(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__
