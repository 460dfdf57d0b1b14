"""What is inside: every Debian package, Python package and Capsule itself, with version and licence, in SPDX 2.3.

Licences of Debian's packages are what their copyright files declare in machine-readable form (DEP 5). Names that SPDX
does not know become references; where a package declares nothing in that form, nothing is asserted.
"""

import json
import re
import time
from collections.abc import Iterable, Iterator
from importlib.metadata import Distribution
from pathlib import Path
from typing import Any

_SPDX = {
    "apache-2": "Apache-2.0", "apache-2.0": "Apache-2.0", "artistic": "Artistic-1.0-Perl",
    "bsd-2-clause": "BSD-2-Clause",
    "bsd-3-clause": "BSD-3-Clause", "bsd-4-clause": "BSD-4-Clause", "expat": "MIT", "mit": "MIT", "isc": "ISC",
    "gpl-1": "GPL-1.0-only", "gpl-1+": "GPL-1.0-or-later", "gpl-2": "GPL-2.0-only", "gpl-2+": "GPL-2.0-or-later",
    "gpl-3": "GPL-3.0-only", "gpl-3+": "GPL-3.0-or-later", "lgpl-2": "LGPL-2.0-only", "lgpl-2+": "LGPL-2.0-or-later",
    "lgpl-2.1": "LGPL-2.1-only", "lgpl-2.1+": "LGPL-2.1-or-later", "lgpl-3": "LGPL-3.0-only",
    "lgpl-3+": "LGPL-3.0-or-later", "mpl-2.0": "MPL-2.0", "psf-2": "PSF-2.0", "zlib": "Zlib", "0bsd": "0BSD",
    "gfdl-1.3": "GFDL-1.3-only", "cc0-1.0": "CC0-1.0",
}  # fmt: skip
"""Short names of DEP 5, and what SPDX calls them."""


def document(status: Path, docs: Path, python: Iterable[Distribution], release: str, commit: str, epoch_s: int) -> str:
    """The document, sorted and with no time but the commit's. `status` is dpkg's, `docs` has the copyright files."""
    own = {
        "SPDXID": "SPDXRef-capsule",
        "name": "capsule",
        "versionInfo": f"{release} ({commit})",
        "licenseDeclared": "Apache-2.0",
        "licenseConcluded": "NOASSERTION",
        "downloadLocation": "NOASSERTION",
        "copyrightText": "NOASSERTION",
    }
    found = [own, *_debian(status, docs), *map(_distribution, python)]
    references = sorted({word for one in found for word in re.findall(r"LicenseRef-[\w.-]+", one["licenseDeclared"])})
    text = {
        "spdxVersion": "SPDX-2.3",
        "dataLicense": "CC0-1.0",
        "SPDXID": "SPDXRef-DOCUMENT",
        "name": f"capsule-{release}",
        "documentNamespace": f"urn:capsule:image:{release}:{commit}",
        "creationInfo": {
            "created": time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(epoch_s)),
            "creators": ["Tool: capsule-image"],
        },
        "packages": found,
        "hasExtractedLicensingInfos": [
            {
                "licenseId": name,
                "extractedText": f"see the package's copyright file: {name.removeprefix('LicenseRef-')}",
            }
            for name in references
        ],
        "relationships": [
            {
                "spdxElementId": "SPDXRef-DOCUMENT" if one is own else "SPDXRef-capsule",
                "relationshipType": "DESCRIBES" if one is own else "CONTAINS",
                "relatedSpdxElement": one["SPDXID"],
            }
            for one in found
        ],
    }
    return json.dumps(text, indent=1) + "\n"


def _debian(status: Path, docs: Path) -> Iterator[dict[str, Any]]:
    for stanza in sorted(status.read_text().split("\n\n")):
        fields = dict(re.findall(r"(?m)^([A-Za-z-]+): (.*)$", stanza))
        if fields:
            name, version = fields["Package"], fields["Version"]
            source = str(fields.get("Source", name)).split()[0]
            yield _package("deb", name, version, debian_licence(docs / name / "copyright"), f"Debian source {source}")


def _distribution(one: Distribution) -> dict[str, Any]:
    return _package("pypi", one.name, one.version, python_licence(one), "")


def _package(kind: str, name: str, version: str, licence: str, comment: str) -> dict[str, Any]:
    made = {
        "SPDXID": f"SPDXRef-{kind}-{re.sub('[^A-Za-z0-9.-]', '-', name)}",
        "name": name,
        "versionInfo": version,
        "licenseDeclared": licence,
        "licenseConcluded": "NOASSERTION",
        "downloadLocation": "NOASSERTION",
        "copyrightText": "NOASSERTION",
        "externalRefs": [
            {
                "referenceCategory": "PACKAGE-MANAGER",
                "referenceType": "purl",
                "referenceLocator": f"pkg:{kind}/{'debian/' if kind == 'deb' else ''}{name}@{version}",
            }
        ],
    }
    return made | ({"sourceInfo": comment} if comment else {})


def debian_licence(file: Path) -> str:
    """From a copyright file, all licences that any part of the package has."""
    try:
        text = file.read_text(errors="replace")
    except OSError:
        return "NOASSERTION"
    if not re.match(r"(?i)format(-specification)?:", text):
        return "NOASSERTION"
    names: set[str] = set()
    for line in re.findall(r"(?m)^License: *(\S.*)$", text):
        # "GPL-2+ and Expat", "LGPL-2.1+, or BSD-3-clause": each of them is in it.
        names.update(re.split(r",? +(?:and|or) +|, *", line.strip()))
    return " AND ".join(sorted({_spdx(name) for name in names if name})) or "NOASSERTION"


def _spdx(name: str) -> str:
    short = name.strip().lower()
    return _SPDX.get(short, f"LicenseRef-{re.sub('[^A-Za-z0-9.-]+', '-', name.strip()).strip('-')}")


def python_licence(one: Distribution) -> str:
    """What its metadata declare: an SPDX expression, else the classifiers' words."""
    metadata: Any = one.metadata  # an email message, which its type does not say
    expression: str | None = metadata.get("License-Expression")
    if expression:
        return expression
    given = (metadata.get("License") or "").strip()
    if given.lower() in _SPDX or given in _SPDX.values():
        return _SPDX.get(given.lower(), given)
    classifiers = metadata.get_all("Classifier") or []
    for words, licence in (("MIT", "MIT"), ("BSD", "BSD-3-Clause"), ("Apache", "Apache-2.0"), ("ISC", "ISC")):
        if any(line.startswith("License ::") and words in line for line in classifiers):
            return licence
    return "NOASSERTION"
