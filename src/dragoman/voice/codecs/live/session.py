"""What a Live session is to be, as a session with turns."""

from typing import Any

from dragoman.dialects.fields import Malformed
from dragoman.voice.codecs.codec import Event, Note

GA_RATE = 24000
TELEPHONY = 4000  # of 16-bit samples: as many bytes as G.711 has at 8 kHz
TRANSCRIBER = "gpt-4o-mini-transcribe"
DELEGATE: Event = {
    "type": "function",
    "name": "delegate",
    "description": "Hands what the user asks for to the application, which answers with what to say. For anything that "
    "needs facts, tools or actions that you do not have.",
    "parameters": {"type": "object", "properties": {"task": {"type": "string"}}, "required": ["task"]},
}
_RATES = (16000, 24000)


def read_audio(audio: Any) -> tuple[Event, int]:
    """GA's `audio`, and the 16-bit samples a second of what the client sends and hears. Raises `Malformed`."""
    audio = audio if isinstance(audio, dict) else {}
    form = audio.get("format")
    form = form if isinstance(form, dict) else {"type": "audio/pcm", "rate": GA_RATE}
    said: Event = {"type": form.get("type")}
    rate = TELEPHONY
    if form.get("type") == "audio/pcm":
        rate = form.get("rate", GA_RATE)
        if rate not in _RATES:
            raise Malformed("session.audio.format.rate", "16000 or 24000", rate)
        said["rate"] = GA_RATE
    heard = {"format": said, "transcription": {"model": TRANSCRIBER}, "turn_detection": {"type": "semantic_vad"}}
    spoken: Event = {"format": said}
    output = audio.get("output")
    if isinstance(output, dict) and output.get("voice") is not None:
        spoken["voice"] = output["voice"]
    return {"input": heard, "output": spoken}, rate


def read_delegation(delegation: Any, instructions: Any, note: Note) -> Event:
    """The tools and instructions that come of who handles delegated tasks."""
    session: Event = {"instructions": instructions} if isinstance(instructions, str) else {}
    if not isinstance(delegation, dict):
        return session
    match delegation.get("type"):
        case "client":
            session["tools"] = [DELEGATE]
        case "responses" if isinstance(backend := delegation.get("responses"), dict):
            session |= _read_backend(backend, session.get("instructions"), note)
        case _:
            note("session.delegation")
    if delegation.get("acknowledgement_delay_ms") is not None:
        note("session.delegation.acknowledgement_delay_ms")
    return session


def _read_backend(backend: Event, instructions: str | None, note: Note) -> Event:
    """The backend's work is the session's own: its functions and what it was told."""
    session: Event = {}
    tools = backend.get("tools")
    if isinstance(tools, list):
        functions = [tool for tool in tools if isinstance(tool, dict) and tool.get("type") == "function"]
        kept = ("type", "name", "description", "parameters")
        session["tools"] = [{k: tool[k] for k in kept if tool.get(k) is not None} for tool in functions]
        if len(functions) < len(tools):
            note("session.delegation.responses.tools")
    if isinstance(more := backend.get("instructions"), str):
        session["instructions"] = f"{instructions}\n\n{more}" if instructions else more
    for name, value in backend.items():
        if name not in ("tools", "instructions") and value is not None:
            note(f"session.delegation.responses.{name}")
    return session


def read_item(item: Event) -> Event:
    """An item of the Responses API as GA has it."""
    roles = {"developer": "system"}
    item = {**item, "role": roles.get(item["role"], item["role"])} if isinstance(item.get("role"), str) else item
    if item.get("role") and item.get("type") is None:
        item = {**item, "type": "message"}
    content = item.get("content")
    if isinstance(content, str):
        content = [{"type": "output_text" if item.get("role") == "assistant" else "input_text", "text": content}]
    if isinstance(content, list):
        text = "output_text" if item.get("role") == "assistant" else "input_text"
        item = {**item, "content": [_part(part, text) for part in content]}
    return {"type": "conversation.item.create", "item": item}


def _part(part: Any, text: str) -> Any:
    return {**part, "type": text} if isinstance(part, dict) and part.get("type") == "text" else part
