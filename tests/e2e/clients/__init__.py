"""The official SDKs as clients of the gateway."""

from .anthropic import AnthropicTalk
from .gemini import GeminiTalk
from .ollama import OllamaTalk
from .openai_chat import ChatTalk
from .openai_responses import ResponsesTalk
from .talk import Talk

CLIENTS: dict[str, type[Talk]] = {
    talk.surface: talk for talk in (ChatTalk, ResponsesTalk, AnthropicTalk, GeminiTalk, OllamaTalk)
}
