"""The config file as types: TOML in, checked values out.

Every error names the file, the key path and what is expected, as `dragoman.toml: accounts[1].max_in_flight: expected a
whole number above 0, got "many"`. Unknown keys are errors. Any string may be `env:NAME` or `file:PATH`.
"""

import difflib
import os
import re
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from msgspec import Meta, Struct, field, inspect

Positive: TypeAlias = Annotated[int, Meta(gt=0)]
Seconds: TypeAlias = Annotated[float, Meta(gt=0)]
Share: TypeAlias = Annotated[float, Meta(ge=0, le=1)]
Money: TypeAlias = Annotated[float, Meta(ge=0)]
POSTGRES = ("postgresql://", "postgres://", "postgresql+psycopg://")
Mode: TypeAlias = Literal["balanced", "cost", "quality", "latency"]


class ConfigError(Exception):
    """The config can't be used. The message names file, key path and mend."""


class Secret:
    """A credential. Prints as `sk-…a1b2` everywhere; only `reveal` gives it (law 11)."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __str__(self) -> str:
        value = self._value
        if len(value) < 12:
            return "…"
        head = re.match(r"(?:[a-zA-Z]{2,4}-)?", value)
        return f"{head.group(0) if head else ''}…{value[-4:]}"

    __repr__ = __str__

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and other._value == self._value

    def __hash__(self) -> int:
        return hash(self._value)


class Timeouts(Struct, forbid_unknown_fields=True, kw_only=True):
    """Seconds. None: what the level above says. `first_byte` holds for an attempt that has an alternative; the last
    attempt may take `total`."""

    connect: Seconds | None = None
    first_byte: Seconds | None = None
    idle: Seconds | None = None
    total: Seconds | None = None


class Server(Struct, forbid_unknown_fields=True, kw_only=True):
    host: str = "127.0.0.1"
    port: Annotated[int, Meta(ge=0, le=65535)] = 4040
    workers: Positive = 1
    tls_cert: str | None = None
    tls_key: str | None = None
    max_body_mb: Annotated[float, Meta(gt=0)] = 100
    drain_seconds: Seconds = 30
    queue_seconds: Annotated[float, Meta(ge=0)] = 10
    queue_limit: Annotated[int, Meta(ge=0)] = 1000
    log: Literal["text", "json"] = "text"
    log_level: Literal["debug", "info", "warning", "error"] = "info"
    cors_origins: list[str] | None = None  # None: any with keys, else only pages of this machine
    timeouts: Timeouts = field(default_factory=lambda: Timeouts(connect=5, first_byte=15, idle=120, total=600))
    proxy: str | None = None  # for upstream calls; else HTTPS_PROXY, HTTP_PROXY, NO_PROXY of the environment
    ca_file: str | None = None  # further certificate authorities for upstream calls


class State(Struct, forbid_unknown_fields=True, kw_only=True):
    dir: str = "~/.local/state/dragoman"
    database: str = "sqlite"
    shared: str = "memory"  # or where the Redis is
    shared_fallback: Literal["degrade", "refuse"] = "degrade"
    keep_days: Positive = 400  # ledger rows older than this are dropped

    @property
    def path(self) -> Path:
        return Path(self.dir).expanduser()


class OidcGrant(Struct, forbid_unknown_fields=True, kw_only=True):
    """What those of a group may; without a group, everybody else."""

    group: str | None = None
    admin: bool = False
    models: list[str] | None = None
    rpm: Positive | None = None
    tpm: Positive | None = None
    budget_usd: Annotated[float, Meta(gt=0)] | None = None
    period: Literal["day", "month"] | None = None
    priority: Annotated[int, Meta(ge=0, le=9)] = 1


class Oidc(Struct, forbid_unknown_fields=True, kw_only=True):
    """Who signs callers in, beside gateway keys. `name` and `groups` are claims. Of `grants` the first that fits holds;
    where there are none, whoever has a token may all but administer."""

    issuer: str
    audience: str | list[str]
    jwks_url: str | None = None  # else as the issuer's discovery document says
    name: str = "sub"
    groups: str = "groups"
    grants: list[OidcGrant] = field(default_factory=list)


class Access(Struct, forbid_unknown_fields=True, kw_only=True):
    mode: Literal["open", "keys"] = "open"
    admin_key: Secret | None = None  # for /dragoman/v1 beside keys made with `dragoman keys create --admin`
    oidc: Oidc | None = None


class Provider(Struct, forbid_unknown_fields=True, kw_only=True):
    """A service that is not built in, or a built-in one changed. `auth`: how the account's key travels."""

    name: str
    dialect: Literal["openai-chat", "openai-responses", "anthropic", "gemini", "ollama", "bedrock", "cohere"]
    base_url: str
    auth: Literal["bearer", "x-api-key", "api-key", "x-goog-api-key", "none"] | None = None
    headers: dict[str, Secret] = field(default_factory=dict)
    quirks: dict[str, Any] = field(default_factory=dict)
    dialects: list[str] = field(default_factory=list)  # further dialects it speaks at the same base URL


class Limits(Struct, forbid_unknown_fields=True, kw_only=True):
    """Of one model of an account, beside the account's own."""

    max_in_flight: Positive | None = None
    rpm: Positive | None = None
    tpm: Positive | None = None


class Account(Struct, forbid_unknown_fields=True, kw_only=True):
    """One credential at one provider. The fields at the end are for clouds whose auth is more than a key."""

    name: str
    provider: str
    state: Literal["serving", "draining", "disabled"] = "serving"
    key: Secret | None = None
    base_url: str | None = None
    weight: Annotated[float, Meta(gt=0)] = 1
    max_in_flight: Positive | None = None
    rpm: Positive | None = None
    tpm: Positive | None = None
    daily_usd: Annotated[float, Meta(gt=0)] | None = None
    monthly_usd: Annotated[float, Meta(gt=0)] | None = None
    limits: dict[str, Limits] = field(default_factory=dict)  # by model id
    region: str | None = None
    models: list[str] | None = None  # only these model ids; None: all
    headers: dict[str, Secret] = field(default_factory=dict)
    timeouts: Timeouts = field(default_factory=Timeouts)
    api_version: str | None = None  # Azure: with it, deployment paths; without, the v1 paths
    deployments: dict[str, str] = field(default_factory=dict)  # Azure: model id -> deployment
    tenant_id: str | None = None  # Azure Entra
    client_id: str | None = None
    client_secret: Secret | None = None
    token_url: str | None = None  # where tokens come from, if not the cloud's own place
    project: str | None = None  # Vertex
    credentials: Secret | None = None  # Vertex: the service account's JSON (`file:sa.json`)
    access_key_id: Secret | None = None  # Bedrock
    secret_access_key: Secret | None = None
    session_token: Secret | None = None
    gguf: str | None = None  # local: another model file; its name is the model's
    context_window: Positive | None = None  # local: tokens of context to allocate


CREDENTIALS = frozenset({"key", "client_secret", "credentials", "access_key_id", "secret_access_key", "session_token"})


class Price(Struct, forbid_unknown_fields=True, kw_only=True):
    """USD per million tokens; `audio_minute` and `million_characters` where speech is sold by what is heard or said."""

    input: Money = 0
    cached_input: Money | None = None
    cache_write: Money | None = None
    output: Money = 0
    audio_input: Money | None = None
    cached_audio_input: Money | None = None
    audio_output: Money | None = None
    audio_minute: Money | None = None
    million_characters: Money | None = None


OnBreak: TypeAlias = Literal["error", "resume"]
OnContentFilter: TypeAlias = Literal["error", "next"]


class Model(Struct, forbid_unknown_fields=True, kw_only=True):
    """A public name for an ordered list of interchangeable targets; a nested list is a set of equals.

    `on_break`: what becomes of a stream whose upstream dies after its first byte went out. `on_content_filter`: whether
    an answer that a provider's filter refuses may be asked of another provider. `hedge`: ask a second account where the
    first token is late."""

    name: str
    targets: list[str | list[str]]
    price: Price | None = None
    context_window: Positive | None = None
    max_output_tokens: Positive | None = None
    capabilities: list[str] | None = None
    quality: Share | None = None
    ttft_ms: Annotated[float, Meta(gt=0)] | None = None  # until there is traffic to measure
    tokens_per_s: Annotated[float, Meta(gt=0)] | None = None
    timeouts: Timeouts = field(default_factory=Timeouts)
    aliases: list[str] = field(default_factory=list)
    on_break: OnBreak = "error"
    on_content_filter: OnContentFilter = "error"
    hedge: bool = False

    def tiers(self) -> list[list[str]]:
        """The targets, in order of preference; each entry is a set of equals."""
        return [tier if isinstance(tier, list) else [tier] for tier in self.targets]


class Constraints(Struct, forbid_unknown_fields=True, kw_only=True):
    max_cost_usd: Money | None = None
    max_ttft_ms: Money | None = None
    max_total_ms: Money | None = None
    min_quality: Share | None = None
    needs: list[str] = field(default_factory=list)
    region: str | None = None
    providers: list[str] = field(default_factory=list)


class Shadow(Struct, forbid_unknown_fields=True, kw_only=True):
    """Of a route: the same request to another model in the background, on a sample. `max_in_flight` is per worker."""

    share: Share
    judge: str | None = None  # None: the answers are kept, see `Route.record_prompts`
    usd_per_day: Annotated[float, Meta(gt=0)] = 1.0
    max_in_flight: Positive = 2


class Route(Struct, forbid_unknown_fields=True, kw_only=True):
    name: str
    models: list[str]
    mode: Mode = "balanced"
    constraints: Constraints = field(default_factory=Constraints)
    artifact: str | None = None
    certificate: str | None = None  # from `dragoman router certify`
    budget_usd_per_day: Annotated[float, Meta(gt=0)] | None = None
    explore: Annotated[float, Meta(ge=0, le=0.01)] = 0
    shadow: Shadow | None = None
    record_prompts: bool = False
    on_break: OnBreak = "error"
    on_content_filter: OnContentFilter = "error"
    hedge: bool = False


class Voice(Struct, forbid_unknown_fields=True, kw_only=True):
    """`max_sessions`: that a gateway key may have open at a time; the next two hold for each session.
    `ice_servers`: how calls over WebRTC learn by which addresses they can be reached."""

    stt: str = "local"
    tts: str = "local"
    turn: Literal["local", "silence"] = "local"
    max_sessions: Positive | None = None
    max_session_minutes: Annotated[float, Meta(gt=0)] | None = None
    max_session_tokens: Positive | None = None
    ice_servers: list[str] = field(default_factory=list)
    paid_speculations: Annotated[int, Meta(ge=0)] = 0  # answers a session may begin in vain with a model that costs


class Telemetry(Struct, forbid_unknown_fields=True, kw_only=True):
    """OpenTelemetry. What is not said here, the usual `OTEL_…` variables say. `enabled` None: where one of them names
    an endpoint. `sample`: the share of traces that are recorded, of those that begin here."""

    enabled: bool | None = None
    endpoint: str | None = None
    headers: dict[str, Secret] = field(default_factory=dict)
    metrics: bool = False
    sample: Share | None = None
    propagate: bool = True


class Config(Struct, forbid_unknown_fields=True, kw_only=True):
    server: Server = field(default_factory=Server)
    state: State = field(default_factory=State)
    access: Access = field(default_factory=Access)
    providers: list[Provider] = field(default_factory=list)
    accounts: list[Account] = field(default_factory=list)
    models: list[Model] = field(default_factory=list)
    routes: list[Route] = field(default_factory=list)
    voice: Voice = field(default_factory=Voice)
    telemetry: Telemetry = field(default_factory=Telemetry)


def load(path: Path, environ: Mapping[str, str] = os.environ) -> Config:
    """The config in the file at `path`. Raises `ConfigError`."""
    try:
        text = path.read_bytes()
    except OSError as error:
        raise ConfigError(f"{path}: can't be read: {error.strerror}") from None
    return parse(text, path.name, path.parent, environ)


def parse(text: bytes, name: str, folder: Path, environ: Mapping[str, str]) -> Config:
    """The config in TOML `text`. `folder` is where relative `file:` paths start. Raises `ConfigError`."""
    try:
        data = tomllib.loads(text.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigError(f"{name}: not valid TOML: {error}") from None
    data = _resolve(data, "", name, folder, environ)
    try:
        config = msgspec.convert(data, Config, dec_hook=_read_secret)
    except msgspec.ValidationError as error:
        raise ConfigError(f"{name}: {_explain(str(error), data)}") from None
    for problem in _problems(config):
        raise ConfigError(f"{name}: {problem}")
    return config


def account(table: dict[str, Any], where: str, folder: Path, environ: Mapping[str, str] = os.environ) -> Account:
    """An account, of a table as the config file has them. `where`: what errors call it; `folder`: where relative
    `file:` paths start. Raises `ConfigError`."""
    table = _resolve(table, "", where, folder, environ)
    data = {"accounts": [table]}
    try:
        return msgspec.convert(data, Config, dec_hook=_read_secret).accounts[0]
    except msgspec.ValidationError as error:
        problem = _explain(str(error), data).removeprefix("accounts[0].")
        raise ConfigError(f"{where}: {problem}") from None


def _read_secret(kind: type, value: object) -> Secret:
    if kind is Secret and isinstance(value, str):
        return Secret(value)
    raise ValueError(f"Expected `str`, got `{type(value).__name__}`")


def _resolve(value: Any, path: str, name: str, folder: Path, environ: Mapping[str, str]) -> Any:
    """`value` with every `env:NAME` and `file:PATH` string replaced by what it stands for."""
    if isinstance(value, dict):
        return {k: _resolve(v, f"{path}.{k}" if path else k, name, folder, environ) for k, v in value.items()}
    if isinstance(value, list):
        return [_resolve(v, f"{path}[{i}]", name, folder, environ) for i, v in enumerate(value)]
    if not isinstance(value, str):
        return value
    if value.startswith("env:"):
        variable = value[4:]
        if variable not in environ:
            raise ConfigError(f"{name}: {path}: the environment has no variable {variable}: set it, or change the key")
        return environ[variable].strip()  # secrets that are mounted or echoed end in a line break
    if value.startswith("file:"):
        if path.rpartition(".")[2] in {"tls_cert", "tls_key", "ca_file", "gguf", "artifact", "certificate"}:
            return str(folder / Path(value[5:]).expanduser())
        try:
            return (folder / Path(value[5:]).expanduser()).read_text().strip()
        except OSError as error:
            raise ConfigError(f"{name}: {path}: can't read {value[5:]}: {error.strerror}") from None
    return value


_WORDS = (  # msgspec's words, and ours
    (" | null", ""),
    ("`", ""),
    ("int >= 1", "a whole number above 0"),
    ("int", "a whole number"),
    ("float", "a number"),
    ("str", "a string"),
    ("bool", "true or false"),
    ("array", "a list"),
    ("object", "a table"),
    (" > 0.0", " above 0"),
    (" | ", " or "),
)


def _explain(problem: str, data: Any) -> str:
    """msgspec's words as `path: expected …, got …`."""
    words, _, where = problem.partition(" - at `$")
    path = where.rstrip("`").removeprefix(".")
    if unknown := re.match(r"Object contains unknown field `(.+)`", words):
        near = difflib.get_close_matches(unknown[1], _known_keys(path), 1)
        mend = f"did you mean {near[0]}?" if near else "the known ones are " + ", ".join(sorted(_known_keys(path)))
        return f"{path}.{unknown[1]}: no such key: {mend}".removeprefix(".")
    if missing := re.match(r"Object missing required field `(.+)`", words):
        return f"{path}.{missing[1]}: is required".removeprefix(".")
    got = "" if re.search(r"(key|secret|token|credentials|headers\[\.\.\.\])$", path) else _shown(_at(data, path))
    if words.startswith("Invalid enum value"):
        info = _type_at(path)
        allowed = info.values if isinstance(info, inspect.LiteralType) else ()
        return f"{path}: expected one of " + ", ".join(str(word) for word in allowed) + f", got {got}"
    expected = words.removeprefix("Expected ").partition(", got ")[0]
    if expected.startswith(("`int", "int")) and ">" not in expected and _above_zero(_type_at(path)):
        expected = "`int >= 1`"
    for theirs, ours in _WORDS:
        expected = re.sub(rf"\b{theirs}\b" if theirs.isalpha() else re.escape(theirs), ours, expected)
    return f"{path or 'the file'}: expected {expected}" + (f", got {got}" if got else "")


def _type_at(path: str) -> inspect.Type | None:
    """The declared type of the value at `path` (`accounts[...].rpm`), without `None`."""
    info: inspect.Type | None = inspect.type_info(Config)
    for step in re.findall(r"[^.\[\]]+|\[[^\]]*\]", path):
        if isinstance(info, inspect.StructType):
            info = next((f.type for f in info.fields if f.name == step), None)
        elif isinstance(info, inspect.ListType):
            info = info.item_type
        if isinstance(info, inspect.UnionType):
            info = next(t for t in info.types if not isinstance(t, inspect.NoneType))
    return info


def _known_keys(path: str) -> list[str]:
    info = _type_at(path)
    return [f.name for f in info.fields] if isinstance(info, inspect.StructType) else []


def _above_zero(info: inspect.Type | None) -> bool:
    return isinstance(info, inspect.IntType) and info.gt == 0


def _at(data: Any, path: str) -> Any:
    for step in re.findall(r"[^.\[\]]+", path):
        try:
            data = data[int(step)] if isinstance(data, list) else data[step]
        except (KeyError, IndexError, ValueError, TypeError):
            return None
    return data


def _shown(value: Any) -> str:
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, dict | list):
        return "a table" if isinstance(value, dict) else "a list"
    return str(value).lower()


def _problems(config: Config) -> list[str]:
    """What the types can't say: names that clash or don't exist."""
    problems: list[str] = []
    named = {
        "providers": [provider.name for provider in config.providers],
        "accounts": [account.name for account in config.accounts],
        "models and routes": [m.name for m in config.models] + [r.name for r in config.routes],
    }
    for kind, names in named.items():
        twice = {name for name in names if names.count(name) > 1}
        problems += [f'{kind}: the name "{name}" is used twice: names must differ' for name in sorted(twice)]
    for i, model in enumerate(config.models):
        bad = [target for tier in model.tiers() for target in tier if "/" not in target]
        problems += [f'models[{i}].targets: expected "provider/model-id", got "{target}"' for target in bad]
        if not model.targets:
            problems.append(f"models[{i}].targets: expected at least one target")
    known = {name for model in config.models for name in (model.name, *model.aliases)}
    embedded = any(account.provider == "local" for account in config.accounts)  # has names that `catalog` knows
    for i, route in enumerate(config.routes):
        if not route.models:
            problems.append(f"routes[{i}].models: expected at least one model")
        unknown = [name for name in route.models if name not in known and "/" not in name and not embedded]
        problems += [f'routes[{i}].models: no model is named "{name}": declare it in [[models]]' for name in unknown]
        shadow = route.shadow
        if shadow is None:
            continue
        if shadow.judge is None and not route.record_prompts:
            problems.append(f"routes[{i}].shadow: without a judge its answers are kept: set record_prompts = true too")
        if shadow.judge is not None and shadow.judge not in named["models and routes"] and "/" not in shadow.judge:
            problems.append(f'routes[{i}].shadow.judge: no model is named "{shadow.judge}": declare it in [[models]]')
    return problems + _misfits(config)


def _misfits(config: Config) -> list[str]:
    """Values that no type can tell from good ones."""
    problems: list[str] = []
    urls: dict[str, str | None] = {
        f"providers[{i}].base_url": provider.base_url for i, provider in enumerate(config.providers)
    }
    urls |= {f"accounts[{i}].base_url": account.base_url for i, account in enumerate(config.accounts)}
    bad = [key for key, url in urls.items() if url is not None and not re.match(r"https?://[^/\s]+\S*$", url)]
    problems += [f"{key}: expected a URL that begins with http:// or https://" for key in bad]
    for i, account in enumerate(config.accounts):
        if account.key is not None and not account.key.reveal().isprintable():
            problems.append(f"accounts[{i}].key: has line breaks or other characters that no header can carry")
    for key, engine in (("stt", config.voice.stt), ("tts", config.voice.tts)):
        if engine != "local" and "/" not in engine:
            problems.append(f'voice.{key}: expected "local" or "provider/model", got "{engine}"')
    if config.state.database != "sqlite" and not config.state.database.startswith(POSTGRES):
        problems.append('state.database: expected "sqlite" or "postgresql://user:password@host/name"')
    if config.state.shared != "memory" and not config.state.shared.startswith(("redis://", "rediss://", "unix://")):
        problems.append('state.shared: expected "memory", or a URL that begins with redis://, rediss:// or unix://')
    if config.telemetry.endpoint is not None and not config.telemetry.endpoint.startswith(("http://", "https://")):
        problems.append("telemetry.endpoint: expected a URL that begins with http:// or https://")
    if config.access.oidc is not None:
        problems += _oidc_problems(config.access.mode, config.access.oidc)
    if bool(config.server.tls_cert) != bool(config.server.tls_key):
        problems.append("server.tls_cert and server.tls_key: give both or none")
    return problems


_PLAIN = re.compile(r"http://(localhost|127\.0\.0\.1|\[::1\])([:/]|$)")


def _oidc_problems(mode: str, oidc: Oidc) -> list[str]:
    problems = [
        f"access.oidc.{name}: expected a URL that begins with https:// (http:// only on this machine)"
        for name, url in (("issuer", oidc.issuer), ("jwks_url", oidc.jwks_url))
        if url is not None and not url.startswith("https://") and not _PLAIN.match(url)
    ]
    if not oidc.audience:
        problems.append("access.oidc.audience: expected what tokens for this gateway name as their audience")
    if mode != "keys":
        problems.append('access.oidc: nobody is asked who they are: set access.mode = "keys"')
    return problems
