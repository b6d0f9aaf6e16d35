"""The bill of materials says all that the core lock says."""

import re
import sys
from collections.abc import Iterator
from typing import Any

import pytest

from test_requirements import ROOT, locked


@pytest.fixture
def document(monkeypatch: pytest.MonkeyPatch) -> Iterator[dict[str, Any]]:
    monkeypatch.syspath_prepend(str(ROOT / "scripts"))
    import sbom

    yield sbom.bom(sbom.LOCK.read_text())
    sys.modules.pop("sbom")


def test_it_names_every_locked_package_with_its_version_and_all_its_hashes(document: dict[str, Any]) -> None:
    said = {each["name"]: (each["version"], {h["content"] for h in each["hashes"]}) for each in document["components"]}
    assert said == {
        name: (re.split(r"[\s;]", entry.partition("==")[2])[0], set(re.findall(r"sha256:(\w{64})", entry)))
        for name, entry in locked("core").items()
    }


def test_everything_is_needed_by_something_and_nothing_else_is_said_to_be(document: dict[str, Any]) -> None:
    components = {each["bom-ref"] for each in document["components"]}
    needed = {ref for each in document["dependencies"] for ref in each["dependsOn"]}
    assert needed == components
    assert {each["ref"] for each in document["dependencies"]} == components | {
        document["metadata"]["component"]["bom-ref"]
    }


def test_every_package_that_is_installed_has_a_licence(document: dict[str, Any]) -> None:
    assert [each["name"] for each in document["components"] if not each.get("licenses")] == []


def test_the_same_lock_gives_the_same_document_with_no_place_in_it(document: dict[str, Any]) -> None:
    import sbom

    assert sbom.bom(sbom.LOCK.read_text()) == document
    assert "://" not in str(document)
