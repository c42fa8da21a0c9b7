"""What Google's client library raises, as errors that a person can act on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from components.core.errors import InputError, MachineError


@contextmanager
def cloud_errors(uri: str) -> Iterator[None]:
    """Turn what the client library raises into one clear line."""
    from google.api_core import exceptions
    from google.auth.exceptions import GoogleAuthError
    from google.cloud.exceptions import NotFound
    from requests.exceptions import RequestException

    try:
        yield
    except GoogleAuthError as error:
        remedy = "`gcloud auth application-default login`, or give the pod a service account"
        raise MachineError("no valid Google Cloud credentials", path=uri, remedy=remedy) from error
    except NotFound as error:
        raise InputError("no such bucket or object", path=uri, remedy="check the address") from error
    except (exceptions.Forbidden, exceptions.Unauthorized) as error:
        raise MachineError("access denied", path=uri, remedy="grant this account a role on the bucket") from error
    except (exceptions.GoogleAPICallError, exceptions.RetryError, RequestException, ConnectionError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise MachineError(f"Google Cloud Storage does not answer ({reason[:200]})", path=uri,
                           remedy="try again; finished work is kept") from error
