"""The `google-genai` SDK."""

from typing import Any

from google import genai
from google.genai import errors, types

from .talk import Called, Image, Link, Paper, Result, Said, Talk

_FINISH = {"STOP": "stop", "MAX_TOKENS": "length", "SAFETY": "content_filter", "PROHIBITED_CONTENT": "refusal"}


class GeminiTalk(Talk):
    surface = "gemini"
    rate_limited = errors.ClientError  # one class for all 4xx
    failed = errors.APIError
    shows_errors = False

    def user(self, *parts: str | Image | Link | Paper) -> "GeminiTalk":
        self.history.append(types.UserContent([_part(part) for part in parts]))
        return self

    def results(self, *results: Result) -> None:
        self.history.append(types.Content(role="user", parts=[_result(result) for result in results]))

    @staticmethod
    def status(error: Exception) -> int | None:
        return getattr(error, "code", None)

    def reply(self) -> Said:
        client = self.client(self._make)
        asked = {"model": self.model, "contents": self.history, "config": self._config()}
        if self.mode.asynchronous:
            return self._read(self.run(self._asynchronous(client.aio.models, asked)))
        if self.mode.stream:
            return self._read(list(client.models.generate_content_stream(**asked)))
        return self._read([client.models.generate_content(**asked)])

    async def _asynchronous(self, models: Any, asked: dict[str, Any]) -> list[Any]:
        if not self.mode.stream:
            return [await models.generate_content(**asked)]
        return [chunk async for chunk in await models.generate_content_stream(**asked)]

    def _make(self) -> Any:
        options = types.HttpOptions(base_url=self.url, timeout=30_000, retry_options=types.HttpRetryOptions(attempts=1))
        return genai.Client(api_key="any", http_options=options)

    def _config(self) -> types.GenerateContentConfig:
        wishes = self.wishes
        config = types.GenerateContentConfig(
            system_instruction=wishes.system,
            max_output_tokens=wishes.max_tokens,
            stop_sequences=wishes.stop or None,
            automatic_function_calling=types.AutomaticFunctionCallingConfig(disable=True),
        )
        if wishes.tools:
            config.tools = [
                types.Tool(
                    function_declarations=[
                        types.FunctionDeclaration(
                            name=t.name, description=t.description, parameters_json_schema=t.schema
                        )
                        for t in wishes.tools
                    ]
                )
            ]
        if wishes.think:
            config.thinking_config = types.ThinkingConfig(include_thoughts=True, thinking_budget=2048)
        if wishes.shape:
            config.response_mime_type = "application/json"
            config.response_schema = wishes.shape
        return config

    def _read(self, chunks: list[Any]) -> Said:
        self.headers = chunks[0].sdk_http_response.headers
        candidates = [chunk.candidates[0] for chunk in chunks if chunk.candidates]
        parts = [part for c in candidates if c.content for part in c.content.parts or ()]
        if parts:
            self.history.append(types.ModelContent(parts))
        reasons = [c.finish_reason.value for c in candidates if c.finish_reason]
        blocked = [c.prompt_feedback.block_reason.value for c in chunks if c.prompt_feedback]
        (finish,) = blocked or reasons  # it comes once, with the last chunk
        calls = [part.function_call for part in parts if part.function_call]
        assert [chunk.usage_metadata is not None for chunk in chunks][-1], "usage is missing"
        usage = chunks[-1].usage_metadata
        return Said(
            text="".join(part.text for part in parts if part.text and not part.thought),
            calls=[Called(call.id or "", call.name, dict(call.args or {}), call) for call in calls],
            finish="tool_calls" if calls else _FINISH[finish],
            input=usage.prompt_token_count or 0,
            output=(usage.candidates_token_count or 0) + (usage.thoughts_token_count or 0),
            thinking="".join(part.text for part in parts if part.text and part.thought),
            model=chunks[-1].model_version,
            parsed=chunks[-1].parsed if not self.mode.stream else None,
        )


def _part(part: str | Image | Link | Paper) -> types.Part:
    match part:
        case str():
            return types.Part.from_text(text=part)
        case Image(data, mime):
            return types.Part.from_bytes(data=data, mime_type=mime)
        case Link(url):
            return types.Part.from_uri(file_uri=url, mime_type="image/png")
        case Paper(data):
            return types.Part.from_bytes(data=data, mime_type="application/pdf")


def _result(result: Result) -> types.Part:
    text = " ".join(part for part in result.parts if isinstance(part, str))
    images = [part for part in result.parts if isinstance(part, Image)]
    response = types.FunctionResponse(
        id=result.call.id or None,
        name=result.call.name,
        response={"error" if result.failed else "output": text},
    )
    if images:
        response.parts = [
            types.FunctionResponsePart(inline_data=types.FunctionResponseBlob(data=i.data, mime_type=i.mime))
            for i in images
        ]
    return types.Part(function_response=response)
