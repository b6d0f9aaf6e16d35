"""A route, compiled."""

import pytest

from dragoman.routing.board import Board, Candidate, Offer
from dragoman.routing.capabilities import of_family, other_work
from dragoman.routing.constraints import NOTHING, Constraints
from dragoman.routing.decide import Pair
from dragoman.routing.regions import within

BOARD = Board(
    "auto",
    NOTHING,
    [
        Candidate(
            name="two",
            offers=(
                Offer(target="openai/x", provider="openai", regions=(None,), window=1000),
                Offer(target="azure/x", provider="azure", regions=("swedencentral", "eastus"), window=2000),
            ),
        ),
        Candidate(
            name="one",
            offers=(Offer(target="mine/y", provider="mine", regions=("us-east-1",)),),
            capabilities=("vision",),
        ),
        Candidate(name="none", offers=()),
    ],
)


def ruled(limits: Constraints) -> dict[str, str]:
    return {each.name: each.ruled for each in BOARD.select(limits).options if each.ruled}


def test_without_constraints_only_what_nobody_serves_is_ruled_out() -> None:
    assert ruled(NOTHING) == {"none": "no account serves any of its targets"}
    assert BOARD.select(NOTHING).targets == (("openai/x", "azure/x"), ("mine/y",), ())


def test_a_region_leaves_only_the_targets_in_it() -> None:
    found = BOARD.select(Constraints(region="eu"))
    assert found.targets[0] == ("azure/x",)
    assert (found.options[0].target, found.options[0].window) == ("azure/x", 2000)
    assert found.options[1].ruled == "region=eu, and its accounts are in us-east-1"


def test_providers_and_models_are_kept() -> None:
    assert ruled(Constraints(providers=("mine",)))["two"] == "no target of it is at providers=mine"
    assert ruled(Constraints(models=("one",)))["two"] == "it is not among models=one"
    assert BOARD.select(Constraints(models=("azure/x",))).targets == (("azure/x",), (), ())
    assert ruled(Constraints(providers=("openai",), region="eu"))["two"].startswith("region=eu")


def test_unknown_capabilities_are_unsure_where_another_model_is_known_to_have_them() -> None:
    two, one, _ = BOARD.select(NOTHING).options
    assert (two.capabilities, two.unsure) == (None, ("vision",))
    assert (one.capabilities, one.unsure) == (("vision",), ())


def test_a_certified_pair_gets_the_candidates_own_names() -> None:
    offers = (Offer(target="openai/gpt-4", provider="openai"),)
    candidates = [Candidate(name="smart", offers=offers), Candidate(name="plain", offers=())]
    found = Board("auto", NOTHING, candidates, pair=Pair("gpt-4", "plain", 0.1), learned=["gpt-4", "plain"])
    assert (found.known_as, found.pair) == (("gpt-4", "plain"), Pair("smart", "plain", 0.1))


def test_a_selection_is_made_once() -> None:
    assert BOARD.select(Constraints(region="eu", session="a")) is BOARD.select(Constraints(region="eu", mode="cost"))


@pytest.mark.parametrize(
    ("region", "wanted", "is_in"),
    [
        ("eu-west-1", "eu", True), ("europe-west4", "eu", True), ("swedencentral", "EU", True), ("eu", "eu", True),
        ("eu-west-2", "eu", False), ("europe-west2", "eu", False), ("uksouth", "eu", False), ("uksouth", "uk", True),
        ("us-east-1", "us", True), ("eastus2", "us", True), ("us-central1", "us", True), ("australiaeast", "us", False),
        ("eu-west-1", "eu-west-1", True), ("eu-west-1", "eu-west", True), ("eu-west-1", "eu-west-3", False),
        (None, "eu", False), ("global", "eu", False),
    ],
)  # fmt: skip
def test_regions(region: str | None, wanted: str, is_in: bool) -> None:
    assert within(region, wanted) is is_in


def test_well_known_families_have_known_capabilities() -> None:
    assert of_family("anthropic/claude-opus-5") == of_family("claude-sonnet-4-5")
    assert "reasoning" in (of_family("gpt-5.2-mini") or ())
    assert "reasoning" not in (of_family("gpt-4o-mini") or ())
    assert of_family("llama-9") is None


@pytest.mark.parametrize(
    ("model", "work"),
    [
        ("openai/whisper-1", "it only transcribes speech"),
        ("gpt-4o-mini-transcribe", "it only transcribes speech"),
        ("gpt-4o-mini-tts", "it only speaks"),
        ("gemini-2.5-flash-preview-tts", "it only speaks"),
        ("gpt-realtime", "it answers in realtime sessions only"),
        ("gemini-live-2.5-flash", "it answers in realtime sessions only"),
        ("amazon.nova-2-sonic-v1:0", "it answers in realtime sessions only"),
        ("text-embedding-3-large", "it only embeds"),
        ("dall-e-3", "it only draws"),
        ("omni-moderation-latest", "it only moderates"),
        *((name, None) for name in ("gpt-4o-audio-preview", "nova-pro-v1:0", "claude-sonnet-4-5", "olive-7b")),
    ],
)
def test_what_is_for_other_work_is_known_by_its_name(model: str, work: str | None) -> None:
    assert other_work(model) == work
