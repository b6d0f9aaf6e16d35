"""The console's pages in Chromium, whose microphone is a recording."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from websockets.datastructures import Headers
from websockets.http11 import Response

from dragoman.cli import recording
from dragoman.server import console_pages
from fakes.talker import Talker, talk
from services import program

MODELS = ("local", "auto", "openai/gpt-realtime")


def pages(path: str) -> Response | None:
    """The console's files as the gateway hands them out, and a list of models."""
    path = path.partition("?")[0]
    found: tuple[bytes, str] | None = None
    if path == "/v1/models":
        found = json.dumps({"data": [{"id": name} for name in MODELS]}).encode(), "application/json"
    elif path.startswith(console_pages.HOME + "/"):
        found = console_pages.read(path.removeprefix(console_pages.HOME + "/"))
    if found is None:
        return None
    head = [("content-type", found[1]), ("content-length", str(len(found[0]))), *console_pages.HEADERS]
    return Response(200, "OK", Headers([*head, ("connection", "close")]), found[0])


@pytest.fixture
def talker() -> Iterator[Callable[..., Talker]]:
    """Starts a `Talker` of these traits, with the console at its address, and stops it after the test."""
    with ExitStack() as stack:
        yield lambda **traits: stack.enter_context(talk(Talker(pages=pages, **traits)))


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Callable[[bytes], Browser]]:
    """`browser(sound)`: a Chromium whose microphone hears `sound`, and then silence."""
    chromium = program("chromium", "chromium")
    with ExitStack() as stack:
        playwright = stack.enter_context(sync_playwright())

        def launch(sound: bytes) -> Browser:
            recording.write(tmp_path / "microphone.wav", sound)
            flags = [
                "--no-sandbox",  # as root, in a container
                "--use-fake-device-for-media-stream",
                "--use-fake-ui-for-media-stream",
                "--autoplay-policy=no-user-gesture-required",
                f"--use-file-for-fake-audio-capture={tmp_path / 'microphone.wav'}%noloop",
            ]
            opened = playwright.chromium.launch(executable_path=chromium, args=flags)
            stack.callback(opened.close)
            return opened

        yield launch


class Tab:
    """A page, what it wrote to its console, and the errors that nobody caught."""

    def __init__(self, browser: Browser, url: str, **options: Any) -> None:
        self.page: Page = browser.new_page(**options)
        self.said: list[str] = []
        self.page.on("console", lambda message: self.said.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.said.append(f"uncaught: {error}"))
        self.page.goto(url)

    def turn(self, number: int) -> str:
        """What stands in a turn, once its stages are there."""
        self.page.wait_for_selector(f".turn:nth-child({number}) .bar")
        return self.page.inner_text(f".turn:nth-child({number})")


@pytest.fixture
def tab(browser: Callable[[bytes], Browser]) -> Callable[..., Tab]:
    """`tab(talker, sound)`: the voice page of `talker`'s address, its list of models there."""

    def visit(talker: Talker, sound: bytes = b"\0\0", query: str = "", **options: Any) -> Tab:
        home = talker.url.replace("ws:", "http:").removesuffix("/v1/realtime")
        tab = Tab(browser(sound), f"{home}/console/voice{query}", **options)
        tab.page.wait_for_selector("option", state="attached")
        return tab

    return visit
