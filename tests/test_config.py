"""The config file: what it takes, what it says when it can't, and that it keeps secrets."""

import copy
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from dragoman import config
from dragoman.config import Config, ConfigError, Secret, load, parse

ENVIRON = {"KEY": "sk-ant-api03-abcdefgh-a1b2"}


def read(text: str, folder: Path = Path(), **environ: str) -> Config:
    return parse(text.encode(), "dragoman.toml", folder, ENVIRON | environ)


def problem(text: str, folder: Path = Path()) -> str:
    with pytest.raises(ConfigError) as raised:
        read(text, folder)
    return str(raised.value)


ACCOUNT = '[[accounts]]\nname = "a"\nprovider = "openai"\n'


def test_an_empty_file_is_a_config_with_defaults() -> None:
    settings = read("")
    assert (settings.server.host, settings.server.port, settings.access.mode) == ("127.0.0.1", 4040, "open")
    assert settings.accounts == [] and settings.state.path == Path("~/.local/state/dragoman").expanduser()
    assert (settings.server.timeouts.connect, settings.server.timeouts.idle) == (5, 120)


def test_the_example_of_the_contract_is_read() -> None:
    settings = read(
        """
        [server]
        host = "127.0.0.1"
        port = 4040
        workers = 1
        [state]
        dir = "~/x"
        database = "sqlite"
        shared = "memory"
        [access]
        mode = "open"
        [[providers]]
        name = "mine"
        dialect = "openai-chat"
        base_url = "http://127.0.0.1:9000/v1"
        [[accounts]]
        name = "openai-a"
        provider = "openai"
        key = "env:KEY"
        weight = 1
        max_in_flight = 64
        rpm = 500
        tpm = 200000
        region = "eastus"
        [[models]]
        name = "mock-1"
        targets = ["openai/mock-1", ["anthropic/claude-mock", "mine/x"]]
        price = { input = 1.25, cached_input = 0.125, output = 10.0 }
        context_window = 128000
        capabilities = ["tools"]
        quality = 0.72
        [[routes]]
        name = "auto"
        models = ["mock-1"]
        mode = "balanced"
        constraints = { max_cost_usd = 0.01, max_ttft_ms = 1500, min_quality = 0.6, needs = ["tools"] }
        [voice]
        stt = "local"
        """
    )
    assert settings.models[0].tiers() == [["openai/mock-1"], ["anthropic/claude-mock", "mine/x"]]
    assert settings.accounts[0].key == Secret(ENVIRON["KEY"])
    assert settings.routes[0].constraints.needs == ["tools"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[server\n", "not valid TOML"),
        ("a = 1\nb =", "not valid TOML"),
        ('[server]\nport = "many"', 'server.port: expected a whole number, got "many"'),
        ("[server]\nport = 70000", "server.port: expected a whole number <= 65535, got 70000"),
        ("[server]\nport = 1.5", "server.port: expected a whole number, got 1.5"),
        ("[server]\nworkers = 0", "server.workers: expected a whole number above 0, got 0"),
        ("[server]\nhost = 5", "server.host: expected a string, got 5"),
        ("[server]\nmax_body_mb = 0", "server.max_body_mb: expected a number above 0, got 0"),
        ("[server]\ncors_origins = 1", "server.cors_origins: expected a list, got 1"),
        ("server = 5", "server: expected a table, got 5"),
        ("[[server]]\nport = 1", "server: expected a table, got a list"),
        ("[server.timeouts]\nconnect = -1", "server.timeouts.connect: expected a number above 0, got -1"),
        ('[access]\nmode = "closed"', 'access.mode: expected one of keys, open, got "closed"'),
        (
            ACCOUNT + 'max_in_flight = "many"',
            'accounts[0].max_in_flight: expected a whole number above 0, got "many"',
        ),
        (ACCOUNT + "rpm = true", "accounts[0].rpm: expected a whole number above 0, got true"),
        (ACCOUNT + ACCOUNT + "weight = 0", "accounts[1].weight: expected a number above 0, got 0"),
        ('[[accounts]]\nname = "a"', "accounts[0].provider: is required"),
        ('[[models]]\nname = "m"', "models[0].targets: is required"),
        ("[server]\nprot = 1", "server.prot: no such key: did you mean port?"),
        (
            "[state]\nzzz = 1",
            "state.zzz: no such key: the known ones are database, dir, keep_days, shared, shared_fallback",
        ),
        ('[state]\nshared = "localhost:6379"', 'state.shared: expected "memory", or a URL that begins with redis://'),
        ("sever = 1", "sever: no such key: did you mean server?"),
        (ACCOUNT + "max_inflight = 1", "accounts[0].max_inflight: no such key: did you mean max_in_flight?"),
        (ACCOUNT + "[accounts.timeouts]\ntotl = 1", "accounts[0].timeouts.totl: no such key: did you mean total?"),
        ('[[models]]\nname="m"\ntargets=["x"]', 'models[0].targets: expected "provider/model-id", got "x"'),
        ('[[models]]\nname="m"\ntargets=[["a/b", "x"]]', 'models[0].targets: expected "provider/model-id", got "x"'),
        ('[[models]]\nname="m"\ntargets=[]', "models[0].targets: expected at least one target"),
        ('[[models]]\nname="m"\ntargets=["a/b"]\nquality=2', "models[0].quality: expected a number <= 1.0, got 2"),
        ('[[models]]\nname="m"\ntargets=["a/b"]\nprice={input=-1}', "models[0].price.input: expected a number >= 0.0"),
        ('[[routes]]\nname="r"\nmodels=["m"]', 'routes[0].models: no model is named "m": declare it in [[models]]'),
        (
            '[[routes]]\nname="r"\nmodels=["a/b"]\nshadow={share=0.1}',
            "routes[0].shadow: without a judge its answers are kept: set record_prompts = true too",
        ),
        (
            '[[routes]]\nname="r"\nmodels=["a/b"]\nshadow={share=0.1, judge="j"}',
            'routes[0].shadow.judge: no model is named "j": declare it in [[models]]',
        ),
        (
            '[[routes]]\nname="r"\nmodels=["a/b"]\nshadow={share=2, judge="a/b"}',
            "routes[0].shadow.share: expected a number <= 1.0, got 2",
        ),
        (
            '[[routes]]\nname="r"\nmodels=[]\nmode="x"',
            "routes[0].mode: expected one of balanced, cost, latency, quality",
        ),
        (ACCOUNT + ACCOUNT, 'accounts: the name "a" is used twice: names must differ'),
        (
            '[[models]]\nname="x"\ntargets=["a/b"]\n[[routes]]\nname="x"\nmodels=["x"]',
            'models and routes: the name "x" is used twice',
        ),
        ('[server]\ntls_cert = "a.pem"', "server.tls_cert and server.tls_key: give both or none"),
        (ACCOUNT + 'key = "env:NOPE"', "accounts[0].key: the environment has no variable NOPE: set it"),
        (ACCOUNT + 'key = "file:nope.txt"', "accounts[0].key: can't read nope.txt: No such file"),
        (ACCOUNT + "headers = { x = 5 }", "accounts[0].headers"),
        (ACCOUNT + 'base_url = "nowhere"', "accounts[0].base_url: expected a URL that begins with http:// or https://"),
        (
            '[[providers]]\nname="p"\ndialect="ollama"\nbase_url="ftp://h"',
            "providers[0].base_url: expected a URL that begins with http:// or https://",
        ),
        (ACCOUNT + 'key = "k\\nx: y"', "accounts[0].key: has line breaks"),
        ('[[routes]]\nname="r"\nmodels=[]', "routes[0].models: expected at least one model"),
        ('[voice]\nturn = "x"', 'voice.turn: expected one of local, silence, got "x"'),
        ('[voice]\nstt = "whisper"', 'voice.stt: expected "local" or "provider/model", got "whisper"'),
        ('[state]\ndatabase = "mysql://h/d"', 'state.database: expected "sqlite" or "postgresql://'),
    ],
)
def test_an_error_names_the_file_the_place_and_what_was_expected(text: str, said: str) -> None:
    found = problem(text)
    assert found.startswith("dragoman.toml: ") and said in found
    assert "`" not in found and "msgspec" not in found.lower()


@pytest.mark.parametrize("name", ["key", "client_secret", "credentials", "secret_access_key", "session_token"])
def test_an_error_about_a_secret_does_not_show_it(name: str) -> None:
    assert "31337" not in problem(ACCOUNT + f"{name} = 31337")
    assert "hunter2" not in problem(ACCOUNT + f'{name} = ["hunter2"]')


def test_an_error_about_a_header_does_not_show_it() -> None:
    assert "31337" not in problem(ACCOUNT + "headers = { authorization = 31337 }")


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"none\.toml: can't be read: No such file"):
        load(tmp_path / "none.toml")


def test_bytes_that_are_no_text_are_refused(tmp_path: Path) -> None:
    (tmp_path / "dragoman.toml").write_bytes(b"\xff\xfe")
    with pytest.raises(ConfigError, match="not valid TOML"):
        load(tmp_path / "dragoman.toml")


def test_any_string_may_come_from_the_environment_or_a_file(tmp_path: Path) -> None:
    (tmp_path / "key.txt").write_text("sk-from-a-file-0001\n")
    (tmp_path / "dragoman.toml").write_text(
        '[server]\nhost = "env:HOST"\n[state]\ndir = "file:dir.txt"\n'
        + ACCOUNT
        + 'key = "file:key.txt"\nmodels = ["env:MODEL"]\n[accounts.headers]\nx-team = "env:TEAM"\n'
    )
    (tmp_path / "dir.txt").write_text("/var/lib/dragoman\n")
    settings = load(tmp_path / "dragoman.toml", {"HOST": "::1", "MODEL": "m", "TEAM": "blue"})
    account = settings.accounts[0]
    assert (settings.server.host, settings.state.dir) == ("::1", "/var/lib/dragoman")
    assert account.key == Secret("sk-from-a-file-0001")
    assert (account.models, account.headers) == (["m"], {"x-team": config.Secret("blue")})


def test_a_file_whose_path_is_wanted_is_not_read(tmp_path: Path) -> None:
    settings = read('[server]\ntls_cert = "file:c.pem"\ntls_key = "file:k.pem"', tmp_path)
    assert settings.server.tls_cert == str(tmp_path / "c.pem")


def test_a_secret_that_ends_in_a_line_break_loses_it(tmp_path: Path) -> None:
    found = parse((ACCOUNT + 'key = "env:K"').encode(), "dragoman.toml", tmp_path, {"K": "sk-1\n"})
    assert found.accounts[0].key == Secret("sk-1")


def test_what_the_environment_holds_is_not_looked_into_again() -> None:
    settings = read(ACCOUNT + 'key = "env:KEY"', KEY="env:OTHER")
    assert settings.accounts[0].key == Secret("env:OTHER")


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("sk-proj-abcdefgh-a1b2", "sk-…a1b2"),
        ("dgm-abcdefghijkl-a1b2", "dgm-…a1b2"),
        ("0123456789abcdef", "…cdef"),
        ("short", "…"),
        ("", "…"),
    ],
)
def test_a_secret_shows_its_kind_and_its_end_at_most(value: str, shown: str) -> None:
    secret = Secret(value)
    assert str(secret) == repr(secret) == f"{secret}" == f"{secret!r}" == "%s" % secret == shown  # noqa: UP031
    assert secret.reveal() == value


@given(st.text(min_size=12))
def test_no_secret_shows_more_than_its_last_four_letters_and_a_prefix(value: str) -> None:
    assert len(str(Secret(value))) <= 5 + 1 + 4


def test_a_config_with_secrets_shows_none_of_them_however_it_is_printed() -> None:
    settings = read(
        ACCOUNT
        + "".join(
            f'{name} = "topsecret-{name}-abcd"\n'
            for name in ("key", "client_secret", "credentials", "access_key_id", "secret_access_key", "session_token")
        )
    )
    settings.access.admin_key = read('[access]\nadmin_key = "topsecret-admin-abcd"').access.admin_key
    for text in (repr(settings), str(settings), f"{settings}", repr(copy.deepcopy(settings)), repr(settings.accounts)):
        assert "topsecret" not in text and "…abcd" in text


def test_json_refuses_a_secret_rather_than_show_it() -> None:
    with pytest.raises(TypeError):
        msgspec.json.encode(read(ACCOUNT + 'key = "env:KEY"'))


def test_secrets_compare_and_hash_by_value() -> None:
    assert Secret("a") == Secret("a") != Secret("b") and len({Secret("a"), Secret("a")}) == 1
    assert Secret("a") != "a"


toml_value = st.sampled_from(['"x"', "5", "-1", "1.5", "true", "[]", "{}", '["a"]', "1979-05-27", "{a = 1}", "nan"])
places = st.sampled_from(
    [
        (kind, name)
        for kind in config.Config.__struct_fields__
        for name in ("name", "key", "port", "targets", "x", "mode")
    ]
)


@given(places, toml_value)
def test_no_value_anywhere_makes_anything_but_a_config_or_a_config_error(place: tuple[str, str], value: str) -> None:
    kind, name = place
    for text in (f"{kind} = {value}", f"[{kind}]\n{name} = {value}", f"[[{kind}]]\n{name} = {value}"):
        try:
            found: Any = read(text)
        except ConfigError as error:
            found = str(error)
            assert found.startswith("dragoman.toml: ") and "`" not in found
        assert isinstance(found, Config | str)


OIDC = '[access]\nmode = "keys"\n[access.oidc]\n'


@pytest.mark.parametrize("url", ["https://login.example.com/realm", "http://127.0.0.1:9000", "http://localhost/x"])
def test_an_issuer_is_asked_over_tls_or_on_this_machine(url: str) -> None:
    found = read(f'{OIDC}issuer = "{url}"\naudience = ["a", "b"]\njwks_url = "{url}"').access.oidc
    assert found is not None
    assert (found.issuer, found.audience, found.name, found.groups) == (url, ["a", "b"], "sub", "groups")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (
            OIDC + 'issuer = "http://login.example.com"\naudience = "a"',
            "access.oidc.issuer: expected a URL that begins",
        ),
        (OIDC + 'issuer = "http://localhost.example.com"\naudience = "a"', "access.oidc.issuer: expected a URL"),
        (OIDC + 'issuer = "https://x"\naudience = "a"\njwks_url = "http://x/keys"', "access.oidc.jwks_url: expected"),
        (OIDC + 'issuer = "https://x"\naudience = []', "access.oidc.audience: expected what tokens"),
        (OIDC + 'issuer = "https://x"', "access.oidc.audience: is required"),
        ('[access.oidc]\nissuer = "https://x"\naudience = "a"', 'set access.mode = "keys"'),
    ],
)
def test_an_issuer_that_cannot_be_trusted_is_refused(text: str, words: str) -> None:
    assert words in problem(text)


def test_a_collector_is_a_url() -> None:
    assert "telemetry.endpoint: expected a URL that begins with http" in problem('[telemetry]\nendpoint = "host:4318"')
