"""How a target is asked to go on with an answer that another began.

Some take the beginning of the answer as the last message, and go on with it to the character ("prefill"):

| dialect            | who does                                                      | how                            |
|--------------------|---------------------------------------------------------------|--------------------------------|
| anthropic, bedrock | Claude before 4.6, while it does not think                    | a trailing assistant message   |
| openai-chat        | quirk `prefill`: `trailing` (Groq, OpenRouter, llama.cpp)     | the same                       |
|                    | quirk `prefill`: `continue` (vLLM, SGLang)                    | … and `continue_final_message` |
|                    | quirk `prefill`: `prefix` (Mistral, DeepSeek's beta)          | … marked with `prefix`         |

All others, and of those that do the models known not to (`_NEVER`), get the beginning as a turn of theirs and are asked
in words, which promises nothing: so they are to repeat the last words first, and the seam is found by them
(`canon.joined`).

Sources: the providers' pages on prefilling; vLLM's on its OpenAI-compatible server.
"""

import re

import msgspec

from dragoman.canon import JSON, Message, Request, Text
from dragoman.canon.joined import Mode
from dragoman.dialects.anthropic.models import traits
from dragoman.dialects.dialect import Written
from dragoman.dialects.quirks import Quirks

_NEVER = re.compile(r"(?:^|/)(?:openai/|gpt-|o\d\b|google/|gemini)")  # whoever offers them
_CLAUDE = "claude"
_TAIL = 80  # characters to repeat
ASK = (
    "Your answer was cut off in the middle. Write the rest of it, from exactly where it stops, and no word about this. "
    "So that nothing is lost at the seam, begin by repeating its last words exactly as they are:\n"
)


def mode(dialect: str, request: Request, quirks: Quirks) -> Mode:
    """What the target of `request` (its model is the provider's) makes of the beginning of an answer."""
    if dialect in ("anthropic", "bedrock"):
        claude = dialect == "anthropic" or _CLAUDE in request.model
        takes = claude and traits(request.model).prefill and not _thinks(request)
    else:
        takes = dialect == "openai-chat" and quirks.prefill != "none" and not _NEVER.search(request.model)
        if _CLAUDE in request.model:
            takes = takes and traits(request.model).prefill and not _thinks(request)
    if not takes:
        return "asked"
    return "echo" if quirks.prefill_echo else "exact"


def continued(request: Request, said: str, how: Mode, taken: int) -> tuple[Request, str]:
    """The request for the rest of an answer of which `said` has come, for `taken` tokens; and the whole beginning
    of the answer, to which the client itself may have given a part."""
    messages = list(request.messages)
    if messages and messages[-1].role == "assistant" and messages[-1].parts:
        last = messages.pop()
        *before, end = last.parts
        parts = [*before, end] if not isinstance(end, Text) else before
        whole = end.text + said if isinstance(end, Text) else said
        text = msgspec.structs.replace(end, text=whole) if isinstance(end, Text) else Text(text=said)
        messages.append(msgspec.structs.replace(last, parts=[*parts, text]))
    else:
        whole = said
        messages.append(Message(role="assistant", parts=[Text(text=said)]))
    if how == "asked":
        messages.append(Message(role="user", parts=[Text(text=ASK + _tail(whole))]))
    most = request.max_output_tokens
    left = most if most is None else max(1, most - taken)
    return msgspec.structs.replace(request, messages=messages, max_output_tokens=left), whole


def mark(written: Written, quirks: Quirks) -> None:
    """Puts into an openai-chat request whose last message is a prefill what makes the server take it so."""
    body: JSON = written.body
    if quirks.prefill == "continue":
        body["continue_final_message"], body["add_generation_prompt"] = True, False
    elif quirks.prefill == "prefix":
        body["messages"][-1]["prefix"] = True


def _thinks(request: Request) -> bool:
    thinking = request.thinking
    return thinking is not None and thinking.mode != "off" and thinking.effort != "none"


def _tail(said: str) -> str:
    """The last words, from the beginning of one."""
    if len(said) <= _TAIL:
        return said
    tail = said[-_TAIL:]
    _, space, words = tail.partition(" ")
    return words.lstrip() if space and words.strip() else tail
