"""The `openai` SDK, responses: without stored state, so all reasoning travels in the input."""

from typing import Any

import httpx2
import openai

from .openai_chat import client_for, data_url
from .talk import Called, Image, Link, Paper, Result, Said, Talk, arguments


class ResponsesTalk(Talk):
    surface = "openai-responses"
    rate_limited = openai.RateLimitError
    failed = openai.APIError
    can_stop = False  # the Responses API has no stop sequences
    shows_errors = False

    def user(self, *parts: str | Image | Link | Paper) -> "ResponsesTalk":
        content = parts[0] if len(parts) == 1 and isinstance(parts[0], str) else [_part(part) for part in parts]
        self.history.append({"role": "user", "content": content})
        return self

    def results(self, *results: Result) -> None:
        for result in results:
            output: Any = [_part(part) for part in result.parts]
            if len(output) == 1 and isinstance(result.parts[0], str):
                output = result.parts[0]
            self.history.append({"type": "function_call_output", "call_id": result.call.id, "output": output})

    def reply(self) -> Said:
        responses = client_for(self).responses
        asked = self._asked()
        if not self.mode.stream:
            create = responses.with_raw_response.parse if self.wishes.shape else responses.with_raw_response.create
            raw = self.run(create(**asked)) if self.mode.asynchronous else create(**asked)
            self.headers = raw.headers
            response = raw.parse()
        elif self.mode.asynchronous:
            response = self.run(self._astream(responses.stream(**asked)))
        else:
            with responses.stream(**asked) as stream:
                self.headers = stream._response.headers
                events = list(stream)
            response = _last(events)
        return self._read(response)

    async def _astream(self, manager: Any) -> Any:
        async with manager as stream:
            self.headers = stream._response.headers
            events = [event async for event in stream]
        return _last(events)

    def _asked(self) -> dict[str, Any]:
        wishes = self.wishes
        asked: dict[str, Any] = {"model": self.model, "input": self.history, "store": False}
        if wishes.system:
            asked["instructions"] = wishes.system
        if wishes.tools:
            asked["tools"] = [
                {
                    "type": "function",
                    "name": t.name,
                    "description": t.description,
                    "parameters": t.schema,
                    "strict": False,
                }
                for t in wishes.tools
            ]
        if wishes.max_tokens:
            asked["max_output_tokens"] = wishes.max_tokens
        if wishes.think:
            asked["reasoning"] = {"effort": "medium", "summary": "auto"}
            asked["include"] = ["reasoning.encrypted_content"]
        if wishes.shape:
            asked["text_format"] = wishes.shape
        return asked

    def _read(self, response: Any) -> Said:
        self.history += response.output
        texts = [c for item in response.output if item.type == "message" for c in item.content]
        refusal = "".join(c.refusal for c in texts if c.type == "refusal") or None
        calls = [
            Called(item.call_id, item.name, arguments(item.arguments))
            for item in response.output
            if item.type == "function_call"
        ]
        reason = response.incomplete_details and response.incomplete_details.reason
        finish = {"max_output_tokens": "length"}.get(reason, reason) or ("tool_calls" if calls else "stop")
        return Said(
            text="".join(c.text for c in texts if c.type == "output_text"),
            calls=calls,
            finish="refusal" if refusal else finish,
            input=response.usage.input_tokens,
            output=response.usage.output_tokens,
            thinking="".join(s.text for item in response.output if item.type == "reasoning" for s in item.summary),
            refusal=refusal,
            model=response.model,
            parsed=getattr(response, "output_parsed", None),
        )


def _part(part: str | Image | Link | Paper) -> dict[str, Any]:
    match part:
        case str():
            return {"type": "input_text", "text": part}
        case Image(data, mime):
            return {"type": "input_image", "detail": "auto", "image_url": data_url(mime, data)}
        case Link(url):
            return {"type": "input_image", "detail": "auto", "image_url": url}
        case Paper(data, name):
            return {"type": "input_file", "filename": name, "file_data": data_url("application/pdf", data)}


def _last(events: list[Any]) -> Any:
    """The response, by the stream's own rules: events count from nothing, one end, and deltas that add up.

    `get_final_response` knows only completed responses, so it is taken from the last event.
    """
    if events[-1].type == "error":  # the SDK tells of an error event, and leaves it to the program
        raise openai.APIError(events[-1].message, httpx2.Request("POST", "https://api.openai.com"), body=None)
    assert [event.sequence_number for event in events] == list(range(len(events)))
    ends = [e.type for e in events if e.type in ("response.completed", "response.incomplete", "response.failed")]
    assert ends == [events[-1].type], "the stream did not end properly"
    response = events[-1].response
    told = "".join(e.delta for e in events if e.type == "response.output_text.delta")
    assert told == response.output_text
    called = "".join(e.delta for e in events if e.type == "response.function_call_arguments.delta")
    assert called == "".join(item.arguments for item in response.output if item.type == "function_call")
    return response
