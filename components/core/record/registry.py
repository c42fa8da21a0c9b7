"""Read the model registry: which version an alias means, what it says of itself, its files.

Registration writes (`components.register`); everybody else reads through here.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from components.core.errors import DataError, InputError
from components.core.record import custody, ledger
from components.core.record.custody import ARTIFACTS, Change
from components.core.record.ledger import Journal
from components.core.record.registry_file import entries, is_unwritten, lookup
from components.core.record.tracking import TRACKING_URI, client, quieten
from components.core.record.tracking_errors import tracking_errors

if TYPE_CHECKING:
    from mlflow.entities.model_registry import ModelVersion
    from mlflow.tracking import MlflowClient

CHAMPION, CHALLENGER = "champion", "challenger"

_PAGE = 1000


@dataclass(frozen=True)
class Version:
    """A registered version: its number, tags, the run it was logged in and when (milliseconds since 1970)."""

    number: str
    tags: dict[str, str]
    run_id: str
    created: int


class Versions:
    """The versions of the registered model `name` on one MLflow server or database.

    `tracking_uri` defaults to the environment's. Raises `InputError` where neither says.
    """

    def __init__(self, name: str, tracking_uri: str | None = None) -> None:
        uri = tracking_uri or os.environ.get(TRACKING_URI)
        if not uri:
            raise InputError("no registry to look into", remedy=f"set {TRACKING_URI}, e.g. to sqlite:///mlflow.db")
        if name.endswith(ledger.SUFFIX):
            raise InputError(f"{name} is a ledger of promotions, not a model", path=uri,
                             remedy="choose a model name that does not end like one")
        self.name, self.uri = name, uri
        self.notes: list[str] = []
        """What was found odd by whoever looked: an alias that the ledger does not know, a version without a record."""
        quieten()

    @cached_property
    def _client(self) -> MlflowClient:
        return client(self.uri)

    def all(self) -> list[Version]:
        """All versions, oldest first; none when nothing was ever registered."""
        return [_version(found) for found in self._search(self.name)]

    def aliases(self) -> dict[str, str]:
        """Alias -> version number; empty when nothing was ever registered."""
        with self._asking():
            try:
                found = self._client.get_registered_model(self.name).aliases
            except Exception as error:
                if is_absent(error):
                    return {}
                raise
        return {str(alias): str(number) for alias, number in found.items()}

    def aliased(self, alias: str) -> str | None:
        """The version an alias points to, or None."""
        return self.aliases().get(alias)

    def journal(self) -> Journal:
        """What the ledger says; an empty one where nothing was ever registered or promoted."""
        name = self.name + ledger.SUFFIX
        stored = entries(self.uri, name, ledger.TAG)
        if stored is None:
            stored = [(int(found.version), found.tags.get(ledger.TAG)) for found in self._search(name)]
        return ledger.replay(stored)

    def champion(self) -> Version | None:
        """Who is champion by the ledger, or by the alias where it knows of no promotion; None where nobody is. What
        the two disagree about is added to `notes`."""
        if is_unwritten(self.uri):  # MLflow would make the database
            return None
        aliased = self._found(CHAMPION)
        number, wrong = self.journal().who_is(aliased.number if aliased else None)
        if wrong:
            self._note(wrong)
        if number is None or (aliased and aliased.number == number):
            return aliased if number else None
        return self._found(number)

    def get(self, version: str) -> Version:
        """A version by number or alias; the champion is the ledger's. Raises `InputError` when there is none."""
        found = self.champion() if version == CHAMPION else self._found(version)
        if found is None:
            raise self.missing(version)
        return found

    def _note(self, words: str) -> None:
        if words not in self.notes:
            self.notes.append(words)

    def usual(self) -> tuple[Version | None, str]:
        """What to use where nobody says: the champion; without one the newest version that its gate did not fail; None
        where there is no such version. And why it is not the champion; nothing where it is."""
        nothing = f"nothing was registered yet in {self.uri.removeprefix('sqlite:///')}"
        if is_unwritten(self.uri):  # MLflow would make the database
            return None, nothing
        if champion := self.champion():
            return champion, ""
        found = self.all()
        if not found:
            return None, nothing
        usable = [version for version in found if version.tags.get("verdict") != "failed"]
        if usable:
            return usable[-1], f"no champion of {self.name} yet"
        newest = found[-1].number
        return None, (f"no champion of {self.name} yet, and version {newest} failed its gate "
                      f"(`--version {newest}` uses it)")

    def _found(self, version: str) -> Version | None:
        if stored := lookup(self.uri, self.name, version):
            return Version(stored.number, stored.tags, stored.run_id, stored.created)
        with self._asking():
            try:
                if version.isdigit():
                    return _version(self._client.get_model_version(self.name, version))
                return _version(self._client.get_model_version_by_alias(self.name, version))
            except Exception as error:
                if not is_absent(error):
                    raise
        return None

    def missing(self, version: str, asked: str = "", use: str = "`--version {}`") -> InputError:
        """What to raise where a version (number or alias) is not there: which one is, and how to `use` that. `asked`
        is how the person put it."""
        found, what = self.all(), f"no version {asked or version} of {self.name}"
        if not found:
            return InputError(f"{what}: nothing was registered yet", path=self.uri, remedy="`photoshoot run` makes one")
        newest = found[-1]
        if version == CHAMPION:
            what = self.notes[0] if self.notes else f"no champion of {self.name} yet"
        return InputError(f"{what}: the newest version is {newest.number} "
                          f"(its gate: {newest.tags.get('verdict', 'no verdict')})", path=self.uri,
                          remedy=f"{use.format(newest.number)} uses it; `photoshoot versions` lists them")

    @contextmanager
    def files(self, version: Version) -> Iterator[Path]:
        """The folder with a version's files, to read until the block ends: a copy, or where they are on this machine.

        They are those that were registered, by the ledger's record; a version that has none is added to `notes`.
        Raises `DataError` where a file was changed, is missing or too many, and when they cannot be had at all.
        """
        with self.folder(version) as folder:
            custody.refuse(self.name, version.number, self.doubts(version, folder), self.uri)
            yield folder / ARTIFACTS

    def doubts(self, version: Version, folder: Path) -> tuple[Change, ...]:
        """What of the files under a version's folder is not as it was registered. A version without a record is added
        to `notes`."""
        record = self.journal().record(version.number)
        if record is None:
            self._note(custody.unrecorded(self.name, version.number, version.tags))
        return custody.changes(folder, record, version.tags, f"{ARTIFACTS}/")

    @contextmanager
    def folder(self, version: Version) -> Iterator[Path]:
        """All that MLflow keeps with a version, as it is, to read until the block ends: a copy, or the place itself.

        Raises `DataError` when it cannot be had: deleted from under the registry, say.
        """
        stored = lookup(self.uri, self.name, version.number)
        if stored and (stored.folder / ARTIFACTS).is_dir():
            yield stored.folder
            return
        os.environ.setdefault("MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR", "false")
        from mlflow.artifacts import download_artifacts
        from mlflow.exceptions import MlflowException

        with tempfile.TemporaryDirectory(prefix="photoshoot-version-") as here:
            try:
                # Where the files are, not models:/name/version: that one MLflow would look up in its global registry.
                source = self._client.get_model_version_download_uri(self.name, version.number)
                folder = Path(download_artifacts(artifact_uri=source, dst_path=here, tracking_uri=self.uri))
            except (MlflowException, OSError) as error:
                raise DataError(f"the files of version {version.number} of {self.name} cannot be read: "
                                f"{str(error).splitlines()[0]}", path=self.uri,
                                remedy="check the server's artifact store") from error
            yield folder

    def _asking(self) -> AbstractContextManager[None]:
        """Around requests: what MLflow refuses is one clear line."""
        return tracking_errors(self.uri, refusals=True)

    def _search(self, name: str) -> list[ModelVersion]:
        """Every version registered under `name`, oldest first."""
        found: list[ModelVersion] = []
        token = None
        with self._asking():
            while token is None or token:
                # MLflow's filters have no escapes, but two kinds of quotes.
                quoted = f'"{name}"' if "'" in name else f"'{name}'"
                page = self._client.search_model_versions(f"name = {quoted}", max_results=_PAGE, page_token=token)
                found += page
                token = page.token or ""
        return sorted(found, key=lambda version: int(version.version))


def is_absent(error: Exception) -> bool:
    """Whether MLflow says that what was asked for does not exist."""
    return getattr(error, "error_code", "") == "RESOURCE_DOES_NOT_EXIST" or (
        # What MLflow answers for an alias that is not set.
        getattr(error, "error_code", "") == "INVALID_PARAMETER_VALUE" and "alias" in str(error))


def _version(found: ModelVersion) -> Version:
    return Version(str(found.version), {str(key): str(value) for key, value in found.tags.items()},
                   str(found.run_id or ""), int(found.creation_timestamp or 0))
