"""The `openai` SDK, chat completions."""

import base64
from contextlib import AbstractContextManager
from typing import Any

import httpx2
import openai

from .talk import Called, Image, Link, Paper, Result, Said, Talk, arguments


def data_url(mime: str, data: bytes) -> str:
    return f"data:{mime};base64,{base64.b64encode(data).decode()}"


def client_for(talk: Talk) -> Any:
    """The SDK's client, which is shared by all talks; `headers` of the latest answer are noted on it."""

    def make() -> Any:
        options: dict[str, Any] = {"api_key": "any", "base_url": f"{talk.url}/v1", "max_retries": 0, "timeout": 30}
        if talk.mode.asynchronous:
            return openai.AsyncOpenAI(http_client=httpx2.AsyncClient(timeout=30), **options)
        return openai.OpenAI(http_client=httpx2.Client(timeout=30), **options)

    return talk.client(make)


class ChatTalk(Talk):
    surface = "openai-chat"
    rate_limited = openai.RateLimitError
    failed = openai.APIError
    can_ask_to_see = False
    shows_errors = False
    result_images = False

    def user(self, *parts: str | Image | Link | Paper) -> "ChatTalk":
        content = parts[0] if len(parts) == 1 and isinstance(parts[0], str) else [_part(part) for part in parts]
        self.history.append({"role": "user", "content": content})
        return self

    def results(self, *results: Result) -> None:
        for result in results:
            text = " ".join(part for part in result.parts if isinstance(part, str))
            self.history.append({"role": "tool", "tool_call_id": result.call.id, "content": text})

    def reply(self) -> Said:
        client = client_for(self)
        asked = self._asked()
        completions = client.chat.completions
        if not self.mode.stream:
            create = completions.with_raw_response.parse if self.wishes.shape else completions.with_raw_response.create
            raw = self.run(create(**asked)) if self.mode.asynchronous else create(**asked)
            self.headers = raw.headers
            completion = raw.parse()
        elif self.mode.asynchronous:
            completion = self.run(self._astream(completions.stream(**asked)))
        else:
            completion = None
            with completions.stream(**asked) as stream:
                self.headers = stream._response.headers
                with cut_short() as cut:
                    text = "".join(_delta(event) for event in stream)
                    completion = stream.get_final_completion()
                    _same(text, completion)
            completion = cut.completion or completion
        return self._read(completion)

    async def _astream(self, manager: Any) -> Any:
        completion = None
        async with manager as stream:
            self.headers = stream._response.headers
            with cut_short() as cut:
                text = "".join([_delta(event) async for event in stream])
                completion = await stream.get_final_completion()
                _same(text, completion)
        return cut.completion or completion

    def _asked(self) -> dict[str, Any]:
        wishes = self.wishes
        system = [{"role": "system", "content": wishes.system}] if wishes.system else []
        asked: dict[str, Any] = {"model": self.model, "messages": [*system, *self.history]}
        if wishes.tools:
            asked["tools"] = [
                {
                    "type": "function",
                    "function": {"name": t.name, "description": t.description, "parameters": t.schema},
                }
                for t in wishes.tools
            ]
        if wishes.max_tokens:
            asked["max_completion_tokens"] = wishes.max_tokens
        if wishes.stop:
            asked["stop"] = wishes.stop
        if wishes.think:
            asked["reasoning_effort"] = "medium"
        if wishes.shape:
            asked["response_format"] = wishes.shape
        if self.mode.stream:
            asked["stream_options"] = {"include_usage": True}
        return asked

    def _read(self, completion: Any) -> Said:
        (choice,) = completion.choices
        message = choice.message
        calls = [Called(c.id, c.function.name, arguments(c.function.arguments)) for c in message.tool_calls or ()]
        plain: dict[str, Any] = {"role": "assistant", "content": message.content}
        if calls:
            plain["tool_calls"] = [
                {
                    "id": c.id,
                    "type": "function",
                    "function": {"name": c.function.name, "arguments": c.function.arguments},
                }
                for c in message.tool_calls
            ]
        self.history.append(plain)
        finish = choice.finish_reason
        if message.refusal:
            assert finish == "stop"
            finish = "refusal"
        return Said(
            text=message.content or "",
            calls=calls,
            finish=finish,
            input=completion.usage.prompt_tokens,
            output=completion.usage.completion_tokens,
            thinking=(message.model_extra or {}).get("reasoning_content") or "",
            refusal=message.refusal,
            model=completion.model,
            parsed=getattr(message, "parsed", None),
        )


class cut_short(AbstractContextManager["cut_short"]):
    """The SDK's stream helper raises for a whole reply that ended at a limit or a filter; this takes the reply."""

    completion: Any = None

    def __exit__(self, kind: object, error: object, _: object) -> bool:
        if isinstance(error, openai.LengthFinishReasonError | openai.ContentFilterFinishReasonError):
            self.completion = error.completion
        return self.completion is not None


def _part(part: str | Image | Link | Paper) -> dict[str, Any]:
    match part:
        case str():
            return {"type": "text", "text": part}
        case Image(data, mime):
            return {"type": "image_url", "image_url": {"url": data_url(mime, data)}}
        case Link(url):
            return {"type": "image_url", "image_url": {"url": url}}
        case Paper(data, name):
            return {"type": "file", "file": {"filename": name, "file_data": data_url("application/pdf", data)}}


def _call(call: Any) -> dict[str, Any]:
    function = {"name": call.function.name, "arguments": call.function.arguments}
    return {"id": call.id, "type": "function", "function": function}


def _delta(event: Any) -> str:
    return event.delta if event.type == "content.delta" else ""


def _same(text: str, completion: Any) -> None:
    assert text == (completion.choices[0].message.content or ""), "the deltas are not the text"
