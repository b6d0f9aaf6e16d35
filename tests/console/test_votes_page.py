"""The page for blind votes, against a gateway."""

import json
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser

from console.conftest import Tab
from dragoman.gateway.comparing import Answered, Comparison, Prompt
from dragoman.gateway.comparison_files import create, read
from e2e.gateway import GatewayProcess

ADMIN = "dgm-admin-0123456789"
WORDS = {"quick": "Answer one.", "brown": "<b>Answer two.</b>"}


@pytest.fixture
def gateway() -> Iterator[GatewayProcess]:
    with GatewayProcess(access={"mode": "keys", "admin_key": ADMIN}) as running:
        yield running


@pytest.fixture
def folder(gateway: GatewayProcess) -> Path:
    """A comparison of two models on three prompts."""
    prompts = [Prompt(id=f"p{number}", prompt=f"Question {number}?") for number in range(3)]
    answers = [
        Answered(prompt=prompt.id, model=model, text=text) for prompt in prompts for model, text in WORDS.items()
    ]
    made = gateway.folder / "compared"
    create(made, Comparison(models=list(WORDS), prompts=prompts, answers=answers), gateway.state)
    return made


def visit(browser: Browser, gateway: GatewayProcess) -> Tab:
    tab = Tab(browser, f"{gateway.url}/console/votes")
    tab.page.fill("input[type=password]", ADMIN)
    tab.page.press("input[type=password]", "Tab")
    tab.page.wait_for_selector("option:has-text('compared (3 pairs)')", state="attached")
    tab.page.fill("[name=voter]", "ann")
    tab.page.click("text=Begin")
    return tab


def better(tab: Tab, wanted: str) -> str:
    """Where `wanted` stands: left or right."""
    left = tab.page.inner_text("[aria-label='Left answer']")
    assert {left, tab.page.inner_text("[aria-label='Right answer']")} == set(WORDS.values())
    return "Left" if left == wanted else "Right"


def test_answers_are_voted_on_without_names_and_the_votes_are_kept_beside_the_report(
    browser: Callable[[bytes], Browser], gateway: GatewayProcess, folder: Path
) -> None:
    tab = visit(browser(b"\0\0"), gateway)
    for number in range(3):
        tab.page.wait_for_selector(f"[role=status]:text-is('{number} of 3 pairs')")
        shown = tab.page.inner_text("#page")
        assert "Question " in shown and not any(name in shown for name in WORDS)
        if number < 2:
            tab.page.click(f"text={better(tab, WORDS['quick'])} is better")
        else:
            tab.page.keyboard.press("t")
    tab.page.wait_for_selector("text=Thank you")
    cells = tab.page.eval_on_selector_all("tr", "all => all.map(row => [...row.cells].map(each => each.textContent))")
    assert cells == [["reviewer", "quick", "brown"], ["ann", "0.83", "0.17"], ["all", "0.83", "0.17"]]
    assert [line for line in tab.said if "401" not in line] == []  # before the key was there, the list was refused
    assert [each.judge for each in read(folder).votes] == ["ann"] * 3
    told = json.loads((folder / "report.json").read_text())
    assert told["judges"][0]["scores"] == pytest.approx({"quick": 5 / 6, "brown": 1 / 6})
    assert len((folder / "outcomes.jsonl").read_text().splitlines()) == 3


def test_a_page_that_is_loaded_anew_goes_on_where_it_was(
    browser: Callable[[bytes], Browser], gateway: GatewayProcess, folder: Path
) -> None:
    opened = browser(b"\0\0")
    tab = visit(opened, gateway)
    tab.page.wait_for_selector("[aria-label='Left answer']")
    tab.page.keyboard.press("ArrowLeft")
    tab.page.wait_for_selector("[role=status]:text-is('1 of 3 pairs')")
    seen = tab.page.inner_text("#page")
    again = visit(opened, gateway)
    again.page.wait_for_selector("[role=status]:text-is('1 of 3 pairs')")
    assert again.page.inner_text("#page") == seen


def test_only_operators_see_answers_and_nonsense_is_refused(gateway: GatewayProcess, folder: Path) -> None:
    key = json.loads(gateway.run("keys", "create", "--name", "me", "--json").stdout)["key"]
    path = "/dragoman/v1/comparisons"
    with gateway.http() as client:
        assert client.get(path).status_code == 401
        assert client.get(path, headers={"authorization": f"Bearer {key}"}).status_code == 403
    with gateway.http(headers={"authorization": f"Bearer {ADMIN}"}) as client:
        assert client.get(path).json() == {"comparisons": [{"name": "compared", "prompts": 3, "pairs": 3}]}
        assert client.get(f"{path}/nope?voter=ann").status_code == 404
        assert client.get(f"{path}/..%2Fcomparisons?voter=ann").status_code == 404
        assert client.get(f"{path}/compared").status_code == 400
        for vote in ({}, {"voter": "ann", "number": 3, "better": "left"}, {"voter": "ann", "number": 0, "better": "x"}):
            assert client.post(f"{path}/compared", json=vote).status_code == 400
    assert read(folder).votes == []
