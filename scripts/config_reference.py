"""Writes docs/config.md: every key of the config file, its type and default from the types, its meaning from here.

    python scripts/config_reference.py [--check]

`--check` writes nothing, and fails where the page is not what it would write.
"""

import sys
from pathlib import Path
from typing import Any

import msgspec
from msgspec import inspect

from dragoman import config
from dragoman.dialects.quirks import Quirks

PAGE = Path(__file__).parents[1] / "docs" / "config.md"
HEAD = """\
# The config file

TOML. `dragoman serve --config FILE` names it; without that, `dragoman.toml` in the current folder is taken if it is
there; without any, accounts are found in the environment (see [Providers](providers.md)).

- Any string may be `env:NAME` (that environment variable) or `file:PATH` (that file's content; relative to the
  config file). For keys that name a file, as `server.tls_cert`, `file:PATH` is the path itself.
- Unknown keys are errors. Every error names file, key path and mend:
  `dragoman.toml: accounts[1].max_in_flight: expected a whole number above 0, got "many"`.
- A change of the file, or SIGHUP, reloads it within a second. No request is dropped; a bad new file is refused, and
  the old one stays in force. What a reload does not change: `host`, `port`, `workers`, TLS, `proxy`, `ca_file`, the
  state directory, and telemetry.
- `dragoman check` reads the file as `serve` would, and prints what it comes to, secrets masked.

Keys marked *not yet* are read and checked, so that a file can be written for them, but nothing follows from them today.

This page is generated from the types in `src/dragoman/config.py` by `scripts/config_reference.py`.

## Example

```toml
[server]
port = 4040

[access]
mode = "keys"

[[accounts]]
name = "openai-a"
provider = "openai"
key = "env:OPENAI_API_KEY"
weight = 2

[[accounts]]
name = "openai-b"
provider = "openai"
key = "env:OPENAI_API_KEY_B"

[[accounts]]
name = "anthropic"
provider = "anthropic"
key = "env:ANTHROPIC_API_KEY"

[[models]]
name = "smart"
targets = ["openai/gpt-5.2", "anthropic/claude-opus-5"]   # the second where the first fails

[[models]]
name = "cheap"
targets = [["openai/gpt-5-nano", "anthropic/claude-haiku-4-5"]]   # equals, balanced
```
"""
SECTIONS: dict[str, tuple[type[msgspec.Struct], str]] = {  # heading: the type of its keys, and a sentence
    "[server]": (config.Server, "Where the gateway listens, and its limits."),
    "timeouts": (
        config.Timeouts,
        "In `[server.timeouts]`, and as `timeouts = { … }` of an account or a model; the account's word goes before "
        "the model's, the model's before the server's.",
    ),
    "[state]": (config.State, "What is kept, and where."),
    "[access]": (config.Access, "Who may call."),
    "[access.oidc]": (
        config.Oidc,
        "An issuer that signs callers in with tokens, beside gateway keys (see "
        "[Keys and usage](keys-and-usage.md#tokens-of-an-issuer)).",
    ),
    "[[access.oidc.grants]]": (
        config.OidcGrant,
        "What those of a group may; the first that fits holds. Without any, every token of the issuer for this gateway "
        "may do all but administer it.",
    ),
    "[[accounts]]": (config.Account, "One credential at one provider, each."),
    "limits": (config.Limits, "Of one model of an account, beside the account's own."),
    "[[models]]": (config.Model, "A public name for interchangeable targets, each."),
    "price": (config.Price, "Of a model, in USD per million tokens. It goes before the built-in price table."),
    "[[providers]]": (config.Provider, "A service that is not built in, or a built-in one changed, each."),
    "quirks": (Quirks, "Of a provider: in what it differs from the maker of its dialect."),
    "[[routes]]": (config.Route, "A public name for a choice among models, each."),
    "constraints": (config.Constraints, "Of a route."),
    "shadow": (config.Shadow, "Of a route; see [Routing](routing.md#shadow-calls)."),
    "[voice]": (config.Voice, "Realtime sessions."),
    "[telemetry]": (
        config.Telemetry,
        "[OpenTelemetry](telemetry.md). What is not said here, the usual `OTEL_…` variables say.",
    ),
}
MEANING = {
    "Server.host": 'Where to listen. Anything but loopback needs `access.mode = "keys"`, or `--insecure-open`',
    "Server.port": "Where to listen; 0: a free one, which is printed",
    "Server.workers": "Processes that answer; about one a core",
    "Server.tls_cert": "PEM file of the certificate chain, to serve https; with `tls_key`",
    "Server.tls_key": "PEM file of its private key",
    "Server.max_body_mb": "Larger requests are refused with 413; of compressed ones, what they are decoded to counts",
    "Server.drain_seconds": "On SIGTERM, how long running requests may take to finish",
    "Server.queue_seconds": "How long a request may wait for an account when all are busy; 0: it is refused at once",
    "Server.queue_limit": "How many may wait at a time; one more is refused with 429",
    "Server.log": "Lines for people, or JSON for machines, on standard error",
    "Server.log_level": "The least that is logged",
    "Server.cors_origins": 'Web origins whose pages may call; `["*"]`: any. Without it: any where access is by keys, '
    "else only pages of this machine",
    "Server.timeouts": "See below",
    "Server.proxy": "HTTP proxy for calls to providers; without it, `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY` and "
    "`NO_PROXY` of the environment",
    "Server.ca_file": "PEM file of further certificate authorities for calls to providers",
    "Timeouts.connect": "Until the connection stands, TLS included. Server's default: 5",
    "Timeouts.first_byte": "Until the head of the reply, for an attempt that has an alternative (see "
    "[Accounts](accounts.md)). Server's default: 15",
    "Timeouts.idle": "Between two pieces of a reply. Server's default: 120",
    "Timeouts.total": "For the whole call, all its attempts together. Server's default: 600",
    "State.dir": "Folder of the journal, the embedded database and the files that workers share",
    "State.database": '`"sqlite"` (a file in `dir`), or `"postgresql://user:password@host/name"` (needs '
    "`dragoman[postgres]`)",
    "State.shared": 'Where workers share limits, budgets and rests: `"memory"`, those of one host; or a Redis or '
    'Valkey, for any number of hosts: `"redis://[user:password@]host[:6379][/db]"`, `"rediss://…"` (TLS), '
    '`"unix://path"`',
    "State.shared_fallback": "While that is away: each worker goes on with its part of each limit (`degrade`), or "
    "calls are refused with 503 (`refuse`); see [Operating](operating.md)",
    "State.keep_days": "Ledger rows older than this are dropped",
    "Access.mode": "Whether callers need a gateway key",
    "Access.admin_key": "A key for `/dragoman/v1`, beside those made with `dragoman keys create --admin`",
    "Access.oidc": "See below",
    "Oidc.issuer": "Its URL, to the letter as its tokens and its discovery document say it. `https://`, or on this "
    "machine",
    "Oidc.audience": "What its tokens for this gateway say as `aud`; of several, one is enough",
    "Oidc.jwks_url": "Where its keys are; without it, its discovery document says so",
    "Oidc.name": "The claim that is shown in the ledger. `a.b` is a claim within another, also for `groups`",
    "Oidc.groups": "The claim that grants go by: a list of names, or a text of them",
    "Oidc.grants": "See below",
    "OidcGrant.group": "For whom; without it, for all that come this far",
    "OidcGrant.admin": "May also use `/dragoman/v1`",
    "OidcGrant.models": "The names that may be asked for; without it: all",
    "OidcGrant.rpm": "Requests in any 60 seconds, of each bearer",
    "OidcGrant.tpm": "Tokens in any 60 seconds, of each bearer",
    "OidcGrant.budget_usd": "What each bearer may spend",
    "OidcGrant.period": "… in each day or month (UTC); without it: ever",
    "OidcGrant.priority": "While all accounts are busy, a lower number's calls are served first",
    "Provider.name": "The word before the slash in `provider/model-id`. A built-in name changes that provider",
    "Provider.dialect": "What it speaks. A client of any other dialect is served through this one",
    "Provider.base_url": "As an official SDK of that dialect takes it",
    "Provider.auth": "How the account's key travels. Without it: as the dialect's maker wants it",
    "Provider.headers": "Sent with every call",
    "Provider.quirks": "See below",
    "Provider.dialects": "Further dialects it speaks at the same base URL: their clients are relayed",
    "Account.name": "Shown in `x-dragoman-account`, the ledger and the metrics",
    "Account.provider": "A built-in provider or one of `[[providers]]`",
    "Account.state": "Whether it takes calls. `draining` and `disabled` take nothing new, and are enabled at run time "
    "(see [Accounts](accounts.md#at-run-time))",
    "Account.key": "The API key or bearer token",
    "Account.base_url": "Instead of the provider's; the string that the provider's official SDK takes",
    "Account.weight": "Its share among the accounts that could take a call",
    "Account.max_in_flight": "Calls at a time. Learned from the provider's refusals where not given, as `rpm` and "
    "`tpm`",
    "Account.rpm": "Requests in any 60 seconds",
    "Account.tpm": "Tokens in any 60 seconds, input and output: estimated when a call starts, set right when it ends",
    "Account.daily_usd": "What it may spend in a day (UTC); needs known prices",
    "Account.monthly_usd": "What it may spend in a month (UTC)",
    "Account.limits": 'Further limits of single models, by model id: `{ "gpt-5.2" = { rpm = 100 } }`',
    "Limits.max_in_flight": "Calls of this model at a time",
    "Limits.rpm": "Requests of this model in any 60 seconds",
    "Limits.tpm": "Tokens of this model in any 60 seconds",
    "Account.region": "AWS region (default `us-east-1`), Google Cloud location (default `global`)",
    "Account.models": "Only these model ids; without it: all",
    "Account.headers": "Sent with every call",
    "Account.timeouts": "See above",
    "Account.api_version": "Azure: with it, the older deployment paths; without, the v1 paths",
    "Account.deployments": "Azure, with `api_version`: model id = deployment, where they differ",
    "Account.tenant_id": "Azure Entra: the tenant, in place of `key`, with the next two",
    "Account.client_id": "Azure Entra: the application",
    "Account.client_secret": "Azure Entra: its secret",
    "Account.token_url": "Where tokens come from, if not the cloud's own place",
    "Account.project": "Vertex: the Google Cloud project",
    "Account.credentials": "Vertex: the service account's JSON (`file:sa.json`)",
    "Account.access_key_id": "Bedrock, in place of `key`",
    "Account.secret_access_key": "Bedrock",
    "Account.session_token": "Bedrock, for temporary credentials",
    "Account.gguf": 'Provider `local`: another model file (`"file:models/qwen.gguf"`)',
    "Account.context_window": "Provider `local`: tokens of context to allocate",
    "Price.input": "Input tokens that were in no cache",
    "Price.cached_input": "Input tokens read from the provider's cache; without it: as `input`",
    "Price.cache_write": "Input tokens written to the provider's cache; without it: as `input`",
    "Price.output": "Output tokens, reasoning included",
    "Price.audio_input": "Audio tokens in; without it: as `input`",
    "Price.cached_audio_input": "Audio tokens in that the provider had in its cache; without it: as `cached_input`",
    "Price.audio_minute": "A minute of sound, for a transcriber that is sold by the minute",
    "Price.million_characters": "A million characters, for a voice that is sold by the character",
    "Price.audio_output": "Audio tokens out; without it: as `output`",
    "Model.name": "What clients ask for",
    "Model.targets": "`provider/model-id`, in order of preference; a nested list is a set of equals, balanced by "
    "their accounts' weights",
    "Model.price": "See below",
    "Model.context_window": "In tokens, where the built-in table does not know it: shown in model lists; no route "
    "sends it more, and what is too long for one target goes on to those with a larger window",
    "Model.max_output_tokens": "Shown in model lists",
    "Model.capabilities": "As `tools`, `vision`, `json_schema`, `reasoning`, `audio`; shown in Ollama's lists",
    "Model.quality": "How good its answers are, 0 to 1: a prior for routing",
    "Model.ttft_ms": "Time to its first content, in milliseconds: a prior until there is traffic to measure",
    "Model.tokens_per_s": "Its speed after that: a prior until there is traffic to measure",
    "Model.timeouts": "See above",
    "Model.aliases": "Further names for it",
    "Model.on_break": "When a stream's upstream dies after its first byte went out: an error event, or another account "
    "or target goes on with the answer (see [Accounts](accounts.md#streams-that-survive))",
    "Model.on_content_filter": "When a provider's content filter refuses: it comes back, or another provider is asked",
    "Model.hedge": "Where the first token of a stream is late, a second attempt is made beside the first (see "
    "[Accounts](accounts.md#hedged-requests))",
    "Route.on_break": "As a model's; for calls by the route's name this one holds",
    "Route.on_content_filter": "As a model's; for calls by the route's name this one holds",
    "Route.hedge": "As a model's; for calls by the route's name this one holds",
    "Route.name": "What clients ask for",
    "Route.models": "The candidates: names of models, or `provider/model-id`; their order does not matter",
    "Route.mode": "What to favour among those that keep to the constraints",
    "Route.constraints": "Defaults, which a request's own constraints replace key by key",
    "Route.artifact": 'What predicts quality (`"file:router.dgm"`, from `dragoman router train`); without it, priors',
    "Route.certificate": 'A tested threshold (`"file:floor.json"`, from `dragoman router certify`): it decides between '
    "its strong and its weak model wherever both fit",
    "Route.budget_usd_per_day": "Spent evenly over the UTC day: what spends too fast is steered to cheaper models",
    "Route.explore": "Share of requests that go to any model that fits, to learn; logged with its probability",
    "Route.shadow": "Ask another model the same in the background, on a sample; see below",
    "Shadow.share": "Of the route's requests",
    "Shadow.judge": "The model or route that compares both answers; without it they are kept in the state directory, "
    "for which `record_prompts` is needed",
    "Shadow.usd_per_day": "What they and their judging may cost in a day (UTC); the call that goes beyond is the last",
    "Shadow.max_in_flight": "At a time, at each worker",
    "Route.record_prompts": "Keep the prompt's text in decision records: needed to train and evaluate on own traffic",
    "Constraints.max_cost_usd": "Of one request, as predicted",
    "Constraints.max_ttft_ms": "Until the first content, in the slower quarter of what was measured",
    "Constraints.max_total_ms": "Until the end, likewise",
    "Constraints.min_quality": "As predicted, 0 to 1",
    "Constraints.needs": "Capabilities, beside those that the request itself needs",
    "Constraints.region": "Only accounts in it: `eu`, `us`, or a cloud's own word, as `eu-west-1`",
    "Constraints.providers": "Only these",
    "Voice.stt": "Speech to text: `local`, or `provider/model-id` ([Speech engines](speech-engines.md))",
    "Voice.tts": "Text to speech, likewise",
    "Voice.turn": "What tells the end of a turn: `local`, or `silence`: what a client names of it, or 500 ms",
    "Voice.max_sessions": "Sessions that a gateway key may have open at a time; no key counts as one",
    "Voice.max_session_minutes": "How long a session may last",
    "Voice.max_session_tokens": "Tokens that a session may take; the turn that goes beyond is the last",
    "Voice.paid_speculations": "Answers that a session may begin before a turn is over, and then not need, where the "
    "model costs money; those that cost nothing are not counted",
    "Voice.ice_servers": "STUN servers (`stun:host:port`) by which calls over WebRTC learn their public address",
    "Telemetry.enabled": "Without it: where `endpoint` or `OTEL_EXPORTER_OTLP_ENDPOINT` says where to; `true`: the "
    "start fails where it can't be",
    "Telemetry.endpoint": "The collector's base URL, for OTLP over HTTP: `/v1/traces` is added",
    "Telemetry.headers": "Sent to it",
    "Telemetry.metrics": "Send metrics too",
    "Telemetry.sample": "The share of traces that are recorded, of those that begin here; one that a client began is "
    "recorded where the client's is",
    "Telemetry.propagate": "Whether providers are told which span asks them",
    "Quirks.max_tokens_field": "openai-chat: the field that limits the output",
    "Quirks.developer_role": "openai-chat: knows the role `developer`; else such messages go as `system`",
    "Quirks.stream_usage": "openai-chat: understands `stream_options.include_usage`",
    "Quirks.reasoning_field": "openai-chat: the message field that shows, and takes back, thinking text",
    "Quirks.user_field": "openai-chat: the field for the end user's id",
    "Quirks.strict_tools": "openai-chat: takes `strict` in function tools",
    "Quirks.parallel_tool_calls": "openai-chat: takes `parallel_tool_calls`",
    "Quirks.cache_control": "openai-chat: takes Anthropic's `cache_control` marks on content parts",
    "Quirks.documents": "openai-chat: takes `file` parts",
    "Quirks.sampling_extras": "openai-chat: takes `top_k`, `min_p` and `repetition_penalty`",
    "Quirks.custom_tools": "openai-chat: takes tools of free text; else they are written as functions",
    "Quirks.prefill": "openai-chat: how it goes on with an answer whose beginning is the last message: not at all; of "
    "its own accord; with `continue_final_message`; where that message is marked with `prefix`",
    "Quirks.prefill_echo": "… and repeats that beginning first",
    "Quirks.refuses": "Further top-level request fields it rejects: dropped, and named in `x-dragoman-lossy`",
    "Quirks.max_stop": "The most stop sequences it takes",
}
_PLAIN = {
    inspect.StrType: "string",
    inspect.IntType: "whole number",
    inspect.FloatType: "number",
    inspect.BoolType: "true or false",
    inspect.CustomType: "secret string",
    inspect.AnyType: "any value",
}


def page() -> str:
    """The page as it should be."""
    return HEAD + "".join(_section(heading, *about) for heading, about in SECTIONS.items())


def missing() -> set[str]:
    """Keys that have no meaning here, and meanings that have no key."""
    keys = {f"{kind.__name__}.{name}" for kind, _ in SECTIONS.values() for name in kind.__struct_fields__}
    return keys ^ MEANING.keys()


def _section(heading: str, kind: type[msgspec.Struct], sentence: str) -> str:
    info = inspect.type_info(kind)
    assert isinstance(info, inspect.StructType)
    lines = [f"\n## {heading}\n\n{sentence}\n\n| key | value | default | |\n|---|---|---|---|\n"]
    for field in info.fields:
        meaning = MEANING.get(f"{kind.__name__}.{field.name}", "")
        lines.append(f"| `{field.name}` | {_type(field.type)} | {_default(field)} | {meaning} |\n")
    return "".join(lines)


def _type(info: inspect.Type) -> str:
    match info:
        case inspect.UnionType():
            return " or ".join(_type(each) for each in info.types if not isinstance(each, inspect.NoneType))
        case inspect.LiteralType():
            return ", ".join(f"`{value}`" for value in info.values)
        case inspect.ListType():
            return f"list of {_type(info.item_type)}s".replace("list of list of strings", "nested list")
        case inspect.CollectionType():
            return f"list of {_type(info.item_type)}s"
        case inspect.DictType():
            return f"table of {_type(info.value_type)}s"
        case inspect.StructType():
            return "table"
        case inspect.IntType() | inspect.FloatType():
            low = f" above {info.gt:g}" if info.gt is not None else f" from {info.ge:g}" if info.ge is not None else ""
            return _PLAIN[type(info)] + low + (f" to {info.le:g}" if info.le is not None else "")
    return _PLAIN[type(info)]


def _default(field: inspect.Field) -> str:
    if field.required:
        return "required"
    value: Any = field.default
    if value is msgspec.NODEFAULT or value is None or isinstance(value, frozenset):
        return ""
    return f"`{msgspec.json.encode(value).decode()}`"


def main() -> int:
    if missing():
        print("no such key, or no meaning given: " + ", ".join(sorted(missing())), file=sys.stderr)
        return 1
    if "--check" in sys.argv:
        return int(PAGE.read_text() != page())
    PAGE.write_text(page())
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
