"""What Gemini refuses beyond unknown fields and wrong types: empty parts, the order of calls, thought signatures."""

import base64
import json
import re
from typing import Any

from .brain import JSON
from .fake import Refused
from .signing import sign

_DATA = (
    "text",
    "inlineData",
    "fileData",
    "functionCall",
    "functionResponse",
    "executableCode",
    "codeExecutionResult",
    "toolCall",
    "toolResponse",
)
_NAME = re.compile(r"^[a-zA-Z_][a-zA-Z0-9_.:-]{0,127}$")
# documented: they skip the check, for history that another model made
_DUMMIES = ("context_engineering_is_the_way_to_go", "skip_thought_signature_validator")
_FREE = ("args", "response", "parametersJsonSchema", "responseJsonSchema", "properties", "labels", "partMetadata")


def camel(value: Any) -> Any:
    """The value with camelCase names wherever names are the API's."""
    if isinstance(value, list):
        return [camel(one) for one in value]
    if not isinstance(value, dict):
        return value
    named = {_camel(name): one for name, one in value.items() if one is not None}
    return {name: one if name in _FREE else camel(one) for name, one in named.items()}


def _camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(word[:1].upper() + word[1:] for word in rest)


def thinks(model: str) -> bool:
    """Whether the model thinks (and signs its calls) unasked: all but the old ones."""
    return not re.match(r"gemini-[12]", model)


def decode(data: str) -> bytes:
    """The bytes of base64 in either alphabet. Raises `Refused`."""
    plain = data.replace("-", "+").replace("_", "/").rstrip("=")
    try:
        return base64.b64decode(plain + "=" * (-len(plain) % 4), validate=True)
    except ValueError:
        raise Refused(400, "Invalid value (TYPE_BYTES), Base64 decoding failed") from None


def sign_call(call: JSON) -> str:
    """The thought signature of a function call."""
    return sign("gemini", json.dumps([call["name"], call.get("args", {})], sort_keys=True))


def check(body: JSON, model: str, *, vertex: bool) -> None:
    """Raise `Refused` where the API would refuse the request."""
    contents = body.get("contents")
    if not contents:
        raise Refused(400, "* GenerateContentRequest.contents: contents is not specified\n")
    for i, content in enumerate(contents):
        _content(f"contents[{i}]", content, vertex)
    if "systemInstruction" in body:
        _content("system_instruction", {**body["systemInstruction"], "role": "user"}, vertex)
    _config(body, model)
    _tools(body)
    _turns(contents)
    _signatures(contents, model)


def _refuse(where: str, why: str) -> None:
    raise Refused(400, f"* GenerateContentRequest.{where}: {why}\n")


def _content(where: str, content: JSON, vertex: bool) -> None:
    if content.get("role", "user") not in ("user", "model", "function"):
        raise Refused(400, "Please use a valid role: user, model.")
    if not content.get("parts"):
        _refuse(f"{where}.parts", "contents.parts must not be empty.")
    for j, part in enumerate(content["parts"]):
        _part(f"{where}.parts[{j}]", part, vertex)


def _part(where: str, part: JSON, vertex: bool) -> None:
    data = [name for name in _DATA if name in part]
    if not data:
        _refuse(f"{where}.data", "required oneof field 'data' must have one initialized field")
    if len(data) > 1:
        raise Refused(
            400, f"Invalid value at '{where}' (oneof), oneof field 'data' is already set. Cannot set '{data[1]}'"
        )
    if part.get("text") == "" and "thoughtSignature" not in part and (vertex or len(part) == 1):
        raise Refused(
            400, "Unable to submit request because it must have a text parameter. Add a text parameter and try again."
        )
    match data[0]:
        case "inlineData":
            if not part["inlineData"].get("mimeType"):
                _refuse(f"{where}.inline_data.mime_type", "mime_type is required.")
            decode(part["inlineData"].get("data", ""))
        case "functionCall":
            if not part["functionCall"].get("name"):
                _refuse(f"{where}.function_call.name", "Name cannot be empty.")
        case "functionResponse":
            if not part["functionResponse"].get("name"):
                _refuse(f"{where}.function_response.name", "Name cannot be empty.")
            if "response" not in part["functionResponse"]:
                _refuse(f"{where}.function_response.response", "Response cannot be empty.")


def _config(body: JSON, model: str) -> None:
    config = body.get("generationConfig", {})
    if not 0 <= config.get("temperature", 1) <= 2:
        _refuse("generation_config.temperature", "temperature must be in the range [0.0, 2.0].")
    if config.get("maxOutputTokens", 1) < 1:
        _refuse("generation_config.max_output_tokens", "max_output_tokens must be positive.")
    if not 1 <= config.get("candidateCount", 1) <= 8:
        _refuse("generation_config.candidate_count", "candidate_count must be in the range [1, 8].")
    if len(config.get("stopSequences", ())) > 5:
        _refuse("generation_config.stop_sequences", "at most 5 stop sequences may be given.")
    thinking = config.get("thinkingConfig", {})
    if "thinkingBudget" in thinking and "thinkingLevel" in thinking:
        raise Refused(400, "You can only set only one of thinking budget and thinking level.")
    if "thinkingLevel" in thinking and not thinks(model):
        raise Refused(400, "Thinking level is not supported for this model.")
    wants_json = config.get("responseMimeType") == "application/json"
    schemas = [name for name in ("responseSchema", "responseJsonSchema") if name in config]
    if schemas and not wants_json and config.get("responseMimeType") != "text/x.enum":
        _refuse("generation_config.response_schema", "only allowed when response_mime_type is application/json.")
    if len(schemas) > 1:
        raise Refused(400, "Only one of response_schema and response_json_schema may be set.")
    if wants_json and body.get("tools") and not thinks(model):
        raise Refused(400, "Function calling with a response mime type: 'application/json' is unsupported")


def _tools(body: JSON) -> None:
    names = []
    for i, tool in enumerate(body.get("tools", ())):
        if not tool:
            raise Refused(400, f"tools[{i}].tool_type: required one_of 'tool_type' must have one initialized field")
        for j, function in enumerate(tool.get("functionDeclarations", ())):
            where = f"tools[{i}].function_declarations[{j}]"
            if not _NAME.match(function.get("name", "")):
                _refuse(
                    f"{where}.name",
                    "Invalid function name. Must start with a letter or an underscore. Must be alphameric (a-z, A-Z, "
                    "0-9), underscores (_), dots (.), colons (:), or dashes (-), with a maximum length of 128.",
                )
            if "parameters" in function and "parametersJsonSchema" in function:
                _refuse(f"{where}.parameters", "parameters and parameters_json_schema are mutually exclusive.")
            if "parameters" in function:
                _schema(f"{where}.parameters", function["parameters"])
            names.append(function["name"])
    doubled = next((name for name in names if names.count(name) > 1), None)
    if doubled:
        raise Refused(400, f"Duplicate function declaration found: {doubled}")
    calling = body.get("toolConfig", {}).get("functionCallingConfig", {})
    if calling.get("allowedFunctionNames") and calling.get("mode") not in ("ANY", "VALIDATED"):
        raise Refused(400, "`allowed_function_names` can only be set when function calling mode is ANY or VALIDATED.")
    for name in calling.get("allowedFunctionNames", ()):
        if name not in names:
            raise Refused(400, f"Allowed function name `{name}` is not declared in the tools.")


def _schema(where: str, schema: JSON) -> None:
    kind = str(schema.get("type", "")).upper()
    if kind == "OBJECT" and schema.get("properties") == {}:
        _refuse(f"{where}.properties", "should be non-empty for OBJECT type")
    if kind == "ARRAY" and "items" not in schema:
        _refuse(f"{where}.items", "missing field.")
    if schema.get("enum") and kind not in ("STRING", ""):
        _refuse(f"{where}.enum", "only allowed for STRING type")
    for name in schema.get("required", ()):
        if name not in schema.get("properties", {}):
            _refuse(f"{where}.required[0]", "property is not defined")
    for name, inner in schema.get("properties", {}).items():
        _schema(f"{where}.properties[{name}]", inner)
    if "items" in schema:
        _schema(f"{where}.items", schema["items"])


def _of(content: JSON, name: str) -> list[JSON]:
    return [part[name] for part in content["parts"] if name in part]


def _turns(contents: list[JSON]) -> None:
    """Calls follow the user's turn, and their results follow them, as many as there were calls."""
    previous: JSON | None = None
    for content in contents:
        role = content.get("role", "user")
        if _of(content, "functionCall"):
            if role != "model":
                raise Refused(400, "Please ensure that function call turns have the role model.")
            if previous is None or previous.get("role", "user") == "model":
                raise Refused(
                    400,
                    "Please ensure that function call turn comes immediately after a user turn or after a function "
                    "response turn.",
                )
        calls = _of(previous, "functionCall") if previous else []
        results = _of(content, "functionResponse")
        if results and (not calls or role == "model"):
            raise Refused(
                400, "Please ensure that function response turn comes immediately after a function call turn."
            )
        if calls and len(calls) != len(results):
            raise Refused(
                400,
                "Please ensure that the number of function response parts is equal to the number of function call "
                "parts of the function call turn.",
            )
        if sorted(c["name"] for c in calls) != sorted(r["name"] for r in results):
            raise Refused(400, "Please ensure that function responses have the names of their function calls.")
        previous = content
    if _of(contents[-1], "functionCall"):
        raise Refused(400, "Please ensure that multiturn requests end with a user role or a function response.")


def _signatures(contents: list[JSON], model: str) -> None:
    """Each step of the current turn brings the signature of its first call; any signature must be the fake's own."""
    position = 0
    asked = max(
        (i for i, c in enumerate(contents) if c.get("role", "user") == "user" and not _of(c, "functionResponse")),
        default=-1,
    )
    for i, content in enumerate(contents):
        first = True
        for part in content["parts"]:
            position += 1
            if "thoughtSignature" in part:
                _signature(part)
            if "functionCall" in part:
                if first and "thoughtSignature" not in part and i > asked and thinks(model):
                    raise Refused(
                        400,
                        "Function call is missing a thought_signature in functionCall parts. This is required for "
                        "tools to work correctly, and missing thought_signature may lead to degraded model "
                        f"performance. Additional data, function call `default_api:{part['functionCall']['name']}` , "
                        f"position {position}. Please refer to "
                        "https://ai.google.dev/gemini-api/docs/thought-signatures for more details.",
                    )
                first = False


def _signature(part: JSON) -> None:
    given = decode(part["thoughtSignature"])
    allowed = [decode(dummy) for dummy in _DUMMIES] + [dummy.encode() for dummy in _DUMMIES]
    if "functionCall" in part:
        allowed.append(decode(sign_call(part["functionCall"])))
    else:
        allowed.append(decode(sign("gemini", "")))
    if given not in allowed:
        raise Refused(400, "Thought signature is not valid.")
