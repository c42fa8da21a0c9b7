"""Let the serving follow the alias: the work of the CronJob follow.

Environment: MLFLOW_TRACKING_URI and, where MLflow asks for it, MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD;
MODEL_NAME, MODEL_ALIAS; NAMESPACE, DEPLOYMENT; KUBERNETES_API, and KUBERNETES_ACCOUNT, the folder of the pod's token.
Nothing but the standard library. Ends with 0 when the Deployment names the alias's version, or when there is no such
alias; an error otherwise, and the serving stays as it is.
"""

from __future__ import annotations

import base64
import json
import os
import ssl
import sys
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

ANNOTATION = "photoshoot/version"


def mlflow(path: str) -> dict[str, Any]:
    """What MLflow's REST API answers to a GET."""
    request = urllib.request.Request(f"{os.environ['MLFLOW_TRACKING_URI']}/api/2.0/mlflow/{path}")
    if user := os.environ.get("MLFLOW_TRACKING_USERNAME"):
        login = f"{user}:{os.environ['MLFLOW_TRACKING_PASSWORD']}"
        request.add_header("Authorization", f"Basic {base64.b64encode(login.encode()).decode()}")
    with urllib.request.urlopen(request, timeout=30) as answer:
        return dict(json.load(answer))


def aliases() -> dict[str, str]:
    """Alias -> version of the model; nothing when there is no such model, or none that we may see."""
    # A search, because asking for the alias itself is answered with "forbidden" while there is no such model.
    query = urllib.parse.urlencode({"filter": f"name = '{os.environ['MODEL_NAME']}'", "max_results": 1})
    models = mlflow(f"registered-models/search?{query}").get("registered_models", [])
    return {entry["alias"]: str(entry["version"]) for model in models for entry in model.get("aliases", [])}


def kubernetes(method: str, address: str, body: dict[str, Any] | None = None,
               content: str = "application/strategic-merge-patch+json") -> dict[str, Any]:
    """Read or patch one thing."""
    account = Path(os.environ["KUBERNETES_ACCOUNT"])
    request = urllib.request.Request(
        address, method=method, data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {(account / 'token').read_text()}", "Content-Type": content},
    )
    trust = ssl.create_default_context(cafile=str(account / "ca.crt")) if address.startswith("https") else None
    with urllib.request.urlopen(request, timeout=30, context=trust) as answer:
        return dict(json.load(answer))


def main() -> None:
    name = f"{os.environ['MODEL_NAME']}@{os.environ['MODEL_ALIAS']}"
    version = aliases().get(os.environ["MODEL_ALIAS"])
    if version is None:
        print(f"{name}: no such version that we may see; nothing to do")
        return
    address = (f"{os.environ['KUBERNETES_API']}/apis/apps/v1/namespaces/{os.environ['NAMESPACE']}"
               f"/deployments/{os.environ['DEPLOYMENT']}?fieldManager=photoshoot-follow")
    template = kubernetes("GET", address)["spec"]["template"]
    served = template["metadata"].get("annotations", {}).get(ANNOTATION)
    if served == version:
        print(f"{name} is version {version}, which is served")
        return
    kubernetes("PATCH", address, {"spec": {"template": {"metadata": {"annotations": {ANNOTATION: version}}}}})
    print(f"{name} is version {version}: rolled out (before: {served or 'whatever the alias named at the start'})")


if __name__ == "__main__":
    try:
        main()
    except OSError as problem:
        sys.exit(f"error: {problem}")
