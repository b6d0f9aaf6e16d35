"""Requests in Gemini's dialect: read, written back, and written for Gemini out of other dialects."""

import copy
import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dragoman.canon import (
    CacheMark,
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
from dragoman.dialects import gemini, seal
from dragoman.dialects.dialect import Unsayable
from dragoman.dialects.fields import Malformed
from dragoman.dialects.gemini.parts import UNVERIFIED
from dragoman.dialects.quirks import Quirks

FULL = {
    "contents": [
        {
            "role": "user",
            "parts": [{"text": "what is this?"}, {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}],
        },
        {
            "role": "model",
            "parts": [
                {"text": "let me think", "thought": True, "thoughtSignature": "c2ln"},
                {"functionCall": {"id": "c1", "name": "look", "args": {"x": 1}}, "thoughtSignature": "QUJD"},
                {"functionCall": {"name": "look", "args": {}}},
                {"executableCode": {"language": "PYTHON", "code": "1+1"}},
                {"codeExecutionResult": {"outcome": "OUTCOME_OK", "output": "2"}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "c1", "name": "look", "response": {"temp": 20, "wind": [1, 2]}}},
                {
                    "functionResponse": {
                        "name": "look",
                        "response": {"error": "no such place"},
                        "parts": [{"inlineData": {"mimeType": "image/png", "data": "AAAA"}}],
                    }
                },
                {"fileData": {"mimeType": "video/mp4", "fileUri": "https://youtu.be/x"}, "videoMetadata": {"fps": 2}},
                {"fileData": {"mimeType": "application/pdf", "fileUri": "gs://bucket/a.pdf"}},
            ],
        },
    ],
    "systemInstruction": {"parts": [{"text": "be brief"}]},
    "tools": [
        {
            "functionDeclarations": [
                {
                    "name": "look",
                    "description": "looks",
                    "parametersJsonSchema": {"type": "object", "properties": {"x": {"type": "integer"}}},
                    "behavior": "BLOCKING",
                }
            ]
        },
        {"googleSearch": {}},
        {"codeExecution": {}},
    ],
    "toolConfig": {
        "functionCallingConfig": {"mode": "VALIDATED", "allowedFunctionNames": ["look"]},
        "retrievalConfig": {"languageCode": "en"},
    },
    "generationConfig": {
        "temperature": 0.5,
        "topP": 0.9,
        "topK": 40,
        "candidateCount": 2,
        "maxOutputTokens": 100,
        "stopSequences": ["a", "b"],
        "seed": 7,
        "presencePenalty": 0.1,
        "frequencyPenalty": 0.2,
        "responseMimeType": "application/json",
        "responseJsonSchema": {"type": "object"},
        "responseModalities": ["TEXT"],
        "responseLogprobs": True,
        "logprobs": 3,
        "thinkingConfig": {"includeThoughts": True, "thinkingLevel": "LOW"},
        "speechConfig": {"voiceConfig": {"prebuiltVoiceConfig": {"voiceName": "Kore"}}},
        "mediaResolution": "MEDIA_RESOLUTION_LOW",
    },
    "safetySettings": [{"category": "HARM_CATEGORY_HARASSMENT", "threshold": "BLOCK_NONE"}],
    "cachedContent": "cachedContents/x",
    "labels": {"team": "a"},
    "serviceTier": "flex",
    "store": False,
}


def there_and_back(body):
    return gemini.write_request(gemini.read_request(copy.deepcopy(body)), Quirks())


def test_writing_what_was_read_gives_it_back():
    written = there_and_back(FULL)
    assert written.body == FULL
    assert written.lossy == []


def test_every_field_is_understood():
    request = gemini.read_request(copy.deepcopy(FULL))
    assert (request.top_k, request.n, request.max_output_tokens, request.seed) == (40, 2, 100, 7)
    assert request.thinking == Thinking(visible=True, effort="low")
    assert request.output == OutputFormat(kind="json_schema", schema={"type": "object"})
    assert request.service_tier == "flex"
    assert [tool.kind for tool in request.tools] == ["function", "provider", "provider"]
    call, unnamed = (part for part in request.messages[2].parts if isinstance(part, ToolCall))
    results = [part for part in request.messages[3].parts if isinstance(part, ToolResult)]
    assert (call.id, call.signature, call.dialect) == ("c1", "QUJD", "gemini")
    assert [result.call_id for result in results] == ["c1", unnamed.id]
    assert results[0].content == [Text(text='{"temp":20,"wind":[1,2]}')]
    assert results[1].is_error


def test_snake_case_means_the_same():
    body = {
        "contents": [{"parts": [{"inline_data": {"mime_type": "image/png", "data": "A-_A"}}]}],
        "system_instruction": {"parts": {"text": "s"}},
        "generation_config": {"max_output_tokens": 5, "thinking_config": {"thinking_budget": 0}},
        "tools": [{"function_declarations": [{"name": "f", "parameters_json_schema": {"type": "object"}}]}],
        "tool_config": {"function_calling_config": {"mode": "any", "allowed_function_names": ["f"]}},
    }
    assert there_and_back(body).body == {
        "contents": [{"role": "user", "parts": [{"inlineData": {"mimeType": "image/png", "data": "A+/A"}}]}],
        "systemInstruction": {"parts": [{"text": "s"}]},
        "generationConfig": {"maxOutputTokens": 5, "thinkingConfig": {"thinkingBudget": 0}},
        "tools": [{"functionDeclarations": [{"name": "f", "parametersJsonSchema": {"type": "object"}}]}],
        "toolConfig": {"functionCallingConfig": {"mode": "ANY", "allowedFunctionNames": ["f"]}},
    }


def test_openapi_schemas_are_read_as_json_schema():
    schema = {
        "type": "OBJECT",
        "properties": {
            "b": {"type": "STRING", "nullable": True, "enum": ["x"], "format": "enum"},
            "a": {"type": "ARRAY", "items": {"type": "INTEGER"}, "minItems": "1"},
            "any_of": {"anyOf": [{"type": "NUMBER"}, {"type": "BOOLEAN"}], "nullable": True},
        },
        "required": ["a"],
        "propertyOrdering": ["a", "b"],
    }
    body = {
        "contents": [{"parts": [{"text": "x"}]}],
        "generationConfig": {"responseMimeType": "application/json", "responseSchema": schema},
    }
    read = gemini.read_request(body).output.schema
    assert read == {
        "type": "object",
        "properties": {
            "a": {"type": "array", "items": {"type": "integer"}, "minItems": 1},
            "b": {"type": ["string", "null"], "enum": ["x", None]},
            "any_of": {"anyOf": [{"type": "number"}, {"type": "boolean"}, {"type": "null"}]},
        },
        "required": ["a"],
    }
    assert list(read["properties"]) == ["a", "b", "any_of"]


@pytest.mark.parametrize(
    ("body", "path"),
    [
        ({}, "contents"),
        ({"contents": "hi"}, "contents"),
        ({"contents": [{"role": "system", "parts": []}]}, "contents[0].role"),
        ({"contents": [{"parts": [{}]}]}, "contents[0].parts[0]"),
        ({"contents": [{"parts": [{"text": None}]}]}, "contents[0].parts[0]"),
        ({"contents": [{"parts": [{"text": 5}]}]}, "contents[0].parts[0].text"),
        ({"contents": [{"parts": ["hi"]}]}, "contents[0].parts[0]"),
        ({"contents": [{"parts": [{"functionCall": {}}]}]}, "contents[0].parts[0].functionCall.name"),
        ({"contents": [{"parts": [{"inlineData": {}}]}]}, "contents[0].parts[0].inlineData.data"),
        ({"contents": [], "tools": [{"functionDeclarations": [{}]}]}, "tools[0].functionDeclarations[0].name"),
        ({"contents": [], "generationConfig": {"topK": "x"}}, "generationConfig.topK"),
        (
            {"contents": [], "toolConfig": {"functionCallingConfig": {"mode": "MAYBE"}}},
            "toolConfig.functionCallingConfig.mode",
        ),
    ],
)
def test_a_malformed_request_names_the_place(body, path):
    with pytest.raises(Malformed) as caught:
        gemini.read_request(body)
    assert caught.value.path == path


def foreign(*messages, **fields):
    return Request(dialect="openai-chat", model="gemini-3-pro", messages=list(messages), **fields)


def test_a_foreign_tool_turn_becomes_what_gemini_demands():
    request = foreign(
        Message(role="system", parts=[Text(text="s1")]),
        Message(role="user", parts=[Text(text="go"), Text(text="")]),
        Message(role="developer", parts=[Text(text="s2")]),
        Message(
            role="assistant",
            parts=[
                Reasoning(text="hm", dialect="anthropic", signature="x"),
                ToolCall(id="a", name="f", arguments=""),
                ToolCall(id="b", name="g", arguments="[1]"),
            ],
        ),
        Message(role="user", parts=[ToolResult(call_id="b", content=[Text(text="plain")])]),
        Message(role="user", parts=[ToolResult(call_id="a", content=[Text(text='{"k":1}')]), Text(text="and?")]),
    )
    written = gemini.write_request(request, Quirks())
    assert written.body["systemInstruction"] == {"parts": [{"text": "s1"}, {"text": "s2"}]}
    assert written.body["contents"] == [
        {"role": "user", "parts": [{"text": "go"}]},
        {
            "role": "model",
            "parts": [
                {"functionCall": {"id": "a", "name": "f", "args": {}}, "thoughtSignature": UNVERIFIED},
                {"functionCall": {"id": "b", "name": "g", "args": {"input": "[1]"}}},
            ],
        },
        {
            "role": "user",
            "parts": [
                {"functionResponse": {"id": "b", "name": "g", "response": {"output": "plain"}}},
                {"functionResponse": {"id": "a", "name": "f", "response": {"k": 1}}},
                {"text": "and?"},
            ],
        },
    ]
    assert written.lossy == ["reasoning"]


def test_gemini_2_gets_no_dummy_signature_and_media_beside_the_result():
    image = Media(kind="image", mime="image/png", data="AAAA")
    request = foreign(
        Message(role="assistant", parts=[ToolCall(id="a", name="f", arguments="{}")]),
        Message(role="user", parts=[ToolResult(call_id="a", content=[Text(text="see"), image])]),
    )
    request.model = "gemini-2.5-pro"
    model, user = gemini.write_request(request, Quirks()).body["contents"]
    assert "thoughtSignature" not in model["parts"][0]
    assert user["parts"][1] == {"inlineData": {"mimeType": "image/png", "data": "AAAA"}}


def test_a_gemini_signature_outlives_a_foreign_client():
    call = ToolCall(id="a", name="f", arguments="{}", signature="QUJD", dialect="gemini")
    body = gemini.write_request(foreign(Message(role="assistant", parts=[call])), Quirks()).body
    assert body["contents"][0]["parts"][0]["thoughtSignature"] == "QUJD"


def test_losses_are_named():
    request = foreign(
        Message(role="user", parts=[Text(text="x", cache=CacheMark())], name="bob"),
        stop=list("abcdefg"),
        parallel_tool_calls=False,
        user="u",
        logit_bias={"1": 2.0},
        tools=[Tool(name="web_search", kind="provider", dialect="openai-responses", raw={"type": "web_search"})],
        extra={"prediction": {}},
    )
    request.messages.append(
        Message(role="assistant", parts=[Text(text="t"), Opaque(dialect="anthropic", kind="server_tool_use", data={})])
    )
    written = gemini.write_request(request, Quirks())
    assert set(written.lossy) == {
        "stop",
        "parallel_tool_calls",
        "user",
        "logit_bias",
        "tools.web_search",
        "prediction",
        "messages.cache_control",
        "messages.name",
        "messages.server_tool_use",
    }
    assert written.body["generationConfig"]["stopSequences"] == list("abcde")


def test_a_choice_of_a_tool_that_is_lost_is_refused():
    request = foreign(
        Message(role="user", parts=[Text(text="x")]),
        tools=[Tool(name="web_search", kind="provider", dialect="openai-responses", raw={"type": "web_search"})],
        tool_choice=ToolChoice(mode="tool", names=["web_search"]),
    )
    with pytest.raises(Unsayable, match="web_search"):
        gemini.write_request(request, Quirks())


def test_a_file_at_another_provider_is_refused():
    request = foreign(Message(role="user", parts=[Media(kind="document", file_id="file-abc")]))
    with pytest.raises(Unsayable, match="file-abc"):
        gemini.write_request(request, Quirks())


@pytest.mark.parametrize(
    ("choice", "strict", "calling"),
    [
        (None, None, None),
        (None, True, {"mode": "VALIDATED"}),
        (ToolChoice(mode="auto"), None, {"mode": "AUTO"}),
        (ToolChoice(mode="auto", names=["f"]), None, {"mode": "VALIDATED", "allowedFunctionNames": ["f"]}),
        (ToolChoice(mode="none"), None, {"mode": "NONE"}),
        (ToolChoice(mode="required"), None, {"mode": "ANY"}),
        (ToolChoice(mode="tool", names=["f"]), None, {"mode": "ANY", "allowedFunctionNames": ["f"]}),
    ],
)
def test_tool_choices(choice, strict, calling):
    request = foreign(
        Message(role="user", parts=[Text(text="x")]), tools=[Tool(name="f", strict=strict)], tool_choice=choice
    )
    config = gemini.write_request(request, Quirks()).body.get("toolConfig", {})
    assert config.get("functionCallingConfig") == calling


@pytest.mark.parametrize(
    ("model", "thinking", "written"),
    [
        ("gemini-3-pro", Thinking(effort="max"), {"includeThoughts": True, "thinkingLevel": "HIGH"}),
        ("gemini-3-pro", Thinking(effort="minimal"), {"includeThoughts": True, "thinkingLevel": "LOW"}),
        ("gemini-3-flash", Thinking(effort="none"), {"thinkingLevel": "MINIMAL"}),
        (
            "gemini-3-flash",
            Thinking(mode="on", budget=8192, visible=True),
            {"includeThoughts": True, "thinkingLevel": "MEDIUM"},
        ),
        ("gemini-3-flash", Thinking(mode="adaptive"), {"includeThoughts": True}),
        ("gemini-2.5-flash", Thinking(effort="low", visible=False), {"includeThoughts": False, "thinkingBudget": 2048}),
        ("gemini-2.5-flash", Thinking(mode="off"), {"thinkingBudget": 0}),
        ("gemini-2.5-pro", Thinking(mode="off"), {"thinkingBudget": 128}),
        ("gemini-2.5-flash", Thinking(mode="on", budget=60_000), {"includeThoughts": True, "thinkingBudget": 24_576}),
        ("gemini-2.5-flash", Thinking(mode="adaptive"), {"includeThoughts": True, "thinkingBudget": -1}),
    ],
)
def test_thinking_in_the_words_of_the_models_generation(model, thinking, written):
    request = foreign(Message(role="user", parts=[Text(text="x")]), thinking=thinking)
    request.model = model
    assert gemini.write_request(request, Quirks()).body.get("generationConfig", {}).get("thinkingConfig") == written


def test_a_response_schema_is_made_acceptable():
    schema = {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "properties": {
            "a": {"$ref": "#/$defs/A", "description": "x"},
            "b": {"const": "k"},
            "c": {"allOf": [{"type": "string"}]},
        },
        "$defs": {"A": {"type": "integer"}},
    }
    request = foreign(
        Message(role="user", parts=[Text(text="x")]), output=OutputFormat(kind="json_schema", schema=schema)
    )
    config = gemini.write_request(request, Quirks()).body["generationConfig"]
    assert config["responseMimeType"] == "application/json"
    assert config["responseJsonSchema"] == {
        "type": "object",
        "properties": {"a": {"$ref": "#/$defs/A"}, "b": {"enum": ["k"]}, "c": {"type": "string"}},
        "$defs": {"A": {"type": "integer"}},
    }


def test_a_system_prompt_alone_becomes_the_question():
    body = gemini.write_request(foreign(Message(role="system", parts=[Text(text="s")])), Quirks()).body
    assert body == {"contents": [{"role": "user", "parts": [{"text": "s"}]}]}


def test_a_custom_tool_becomes_a_function():
    request = foreign(
        Message(role="assistant", parts=[ToolCall(id="a", name="run", arguments="ls", kind="custom")]),
        tools=[Tool(name="run", kind="custom")],
    )
    body = gemini.write_request(request, Quirks()).body
    assert body["contents"][0]["parts"][0]["functionCall"]["args"] == {"input": "ls"}
    assert body["tools"][0]["functionDeclarations"][0]["parametersJsonSchema"]["required"] == ["input"]


def test_a_seal_brings_foreign_reasoning_back_in_its_places():
    one = Reasoning(text="first", signature="s1", dialect="anthropic")
    two = Reasoning(encrypted="e2", dialect="anthropic")
    signature = seal.seal([one, Text(), two])
    standard = signature.replace("-", "+").replace("_", "/")  # as an SDK encodes it again
    body = {
        "contents": [
            {
                "role": "model",
                "parts": [
                    {"text": "first", "thought": True},
                    {"text": "Well"},
                    {
                        "functionCall": {"id": "c", "name": "f", "args": {}},
                        "thoughtSignature": standard + "=" * (-len(standard) % 4),
                    },
                ],
            }
        ]
    }
    parts = gemini.read_request(body).messages[0].parts
    call = ToolCall(id="c", name="f", arguments="{}", dialect="anthropic")
    assert parts == [one, Text(text="Well"), two, call]


scalars = st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.text(max_size=8)
objects = st.dictionaries(st.text(max_size=6), scalars | st.lists(scalars, max_size=2), max_size=3)
responses = st.one_of(
    objects,
    st.fixed_dictionaries(
        {
            "output": st.text(max_size=10)
            | objects.map(lambda o: json.dumps(o, separators=(",", ":"), ensure_ascii=False))
        }
    ),
    st.fixed_dictionaries({"error": st.text(max_size=10) | objects}),
    st.fixed_dictionaries({"output": st.text(max_size=5), "exit": st.integers(0, 3)}),
)
signatures = st.sampled_from(["QUJD", "c2ln"])


def with_signature(part):
    return st.builds(lambda p, s: {**p, "thoughtSignature": s} if s else p, part, st.none() | signatures)


model_parts = st.one_of(
    with_signature(st.fixed_dictionaries({"text": st.text(min_size=1, max_size=10)})),
    with_signature(st.fixed_dictionaries({"text": st.text(max_size=10), "thought": st.just(True)})),
    with_signature(
        st.fixed_dictionaries({"functionCall": st.fixed_dictionaries({"name": st.sampled_from("fg"), "args": objects})})
    ),
    st.fixed_dictionaries({"executableCode": objects}),
)
user_parts = st.one_of(
    st.fixed_dictionaries({"text": st.text(max_size=10)}, optional={"partMetadata": objects}),
    st.fixed_dictionaries(
        {"functionResponse": st.fixed_dictionaries({"name": st.sampled_from("fg"), "response": responses})}
    ),
    st.fixed_dictionaries(
        {"inlineData": st.fixed_dictionaries({"mimeType": st.just("audio/wav"), "data": st.just("AAAA")})}
    ),
)
contents = st.lists(
    st.one_of(
        st.fixed_dictionaries({"role": st.just("user"), "parts": st.lists(user_parts, max_size=3)}),
        st.fixed_dictionaries({"role": st.just("model"), "parts": st.lists(model_parts, max_size=3)}),
    ),
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(contents)
def test_any_contents_come_back_as_they_were(items):
    normal = [{**item, "parts": joined(item["parts"])} if item["role"] == "model" else item for item in items]
    assert there_and_back({"contents": items}).body == {"contents": normal}


def joined(parts):
    """The model's texts in one part each, however many chunks a stream brought them in."""
    whole = []
    for part in parts:
        last = whole[-1] if whole else {}
        if "text" in part and "thought" not in part and last.keys() == {"text"}:
            whole[-1] = {**part, "text": last["text"] + part["text"]}
        else:
            whole.append(part)
    return whole


def test_what_a_client_collected_from_a_stream_is_one_text():
    parts = [{"text": "one"}, {"text": "  "}, {"text": "two"}, {"text": "", "thoughtSignature": "QUJD"}]
    (message,) = gemini.read_request({"contents": [{"role": "model", "parts": parts}]}).messages
    assert message.parts == [Text(text="one  two", signature="QUJD", dialect="gemini")]


@pytest.mark.parametrize("dummy", ["skip_thought_signature_validator", "skip/thought/signature/validator"])
def test_the_signature_that_says_nothing_is_not_lost_on_others(dummy):
    call = {"functionCall": {"name": "f", "args": {}}, "thoughtSignature": dummy}
    (message,) = gemini.read_request({"contents": [{"role": "model", "parts": [call]}]}).messages
    assert message.parts[0].signature is None


junk = st.recursive(
    scalars,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(
            st.sampled_from(
                [
                    "contents",
                    "parts",
                    "text",
                    "role",
                    "functionCall",
                    "args",
                    "name",
                    "inlineData",
                    "tools",
                    "functionResponse",
                    "generationConfig",
                    "thinkingConfig",
                    "systemInstruction",
                    "response",
                ]
            ),
            inner,
            max_size=4,
        )
    ),
    max_leaves=12,
)


@settings(max_examples=200, deadline=None)
@given(st.dictionaries(st.sampled_from(["contents", "tools", "systemInstruction", "generationConfig", "x"]), junk))
def test_any_body_is_read_or_refused_with_its_place(body):
    try:
        request = gemini.read_request(body)
    except Malformed:
        return
    gemini.write_request(request, Quirks())
