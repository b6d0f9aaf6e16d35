"""Where one account's calls go: origin and path, from the provider's data and the account's own settings."""

from urllib.parse import quote, urlsplit

from msgspec import Struct

from dragoman import config
from dragoman.catalog.providers import Provider
from dragoman.wire.origin import Origin

_VISIBLE = "/:?#[]@!$&'()*+,;=-._~%"  # left alone: what may stand in a request target, and `%`, as it is quoted already


class Endpoint(Struct, frozen=True):
    """An origin and the request target below it (path and query), ready for the wire."""

    origin: Origin
    target: bytes


def locate(provider: Provider, account: config.Account, path: str, model: str) -> Endpoint:
    """The endpoint for `path` (a dialect's own, as `/chat/completions`) at this account.

    Raises `ConfigError` where the account lacks what its cloud needs (a base URL, a project).
    """
    base = (account.base_url or provider.base_url).rstrip("/")
    match provider.auth:
        case "azure":
            base, path = _azure(base, account, path, model)
        case "vertex":
            base = _vertex(base, account)
        case "sigv4":
            base = base or f"https://bedrock-runtime.{account.region or 'us-east-1'}.amazonaws.com"
        case _:
            base = _joined(base, provider.prefix)
    try:
        origin = Origin.of(base)
    except ValueError:
        raise config.ConfigError(
            f'account "{account.name}": base_url: expected an http:// or https:// address, got "{base}"'
        ) from None
    parts = urlsplit(base)
    version = path[: path.find("/", 1)]
    if version in {"/v1", "/v2", "/api"} and parts.path.endswith(version):
        path = path.removeprefix(version)
    if parts.query:
        path += ("&" if "?" in path else "?") + parts.query
    return Endpoint(origin, quote(parts.path + path, safe=_VISIBLE).encode())


def _joined(base: str, prefix: str) -> str:
    """`base` and `prefix`, which the base may already end with: people paste either form."""
    return base if prefix and base.endswith(prefix) else base + prefix


def _azure(base: str, account: config.Account, path: str, model: str) -> tuple[str, str]:
    """Azure OpenAI: with an API version, deployment paths; without, the v1 paths."""
    if not base:
        raise config.ConfigError(f'account "{account.name}": base_url is required: the resource\'s endpoint')
    base = base.removesuffix("/openai/v1").removesuffix("/openai")
    if not account.api_version:
        return f"{base}/openai/v1", path
    query = f"?api-version={quote(account.api_version, safe='')}"
    if path.startswith("/responses"):
        return f"{base}/openai", path + query
    deployment = account.deployments.get(model, model)
    return f"{base}/openai/deployments/{quote(deployment, safe='')}", path + query


def _vertex(base: str, account: config.Account) -> str:
    """Vertex AI: publisher models of Google, in the account's project and region."""
    if not account.project:
        raise config.ConfigError(f'account "{account.name}": project is required: the Google Cloud project')
    region = account.region or "global"
    host = "aiplatform.googleapis.com" if region == "global" else f"{region}-aiplatform.googleapis.com"
    base = (base or f"https://{host}").removesuffix("/v1").removesuffix("/v1beta1")
    return f"{base}/v1/projects/{account.project}/locations/{region}/publishers/google"
