"""Entra's client-credentials grant."""

from urllib.parse import parse_qs

from dragoman.catalog import auth_azure


def test_the_form_asks_for_a_token_of_the_tenant():
    url, form = auth_azure.token_request("tenant-1", "client-1", "s&cret=")
    assert url == "https://login.microsoftonline.com/tenant-1/oauth2/v2.0/token"
    assert parse_qs(form.decode(), strict_parsing=True) == {
        "grant_type": ["client_credentials"],
        "client_id": ["client-1"],
        "client_secret": ["s&cret="],
        "scope": ["https://cognitiveservices.azure.com/.default"],
    }


def test_a_tenant_cannot_leave_its_place_in_the_address():
    assert auth_azure.token_request("../x?y", "c", "s")[0].startswith("https://login.microsoftonline.com/..%2Fx%3Fy/")


def test_another_clouds_endpoint_can_be_told():
    url = "https://login.microsoftonline.us/t/oauth2/v2.0/token"
    assert auth_azure.token_request("t", "c", "s", url)[0] == url
