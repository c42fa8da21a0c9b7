"""A message to a webhook that takes Slack's JSON: Slack, Mattermost, Rocket.Chat, Google Chat."""

from __future__ import annotations

import json
import time
import urllib.error
import urllib.request
from http.client import HTTPException

from components.core.errors import InputError, MachineError

WEBHOOK = "PHOTOSHOOT_WEBHOOK"
"""Environment variable: the webhook's address, which is a secret: who knows it can write there."""
_WAITS_S = (1.0, 5.0, 15.0)
_TIMEOUT_S = 15.0
_PASSING = {408, 409, 429, 500, 502, 503, 504}


def tell(address: str, text: str) -> None:
    """Post ``{"text": text}``; tried again a few times where the service is busy or away.

    Raises `InputError` for an address that is none or is refused, `MachineError` when the service stays away; neither
    shows the address.
    """
    if not address.startswith(("https://", "http://")):
        raise InputError("the webhook's address is not http(s)", remedy=f"mend the Secret that gives {WEBHOOK}")
    for wait in (*_WAITS_S, None):
        problem = _post(address, text)
        if not problem:
            return
        if wait is not None:
            time.sleep(wait)
    raise MachineError(f"the webhook does not answer: {problem}", remedy="is its service up, may this pod reach it?")


def _post(address: str, text: str) -> str:
    """Empty when it was taken, else what is wrong for now."""
    body, headers = json.dumps({"text": text}).encode(), {"Content-Type": "application/json"}
    try:
        with urllib.request.urlopen(urllib.request.Request(address, body, headers), timeout=_TIMEOUT_S):
            return ""
    except urllib.error.HTTPError as error:
        if error.code not in _PASSING:
            raise InputError(f"the webhook refuses the message ({error.code})",
                             remedy=f"mend the Secret that gives {WEBHOOK}") from None
        return f"it answers {error.code}"
    except (OSError, HTTPException, ValueError) as error:
        return type(getattr(error, "reason", error)).__name__
