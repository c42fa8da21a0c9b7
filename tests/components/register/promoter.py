"""Promotes in children that are killed: ``python promoter.py URI MODEL``, a job per line, an answer per line.

A job is {"version": V} and one of {"kill_at": k, "sent": bool}: SIGKILL at the k-th request, before or after it
was answered; {"kill_after": seconds}; {"hold": true}: stop before the ledger is written, until the next job has come
as far, then both go on.
"""

import json
import os
import signal
import sys
import time

import mlflow.tracking  # noqa: F401  # before the fork, so that a child has nothing to import
import requests

from components.core.errors import PhotoshootError
from components.register.promotion import promote
from components.register.registry import Registry


def main(uri: str, model: str) -> None:
    held: list[tuple[int, int]] = []
    print("ready", flush=True)
    for line in sys.stdin:
        job = json.loads(line)
        at_gate, arrived = os.pipe()
        go, open_gate = os.pipe()
        pid = os.fork()
        if pid == 0:
            _child(uri, model, job, arrived, go)
        os.close(arrived), os.close(go)
        if job.get("hold"):
            os.read(at_gate, 1)
            held.append((pid, open_gate))
            if len(held) < 2:
                continue
            for _, gate in held:
                os.write(gate, b"x")
            answers = [_wait(child) for child, _ in held]
            held.clear()
            print(json.dumps(answers), flush=True)
            continue
        if "kill_after" in job:
            time.sleep(job["kill_after"])
            os.kill(pid, signal.SIGKILL)
        print(json.dumps(_wait(pid)), flush=True)


def _wait(pid: int) -> int:
    """Exit code of a child; negative signal number when it was killed."""
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def _child(uri: str, model: str, job: dict, arrived: int, go: int) -> None:
    count, send = 0, requests.Session.send

    def watched(self, request, **options):
        nonlocal count
        count += 1
        if count == job.get("kill_at") and not job["sent"]:
            os.kill(os.getpid(), signal.SIGKILL)
        if job.get("hold") and request.url.endswith("model-versions/create"):
            os.write(arrived, b"x")
            os.read(go, 1)
        answer = send(self, request, **options)
        if count == job.get("kill_at"):
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    requests.Session.send = watched
    try:
        promote(Registry(model, uri), job["version"], force=True, reason="a test", try_out=None)
        code = 0
    except PhotoshootError as error:
        print(error, file=sys.stderr, flush=True)
        code = error.exit_code
    os._exit(code)


if __name__ == "__main__":
    main(*sys.argv[1:])
