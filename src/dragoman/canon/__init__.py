"""What is said, in no dialect: requests, messages, parts, tools, replies, usage, stream events. Plain typed data."""

from dragoman.canon.parts import (
    JSON,
    CacheMark,
    Citation,
    Media,
    Opaque,
    Part,
    Reasoning,
    Refusal,
    Text,
    TokenLogprob,
    ToolCall,
    ToolResult,
)
from dragoman.canon.reply import (
    Begin,
    Broken,
    Choice,
    End,
    Event,
    Failure,
    FailureKind,
    Finish,
    FinishReason,
    PartDelta,
    PartEnd,
    PartPatch,
    PartStart,
    Reply,
    Used,
)
from dragoman.canon.request import Message, OutputFormat, Request, Role, Thinking, Tool, ToolChoice
from dragoman.canon.stream import Failed, Fold, OutOfOrder, Sequence, fold, unfold, whole_json
from dragoman.canon.usage import Stated, Usage, added, inclusive, stated_input, stated_output, token_count

__all__ = [
    "JSON", "Begin", "Broken", "CacheMark", "Choice", "Citation", "End", "Event", "Failed", "Failure", "FailureKind",
    "Finish", "FinishReason", "Fold", "Media", "Message", "Opaque", "OutOfOrder", "OutputFormat", "Part", "PartDelta",
    "PartEnd", "PartPatch", "PartStart", "Reasoning", "Refusal", "Reply", "Request", "Role", "Sequence", "Stated",
    "Text", "Thinking", "TokenLogprob", "Tool", "ToolCall", "ToolChoice", "ToolResult", "Usage", "Used", "added",
    "fold", "inclusive", "stated_input", "stated_output", "token_count", "unfold", "whole_json",
]  # fmt: skip
