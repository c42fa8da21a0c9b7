"""Make MLflow's users, or give them the passwords they should have: the work of the Job mlflow-users.

Environment: MLFLOW_TRACKING_URI; ADMIN_USER, ADMIN_PASSWORD; USERS, names of parts such as ``steps,serving``, and for
each part <PART>_USER and <PART>_PASSWORD. Speaks MLflow's REST API (3.17) with nothing but the standard library. Ends
with 0 when every user can log in, else with 1 and a line that says why.
"""

from __future__ import annotations

import base64
import json
import os
import time
import urllib.error
import urllib.request

PATIENCE = float(os.environ.get("PATIENCE", "600"))


def call(method: str, path: str, login: tuple[str, str], body: dict[str, str] | None = None) -> int:
    """HTTP status of a request as a user; raises `urllib.error.URLError` when nobody answers."""
    token = base64.b64encode(":".join(login).encode()).decode()
    request = urllib.request.Request(
        os.environ["MLFLOW_TRACKING_URI"] + path, method=method,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Basic {token}", "Content-Type": "application/json"},
    )
    try:
        with urllib.request.urlopen(request, timeout=30) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def may_log_in(login: tuple[str, str]) -> bool:
    """Whether MLflow takes this name and password. Waits for MLflow, up to PATIENCE seconds."""
    deadline = time.monotonic() + PATIENCE
    while True:
        try:
            status = call("GET", "/api/2.0/mlflow/users/current", login)
        except OSError as error:  # URLError is one
            status, reason = 503, str(error)
        else:
            reason = f"HTTP status {status}"
        if status in (200, 401):
            return status == 200
        if status < 500 or time.monotonic() > deadline:
            raise SystemExit(f"error: MLflow at {os.environ['MLFLOW_TRACKING_URI']} does not answer as it should: "
                             f"{reason} -- look at its log")
        time.sleep(2)


def main() -> None:
    admin = (os.environ["ADMIN_USER"], os.environ["ADMIN_PASSWORD"])
    if not may_log_in(admin):
        raise SystemExit(
            f"error: MLflow does not take the password of {admin[0]} in the Secret (key admin-password); it was "
            "changed in one place only -- put the password that MLflow knows into the Secret"
        )
    for part in os.environ["USERS"].split(","):
        user, password = os.environ[f"{part.upper()}_USER"], os.environ[f"{part.upper()}_PASSWORD"]
        login = {"username": user, "password": password}
        if may_log_in((user, password)):
            print(f"{user}: there")
            continue
        done = "made"
        status = call("POST", "/api/2.0/mlflow/users/create", admin, login)
        if status == 400:  # the name is taken, or the password is refused: a change of password tells which
            status, done = call("PATCH", "/api/2.0/mlflow/users/update-password", admin, login), "password changed"
        if status != 200:
            raise SystemExit(f"error: MLflow refuses user {user} with HTTP status {status} -- a password needs 12 "
                             "characters or more")
        print(f"{user}: {done}")


if __name__ == "__main__":
    main()
