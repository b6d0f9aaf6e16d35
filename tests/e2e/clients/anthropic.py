"""The `anthropic` SDK."""

import base64
import inspect
from typing import Any

import anthropic
import httpx2

from .talk import Called, Image, Link, Paper, Result, Said, Talk

_FINISH = {
    "end_turn": "stop",
    "stop_sequence": "stop",
    "max_tokens": "length",
    "tool_use": "tool_calls",
    "refusal": "refusal",
}


class AnthropicTalk(Talk):
    surface = "anthropic"
    rate_limited = anthropic.RateLimitError
    failed = anthropic.APIError

    def user(self, *parts: str | Image | Link | Paper) -> "AnthropicTalk":
        content = parts[0] if len(parts) == 1 and isinstance(parts[0], str) else [_block(part) for part in parts]
        self.history.append({"role": "user", "content": content})
        return self

    def results(self, *results: Result) -> None:
        blocks = [
            {
                "type": "tool_result",
                "tool_use_id": result.call.id,
                "content": [_block(part) for part in result.parts],
                "is_error": result.failed,
            }
            for result in results
        ]
        self.history.append({"role": "user", "content": blocks})

    def reply(self) -> Said:
        client = self.client(self._make)
        asked = self._asked()
        if not self.mode.stream:
            if self.wishes.shape:
                parse = client.messages.parse(**asked)
                return self._read(self.run(parse) if self.mode.asynchronous else parse)
            create = client.messages.with_raw_response.create
            raw = self.run(create(**asked)) if self.mode.asynchronous else create(**asked)
            self.headers = raw.headers
            message = raw.parse()
            if inspect.isawaitable(message):
                message = self.run(message)
        elif self.mode.asynchronous:
            message = self.run(self._astream(client.messages.stream(**asked)))
        else:
            with client.messages.stream(**asked) as stream:
                self.headers = stream.response.headers
                text = "".join(event.text for event in stream if event.type == "text")
                message = stream.get_final_message()
            _same(text, message)
        return self._read(message)

    async def _astream(self, manager: Any) -> Any:
        async with manager as stream:
            self.headers = stream.response.headers
            text = "".join([event.text async for event in stream if event.type == "text"])
            message = await stream.get_final_message()
        _same(text, message)
        return message

    def _make(self) -> Any:
        options: dict[str, Any] = {"api_key": "any", "base_url": self.url, "max_retries": 0, "timeout": 30}
        if self.mode.asynchronous:
            return anthropic.AsyncAnthropic(http_client=httpx2.AsyncClient(timeout=30), **options)
        return anthropic.Anthropic(http_client=httpx2.Client(timeout=30), **options)

    def _asked(self) -> dict[str, Any]:
        wishes = self.wishes
        asked: dict[str, Any] = {
            "model": self.model,
            "messages": self.history,
            "max_tokens": wishes.max_tokens or (4096 if wishes.think else 1000),
        }
        if wishes.system:
            asked["system"] = wishes.system
        if wishes.tools:
            asked["tools"] = [
                {"name": t.name, "description": t.description, "input_schema": t.schema} for t in wishes.tools
            ]
        if wishes.stop:
            asked["stop_sequences"] = wishes.stop
        if wishes.think:
            asked["thinking"] = {"type": "enabled", "budget_tokens": 2048, "display": "summarized"}
        if wishes.shape:
            asked["output_format"] = wishes.shape
        return asked

    def _read(self, message: Any) -> Said:
        self.history.append({"role": "assistant", "content": message.content})
        blocks = message.content
        details = getattr(message, "stop_details", None)
        usage = message.usage
        cached = (usage.cache_read_input_tokens or 0) + (usage.cache_creation_input_tokens or 0)
        return Said(
            text="".join(b.text for b in blocks if b.type == "text"),
            calls=[Called(b.id, b.name, dict(b.input)) for b in blocks if b.type == "tool_use"],
            finish=_FINISH[message.stop_reason],
            input=usage.input_tokens + cached,
            output=usage.output_tokens,
            thinking="".join(b.thinking for b in blocks if b.type == "thinking"),
            refusal=details.explanation if details else None,
            model=message.model,
            parsed=getattr(message, "parsed_output", None),
        )


def _block(part: str | Image | Link | Paper) -> dict[str, Any]:
    match part:
        case str():
            return {"type": "text", "text": part}
        case Image(data, mime):
            return {"type": "image", "source": _source(mime, data)}
        case Link(url):
            return {"type": "image", "source": {"type": "url", "url": url}}
        case Paper(data):
            return {"type": "document", "source": _source("application/pdf", data)}


def _source(mime: str, data: bytes) -> dict[str, Any]:
    return {"type": "base64", "media_type": mime, "data": base64.b64encode(data).decode()}


def _same(text: str, message: Any) -> None:
    assert text == "".join(b.text for b in message.content if b.type == "text"), "the deltas are not the text"
