"""Converse requests: every body that is written is valid by the service's own model, and says what was meant."""

import base64
import gzip
import json
from pathlib import Path

import botocore
import msgspec
import pytest
from botocore.model import ServiceModel
from botocore.serialize import create_serializer
from botocore.validate import ParamValidator

from dragoman.canon import (
    CacheMark,
    Citation,
    Media,
    Message,
    Opaque,
    OutputFormat,
    Reasoning,
    Request,
    Text,
    Thinking,
    Tool,
    ToolCall,
    ToolChoice,
    ToolResult,
)
from dragoman.dialects import bedrock
from dragoman.dialects.dialect import Unsayable
from dragoman.dialects.quirks import Quirks

PATH = Path(botocore.__file__).parent / "data/bedrock-runtime/2023-09-30/service-2.json.gz"
SERVICE = ServiceModel(json.loads(gzip.decompress(PATH.read_bytes())))
INPUT = SERVICE.operation_model("Converse")
SONNET_45 = "us.anthropic.claude-sonnet-4-5-20250929-v1:0"
OPUS_46 = "anthropic.claude-opus-4-6-v1"
NOVA = "amazon.nova-pro-v1:0"
LLAMA = "meta.llama3-3-70b-instruct-v1:0"
DATA = base64.b64encode(b"\x89PNG picture").decode()
TOOL = Tool(name="look", description="Looks.", parameters={"type": "object", "properties": {"at": {"type": "string"}}})


def with_bytes(value, shape):
    """The body as botocore's caller would have given it: blobs as bytes."""
    if shape.type_name == "structure" and not getattr(shape, "is_document_type", False):
        return {name: with_bytes(item, shape.members[name]) if name in shape.members else item
                for name, item in value.items()}  # fmt: skip
    if shape.type_name == "list":
        return [with_bytes(item, shape.member) for item in value]
    if shape.type_name == "blob":
        return base64.b64decode(value, validate=True)
    return value


def write(request, quirks=Quirks()):  # noqa: B008 - frozen
    """What is written, after the service's model has accepted it and botocore has put the same bytes on the wire."""
    written = bedrock.write_request(request, quirks)
    params = with_bytes(written.body, INPUT.input_shape) | {"modelId": request.model}
    report = ParamValidator().validate(params, INPUT.input_shape)
    assert not report.has_errors(), report.generate_report()
    wire = create_serializer("rest-json").serialize_to_request(params, INPUT)
    assert json.loads(wire["body"]) == written.body
    assert wire["url_path"].rpartition("/converse")[0] == bedrock.path(request.model, False).rpartition("/converse")[0]
    return written


def ask(model=SONNET_45, **settings):
    settings.setdefault("messages", [Message(role="user", parts=[Text(text="hi")])])
    return Request(dialect="openai-chat", model=model, **settings)


def test_a_whole_conversation():
    written = write(
        ask(
            messages=[
                Message(role="system", parts=[Text(text="Be short.", cache=CacheMark(ttl="1h"))]),
                Message(
                    role="user",
                    parts=[
                        Text(text="Look."),
                        Media(kind="image", mime="image/png", data=DATA),
                        Media(kind="document", mime="application/pdf", data=DATA, name="a_b.pdf", cited=True),
                        Media(kind="document", text="plain", title="a_b.pdf", context="old"),
                    ],
                ),
                Message(
                    role="assistant",
                    parts=[
                        Reasoning(text="Hm.", signature="sig", dialect="bedrock"),
                        Reasoning(encrypted=DATA, dialect="bedrock"),
                        ToolCall(id="one", name="look", arguments='{"at":"sky"}'),
                        ToolCall(id="two!", name="look", arguments=""),
                    ],
                ),
                Message(role="developer", parts=[Text(text="Be kind.")]),
                Message(role="user", parts=[ToolResult(call_id="one", content=[Text(text="a star")])]),
                Message(
                    role="user",
                    parts=[
                        Text(text="Well?", cache=CacheMark()),
                        ToolResult(
                            call_id="two!", is_error=True, content=[Media(kind="image", mime="image/jpeg", data=DATA)]
                        ),
                    ],
                ),
            ],
            tools=[TOOL, Tool(name="free", kind="custom", cache=CacheMark())],
            tool_choice=ToolChoice(),
            max_output_tokens=100,
            temperature=0.5,
            stop=["END"],
        )
    )
    assert written.lossy == []
    calls = [block["toolUse"] for block in written.body["messages"][1]["content"] if "toolUse" in block]
    results = written.body["messages"][2]["content"]
    assert written.body == {
        "system": [{"text": "Be short."}, {"cachePoint": {"type": "default", "ttl": "1h"}}, {"text": "Be kind."}],
        "messages": [
            {
                "role": "user",
                "content": [
                    {"text": "Look."},
                    {"image": {"format": "png", "source": {"bytes": DATA}}},
                    {
                        "document": {
                            "format": "pdf",
                            "name": "a-b-pdf",
                            "source": {"bytes": DATA},
                            "citations": {"enabled": True},
                        }
                    },
                    {
                        "document": {
                            "format": "txt",
                            "name": "a-b-pdf 2",
                            "source": {"text": "plain"},
                            "context": "old",
                        }
                    },
                ],
            },
            {
                "role": "assistant",
                "content": [
                    {"reasoningContent": {"reasoningText": {"text": "Hm.", "signature": "sig"}}},
                    {"reasoningContent": {"redactedContent": DATA}},
                    {"toolUse": {"toolUseId": "one", "name": "look", "input": {"at": "sky"}}},
                    {"toolUse": {"toolUseId": calls[1]["toolUseId"], "name": "look", "input": {}}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"toolResult": {"toolUseId": "one", "content": [{"text": "a star"}]}},
                    {
                        "toolResult": {
                            "toolUseId": results[1]["toolResult"]["toolUseId"],
                            "content": [{"image": {"format": "jpeg", "source": {"bytes": DATA}}}],
                            "status": "error",
                        }
                    },
                    {"text": "Well?"},
                    {"cachePoint": {"type": "default"}},
                ],
            },
        ],
        "toolConfig": {
            "tools": [
                {
                    "toolSpec": {
                        "name": "look",
                        "description": "Looks.",
                        "inputSchema": {"json": {"type": "object", "properties": {"at": {"type": "string"}}}},
                    }
                },
                {
                    "toolSpec": {
                        "name": "free",
                        "inputSchema": {
                            "json": {
                                "type": "object",
                                "properties": {"input": {"type": "string"}},
                                "required": ["input"],
                                "additionalProperties": False,
                            }
                        },
                    }
                },
                {"cachePoint": {"type": "default"}},
            ],
            "toolChoice": {"auto": {}},
        },
        "inferenceConfig": {"maxTokens": 100, "temperature": 0.5, "stopSequences": ["END"]},
        "additionalModelResponseFieldPaths": ["/stop_sequence"],
    }
    assert calls[1]["toolUseId"] == results[1]["toolResult"]["toolUseId"] != "two!"


@pytest.mark.parametrize(
    ("choice", "written"),
    [
        (None, None),
        (ToolChoice(), {"auto": {}}),
        (ToolChoice(mode="required"), {"any": {}}),
        (ToolChoice(mode="tool", names=["look"]), {"tool": {"name": "look"}}),
    ],
)
def test_every_tool_choice(choice, written):
    config = write(ask(tools=[TOOL], tool_choice=choice)).body["toolConfig"]
    assert config.get("toolChoice") == written


def test_no_tool_may_be_called_means_that_no_tool_is_offered():
    written = write(ask(tools=[TOOL], tool_choice=ToolChoice(mode="none")))
    assert "toolConfig" not in written.body
    assert written.lossy == []


CALLED = [
    Message(role="user", parts=[Text(text="go")]),
    Message(role="assistant", parts=[ToolCall(id="one", name="look", arguments="{}")]),
    Message(role="user", parts=[ToolResult(call_id="one", content=[Text(text="x")])]),
]


def test_a_history_with_calls_needs_its_tools_even_where_none_may_be_called():
    written = write(ask(messages=CALLED, tools=[TOOL], tool_choice=ToolChoice(mode="none")))
    assert written.body["toolConfig"]["tools"][0]["toolSpec"]["name"] == "look"
    assert written.lossy == ["tool_choice"]
    assert write(ask(messages=CALLED)).body["toolConfig"]["tools"][0]["toolSpec"]["name"] == "look"


def test_only_the_allowed_tools_are_offered():
    other = Tool(name="other")
    body = write(ask(tools=[TOOL, other], tool_choice=ToolChoice(mode="required", names=["other"]))).body
    assert [tool["toolSpec"]["name"] for tool in body["toolConfig"]["tools"]] == ["other"]


def test_a_history_that_begins_with_the_assistant_gets_a_user_first():
    body = write(ask(messages=[Message(role="assistant", parts=[Text(text="Hello!")])])).body
    assert [message["role"] for message in body["messages"]] == ["user", "assistant"]


@pytest.mark.parametrize(
    ("model", "thinking", "further", "effort"),
    [
        (SONNET_45, Thinking(budget=4000), {"thinking": {"type": "enabled", "budget_tokens": 4000}}, None),
        (SONNET_45, Thinking(effort="low"), {"thinking": {"type": "enabled", "budget_tokens": 2048}}, None),
        (SONNET_45, Thinking(mode="off"), {"thinking": {"type": "disabled"}}, None),
        (OPUS_46, Thinking(effort="high"), {"thinking": {"type": "adaptive"}}, "high"),
        (NOVA, Thinking(effort="high"), None, "high"),
        (NOVA, Thinking(effort="minimal"), None, "low"),
        (LLAMA, Thinking(budget=2000), None, "low"),
    ],
)
def test_thinking_is_said_as_the_model_takes_it(model, thinking, further, effort):
    written = write(ask(model, thinking=thinking))
    assert written.body.get("additionalModelRequestFields") == further
    assert written.body.get("outputConfig", {}).get("effort") == effort
    assert written.lossy == []


@pytest.mark.parametrize("thinking", [Thinking(mode="off"), Thinking(effort="none"), Thinking(mode="on")])
def test_thinking_that_cannot_be_said_is_named(thinking):
    assert write(ask(LLAMA, thinking=thinking)).lossy == ["thinking"]


@pytest.mark.parametrize(
    ("model", "further", "lossy"),
    [(SONNET_45, {"top_k": 5}, []), (NOVA, {"inferenceConfig": {"topK": 5}}, []), (LLAMA, None, ["top_k"])],
)
def test_top_k_goes_where_the_model_takes_it(model, further, lossy):
    written = write(ask(model, top_k=5))
    assert written.body.get("additionalModelRequestFields") == further
    assert written.lossy == lossy


def test_claude_takes_no_sampling_with_thinking():
    written = write(ask(SONNET_45, thinking=Thinking(budget=2000), temperature=0.2, top_p=0.5, top_k=3))
    assert set(written.body["inferenceConfig"]) == {"maxTokens"}
    assert written.lossy == ["temperature", "top_p", "top_k"]


def test_a_temperature_beyond_the_scale_is_held_to_it_and_named():
    written = write(ask(LLAMA, temperature=1.7))
    assert written.body["inferenceConfig"] == {"temperature": 1.0}
    assert written.lossy == ["temperature"]


def test_structured_output_holds_the_schema_as_text():
    schema = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"],
              "additionalProperties": False}  # fmt: skip
    output = OutputFormat(kind="json_schema", name="it", description="It.", schema=schema, strict=True)
    said = write(ask(output=output)).body["outputConfig"]["textFormat"]["structure"]["jsonSchema"]
    assert msgspec.json.decode(said.pop("schema")) == schema
    assert said == {"name": "it", "description": "It."}
    assert write(ask(output=OutputFormat(kind="json"))).lossy == ["output"]


def test_bedrocks_own_fields_pass_from_any_client():
    own = {
        "guardrailConfig": {"guardrailIdentifier": "abc", "guardrailVersion": "1"},
        "performanceConfig": {"latency": "optimized"},
        "additionalModelRequestFields": {"anthropic_beta": ["x"]},
    }
    written = write(ask(extra={**own, "prediction": {}}, thinking=Thinking(budget=2000)))
    assert written.lossy == ["prediction"]
    assert written.body["guardrailConfig"] == own["guardrailConfig"]
    assert set(written.body["additionalModelRequestFields"]) == {"anthropic_beta", "thinking"}


def test_what_cannot_be_said_is_named():
    written = write(
        ask(
            LLAMA,
            messages=[
                Message(
                    role="user",
                    name="ann",
                    parts=[Text(text="hi", cache=CacheMark()), Text(text=""), Opaque(dialect="x", kind="y", data={})],
                ),
                Message(
                    role="assistant",
                    parts=[
                        Reasoning(text="Hm.", signature="s", dialect="anthropic"),
                        Text(text="ho", citations=[Citation(url="https://x")]),
                    ],
                ),
            ],
            tools=[Tool(name="web", kind="provider", raw={"type": "web_search"})],
            metadata={"ok": "fine", "bad": "ü"},
            service_tier="standard_only",
            parallel_tool_calls=False,
            seed=1,
            n=2,
        )
    )
    assert set(written.lossy) == {
        "messages.name", "messages.cache_control", "messages.y", "reasoning", "messages.citations",
        "tools.web_search", "metadata", "service_tier", "parallel_tool_calls", "seed", "n",
    }  # fmt: skip
    assert written.body["requestMetadata"] == {"ok": "fine"}


def test_own_citations_go_back_whole():
    raw = {"title": "T", "location": {"web": {"url": "https://x"}}}
    text = Text(text="ho", citations=[Citation(dialect="bedrock", raw=raw)])
    body = write(ask(messages=[Message(role="user", parts=[Text(text="hi")]),
                               Message(role="assistant", parts=[text])])).body  # fmt: skip
    assert body["messages"][1]["content"] == [
        {"citationsContent": {"content": [{"text": "ho"}], "citations": [raw]}},
    ]


@pytest.mark.parametrize(
    ("media", "mend"),
    [
        (Media(kind="image", mime="image/png", url="https://x/y.png"), "base64"),
        (Media(kind="image", mime="image/tiff", data=DATA), "png"),
        (Media(kind="image", data=DATA), "media type"),
        (Media(kind="document", mime="application/pdf", file_id="file_1"), "base64"),
    ],
)
def test_media_that_bedrock_cannot_take_are_refused_with_the_mend(media, mend):
    with pytest.raises(Unsayable, match=mend):
        write(ask(messages=[Message(role="user", parts=[media])]))


@pytest.mark.parametrize(
    ("media", "block"),
    [
        (Media(kind="video", mime="video/mp4", data=DATA), {"video": {"format": "mp4", "source": {"bytes": DATA}}}),
        (Media(kind="audio", mime="audio/wav", data=DATA), {"audio": {"format": "wav", "source": {"bytes": DATA}}}),
        (
            Media(kind="video", url="s3://my-bucket/film.mkv"),
            {"video": {"format": "mkv", "source": {"s3Location": {"uri": "s3://my-bucket/film.mkv"}}}},
        ),
    ],
)
def test_sound_film_and_s3(media, block):
    assert write(ask(messages=[Message(role="user", parts=[media])])).body["messages"][0]["content"] == [block]


def test_a_forced_provider_tool_is_refused():
    web = Tool(name="web", kind="provider", dialect="anthropic", raw={"type": "web_search_20250305"})
    with pytest.raises(Unsayable, match="web_search_20250305"):
        write(ask(tools=[web], tool_choice=ToolChoice(mode="tool", names=["web"])))


def test_the_whole_request_is_cached_where_the_caller_asks_for_it():
    body = write(ask(cache=CacheMark())).body
    assert body["messages"][-1]["content"][-1] == {"cachePoint": {"type": "default"}}


def test_what_the_provider_refuses_is_left_out_and_named():
    written = write(ask(service_tier="flex"), Quirks(refuses=frozenset({"serviceTier"})))
    assert "serviceTier" not in written.body
    assert written.lossy == ["serviceTier"]


def test_an_arn_is_quoted_whole_in_the_path():
    arn = "arn:aws:bedrock:us-east-1:123456789012:application-inference-profile/a1"
    assert bedrock.path(arn, True) == (
        "/model/arn%3Aaws%3Abedrock%3Aus-east-1%3A123456789012%3Aapplication-inference-profile%2Fa1/converse-stream"
    )
