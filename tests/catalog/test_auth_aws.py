"""Signature Version 4, against AWS's published vectors and botocore's own signer."""

from datetime import UTC, datetime, timedelta, timezone
from unittest.mock import patch
from urllib.parse import quote

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as TheirCredentials
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.catalog.auth_aws import Credentials, sign

KEY = Credentials("AKIDEXAMPLE", "wJalrXUtnFEMI/K7MDENG+bPxRfiCYEXAMPLEKEY")
WHEN = datetime(2015, 8, 30, 12, 36, tzinfo=UTC)
URL = "https://example.amazonaws.com/"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def signature(**changed):
    call = {
        "method": "GET", "url": URL, "headers": {}, "body": b"", "credentials": KEY, "region": "us-east-1",
        "service": "service", "now": WHEN,
    }  # fmt: skip
    return sign(**call | changed)["authorization"].rpartition("Signature=")[2]


@pytest.mark.parametrize(
    ("call", "expected"),
    [
        ({}, "5fa00fa31553b73ebf1942676e86291e8372ff2a2260956d9b8aae1d763fbf31"),
        ({"method": "POST"}, "5da7c1a2acd57cee7505fc6676e4e544621c30862966e37dddb68e92efbe5d6b"),
        (
            {"url": URL + "?Param2=value2&Param1=value1"},
            "b97d918cfa904a5beff61c982a1b6f458b799221646efd99d3219ec94cdf2500",
        ),
        (
            {"method": "POST", "headers": FORM, "body": b"Param1=value1"},
            "ff11897932ad3f4e8b18135d722051e5ac45fc38421b1da7b9d196a0fe09473a",
        ),
        (
            {
                "url": "https://iam.amazonaws.com/?Action=ListUsers&Version=2010-05-08",
                "headers": {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"},
                "service": "iam",
            },
            "5d672d79c15b13162d9279b0855cfba6789a8edb4c82c400e06b5924a6f2b5d7",
        ),
    ],
)
def test_the_published_vectors(call, expected):
    assert signature(**call) == expected


def theirs(method, url, headers, body, token, now):
    """What botocore signs for the same call."""
    request = AWSRequest(method=method, url=url, headers=headers, data=body)
    credentials = TheirCredentials(KEY.access_key_id, KEY.secret_access_key, token)
    with patch("botocore.auth.get_current_datetime", lambda: now.astimezone(UTC).replace(tzinfo=None)):
        SigV4Auth(credentials, "bedrock", "eu-west-1").add_auth(request)
    return {name.lower(): value for name, value in request.headers.items()}


segments = st.lists(st.sampled_from(["model", "..", ".", "", "a b", "ü", "%", "x:y/z", "~-_.", "converse"]), max_size=6)
words = st.text(st.characters(codec="utf-8", exclude_categories=["Cs"]), max_size=6)
names = st.text("abcXYZ-", min_size=1, max_size=8).map("x-".__add__)
values = st.text(st.characters(min_codepoint=32, max_codepoint=126), max_size=20)


@given(
    st.sampled_from(["GET", "POST", "put"]),
    segments,
    st.lists(st.tuples(words, words), max_size=4),
    st.dictionaries(names, values, max_size=3),
    st.binary(max_size=100),
    st.sampled_from([None, "token/with+signs=="]),
    st.sampled_from(["", ":443", ":8443"]),
    st.booleans(),
)
@settings(max_examples=200, deadline=None)
def test_every_call_is_signed_as_botocore_signs_it(method, path, query, headers, body, token, port, slash):
    headers = {name.lower(): value for name, value in headers.items()}
    url = f"https://bedrock-runtime.eu-west-1.amazonaws.com{port}/" + "/".join(quote(part, safe="") for part in path)
    url += "/" if slash else ""
    if query:
        url += "?" + "&".join(f"{quote(key, safe='')}={quote(value, safe='')}" for key, value in query)
    credentials = Credentials(KEY.access_key_id, KEY.secret_access_key, token)
    ours = sign(method, url, headers, body, credentials, "eu-west-1", "bedrock", WHEN)
    expected = theirs(method, url, dict(headers), body, token, WHEN)
    assert ours == {name: expected[name] for name in ours}
    assert ("x-amz-security-token" in ours) == (token is not None)


def test_a_quoted_arn_is_signed_as_botocore_signs_it():
    url = "https://bedrock-runtime.eu-west-1.amazonaws.com/model/arn%3Aaws%3Abedrock%3Aa%2Fb/converse-stream"
    ours = sign("POST", url, {}, b"{}", KEY, "eu-west-1", "bedrock", WHEN)
    assert ours["authorization"] == theirs("POST", url, {}, b"{}", None, WHEN)["authorization"]


def test_the_time_is_told_in_utc():
    elsewhere = WHEN.astimezone(timezone(timedelta(hours=5)))
    assert signature(now=elsewhere) == signature()


def test_headers_that_proxies_change_are_not_signed():
    assert signature(headers={"User-Agent": "x", "Authorization": "old", "X-Amz-Date": "old"}) == signature()


def test_another_day_has_another_key():
    assert signature(now=WHEN + timedelta(days=1)) != signature()


def test_credentials_do_not_print_their_secrets():
    shown = repr(Credentials("AKIDEXAMPLE", "very-secret", "also-secret"))
    assert "secret" not in shown
