"""What `helm test` runs: MLflow is up, takes the steps' password and, where it asks for one, refuses those without.

Environment: MLFLOW_TRACKING_URI and, with authentication on, MLFLOW_TRACKING_USERNAME and MLFLOW_TRACKING_PASSWORD.
"""

from __future__ import annotations

import base64
import os
import urllib.error
import urllib.request


def status(path: str, login: str | None = None) -> int:
    """HTTP status of a GET, with or without a "name:password"."""
    headers = {} if login is None else {"Authorization": f"Basic {base64.b64encode(login.encode()).decode()}"}
    request = urllib.request.Request(os.environ["MLFLOW_TRACKING_URI"] + path, headers=headers)
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def main() -> None:
    api = "/api/2.0/mlflow/experiments/get?experiment_id=0"
    user = os.environ.get("MLFLOW_TRACKING_USERNAME")
    login = f"{user}:{os.environ['MLFLOW_TRACKING_PASSWORD']}" if user else None
    questions = [("is up", "/health", None, 200), ("lets the steps in", api, login, 200)]
    if login:
        questions.append(("refuses who gives no password", api, None, 401))
    for what, path, who, wanted in questions:
        if (found := status(path, who)) != wanted:
            raise SystemExit(f"error: MLflow {what}: HTTP status {found} instead of {wanted} for {path}")
        print(f"MLflow {what}")


if __name__ == "__main__":
    main()
