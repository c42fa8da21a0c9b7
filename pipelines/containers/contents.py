"""What an image holds, told from inside: ``python -m pipelines.containers.contents`` prints it as JSON.

Runs in each image, so nothing but the standard library is imported, and `components.core` for the networks.
"""

from __future__ import annotations

import json
import platform
import re
import shutil
import subprocess
from importlib.metadata import Distribution, PackageMetadata, distributions
from typing import Any

_SPDX = {
    "apache software license": "Apache-2.0", "apache 2.0": "Apache-2.0", "apache license version 2.0": "Apache-2.0",
    "apache": "Apache-2.0", "mit license": "MIT", "mit": "MIT", "isc license (iscl)": "ISC", "isc license": "ISC",
    "boost software license": "BSL-1.0", "python software foundation license": "PSF-2.0",
    "mozilla public license 2.0 (mpl 2.0)": "MPL-2.0", "3-clause bsd license": "BSD-3-Clause",
    "bsd 3-clause license": "BSD-3-Clause", "bsd 2-clause license": "BSD-2-Clause",
    "2-clause bsd license": "BSD-2-Clause", "bsd license": "LicenseRef-BSD", "bsd": "LicenseRef-BSD",
}
"""What packages call their licences, in small letters, and SPDX's names; LicenseRef-BSD: which BSD is not said."""
_EXPRESSION = re.compile(r"[A-Za-z0-9.-]+-\d[\w.-]*|MIT|ISC|0BSD|Zlib")
_EXTRA = re.compile(r"\bextra\b")


def installed() -> dict[str, Any]:
    """Python, its packages, the distribution's packages and the published networks that are brought along."""
    return {"python": platform.python_version(), "packages": packages(), "system": _system(), "networks": _networks()}


def packages() -> list[dict[str, Any]]:
    """Every installed distribution: name, version, licence (an SPDX expression, or empty) and names that it needs."""
    found = {canonical(one.metadata["Name"]): one for one in distributions()}
    return [{"name": name, "version": one.version, "licence": licence(one.metadata),
             "needs": sorted(_needs(one) & found.keys())} for name, one in sorted(found.items())]


def canonical(name: str) -> str:
    """A package's name as PyPI writes it in addresses."""
    return re.sub(r"[-_.]+", "-", name).lower()


def licence(metadata: PackageMetadata) -> str:
    """SPDX expression of a package's licence, from the newest of the places where packages say it; empty: nowhere."""
    if "License-Expression" in metadata:
        return metadata["License-Expression"]
    said = metadata["License"].strip() if "License" in metadata else ""
    if known := _SPDX.get(said.lower(), ""):
        if known != "LicenseRef-BSD":
            return known
    elif _is_expression(said):
        return said
    classifiers = [one.rpartition(" :: ")[2] for one in metadata.get_all("Classifier") or []
                   if one.startswith("License ::")]
    names = {_SPDX[one.lower()] for one in classifiers if one.lower() in _SPDX}
    return " AND ".join(sorted(names)) or known


def _is_expression(said: str) -> bool:
    return bool(said) and all(_EXPRESSION.fullmatch(word) for word in re.split(r" (?:AND|OR|WITH) ", said))


def _needs(one: Distribution) -> set[str]:
    """Names that a distribution asks for whatever extras it has; of those for other systems no trace is installed."""
    asked = [text.partition(";") for text in one.requires or []]
    return {canonical(re.split(r"[ \[<>=!~(;]", text.strip(), maxsplit=1)[0]) for text, _, marker in asked
            if not _EXTRA.search(marker)}


def _system() -> list[dict[str, str]]:
    """Packages of a Debian system; none elsewhere."""
    if not shutil.which("dpkg-query"):
        return []
    said = subprocess.run(["dpkg-query", "--show", "--showformat=${Package}\t${Version}\t${Architecture}\n"],
                          capture_output=True, text=True, check=True).stdout
    return [dict(zip(("name", "version", "architecture"), line.split("\t"), strict=True)) for line in said.splitlines()]


def _networks() -> list[dict[str, str]]:
    from components.core.stores.known_weights import KNOWN, shipped_folder

    return [{"name": name, "file": known.file, "sha256": known.sha256, "licence": known.licence,
             "source": known.source} for name, known in KNOWN.items() if (shipped_folder() / known.file).is_file()]


if __name__ == "__main__":
    from components.core import masking

    masking.install()
    print(json.dumps(installed()))
