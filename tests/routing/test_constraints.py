"""What a caller may declare, and what they are told where it makes no sense."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman import config
from dragoman.dialects.fields import Malformed
from dragoman.routing.constraints import NOTHING, Constraints, from_azure, from_body, from_header, of_request, of_route

ALL = (
    "mode=cost; max_cost_usd=0.002; max_ttft_ms=300; max_total_ms=2e3; min_quality=0.8; needs=tools,images; models=b,a;"
    " region=eu; providers=openai; session=abc; tag.task=support; tag.app=desk"
)
READ = Constraints(
    mode="cost", max_cost_usd=0.002, max_ttft_ms=300, max_total_ms=2000, min_quality=0.8, needs=("tools", "vision"),
    models=("a", "b"), region="eu", providers=("openai",), session="abc", tags=(("app", "desk"), ("task", "support")),
)  # fmt: skip


def test_the_header_says_everything() -> None:
    assert from_header(ALL) == READ
    assert READ.tag("task") == "support" and READ.tag("colour") is None


def test_the_body_object_says_the_same() -> None:
    body = {
        "mode": "cost", "max_cost_usd": 0.002, "max_ttft_ms": 300, "max_total_ms": 2000, "min_quality": 0.8,
        "needs": ["tools", "vision"], "models": ["a", "b"], "region": "eu", "providers": ["openai"], "session": "abc",
        "tags": {"task": "support"}, "tag.app": "desk",
    }  # fmt: skip
    assert from_body(body) == READ


def test_azures_routing_config_is_understood() -> None:
    azure = {"mode": "Cost", "models": ["a"], "session_affinity": "abc", "preview": {"of": "something"}}
    assert from_azure(azure) == Constraints(mode="cost", models=("a",), session="abc")
    assert from_azure({"session_affinity": True}) == NOTHING


def test_header_goes_before_body_before_azure_before_route() -> None:
    route = config.Route(name="auto", models=[], mode="quality", constraints=config.Constraints(max_ttft_ms=4.0))
    header, body = "max_cost_usd=1", {"max_cost_usd": 2, "min_quality": 0.2}
    azure = {"mode": "cost", "models": ["x"]}
    found = of_request(header, body, azure).over(of_route(route))
    assert found == Constraints(max_cost_usd=1, min_quality=0.2, mode="cost", models=("x",), max_ttft_ms=4)


def test_needs_and_tags_are_added_up() -> None:
    found = of_request("needs=tools; tag.a=1; tag.b=2", {"needs": ["vision"], "tags": {"a": "9", "c": "3"}}, None)
    assert found.needs == ("tools", "vision")
    assert dict(found.tags) == {"a": "1", "b": "2", "c": "3"}


def test_zero_is_a_limit_and_not_nothing() -> None:
    assert of_request("max_cost_usd=0", {"max_cost_usd": 5}, None).max_cost_usd == 0


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("mode=best", 'x-dragoman-constraints: mode: expected one of balanced, cost, quality, latency, got "best"'),
        ("max_cost_usd=many", 'x-dragoman-constraints: max_cost_usd: expected a number from 0, got "many"'),
        ("max_ttft_ms=-1", 'x-dragoman-constraints: max_ttft_ms: expected a number from 0, got "-1"'),
        ("max_total_ms=nan", 'x-dragoman-constraints: max_total_ms: expected a number from 0, got "nan"'),
        ("min_quality=80", 'x-dragoman-constraints: min_quality: expected a number from 0 to 1, got "80"'),
        ("max_cost=1", "x-dragoman-constraints: max_cost: expected a known key: did you mean max_cost_usd?"),
        ("mode", 'x-dragoman-constraints: expected key=value pairs with ; between them, got "mode"'),
        ("mode=cost; mode=quality", 'x-dragoman-constraints: mode: expected to be said once, got "quality"'),
        ("needs=", 'x-dragoman-constraints: needs: expected a list of names, got ""'),
        ("region=", 'x-dragoman-constraints: region: expected a word of at most 256 characters, got ""'),
    ],
)
def test_an_error_names_the_key_and_the_mend(header: str, message: str) -> None:
    with pytest.raises(Malformed) as error:
        from_header(header)
    assert str(error.value) == message


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ("cost", 'dragoman: expected an object, got "cost"'),
        ({"min_quality": True}, "dragoman.min_quality: expected a number from 0 to 1, got true"),
        ({"needs": [3]}, "dragoman.needs: expected a word of at most 256 characters, got 3"),
        ({"colour": 1}, "dragoman.colour: expected a known key: the known ones are mode, max_cost_usd, max_ttft_ms, "
         "max_total_ms, min_quality, needs, models, region, providers, session, tag.*"),
        ({"tags": ["a"]}, "dragoman.tags: expected an object of strings, got an array"),
    ],
)  # fmt: skip
def test_an_error_in_a_body_names_its_path(body: object, message: str) -> None:
    with pytest.raises(Malformed) as error:
        from_body(body)
    assert str(error.value) == message


def test_an_empty_list_and_null_say_nothing() -> None:
    assert from_body({"needs": [], "models": None}) == NOTHING


@given(st.text(max_size=40), st.recursive(st.none() | st.booleans() | st.floats() | st.text(max_size=9), st.lists))
def test_nonsense_is_read_or_refused_with_a_path(header: str, value: object) -> None:
    for said in (lambda: from_header(header), lambda: from_body({"needs": value, "tags": {"x": value}})):
        try:
            assert isinstance(said(), Constraints)
        except Malformed as error:
            assert error.path
