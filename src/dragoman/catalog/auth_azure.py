"""OAuth tokens for Azure from Microsoft Entra: the client-credentials grant. Pure; nothing is sent here.

The endpoint's answer is read as any other's: `auth_google.read_token`. Source: Microsoft, "OAuth 2.0 client credentials
flow on the Microsoft identity platform"; RFC 6749, section 4.4.
"""

from urllib.parse import quote, urlencode

SCOPE = "https://cognitiveservices.azure.com/.default"
_AUTHORITY = "https://login.microsoftonline.com"


def token_request(
    tenant_id: str, client_id: str, client_secret: str, token_url: str | None = None, scope: str = SCOPE
) -> tuple[str, bytes]:
    """Where to post which form (`application/x-www-form-urlencoded`) for an access token.

    `token_url` is the token endpoint of another cloud (Azure Government, China) or of a proxy.
    """
    form = {
        "grant_type": "client_credentials",
        "client_id": client_id,
        "client_secret": client_secret,
        "scope": scope,
    }
    url = token_url or f"{_AUTHORITY}/{quote(tenant_id, safe='')}/oauth2/v2.0/token"
    return url, urlencode(form).encode()
