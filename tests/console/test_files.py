"""The console's files: what is handed out, and how."""

import hashlib
import re
from pathlib import Path

import pytest

import dragoman
from dragoman.server import console_pages

HOME = Path(dragoman.__file__).parent / "console"
VENDOR = HOME / "vendor"


@pytest.mark.parametrize(
    "path", ["", "voice", "votes", "votes.js", "voice.js", "console.css", "icon.svg", "vendor/preact.mjs"]
)
def test_pages_and_what_they_load_are_there(path: str) -> None:
    assert console_pages.read(path) is not None


@pytest.mark.parametrize(
    "path", ["nope", "../config.py", "vendor/../../config.py", "__init__.py", "vendor/README.md", "/etc/passwd"]
)
def test_nothing_else_is(path: str) -> None:
    assert console_pages.read(path) is None


@pytest.mark.parametrize("name", sorted(file.name for file in HOME.glob("*.[hjc][ts]*")))
def test_what_a_file_refers_to_is_there(name: str) -> None:
    text = (HOME / name).read_text()
    wanted = re.findall(r'(?:src|href)="(/console[^"]*)"', text) + re.findall(r'addModule\("([^"]+)"', text)
    wanted += ["/console/" + path for path in re.findall(r'from "\./([^"]+)"', text)]
    for path in wanted:
        assert console_pages.read(path.removeprefix("/console").removeprefix("/")), path


@pytest.mark.parametrize("name", ["index.html", "voice.html", "votes.html"])
def test_a_page_has_no_script_or_style_of_its_own(name: str) -> None:
    text = (HOME / name).read_text()
    assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\bon\w+=|\bstyle=", text)


def test_the_policy_lets_a_page_run_only_what_comes_from_here() -> None:
    policy = dict(console_pages.HEADERS)["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self';" in policy
    assert "unsafe" not in policy


def test_vendored_modules_are_what_they_are_said_to_be() -> None:
    rows = re.findall(r"^\| ([\w.]+\.mjs) \|.*\| ([0-9a-f]{64}) \|$", (VENDOR / "README.md").read_text(), re.M)
    assert {name: hashlib.sha256((VENDOR / name).read_bytes()).hexdigest() for name, _ in rows} == dict(rows)
    assert {name for name, _ in rows} == {file.name for file in VENDOR.glob("*.mjs")}
    assert all((VENDOR / name).with_suffix(".LICENSE").is_file() for name, _ in rows)
