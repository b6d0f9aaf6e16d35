"""The console as the gateway serves it."""

from pathlib import Path

import httpx
import pytest

from dragoman.server.console_pages import HEADERS
from realtime.gate import gate

KEYS = {"mode": "keys", "admin_key": "dgm-admin-0123456789"}


@pytest.mark.parametrize("path", ["/console", "/console/", "/console/voice", "/console/voice.js"])
async def test_its_files_need_no_key_and_come_under_their_policy(path: str, tmp_path: Path) -> None:
    async with gate(tmp_path, [], access=KEYS) as here, httpx.AsyncClient(base_url=here.url) as http:
        page = await http.get(path)
        assert page.status_code == 200
        assert page.content
        assert all(page.headers[name] == value for name, value in HEADERS)
        head = await http.head(path)
        assert (head.status_code, head.content) == (200, b"")
        assert head.headers["content-length"] == str(len(page.content))


async def test_what_is_not_there_is_said(tmp_path: Path) -> None:
    async with gate(tmp_path, []) as here, httpx.AsyncClient(base_url=here.url) as http:
        page = await http.get("/console/nope")
        assert (page.status_code, page.headers["x-dragoman-error"]) == (404, "not_found")
