"""What a request itself needs, read off it: capabilities, room for its tokens, and where in a conversation it stands.

| seen in the request | need |
|---|---|
| tools | `tools` |
| an image; a film; a document; sound, or an answer wanted as sound | `vision`; `video`; `documents`; `audio` |
| an answer held to a JSON schema | `json_schema` |
| thinking asked for, more than the least | `reasoning` |
| estimated tokens in, and the most tokens out | a context window that takes both |
"""

import hashlib
from collections.abc import Iterator
from typing import Literal, TypeAlias

from msgspec import Struct

from dragoman.canon import Media, Message, Part, Request, Text, ToolCall, ToolResult
from dragoman.dialects.estimate import estimate

Stage: TypeAlias = Literal["asking", "planning", "executing", "recovering"]
_MEDIA = {"image": "vision", "video": "video", "document": "documents", "audio": "audio"}
_LITTLE_THOUGHT = frozenset({"none", "minimal"})
PROMPT_LIMIT = 8_000  # characters of the prompt that a predictor is shown: the beginning and the end of more


class Needs(Struct, frozen=True, kw_only=True):
    """What one request needs. `prompt` is the last thing a person said, for the predictor; it is in no record.

    `stage` of the turn: `asking` without tools; with tools `planning` before any was called since the user spoke,
    `executing` after a tool's result, `recovering` after a tool's error. `digest` tells prompts apart without telling
    them. `thread` is the same for all turns of one conversation: a digest of how it began.
    """

    capabilities: tuple[str, ...] = ()
    input_tokens: int = 1
    max_output_tokens: int | None = None
    stage: Stage = "asking"
    turns: int = 1  # messages of the conversation
    goes_on: bool = False  # a model has spoken in it
    prompt: str = ""
    digest: str = ""
    thread: str = ""
    streams: bool = False


def read_needs(request: Request) -> Needs:
    """What `request` needs."""
    prompt = _prompt(request.messages)
    return Needs(
        capabilities=tuple(sorted(_capabilities(request))),
        input_tokens=estimate(request),
        max_output_tokens=request.max_output_tokens,
        stage=_stage(request),
        turns=len(request.messages),
        goes_on=any(message.role == "assistant" for message in request.messages),
        prompt=prompt,
        digest=digest_of(prompt),
        thread=_thread(request.messages),
        streams=request.stream,
    )


def _capabilities(request: Request) -> set[str]:
    found = {_MEDIA[part.kind] for message in request.messages for part in _parts(message) if isinstance(part, Media)}
    if request.tools:
        found.add("tools")
    if request.output is not None and request.output.kind == "json_schema":
        found.add("json_schema")
    if "audio" in (request.modalities or ()) or request.audio_output:
        found.add("audio")
    thinking = request.thinking
    if thinking is not None and thinking.mode != "off" and thinking.effort not in _LITTLE_THOUGHT:
        asked = thinking.mode == "on" or thinking.effort is not None or bool(thinking.budget)
        if asked:
            found.add("reasoning")
    return found


def _parts(message: Message) -> Iterator[Part]:
    for part in message.parts:
        yield part
        if isinstance(part, ToolResult):
            yield from part.content


def _stage(request: Request) -> Stage:
    """By what came last: results of tools (of several, one error is enough to be recovering), or a person's words."""
    if not request.tools:
        return "asking"
    failed = executed = False
    for message in reversed(request.messages):
        if message.role == "assistant":
            break
        for part in message.parts:
            if isinstance(part, ToolResult):
                executed = True
                failed = failed or part.is_error
    if failed:
        return "recovering"
    return "executing" if executed or _calls(request.messages[-1:]) else "planning"


def _calls(messages: list[Message]) -> bool:
    return any(isinstance(part, ToolCall) for message in messages for part in message.parts)


def _prompt(messages: list[Message]) -> str:
    """The text of the last message in which a person says something."""
    for message in reversed(messages):
        if message.role == "user" and (text := _text(message)):
            half = PROMPT_LIMIT // 2
            return text if len(text) <= PROMPT_LIMIT else f"{text[:half]}\n…\n{text[-half:]}"
    return ""


def _text(message: Message) -> str:
    return "\n".join(part.text for part in message.parts if isinstance(part, Text) and part.text)


def _thread(messages: list[Message]) -> str:
    """A digest of the system prompt and the first thing a person said."""
    hashed = hashlib.blake2b(digest_size=12)
    for message in messages:
        hashed.update(f"{message.role}\0{_text(message)}\0".encode("utf-8", "surrogatepass"))
        if message.role == "user":
            break
    return hashed.hexdigest()


def digest_of(text: str) -> str:
    """Tells prompts apart without telling them."""
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).hexdigest()
