"""Writes what the core install is made of, in CycloneDX 1.6: names, versions, hashes, licences, and what needs what.

    python scripts/sbom.py [FILE]

All of it comes from requirements/core.lock, but the licences: those are what the installed packages declare, so a
package that is not installed here has none. A component's hashes are those of all its files that may be installed.
The same lock gives the same document.
"""

import json
import re
import sys
import tomllib
from importlib.metadata import PackageNotFoundError, metadata
from pathlib import Path
from typing import Any
from uuid import NAMESPACE_URL, uuid5

ROOT = Path(__file__).parents[1]
LOCK = ROOT / "requirements" / "core.lock"
_ENTRY = re.compile(r"^(?=[a-z0-9][\w.-]*==)", re.M)
_HEAD = re.compile(r"([\w.-]+)==([^\s;]+)")
_OURS = "dragoman"
_CLASSIFIER = "License :: OSI Approved :: "


def bom(lock: str) -> dict[str, Any]:
    """The document for the text of a lock file."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    entries = [(_HEAD.match(entry), entry) for entry in _ENTRY.split(lock)]
    found = [(head[1], head[2], entry) for head, entry in entries if head]
    refs = {name: _purl(name, version) for name, version, _ in found} | {_OURS: _purl(_OURS, project["version"])}
    needs: dict[str, list[str]] = {name: [] for name in refs}
    for name, _, entry in found:
        for needer in _needers(entry):
            needs[needer].append(refs[name])
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "serialNumber": uuid5(NAMESPACE_URL, lock).urn,
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": refs[_OURS],
                "name": _OURS,
                "version": project["version"],
                "purl": refs[_OURS],
                "licenses": [{"expression": project["license"]}],
            }
        },
        "components": [_component(name, version, entry) for name, version, entry in found],
        "dependencies": [{"ref": refs[name], "dependsOn": sorted(needed)} for name, needed in sorted(needs.items())],
    }


def _purl(name: str, version: str) -> str:
    return f"pkg:pypi/{name}@{version}"


def _needers(entry: str) -> list[str]:
    """Who asks for the package, by the lock's comments."""
    said = entry.partition("# via")[2]
    words = re.findall(r"^\s*#?\s*([a-z0-9][\w.-]*)(?:\[[\w,-]+\])?(?: \(pyproject.toml\))?\s*$", said, re.M)
    return [word for word in words if word != "-c"]


def _component(name: str, version: str, entry: str) -> dict[str, Any]:
    component = {
        "type": "library",
        "bom-ref": _purl(name, version),
        "name": name,
        "version": version,
        "purl": _purl(name, version),
        "hashes": [{"alg": "SHA-256", "content": each} for each in re.findall(r"--hash=sha256:([0-9a-f]{64})", entry)],
    }
    licences = _licences(name)
    return component | ({"licenses": licences} if licences else {})


def _licences(name: str) -> list[dict[str, Any]]:
    """As the installed package declares them: an SPDX expression, else its classifiers, else a line of its own."""
    try:
        said = metadata(name)
    except PackageNotFoundError:
        return []
    if expression := said.get("License-Expression"):
        return [{"expression": expression}]
    classified = [each.removeprefix(_CLASSIFIER) for each in said.get_all("Classifier") or [] if _CLASSIFIER in each]
    line = (said.get("License") or "").strip()
    names = classified or ([line] if line and "\n" not in line else [])
    return [{"license": {"name": each}} for each in names]


def main() -> None:
    file = Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "build" / "sbom.cdx.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(json.dumps(bom(LOCK.read_text()), indent=2) + "\n")
    print(file)


if __name__ == "__main__":
    main()
