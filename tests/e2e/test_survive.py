"""Streams killed in mid-answer, between real programs: the official SDKs see one whole answer."""

from collections.abc import Iterator
from typing import Any

import pytest

from e2e.clients import CLIENTS, AnthropicTalk, ChatTalk
from e2e.clients.talk import Mode
from e2e.columns import COLUMNS, Column
from e2e.gateway import GatewayProcess
from fakes import Scenario, start

TEXT = "The ship sails at dawn,  and the harbour master\n\nwants his fee: häß 你好 😀, before it does. " * 3 + "End."
KEY = "sk-of-all"
STREAM = Mode(asynchronous=False, stream=True)
OTHERS = ["openai-chat", "compatible", "openai-responses", "gemini", "bedrock", "ollama", "cohere"]
PAIRS = [*((name, "anthropic") for name in OTHERS), *(("anthropic", name) for name in ["anthropic", *OTHERS])]
FAULTS = ["drop", "reset", "cut", "error", "hang"]
CASES = [(first, second, client) for first, second in PAIRS for client in CLIENTS]


class Stage:
    """A gateway in front of fakes; every case has a model, `first…` of it dies, `second…` goes on."""

    def __init__(self) -> None:
        self.fakes: dict[str, Any] = {}
        self.accounts: list[dict[str, Any]] = []
        self.models: list[dict[str, Any]] = []
        for name in {name for pair in PAIRS for name in pair}:
            column = COLUMNS[name]
            options = {"credentials": {"AKIAFAKE": KEY}} if name == "bedrock" else {"keys": {KEY}}
            self.fakes[name] = start(column.fake, **options, **column.options)
        for number, case in enumerate(CASES):
            self._case("-".join(case), f"t{number}", case[0], case[1])
        for fault in FAULTS:
            for surface in ("openai-chat", "anthropic"):
                self._case(f"{fault}-{surface}", f"{fault}-{surface}", "anthropic", "compatible")
        self._case("default", "d", "anthropic", "anthropic", on_break="error")
        self._case("late", "late", "compatible", "compatible", hedge=True)

    def _case(self, name: str, mark: str, first: str, second: str, **more: Any) -> None:
        targets = []
        for place, column in (("first", COLUMNS[first]), ("second", COLUMNS[second])):
            model = f"{column.model}-{place}{mark}"
            entry = {"name": f"{place}-{name}", "provider": column.name, "models": [model]} | column.account
            dies = place == "first" and name.startswith("hang")
            self.accounts.append(entry | self._credential(column) | ({"timeouts": {"idle": 0.5}} if dies else {}))
            targets.append(f"{entry['provider']}/{model}")
        self.models.append({"name": name, "targets": targets, "on_break": "resume"} | more)

    def _credential(self, column: Column) -> dict[str, Any]:
        where = {"base_url": self.fakes[column.name].base_url}
        if column.name == "bedrock":
            return where | {"access_key_id": "AKIAFAKE", "secret_access_key": KEY}
        return where | {"key": KEY}

    def start(self) -> GatewayProcess:
        providers = [
            column.provider | {"base_url": self.fakes[name].base_url}
            for name, column in COLUMNS.items()
            if name in self.fakes and column.provider
        ]
        return GatewayProcess(providers=providers, accounts=self.accounts, models=self.models)


@pytest.fixture(scope="module")
def stage() -> Iterator[tuple[Stage, GatewayProcess]]:
    made = Stage()
    with made.start() as gateway:
        yield made, gateway
    for fake in made.fakes.values():
        fake.stop()


def play(stage: Stage, fault: str = "drop", after: int = 12) -> None:
    """Whoever is asked first dies in mid-answer; whoever is asked second goes on with it."""

    def fate(request: Any) -> Scenario:
        if "first" in request.raw_path or b"-first" in request.body:
            return Scenario(say=TEXT, fault=fault, after=after)  # type: ignore[arg-type]
        return Scenario(say=rest(request.json))

    for fake in stage.fakes.values():
        fake.always(fate)


def rest(body: Any) -> str:
    """What a model says that was given the beginning of the answer: all that is missing, after what it was asked to
    repeat."""
    turns = body.get("messages") or body.get("contents") or body["input"]
    texts = [_text(turn) for turn in turns]
    roles = [turn["role"] for turn in turns]
    if roles[-1] in ("assistant", "model"):
        assert TEXT.startswith(texts[-1]) and texts[-1]
        return TEXT[len(texts[-1]) :]
    assert roles[-2] in ("assistant", "model"), roles
    anchor = texts[-1].partition(":\n")[2]
    assert TEXT.startswith(texts[-2]) and texts[-2].endswith(anchor) and anchor
    return TEXT[len(texts[-2]) - len(anchor) :]


def _text(turn: Any) -> str:
    content = turn.get("content") or turn.get("parts")
    return content if isinstance(content, str) else "".join(part["text"] for part in content)


@pytest.mark.parametrize(("first", "second", "client"), CASES)
def test_an_answer_goes_on_where_its_upstream_was_killed(stage: Any, first: str, second: str, client: str) -> None:
    made, gateway = stage
    play(made)
    talk = CLIENTS[client](gateway.url, STREAM, f"{first}-{second}-{client}")
    said = talk.user("hello").reply()
    assert said.text == TEXT
    assert said.finish == "stop" and said.output > 0
    assert talk.headers["x-dragoman-account"] == f"first-{first}-{second}-{client}"
    assert all(fake.crashes == [] for fake in made.fakes.values())


@pytest.mark.parametrize("talk", [ChatTalk, AnthropicTalk])
@pytest.mark.parametrize("fault", FAULTS)
def test_every_way_to_die_is_survived(stage: Any, fault: str, talk: Any) -> None:
    made, gateway = stage
    play(made, fault)
    assert talk(gateway.url, STREAM, f"{fault}-{talk.surface}").user("hello").reply().text == TEXT


def test_without_the_policy_the_sdk_hears_of_it(stage: Any) -> None:
    made, gateway = stage
    play(made)
    with pytest.raises(AnthropicTalk.failed):
        AnthropicTalk(gateway.url, STREAM, "default").user("hello").reply()


def test_a_late_first_token_is_overtaken(stage: Any) -> None:
    made, gateway = stage
    fake = made.fakes["compatible"]
    for other in made.fakes.values():
        other.always(None)
    for _ in range(20):
        ChatTalk(gateway.url, STREAM, "late").user("hello").reply()
    fake.always(lambda request: Scenario(fault="hang", after=1) if b"-first" in request.body else Scenario())
    talk = ChatTalk(gateway.url, STREAM, "late")
    assert talk.user("hello").reply().text == "You said: hello"
    assert talk.headers["x-dragoman-account"] == "second-late"
    fake.wait(lambda: any(request.client_left for request in fake.requests))


def test_the_ledger_tells_of_both(stage: Any) -> None:
    _, gateway = stage
    rows = {row["model"]: row for row in gateway.rows()}
    row = rows["anthropic-compatible-anthropic"]
    (share,) = row["shares"]
    assert (row["resumed"], row["account"]) == (1, "second-anthropic-compatible-anthropic")
    assert (share["account"], share["why"]) == ("first-anthropic-compatible-anthropic", "broke")
    assert row["tokens"]["output"] > share["output"] > 0
    assert rows["late"]["hedged"] is True and rows["late"]["shares"][0]["why"] == "late"
