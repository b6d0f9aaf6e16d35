"""Agents' loops: a prompt, the calls that come back, their results, and what is said in the end.

Each loop keeps its history as its agent does: what came is sent back with the results behind it.
"""

import copy
import json
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

JSON = dict[str, Any]
Send = Callable[[JSON], httpx.Response]


@dataclass
class Turn:
    """What the model said: its text, its calls as name and arguments (an object, or free text)."""

    text: str
    calls: list[tuple[str, Any]]


def captured(name: str) -> JSON:
    """A request as an agent sent it, with our own words for its prompts."""
    return json.loads((Path(__file__).parent / "requests" / f"{name}.json").read_text())


def events(answer: httpx.Response) -> list[JSON]:
    """The JSON data of a stream's events."""
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"].startswith("text/event-stream")
    return [json.loads(line[6:]) for line in answer.text.splitlines() if line.startswith("data: {")]


class ClaudeCode:
    """Keeps blocks as they came, thinking too; adds what it thinks is missing to a call's input."""

    request = "claude_code"

    def start(self, body: JSON, prompt: str) -> JSON:
        body = copy.deepcopy(body)
        body["messages"][0]["content"][-1]["text"] = prompt
        return body

    def turn(self, body: JSON, answer: httpx.Response, result: str) -> Turn:
        blocks: list[JSON] = []
        for event in events(answer):
            match event["type"]:
                case "content_block_start":
                    blocks.append(event["content_block"] | {"json": ""})
                case "content_block_delta":
                    delta = event["delta"]
                    key = {"input_json_delta": "partial_json", "text_delta": "text"}.get(delta["type"])
                    key = key or delta["type"].removesuffix("_delta")
                    kept = "json" if key == "partial_json" else key
                    blocks[-1][kept] = blocks[-1].get(kept, "") + delta[key]
        assert events(answer)[-1]["type"] == "message_stop"
        for block in blocks:
            text = block.pop("json")
            if block["type"] == "tool_use":
                block["input"] = json.loads(text or "{}")
        uses = [block for block in blocks if block["type"] == "tool_use"]
        results = [{"type": "tool_result", "tool_use_id": use["id"], "content": result} for use in uses]
        body["messages"] += [{"role": "assistant", "content": blocks}, {"role": "user", "content": results}]
        text = "".join(block["text"] for block in blocks if block["type"] == "text")
        return Turn(text, [(use["name"], use["input"]) for use in uses])


class Codex:
    """Keeps every finished item, and names its own; reasoning without content has null for it."""

    request = "codex"

    def start(self, body: JSON, prompt: str) -> JSON:
        body = copy.deepcopy(body)
        body["input"][-1]["content"][0]["text"] = prompt
        return body

    def turn(self, body: JSON, answer: httpx.Response, result: str) -> Turn:
        told = events(answer)
        assert told[-1]["type"] == "response.completed"
        items = [event["item"] for event in told if event["type"] == "response.output_item.done"]
        body["input"] += [i | {"content": i.get("content")} if i["type"] == "reasoning" else i for i in items]
        calls = [item for item in items if item["type"] in ("function_call", "custom_tool_call")]
        for i, item in enumerate(calls):
            answered = {"type": f"{item['type']}_output", "id": f"fco_{i}", "call_id": item["call_id"]}
            if item["type"] == "custom_tool_call":
                answered["id"] = f"ctco_{i}"
            body["input"].append(answered | {"output": result})
        text = "".join(part["text"] for item in items if item["type"] == "message" for part in item["content"])
        return Turn(text, [(i["name"], json.loads(i["arguments"]) if "arguments" in i else i["input"]) for i in calls])


class GeminiCli:
    """Keeps the parts of all chunks as one turn of the model."""

    request = "gemini_cli"

    def start(self, body: JSON, prompt: str) -> JSON:
        body = copy.deepcopy(body)
        body["contents"][0]["parts"][-1]["text"] = prompt
        return body

    def turn(self, body: JSON, answer: httpx.Response, result: str) -> Turn:
        chunks = events(answer)
        assert chunks[-1]["candidates"][0]["finishReason"] == "STOP"
        parts = [p for chunk in chunks for p in chunk["candidates"][0].get("content", {}).get("parts", ())]
        said = [part for part in parts if not part.get("thought")]
        calls = [part["functionCall"] for part in said if "functionCall" in part]
        results = [
            {"functionResponse": {k: v for k, v in call.items() if k != "args"} | {"response": {"output": result}}}
            for call in calls
        ]
        body["contents"] += [{"role": "model", "parts": said}, {"role": "user", "parts": results}]
        return Turn("".join(part.get("text", "") for part in said), [(call["name"], call["args"]) for call in calls])


AGENTS = {"claude_code": ClaudeCode(), "codex": Codex(), "gemini_cli": GeminiCli()}
