"""Secrets out of words: the one place that turns addresses, environments and whatever else is said or stored into text
that anybody may read.

`masked` takes out what is secret by its form (user and password of an address, tokens in a query, passwords in a
connection string, an Authorization header) and what the environment says is secret, however it comes to be in a text.
Errors mask themselves when they are made, `install` puts the mask before everything that a process prints, and
`components.core.record.tracking.client` before what is recorded.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Iterable, Mapping
from functools import lru_cache
from typing import Any, TextIO
from urllib.parse import quote, quote_plus, unquote, urlsplit

HIDDEN = "***"
_WORDS = (r"(?:[\w.\-]*(?:token|secret|passw(?:or)?d|passphrase|pwd|api[_\-]?key|access[_\-]?key|private[_\-]?key|"
          r"signature|credential|authorization|session)[\w.\-]*|sig|key|auth|code)")
_BY_FORM = (
    # scheme://user:password@host
    (re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*://)[^\s/?#'\"<>@]*(?:@[^\s/?#'\"<>@]*)*@"), rf"\1{HIDDEN}@"),
    # the same after somebody made a path of it
    (re.compile(r"([A-Za-z][A-Za-z0-9+.\-]*:/)[^\s/?#'\"<>@:]+:[^\s/?#'\"<>@]*@"), rf"\1{HIDDEN}@"),
    # ?token=... &X-Goog-Signature=... #access_token=...
    (re.compile(rf"([?&;#]{_WORDS}=)[^&#;\s'\"<>]+", re.IGNORECASE), rf"\1{HIDDEN}"),
    # password=... as in a connection string or an option
    (re.compile(r"(\b(?:password|passwd|pwd|passphrase|secret|token)\s*=\s*)(?!\*)(?:'[^']*'|\"[^\"]*\"|[^\s&;,'\"]+)",
                re.IGNORECASE), rf"\1{HIDDEN}"),
    (re.compile(r"(\b(?:Bearer|Basic)\s+)[A-Za-z0-9._~+/\-]{8,}=*", re.IGNORECASE), rf"\1{HIDDEN}"),
)
_SECRET_NAME = re.compile(r"PASSW(OR)?D|PASSPHRASE|TOKEN|SECRET|API_?KEY|ACCESS_?KEY|PRIVATE_?KEY|COOKIES?$|_PAT$",
                          re.IGNORECASE)
_NO_SECRET = re.compile(r"(_FILE|_PATH|_DIR|_URL|_NAME|_ID|_COUNT|_LIMIT|_TTL|_TIMEOUT)$|^TOKENIZERS_", re.IGNORECASE)
"""Names that speak of a secret and hold none: where it is, or what it is called."""
_SHORTEST, _DISTINCT = 4, 8
"""Secrets under the one length are not looked for by their value, those under the other only as words of their own."""


def masked(text: str) -> str:
    """The text without secrets: what is one by its form, and every value that the environment holds as one."""
    for pattern, instead in _BY_FORM:
        text = pattern.sub(instead, text)
    values = _pattern(tuple(sorted(secrets(os.environ), key=len, reverse=True)))
    return values.sub(HIDDEN, text) if values else text


def has_secret(text: str) -> bool:
    """Whether the text holds a secret by its form: an address with a password, a token in a query."""
    return any(pattern.sub(instead, text) != text for pattern, instead in _BY_FORM)


def shown(url: str) -> str:
    """An address in words: scheme, host and path; user, password, query and fragment are left out."""
    parts = urlsplit(url)
    host = parts.netloc.rpartition("@")[2]
    return masked(f"{parts.scheme}://{host}{parts.path}" if parts.scheme else url)


def without_account(url: str) -> str:
    """An address without user and password, for links: a browser asks for them."""
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl() if parts.netloc else url


def secrets(environment: Mapping[str, str]) -> set[str]:
    """The values in an environment that nobody may read: of variables with such a name, and the passwords in
    addresses; as they are and as addresses have them."""
    found: set[str] = set()
    for name, value in environment.items():
        if _SECRET_NAME.search(name) and not _NO_SECRET.search(name):
            found |= _forms(value)
        if "://" in value:
            found |= {form for word in _of_address(value) for form in _forms(word)}
    return {value for value in found if len(value) >= _SHORTEST and value != HIDDEN}


def _of_address(value: str) -> Iterable[str]:
    """What is secret in an address that is the whole of a variable: it may break the rules, with a / in it."""
    account, at, _ = value.partition("://")[2].rpartition("@")
    if at and ":" in account:
        yield account.partition(":")[2]
    for match in _BY_FORM[2][0].finditer(value):
        yield match[0].partition("=")[2]


def _forms(value: str) -> set[str]:
    value = value.strip()
    return {value, unquote(value), quote(value, safe=""), quote_plus(value)}


@lru_cache(maxsize=8)
def _pattern(values: tuple[str, ...]) -> re.Pattern[str] | None:
    words = [re.escape(value) if len(value) >= _DISTINCT else rf"(?<![A-Za-z0-9]){re.escape(value)}(?![A-Za-z0-9])"
             for value in values]
    return re.compile("|".join(words)) if words else None


class Masking:
    """A stream that takes secrets out of what is written to another. A line is masked whole, however it was written."""

    def __init__(self, behind: TextIO) -> None:
        self._behind, self._line = behind, ""

    def write(self, text: str) -> int:
        """Write masked text; what follows the last line break waits for the rest of its line, or for `flush`."""
        self._line += text
        cut = max(self._line.rfind("\n"), self._line.rfind("\r")) + 1
        ready, self._line = self._line[:cut], self._line[cut:]
        if ready:
            self._behind.write(masked(ready))
        return len(text)

    def flush(self) -> None:
        """Write what waits."""
        if self._line:
            ready, self._line = self._line, ""
            self._behind.write(masked(ready))
        self._behind.flush()

    def writelines(self, lines: Iterable[str]) -> None:
        """Write several pieces."""
        for line in lines:
            self.write(line)

    def __getattr__(self, name: str) -> Any:
        """Everything else (encoding, isatty, fileno, buffer) is the stream's behind it."""
        return getattr(self._behind, name)


def install() -> None:
    """Put the mask before this process's standard output and standard error; once is enough."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is not None and not isinstance(stream, Masking):
            setattr(sys, name, Masking(stream))
