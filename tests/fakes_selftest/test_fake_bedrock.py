"""The official AWS SDK talks to the fake, and the fake refuses what Bedrock refuses."""

import hashlib
import json

import boto3
import httpx
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError, EventStreamError

from fakes import Scenario, start, status
from fakes.openai_media import PNG

MODEL = "anthropic.claude-mock-v1:0"
CLOCK = {"toolSpec": {"name": "clock", "inputSchema": {"json": {"type": "object", "properties": {}}}}}
HELLO = [{"role": "user", "content": [{"text": "hello"}]}]
THINKING = {"thinking": {"type": "enabled", "budget_tokens": 1024}}


def sdk(fake, **changes):
    options = {
        "region_name": "us-east-1",
        "endpoint_url": fake.base_url,
        "aws_access_key_id": "AKIAFAKE",
        "aws_secret_access_key": "fake-secret",
        "config": Config(retries={"max_attempts": 0}),
        **changes,
    }
    return boto3.session.Session().client("bedrock-runtime", **options)


@pytest.fixture(scope="module")
def fake():
    with start("bedrock") as running:
        yield running


@pytest.fixture(scope="module")
def client(fake):
    return sdk(fake)


def post(fake, **changes):
    return httpx.post(
        f"{fake.url}/model/{MODEL}/converse",
        json={"messages": HELLO, **changes},
        headers={"authorization": f"Bearer {fake.key}"},
    )


def folded(stream):
    """The content blocks of a stream."""
    blocks = {}
    for event in stream:
        if start_ := event.get("contentBlockStart"):
            blocks[start_["contentBlockIndex"]] = {"name": start_["start"]["toolUse"]["name"], "input": ""}
        if delta := event.get("contentBlockDelta"):
            block = blocks.setdefault(delta["contentBlockIndex"], {"text": "", "signature": ""})
            kind, value = next(iter(delta["delta"].items()))
            if kind == "toolUse":
                block["input"] += value["input"]
            elif kind == "text":
                block["text"] += value
            else:
                block["text"] += value.get("text", "")
                block["signature"] += value.get("signature", "")
    return list(blocks.values())


def test_a_conversation_is_answered_whole_and_streamed(client):
    asked = {
        "modelId": MODEL,
        "messages": [{"role": "user", "content": [{"text": 'preamble call:clock{"zone": "UTC"} call:clock'}]}],
    }
    asked |= {"toolConfig": {"tools": [CLOCK]}, "additionalModelRequestFields": THINKING}
    whole = client.converse(**asked)
    content = whole["output"]["message"]["content"]
    assert [next(iter(block)) for block in content] == ["reasoningContent", "text", "toolUse", "toolUse"]
    blocks = folded(client.converse_stream(**asked)["stream"])
    assert blocks[0]["text"] == content[0]["reasoningContent"]["reasoningText"]["text"]
    assert blocks[0]["signature"] == content[0]["reasoningContent"]["reasoningText"]["signature"]
    assert blocks[1]["text"] == content[1]["text"]
    assert [json.loads(block["input"] or "{}") for block in blocks[2:]] == [{"zone": "UTC"}, {}]
    assert whole["stopReason"] == "tool_use"
    usage = whole["usage"]
    assert usage["totalTokens"] == usage["inputTokens"] + usage["outputTokens"]


def test_a_tool_loop_with_thinking_ends_with_the_results(client):
    messages = [{"role": "user", "content": [{"text": "call:clock redact"}]}]
    asked = {"modelId": MODEL, "toolConfig": {"tools": [CLOCK]}, "additionalModelRequestFields": THINKING}
    answer = client.converse(messages=messages, **asked)["output"]["message"]
    call = answer["content"][-1]["toolUse"]
    result = {"toolResult": {"toolUseId": call["toolUseId"], "content": [{"json": {"time": "noon"}}]}}
    messages += [answer, {"role": "user", "content": [result]}]
    final = client.converse(messages=messages, **asked)["output"]["message"]["content"]
    assert final[-1]["text"] == 'clock returned: {"time": "noon"}'


def test_media_are_acknowledged_by_their_hash(client):
    content = [
        {"text": "look"},
        {"image": {"format": "png", "source": {"bytes": PNG}}},
        {"document": {"format": "pdf", "name": "a", "source": {"bytes": b"%PDF"}}},
    ]
    reply = client.converse(modelId=MODEL, messages=[{"role": "user", "content": content}])
    text = reply["output"]["message"]["content"][0]["text"]
    assert f"[image image/png sha256:{hashlib.sha256(PNG).hexdigest()[:16]}]" in text
    assert f"[document application/pdf sha256:{hashlib.sha256(b'%PDF').hexdigest()[:16]}]" in text


def test_structured_output_and_limits_are_honoured(client):
    schema = {"type": "object", "properties": {"n": {"type": "integer"}}}
    structure = {"jsonSchema": {"name": "s", "schema": json.dumps(schema)}}
    reply = client.converse(
        modelId=MODEL, messages=HELLO, outputConfig={"textFormat": {"type": "json_schema", "structure": structure}}
    )
    assert json.loads(reply["output"]["message"]["content"][0]["text"]) == {"n": 7}
    words = [{"role": "user", "content": [{"text": "words:50"}]}]
    assert (
        client.converse(modelId=MODEL, messages=words, inferenceConfig={"maxTokens": 2})["stopReason"] == "max_tokens"
    )


def test_tokens_are_counted(client):
    assert client.count_tokens(modelId=MODEL, input={"converse": {"messages": HELLO}})["inputTokens"] > 0


@pytest.mark.parametrize(
    ("changes", "code"),
    [
        ({"aws_secret_access_key": "other"}, "InvalidSignatureException"),
        ({"aws_access_key_id": "AKIAOTHER"}, "UnrecognizedClientException"),
        ({"aws_session_token": "stray"}, "UnrecognizedClientException"),
    ],
)
def test_signatures_are_checked(fake, changes, code):
    with pytest.raises(ClientError) as caught:
        sdk(fake, **changes).converse(modelId=MODEL, messages=HELLO)
    assert caught.value.response["Error"]["Code"] == code


def test_a_tampered_body_is_refused(fake, client):
    client.converse(modelId=MODEL, messages=HELLO)
    sent = fake.last
    headers = {k: v for k, v in sent.headers.items() if k != "content-length"}
    same = httpx.post(fake.url + sent.raw_path, content=sent.body, headers=headers)
    assert same.status_code == 200
    changed = httpx.post(fake.url + sent.raw_path, content=sent.body.replace(b"hello", b"hallo"), headers=headers)
    assert (changed.status_code, "InvalidSignature" in changed.headers["x-amzn-errortype"]) == (403, True)


USE = {"role": "assistant", "content": [{"toolUse": {"toolUseId": "t1", "name": "clock", "input": {}}}]}
RESULT = {"role": "user", "content": [{"toolResult": {"toolUseId": "t1", "content": [{"text": "x"}]}}]}
TOOLS = {"tools": [CLOCK]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"max_tokens": 5}, 'Unknown parameter in input: "max_tokens"'),
        ({"messages": [{"role": "user", "content": "x"}]}, "Invalid type for parameter messages[0].content"),
        ({"messages": [{"role": "tool", "content": []}]}, "Member must satisfy enum value set"),
        ({"messages": []}, "must have at least one message"),
        ({"messages": [{"role": "assistant", "content": [{"text": "x"}]}]}, "must start with a user message"),
        ({"messages": [*HELLO, *HELLO]}, "must alternate between user and assistant roles"),
        ({"messages": [{"role": "user", "content": [{"text": " "}]}]}, "is blank. Add text to the text field"),
        ({"messages": [{"role": "user", "content": []}]}, "is empty. Add a ContentBlock object"),
        ({"messages": [*HELLO, USE, *HELLO], "toolConfig": TOOLS}, "Expected toolResult blocks at messages.2.content"),
        ({"messages": [RESULT], "toolConfig": TOOLS}, "exceeds the number of toolUse blocks of previous turn"),
        ({"messages": [*HELLO, USE, RESULT]}, "The toolConfig field must be defined"),
        (
            {"messages": [*HELLO, USE, RESULT], "toolConfig": TOOLS, "additionalModelRequestFields": THINKING},
            "Expected `thinking` or `redacted_thinking`, but found `tool_use`",
        ),
        (
            {
                "messages": [
                    *HELLO,
                    {
                        "role": "assistant",
                        "content": [{"reasoningContent": {"reasoningText": {"text": "x", "signature": "y"}}}],
                    },
                    *HELLO,
                ]
            },
            "Invalid `signature` in `thinking` block",
        ),
        ({"toolConfig": {"tools": [{"toolSpec": {**CLOCK["toolSpec"], "name": "a.b"}}]}}, "regular expression pattern"),
        (
            {"messages": [{"role": "user", "content": [{"image": {"format": "png", "source": {"bytes": "%"}}}]}]},
            "not base64",
        ),
    ],
)
def test_a_wrong_body_is_refused_in_bedrocks_words(fake, changes, message):
    reply = post(fake, **changes)
    assert (reply.status_code, message in reply.json()["message"]) == (400, True), reply.text


def test_throttling_and_a_broken_stream_raise_in_the_sdk(fake, client):
    fake.script(status(429), Scenario(fault="error", after=2, status=429, message="slow down"))
    with pytest.raises(client.exceptions.ThrottlingException):
        client.converse(modelId=MODEL, messages=HELLO)
    with pytest.raises(EventStreamError, match="slow down"):
        list(client.converse_stream(modelId=MODEL, messages=HELLO)["stream"])
