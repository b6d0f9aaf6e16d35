"""A LiteLLM proxy config as ours. Pure: parsed YAML in, plain data for `dragoman.toml` and remarks out.

| LiteLLM                                   | here                                                       |
|-------------------------------------------|------------------------------------------------------------|
| model_list[].model_name                   | [[models]] name; several of one name are equals            |
| litellm_params.model `provider/id`        | a target; `order` makes tiers                              |
| api_key, api_base, api_version, aws_*, vertex_*, … | [[accounts]], one for each distinct set           |
| rpm, tpm, weight, max_parallel_requests   | of the account; a deployment with its own gets its own one |
| model_info.base_model of azure            | target azure/base-model, `deployments` of the account      |
| *_cost_per_token                          | price                                                      |
| model_info max_*_tokens, supports_*       | context_window, max_output_tokens, capabilities            |
| fallbacks, default_fallbacks              | further targets, after the model's own                     |
| router_settings.model_group_alias         | aliases                                                    |
| general_settings.master_key               | access.mode = "keys", access.admin_key                     |
| timeout, request_timeout                  | timeouts.total                                             |
| router_settings.redis_url, redis_host     | state.shared                                               |
| os.environ/NAME                           | env:NAME                                                   |
"""

import json
from typing import Any

from msgspec import Struct, field

PROVIDERS = {  # LiteLLM's prefix: our provider
    "openai": "openai",
    "azure": "azure",
    "azure_ai": "azure",
    "anthropic": "anthropic",
    "bedrock": "bedrock",
    "vertex_ai": "vertex",
    "vertex_ai_beta": "vertex",
    "gemini": "gemini",
    "mistral": "mistral",
    "groq": "groq",
    "deepseek": "deepseek",
    "openrouter": "openrouter",
    "xai": "xai",
    "together_ai": "together",
    "fireworks_ai": "fireworks",
    "cerebras": "cerebras",
    "perplexity": "perplexity",
    "cohere": "cohere",
    "cohere_chat": "cohere",
    "nvidia_nim": "nvidia",
    "hosted_vllm": "vllm",
    "vllm": "vllm",
    "ollama": "ollama",
    "ollama_chat": "ollama",
    "llamafile": "llamacpp",
}
_BY_NAME = (  # models that LiteLLM knows without a prefix
    (("gpt-", "chatgpt-", "o1", "o3", "o4", "text-embedding-", "whisper", "tts-", "dall-e"), "openai"),
    (("claude",), "anthropic"),
    (("gemini",), "gemini"),
    (("command",), "cohere"),
    (("mistral", "codestral", "ministral"), "mistral"),
)
_OPENAI_LIKE = {"openai", "text-completion-openai", "custom_openai", "openai_like", "lm_studio", "litellm_proxy"}
_CREDENTIALS = {  # litellm_params: field of [[accounts]]
    "api_key": "key",
    "api_base": "base_url",
    "base_url": "base_url",
    "api_version": "api_version",
    "region_name": "region",
    "aws_region_name": "region",
    "aws_access_key_id": "access_key_id",
    "aws_secret_access_key": "secret_access_key",
    "aws_session_token": "session_token",
    "vertex_project": "project",
    "vertex_location": "region",
    "vertex_credentials": "credentials",
    "tenant_id": "tenant_id",
    "client_id": "client_id",
    "client_secret": "client_secret",
    "extra_headers": "headers",
}
_LIMITS = {"rpm": "rpm", "tpm": "tpm", "weight": "weight", "max_parallel_requests": "max_in_flight"}
_PRICES = {
    "input_cost_per_token": "input",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
    "output_cost_per_token": "output",
    "input_cost_per_audio_token": "audio_input",
    "output_cost_per_audio_token": "audio_output",
}
_CAPABILITIES = {
    "supports_function_calling": "tools",
    "supports_vision": "vision",
    "supports_response_schema": "json_schema",
    "supports_reasoning": "reasoning",
    "supports_audio_input": "audio",
}
_READ_PARAMS = {"model", "timeout", "stream_timeout", "order", "custom_llm_provider", "organization"}
_READ_INFO = {"id", "base_model", "mode", "max_input_tokens", "max_tokens", "max_output_tokens", "db_model"}


class Translation(Struct):
    """`data` is our config as plain data; `remarks` are what has no equivalent, each a sentence with its place."""

    data: dict[str, Any] = field(default_factory=dict)
    remarks: list[str] = field(default_factory=list)


class _Group(Struct):
    """One model_name: its tiers of targets by `order`, and what else the deployments say."""

    tiers: dict[int, list[str]] = field(default_factory=dict)
    model: dict[str, Any] = field(default_factory=dict)


class _Import:
    def __init__(self, source: dict[str, Any]) -> None:
        self.source = source
        self.remarks: list[str] = []
        self.accounts: list[dict[str, Any]] = []
        self.providers: list[dict[str, Any]] = []
        self.groups: dict[str, _Group] = {}

    def translation(self) -> Translation:
        for i, entry in enumerate(_list(self.source.get("model_list"))):
            self._deployment(f"model_list[{i}]", _table(entry))
        aliases = self._aliases()
        after = self._fallbacks()
        server, state, access = self._settings()
        models = [self._model(name, group, after, aliases) for name, group in self.groups.items()]
        for account in self.accounts:
            alone = [each["provider"] for each in self.accounts].count(account["provider"]) == 1
            wild = "*" in account["models"]
            account["models"] = None if alone or wild else sorted(set(account["models"]))
        data = {
            "server": server,
            "state": state,
            "access": access,
            "providers": self.providers,
            "accounts": self.accounts,
            "models": models,
        }
        return Translation(data, self.remarks)

    # model_list ------------------------------------------------------------------------------------------------------

    def _deployment(self, where: str, entry: dict[str, Any]) -> None:
        params, info = _table(entry.get("litellm_params")), _table(entry.get("model_info"))
        name, said = str(entry.get("model_name") or ""), str(params.get("model") or "")
        provider, model_id = self._target(params, said)
        if said == "*":
            self.remarks.append(f'{where}: "*": no wildcards here, but none are needed: declare the [[accounts]]')
            return
        if not name or provider is None:
            self.remarks.append(f'{where}: model "{said}": no such provider here: declare it in [[providers]]')
            return
        account = self._account(provider, model_id, params)
        base_model = str(info.get("base_model") or "").removeprefix("azure/")
        if provider == "azure" and base_model and model_id != base_model:
            account.setdefault("deployments", {})[base_model] = model_id
            model_id = base_model
        account["models"].append("*" if "*" in model_id else model_id)
        self._unread(where, params, info)
        if "*" in name or "*" in model_id:
            self.remarks.append(
                f'{where}: "{name}": no wildcards here, but none are needed: clients can ask for '
                f"{provider}/MODEL-ID of any model that the account offers"
            )
            return
        group = self.groups.setdefault(name, _Group())
        tier = group.tiers.setdefault(int(_number(params.get("order")) or 1), [])
        if f"{provider}/{model_id}" not in tier:
            tier.append(f"{provider}/{model_id}")
        group.model |= _model_facts(params, info)

    def _target(self, params: dict[str, Any], said: str) -> tuple[str | None, str]:
        prefix, slash, rest = said.partition("/")
        asked = params.get("custom_llm_provider")
        if asked and prefix != asked:
            prefix, slash, rest = str(asked), "/", said
        base = params.get("api_base") or params.get("base_url")
        if slash and prefix in _OPENAI_LIKE and base and "api.openai.com" not in str(base):
            return self._declared(str(base)), rest
        if slash and prefix in PROVIDERS:
            if prefix == "bedrock":
                rest = rest.removeprefix("converse/").removeprefix("invoke/")
            return PROVIDERS[prefix], rest
        for heads, provider in _BY_NAME:
            if not slash and said.startswith(heads):
                return provider, said
        return None, said

    def _declared(self, base_url: str) -> str:
        """The provider for an OpenAI-compatible service at `base_url`, declared if it is new."""
        base_url = _reference(base_url)
        for entry in self.providers:
            if entry["base_url"] == base_url:
                return str(entry["name"])
        host = base_url.partition("://")[2].partition("/")[0].partition(":")[0] or base_url.removeprefix("env:")
        name = _free(host.lower().replace(".", "-"), {each["name"] for each in self.providers} | set(PROVIDERS))
        self.providers.append({"name": name, "dialect": "openai-chat", "base_url": base_url})
        return name

    def _account(self, provider: str, model_id: str, params: dict[str, Any]) -> dict[str, Any]:
        """The account with these credentials, made if it is new. Limits of a deployment are an account of its own."""
        fields: dict[str, Any] = {}
        for theirs, ours in _CREDENTIALS.items():
            if params.get(theirs) not in (None, ""):
                fields[ours] = _reference(params[theirs])
        if "credentials" in fields:
            fields["credentials"] = _key_file(params["vertex_credentials"])
        if fields.get("base_url") in [each["base_url"] for each in self.providers if each["name"] == provider]:
            del fields["base_url"]
        if not isinstance(fields.get("headers", {}), dict):
            del fields["headers"]
        if params.get("organization"):
            fields.setdefault("headers", {})["OpenAI-Organization"] = _reference(params["organization"])
        if provider == "bedrock" and "region" not in fields:
            fields["region"] = "env:AWS_REGION"
        if provider == "bedrock" and not {"key", "access_key_id"} & set(fields):
            fields |= {"access_key_id": "env:AWS_ACCESS_KEY_ID", "secret_access_key": "env:AWS_SECRET_ACCESS_KEY"}
        if not fields and (usual := _usual_key(provider)):
            fields["key"] = f"env:{usual}"
        limits: dict[str, float] = {}
        for theirs, ours in _LIMITS.items():
            if number := _positive(params.get(theirs)):
                limits[ours] = number if ours == "weight" else max(1, round(number))
        for account in self.accounts:
            same = account["provider"] == provider and (account["_fields"], account["_limits"]) == (fields, limits)
            if same and (not limits or model_id in account["models"]):
                return account
        name = _free(provider, {each["name"] for each in self.accounts})
        account = {"name": name, "provider": provider, **fields, **limits, "models": []}
        if seconds := _positive(params.get("timeout")):
            account["timeouts"] = {"total": seconds}
        self.accounts.append(account | {"_fields": fields, "_limits": limits})
        return self.accounts[-1]

    def _unread(self, where: str, params: dict[str, Any], info: dict[str, Any]) -> None:
        known = _READ_PARAMS | set(_CREDENTIALS) | set(_LIMITS) | set(_PRICES)
        for name in sorted(set(params) - known):
            self.remarks.append(f"{where}.litellm_params.{name}: has no equivalent")
        if "stream_timeout" in params:
            self.remarks.append(f"{where}.litellm_params.stream_timeout: see timeouts.first_byte and timeouts.idle")
        for name in sorted(set(info) - _READ_INFO - set(_PRICES) - set(_CAPABILITIES)):
            self.remarks.append(f"{where}.model_info.{name}: has no equivalent")

    # Names -----------------------------------------------------------------------------------------------------------

    def _aliases(self) -> dict[str, list[str]]:
        aliases: dict[str, list[str]] = {}
        for alias, target in _table(self._router("model_group_alias")).items():
            name = str(target.get("model")) if isinstance(target, dict) else str(target)
            if name in self.groups and alias not in self.groups:
                aliases.setdefault(name, []).append(str(alias))
            else:
                self.remarks.append(f'router_settings.model_group_alias.{alias}: no model is named "{name}"')
        return aliases

    def _fallbacks(self) -> dict[str, list[str]]:
        """Model name -> the names to try after it."""
        after: dict[str, list[str]] = {}
        for entry in _list(self._router("fallbacks")):
            for name, others in _table(entry).items():
                after.setdefault(str(name), []).extend(str(other) for other in _list(others))
        default = [str(other) for other in _list(self._router("default_fallbacks"))]
        for name in self.groups:
            after.setdefault(name, []).extend(default)
        for kind in ("context_window_fallbacks", "content_policy_fallbacks"):
            if self._router(kind):
                self.remarks.append(f"{kind}: has no equivalent; a model's further targets are tried on any failure")
        return after

    def _model(
        self, name: str, group: _Group, after: dict[str, list[str]], aliases: dict[str, list[str]]
    ) -> dict[str, Any]:
        tiers = [group.tiers[order] for order in sorted(group.tiers)]
        for other in after.get(name, after.get("*", [])):
            if other not in self.groups:
                self.remarks.append(f'fallbacks of {name}: no model is named "{other}"')
            elif other != name:
                more = self.groups[other].tiers
                tiers += [more[order] for order in sorted(more)]
        seen: set[str] = set()
        targets: list[Any] = []
        for tier in tiers:
            new = [target for target in tier if target not in seen]
            seen.update(new)
            if new:
                targets.append(new[0] if len(new) == 1 else new)
        return {"name": name, "targets": targets, "aliases": aliases.get(name), **group.model}

    # The other settings ----------------------------------------------------------------------------------------------

    def _settings(self) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
        server: dict[str, Any] = {}
        state: dict[str, Any] = {}
        access: dict[str, Any] = {}
        general = dict(_table(self.source.get("general_settings")))
        if master := general.pop("master_key", None):
            access = {"mode": "keys", "admin_key": _reference(master)}
            self.remarks.append(
                "general_settings.master_key: it is access.admin_key now and still works for clients; "
                "make others with `dragoman keys create`"
            )
        if general.pop("database_url", None):
            self.remarks.append(
                "general_settings.database_url: keys, teams and spend are not carried over; the ledger has a database "
                "of its own (state.database)"
            )
        lite, router = (dict(_table(self.source.get(name))) for name in ("litellm_settings", "router_settings"))
        total = _positive(lite.pop("request_timeout", None)) or _positive(router.pop("timeout", None))
        if total:
            server["timeouts"] = {"total": total}
        if shared := self._redis(router):
            state["shared"] = shared
        if router.get("routing_strategy") in {"simple-shuffle", None}:
            router.pop("routing_strategy", None)
        for settings in (lite, router):
            for name in ("fallbacks", "default_fallbacks", "context_window_fallbacks", "content_policy_fallbacks"):
                settings.pop(name, None)
        router.pop("model_group_alias", None)
        if lite.pop("drop_params", None) is False:
            self.remarks.append("litellm_settings.drop_params: clients choose: x-dragoman-strict: 1 refuses losses")
        for name, settings in (("general", general), ("litellm", lite), ("router", router)):
            self.remarks += [f"{name}_settings.{key}: has no equivalent" for key in sorted(settings)]
        if _table(self.source.get("environment_variables")):
            self.remarks.append("environment_variables: set them in the gateway's environment")
        read = {"model_list", "general_settings", "litellm_settings", "router_settings", "environment_variables"}
        self.remarks += [f"{key}: has no equivalent" for key in self.source if key not in read]
        return server, state, access

    def _redis(self, router: dict[str, Any]) -> str | None:
        url, host = router.pop("redis_url", None), router.pop("redis_host", None)
        port, password = router.pop("redis_port", None), router.pop("redis_password", None)
        if url:
            return str(_reference(url))
        if not host:
            return None
        if any(str(part).startswith("os.environ/") for part in (host, port, password)):
            self.remarks.append('router_settings.redis_*: give the whole URL: state.shared = "env:REDIS_URL"')
            return None
        return f"redis://{f':{password}@' if password else ''}{host}:{port or 6379}"

    def _router(self, name: str) -> Any:
        """A setting of the router, which LiteLLM also reads from litellm_settings."""
        found = _table(self.source.get("router_settings")).get(name)
        return found if found else _table(self.source.get("litellm_settings")).get(name)


def translate(source: dict[str, Any]) -> Translation:
    """The config that `source`, a LiteLLM proxy config, comes to. Never fails: what can't be said is remarked."""
    translation = _Import(source).translation()
    for account in translation.data["accounts"]:
        del account["_fields"], account["_limits"]
    return translation


def _model_facts(params: dict[str, Any], info: dict[str, Any]) -> dict[str, Any]:
    facts: dict[str, Any] = {}
    prices = {
        ours: cost * 10**6
        for theirs, ours in _PRICES.items()
        if (cost := _number(params.get(theirs, info.get(theirs)))) is not None
    }
    if prices:
        facts["price"] = prices
    if window := info.get("max_input_tokens") or info.get("max_tokens"):
        facts["context_window"] = window
    if most := info.get("max_output_tokens"):
        facts["max_output_tokens"] = most
    if capabilities := [ours for theirs, ours in _CAPABILITIES.items() if info.get(theirs)]:
        facts["capabilities"] = capabilities
    return facts


def _usual_key(provider: str) -> str | None:
    """The environment variable that the provider's key usually stands in."""
    from dragoman.catalog.providers import PROVIDERS as KNOWN

    known = KNOWN.get(provider)
    return known.env[0] if known and known.env and not known.keyless else None


def _key_file(said: Any) -> str:
    """A service account's key: LiteLLM takes its JSON, as text or as a table, or the name of a file with it."""
    if isinstance(said, dict):
        return json.dumps(said)
    value = str(_reference(said))
    return value if value.startswith(("env:", "file:", "{")) else f"file:{value}"


def _reference(value: Any) -> Any:
    """`os.environ/NAME` as `env:NAME`, in tables too."""
    if isinstance(value, dict):
        return {str(name): _reference(each) for name, each in value.items()}
    text = str(value)
    return f"env:{text.removeprefix('os.environ/')}" if text.startswith("os.environ/") else text


def _number(value: Any) -> float | None:
    """YAML reads 5e-7 as text: it wants 5.0e-7."""
    try:
        return float(value)
    except (TypeError, ValueError):
        return None


def _positive(value: Any) -> float | None:
    number = _number(value)
    return number if number and 0 < number < float("inf") else None


def _free(name: str, taken: set[Any]) -> str:
    number, free = 1, name
    while free in taken:
        number += 1
        free = f"{name}-{number}"
    return free


def _table(value: Any) -> dict[str, Any]:
    return value if isinstance(value, dict) else {}


def _list(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []
