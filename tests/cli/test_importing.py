"""`dragoman import litellm`: what comes out loads, and says what it left out."""

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from dragoman import config
from dragoman.cli import toml
from dragoman.cli.importing import _Anything
from dragoman.cli.litellm import translate

Run = Callable[..., tuple[int, str, str]]
EXAMPLE = Path(__file__).parent / "litellm.yaml"


@pytest.fixture(scope="module")
def imported() -> config.Config:
    data = translate(yaml.safe_load(EXAMPLE.read_text())).data
    return config.parse(toml.dumps(data).encode(), "dragoman.toml", Path(), _Anything())


def one(text: str) -> dict[str, Any]:
    """What one model_list entry of that YAML comes to."""
    return translate({"model_list": [yaml.safe_load(text)]}).data


def deployment(model: str, **params: Any) -> dict[str, Any]:
    return {"model_name": "m", "litellm_params": {"model": model, **params}}


def test_deployments_of_one_name_are_targets_in_their_order_then_the_fallbacks(imported: config.Config) -> None:
    model = imported.models[0]
    assert (model.name, model.aliases) == ("gpt-4o", ["gpt-4"])
    assert model.tiers() == [["openai/gpt-4o"], ["azure/gpt-4o"], ["anthropic/claude-sonnet-4-5"]]


def test_an_azure_deployment_keeps_its_base_model_key_and_limits(imported: config.Config) -> None:
    azure = next(account for account in imported.accounts if account.provider == "azure")
    assert azure.deployments == {"gpt-4o": "my-gpt-4o"}
    assert (azure.rpm, azure.tpm, azure.api_version) == (600, 100_000, "2024-10-21")
    assert azure.base_url == "https://eu.openai.azure.com" and azure.key is not None


def test_clouds_keep_their_parameters(imported: config.Config) -> None:
    accounts = {account.provider: account for account in imported.accounts}
    assert accounts["bedrock"].region == "eu-west-1" and accounts["bedrock"].access_key_id is not None
    assert (accounts["vertex"].project, accounts["vertex"].region) == ("my-project", "europe-west4")


def test_a_compatible_service_is_a_provider_with_a_price(imported: config.Config) -> None:
    provider, model = imported.providers[0], imported.models[-1]
    assert provider.base_url == "http://10.0.0.7:8000/v1" and provider.dialect == "openai-chat"
    assert model.targets == [f"{provider.name}/our-model"]
    assert model.price is not None and (model.price.input, model.price.output) == (0.5, 2)


def test_what_is_known_of_a_model_is_kept(imported: config.Config) -> None:
    claude = next(model for model in imported.models if model.name == "claude")
    assert (claude.context_window, claude.capabilities) == (200_000, ["tools", "vision"])


def test_access_and_state_are_kept(imported: config.Config) -> None:
    assert imported.access.mode == "keys" and imported.access.admin_key
    assert imported.state.shared == "redis://:secret@cache:6379" and imported.server.timeouts.total == 300


def test_what_has_no_equivalent_is_told() -> None:
    told = "\n".join(translate(yaml.safe_load(EXAMPLE.read_text())).remarks)
    for place in (
        "model_list[5].litellm_params.mock_response",
        "model_list[7]",
        "watsonx",
        "litellm_settings.callbacks",
        "router_settings.routing_strategy",
        '"nowhere"',
        "database_url",
    ):
        assert place in told
    assert "drop_params" not in told


def test_the_program_writes_a_file_that_loads(home: Path, run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("OPENAI_API_KEY", "AZURE_KEY", "ANTHROPIC_API_KEY", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, f"{name}-0123456789")
    monkeypatch.setenv("VERTEX_JSON", "{}")
    monkeypatch.setenv("LITELLM_MASTER_KEY", "sk-master-0123456789")
    status, out, err = run("import", "litellm", str(EXAMPLE), "--out", "new.toml")
    assert status == 0 and "6 accounts, 5 models" in out and "callbacks" in err
    assert len(config.load(home / "new.toml").models) == 5
    assert (home / "new.toml").stat().st_mode & 0o077 == 0
    assert run("check", "--config", "new.toml")[0] == 0


def test_a_config_that_is_there_is_not_overwritten_unasked(home: Path, run: Run) -> None:
    before = (home / "dragoman.toml").read_text()
    status, _, err = run("import", "litellm", str(EXAMPLE))
    assert status == 1 and "--out" in err and (home / "dragoman.toml").read_text() == before


def test_it_prints_for_a_pipe(home: Path, run: Run) -> None:
    status, out, _ = run("import", "litellm", str(EXAMPLE), "--out", "-")
    assert status == 0 and tomllib.loads(out)["models"][0]["name"] == "gpt-4o"


@pytest.mark.parametrize("text", ["just text", "a: [", "model_list: 3", "[1, 2]", ""])
def test_what_is_no_litellm_config_is_bad_config(text: str, home: Path, run: Run) -> None:
    (home / "bad.yaml").write_text(text)
    status, out, err = run("import", "litellm", "bad.yaml")
    assert (status, out) == (2, "") and "bad.yaml" in err


def test_equals_share_a_tier_and_their_weights_are_of_their_accounts() -> None:
    data = translate(
        {"model_list": [deployment("gpt-4o", api_key="k1", weight=2), deployment("groq/x", api_key="k2", weight=1)]}
    ).data
    assert data["models"][0]["targets"] == [["openai/gpt-4o", "groq/x"]]
    assert [account["weight"] for account in data["accounts"]] == [2, 1]


def test_two_credentials_of_a_provider_are_two_accounts_with_their_own_models() -> None:
    first, second = deployment("openai/a", api_key="k1"), deployment("openai/b", api_key="k2")
    accounts = translate({"model_list": [first, second]}).data["accounts"]
    assert [(each["name"], each["key"], each["models"]) for each in accounts] == [
        ("openai", "k1", ["a"]),
        ("openai-2", "k2", ["b"]),
    ]


@pytest.mark.parametrize(
    ("said", "ours"),
    [
        ("/keys/sa.json", "file:/keys/sa.json"), ("os.environ/SA", "env:SA"), ('{"type": "x"}', '{"type": "x"}'),
        ({"type": "x"}, '{"type": "x"}'),
    ],
)  # fmt: skip
def test_a_service_accounts_key_is_a_file_unless_it_is_said_at_once(said: Any, ours: str) -> None:
    entry = deployment("vertex_ai/gemini-2.5-pro", vertex_project="p", vertex_credentials=said)
    assert translate({"model_list": [entry]}).data["accounts"][0]["credentials"] == ours


def test_a_wildcard_for_everything_is_said_to_be_needless() -> None:
    found = translate({"model_list": [{"model_name": "*", "litellm_params": {"model": "*"}}]})
    assert found.data["accounts"] == [] and "no wildcards here" in found.remarks[0]


def test_one_credential_for_two_models_is_one_account() -> None:
    entries = [deployment("openai/a", api_key="k"), deployment("openai/b", api_key="k") | {"model_name": "n"}]
    data = translate({"model_list": entries}).data
    assert len(data["accounts"]) == 1 and data["accounts"][0]["models"] is None


def test_deployments_with_rates_of_their_own_do_not_share_them() -> None:
    entries = [deployment("openai/a", api_key="k", rpm=5), deployment("openai/b", api_key="k", rpm=5)]
    accounts = translate({"model_list": entries}).data["accounts"]
    assert [(each["rpm"], each["models"]) for each in accounts] == [(5, ["a"]), (5, ["b"])]


def test_a_key_that_is_not_named_is_looked_for_where_the_provider_s_usually_is() -> None:
    assert translate({"model_list": [deployment("groq/x")]}).data["accounts"][0]["key"] == "env:GROQ_API_KEY"


junk = st.recursive(
    st.none() | st.integers(-5, 5) | st.text(max_size=5) | st.sampled_from(["openai/x", "os.environ/X", True]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(
            ["model_list", "model_name", "litellm_params", "model_info", "model", "api_key", "api_base", "fallbacks",
             "router_settings", "litellm_settings", "general_settings", "model_group_alias", "master_key", "order",
             "input_cost_per_token", "base_model", "deployments", "extra_headers", "redis_host", "organization"]
        ),
        inner,
        max_size=5,
    ),
    max_leaves=20,
)  # fmt: skip


@given(st.lists(junk, max_size=3), junk, junk)
def test_no_yaml_makes_it_crash(entries: list[Any], router: Any, other: Any) -> None:
    translate({"model_list": entries, "router_settings": router, "litellm_settings": other, "general_settings": other})


plain = st.text(max_size=20) | st.integers(-(2**40), 2**40) | st.booleans() | st.floats(-1e6, 1e6)


@given(st.dictionaries(st.text(min_size=1, max_size=8), plain | st.lists(plain, min_size=1, max_size=3), min_size=1))
def test_what_is_written_as_toml_is_read_back(table: dict[str, Any]) -> None:
    read = tomllib.loads(toml.dumps({"t": table, "l": [table, {"deeper": table}]}))
    assert same(read, {"t": table, "l": [table, {"deeper": table}]})


def same(read: Any, written: Any) -> bool:
    """Whether they are equal, floats to twelve digits."""
    if isinstance(written, dict):
        return set(read) == set(written) and all(same(read[name], written[name]) for name in written)
    if isinstance(written, list):
        return len(read) == len(written) and all(map(same, read, written))
    if isinstance(written, float):
        return bool(read == pytest.approx(written, rel=1e-11))
    return read == written and type(read) is type(written)
