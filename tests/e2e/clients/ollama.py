"""The `ollama` SDK."""

from typing import Any

import ollama

from .talk import Called, CannotSay, Image, Link, Paper, Result, Said, Talk


class OllamaTalk(Talk):
    surface = "ollama"
    rate_limited = ollama.ResponseError
    failed = ollama.ResponseError
    can_link = False
    can_paper = False
    can_refuse = False  # `done_reason` is `stop` or `length`
    shows_errors = False
    result_images = False

    def user(self, *parts: str | Image | Link | Paper) -> "OllamaTalk":
        if any(isinstance(part, Link | Paper) for part in parts):
            raise CannotSay("Ollama's messages have text and pictures by value, nothing else")
        text = " ".join(part for part in parts if isinstance(part, str))
        images = [ollama.Image(value=part.data) for part in parts if isinstance(part, Image)]
        self.history.append(ollama.Message(role="user", content=text, images=images or None))
        return self

    def results(self, *results: Result) -> None:
        for result in results:
            text = " ".join(part for part in result.parts if isinstance(part, str))
            self.history.append(ollama.Message(role="tool", tool_name=result.call.name, content=text))

    def reply(self) -> Said:
        client = self.client(self._make)
        asked = self._asked()
        if self.mode.asynchronous:
            return self._read(self.run(self._asynchronous(client, asked)))
        if self.mode.stream:
            return self._read(list(client.chat(**asked)))
        return self._read([client.chat(**asked)])

    async def _asynchronous(self, client: Any, asked: dict[str, Any]) -> list[Any]:
        if not self.mode.stream:
            return [await client.chat(**asked)]
        return [chunk async for chunk in await client.chat(**asked)]

    def _make(self) -> Any:
        kind = ollama.AsyncClient if self.mode.asynchronous else ollama.Client

        def note(response: Any) -> None:
            _HEADERS[key] = response.headers

        async def anote(response: Any) -> None:
            note(response)

        key = self._key()
        hook = anote if self.mode.asynchronous else note
        return kind(host=self.url, timeout=30, event_hooks={"response": [hook]})

    def _key(self) -> tuple[str, bool]:
        return self.url, self.mode.asynchronous

    def _asked(self) -> dict[str, Any]:
        wishes = self.wishes
        system = [ollama.Message(role="system", content=wishes.system)] if wishes.system else []
        asked: dict[str, Any] = {
            "model": self.model,
            "messages": [*system, *self.history],
            "stream": self.mode.stream,
        }
        options = {"num_predict": wishes.max_tokens, "stop": wishes.stop or None}
        if any(options.values()):
            asked["options"] = {name: value for name, value in options.items() if value}
        if wishes.tools:
            asked["tools"] = [
                {"type": "function", "function": {"name": t.name, "description": t.description, "parameters": t.schema}}
                for t in wishes.tools
            ]
        if wishes.think:
            asked["think"] = True
        if wishes.shape:
            asked["format"] = wishes.shape.model_json_schema()
        return asked

    def _read(self, chunks: list[Any]) -> Said:
        self.headers = _HEADERS[self._key()]
        assert [chunk.done or False for chunk in chunks] == [False] * (len(chunks) - 1) + [True]
        text = "".join(chunk.message.content or "" for chunk in chunks)
        thinking = "".join(chunk.message.thinking or "" for chunk in chunks)
        calls = [call for chunk in chunks for call in chunk.message.tool_calls or ()]
        self.history.append(
            ollama.Message(role="assistant", content=text, thinking=thinking or None, tool_calls=calls or None)
        )
        last = chunks[-1]
        finish = last.done_reason
        shape = self.wishes.shape
        return Said(
            text=text,
            calls=[Called("", call.function.name, dict(call.function.arguments), call) for call in calls],
            finish="tool_calls" if calls else finish,
            input=last.prompt_eval_count or 0,
            output=last.eval_count or 0,
            thinking=thinking,
            model=last.model,
            parsed=shape.model_validate_json(text) if shape else None,
        )


_HEADERS: dict[tuple[str, bool], Any] = {}
