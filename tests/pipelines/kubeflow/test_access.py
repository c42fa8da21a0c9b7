from __future__ import annotations

from pathlib import Path

import pytest

from components.core.errors import InputError, MachineError
from pipelines.kubeflow import access as under_test
from pipelines.kubeflow.access import Access, Minted, Nobody


@pytest.fixture(autouse=True)
def outside(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """A machine that is no pod and has nothing in its environment."""
    for name in (under_test.ENDPOINT, under_test.UI_ENDPOINT, under_test.COOKIES, under_test.IAP_CLIENT,
                 under_test.POD_TOKEN, "KUBERNETES_SERVICE_HOST"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(under_test, "_POD_TOKEN", tmp_path / "pod-token")
    monkeypatch.setattr(under_test, "_POD_NAMESPACE", tmp_path / "pod-namespace")
    return tmp_path


def test_a_pod_finds_its_own_server_and_token(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.0.0.1")
    (outside / "pod-token").write_text("first")
    (outside / "pod-namespace").write_text("team\n")
    access = Access()
    assert access.address() == "http://ml-pipeline.team.svc.cluster.local:8888" and access.pods_namespace() == "team"
    credentials = access.credentials()
    assert credentials.headers() == {"authorization": "Bearer first"}
    (outside / "pod-token").write_text("second")  # the kubelet renews it
    assert credentials.renew() and credentials.headers() == {"authorization": "Bearer second"}


def test_what_is_asked_for_comes_before_the_environment(outside: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (outside / "cookies").write_text("authservice_session=abc\n")
    monkeypatch.setenv(under_test.COOKIES, "authservice_session=env")
    monkeypatch.setenv(under_test.ENDPOINT, "https://kubeflow.example/pipeline/")
    monkeypatch.setenv(under_test.UI_ENDPOINT, "https://ui.example/")
    assert Access().credentials().headers() == {"Cookie": "authservice_session=env"}
    assert not Access().credentials().renew()
    asked = Access(auth=f"cookies:{outside / 'cookies'}")
    assert asked.credentials().headers() == {"Cookie": "authservice_session=abc"}
    assert asked.address() == "https://kubeflow.example/pipeline"
    assert asked.page("runs/details/1") == "https://ui.example/#/runs/details/1"
    assert Access("http://other:8888").address() == "http://other:8888"


def test_google_makes_tokens_once_until_they_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    made: list[str] = []
    monkeypatch.setattr(under_test, "_iap_token", lambda client: made.append(client) or f"t{len(made)}")
    credentials = Access("https://iap.example", auth="iap:client").credentials()
    assert [credentials.headers()["authorization"] for _ in range(2)] == ["Bearer t1", "Bearer t1"]
    assert credentials.renew() and credentials.headers() == {"authorization": "Bearer t2"} and made == ["client"] * 2
    monkeypatch.setattr(under_test, "_google_token", lambda: None)
    with pytest.raises(MachineError, match="no token from Google"):
        Access("https://x-dot.googleusercontent.com").credentials().headers()


def test_a_login_at_google_that_fails_is_one_line() -> None:
    def broken() -> str:
        raise OSError("metadata\nserver")

    with pytest.raises(MachineError, match="no token from Google: metadata server"):
        Minted(broken).headers()


def test_a_port_forward_needs_nobody() -> None:
    assert isinstance(Access("http://localhost:8888").credentials(), Nobody)
    assert Access("http://localhost:8888").pods_namespace() == "kubeflow"


@pytest.mark.parametrize("content", ["", "two\nlines"])
def test_a_file_that_holds_no_secret(outside: Path, content: str) -> None:
    path = outside / "token"
    path.write_text(content)
    with pytest.raises(InputError, match="one line is expected"):
        Access("http://h", auth=f"token:{path}").credentials().headers()


def test_nowhere_to_go() -> None:
    with pytest.raises(InputError, match="--host"):
        Access().address()
