"""Is a realtime event what its dialect says? Strict at every level, from the official SDKs' own types.

    assert_valid_server_event(event)                  # OpenAI GA
    assert_valid_client_event(event, "voicelive")     # or "beta", "gemini", "live"

The OpenAI SDK's types say field for field what OpenAI's published API description says. Where that description, or the
servers, say more than the types, the types are widened here. Events whose type begins with `dragoman.` are our own, and
are taken as they are.
"""

import base64
import binascii
import typing
from collections.abc import Mapping
from functools import cache
from typing import Any, Literal, Union, get_args

import pydantic
from azure.ai.voicelive import models as azure
from google.genai import types as gemini
from openai.types import live
from openai.types import realtime as ga
from openai.types.beta import realtime as beta
from openai.types.beta.realtime.realtime_response_usage import InputTokenDetails
from openai.types.realtime.realtime_response_usage_input_token_details import CachedTokensDetails
from openai.types.realtime.realtime_transcription_session_create_request import (
    RealtimeTranscriptionSessionCreateRequest,
)

from .azure_types import typed
from .shape import STRICT, How, Wrong, conform

Dialect = Literal["ga", "beta", "voicelive", "gemini", "live"]
Event = Mapping[str, Any]


def assert_valid_server_event(event: Event, dialect: Dialect = "ga") -> None:
    """Raise `AssertionError` where the event is none that the dialect's server could send."""
    _assert(event, dialect, "server")


def assert_valid_client_event(event: Event, dialect: Dialect = "ga") -> None:
    """Raise `AssertionError` where the event is none that the dialect's clients may send."""
    _assert(event, dialect, "client")


def _assert(event: Event, dialect: Dialect, side: str) -> None:
    try:
        check(event, dialect, side)
    except Wrong as wrong:
        raise AssertionError(f"{dialect} {side} event: {wrong}\n{str(event)[:2000]}") from None


def check(event: Event, dialect: Dialect, side: str) -> None:
    """The same, for a fake that wants to tell its client what is wrong: raises `Wrong`."""
    if not isinstance(event, dict):
        raise Wrong((), "type", "object", event)
    if str(event.get("type")).startswith("dragoman."):
        return
    how = How(loose=True) if (dialect, side) == ("gemini", "client") else STRICT
    conform(_types(dialect, side), event, how)
    if dialect == "gemini":
        _one_kind(event, side)
    else:
        _sound(event)


_SOUND = {
    "input_audio_buffer.append": "audio",
    "session.input_audio.append": "audio",
    "response.output_audio.delta": "delta",
    "response.audio.delta": "delta",
    "session.output_audio.delta": "delta",
}


def _sound(event: Event) -> None:
    if field := _SOUND.get(event["type"]):
        try:
            base64.b64decode(event[field], validate=True)
        except binascii.Error:
            raise Wrong((field,), "type", "base64", event[field][:40]) from None


def _one_kind(event: Event, side: str) -> None:
    """A message of Gemini Live is of one kind; a server's may bring usage along."""
    kinds = [key for key in event if side == "client" or key != "usageMetadata"]
    if len(kinds) > 1 or not event:
        raise Wrong((), "value", "one kind of message", ", ".join(event))


@cache
def _types(dialect: Dialect, side: str) -> Any:
    return _MAKE[dialect, side]()


def _wide(model: Any, /, **fields: Any) -> Any:
    """The SDK's model, with fields added or of another type."""
    return pydantic.create_model(model.__name__, __base__=model, **fields)


def _events(union: Any, /, **instead: Any) -> Any:
    """The SDK's union of events, with other models in place of those of the same name."""
    bare = get_args(union)[0] if typing.get_origin(union) is typing.Annotated else union
    return Union[tuple(instead.get(m.__name__, m) for m in get_args(bare))]  # noqa: UP007 (built at run time)


def _ga_server() -> Any:
    """A session, when it is told, has what the server gave it."""
    given: dict[str, Any] = {"id": (str | None, None), "object": (str | None, None), "expires_at": (int | None, None)}
    session = _wide(ga.RealtimeSessionCreateRequest, **given) | _wide(
        RealtimeTranscriptionSessionCreateRequest, **given
    )
    return _events(
        ga.RealtimeServerEvent,
        SessionCreatedEvent=_wide(ga.SessionCreatedEvent, session=(session, ...)),
        SessionUpdatedEvent=_wide(ga.SessionUpdatedEvent, session=(session, ...)),
    )


def _beta_server() -> Any:
    """Names of models are open; cached tokens by kind, and the name of a called function, came late."""
    given: dict[str, Any] = {
        "object": (Literal["realtime.session"] | None, None),
        "expires_at": (int | None, None),
        "model": (str | None, None),
        "include": (list[str] | None, None),
    }
    session = _wide(beta.session.Session, **given)
    details = _wide(
        InputTokenDetails, image_tokens=(int | None, None), cached_tokens_details=(CachedTokensDetails | None, None)
    )
    usage = _wide(beta.RealtimeResponseUsage, input_token_details=(details | None, None))
    response = _wide(beta.RealtimeResponse, usage=(usage | None, None))
    return _events(
        beta.RealtimeServerEvent,
        SessionCreatedEvent=_wide(beta.SessionCreatedEvent, session=(session, ...)),
        SessionUpdatedEvent=_wide(beta.SessionUpdatedEvent, session=(session, ...)),
        ResponseCreatedEvent=_wide(beta.ResponseCreatedEvent, response=(response, ...)),
        ResponseDoneEvent=_wide(beta.ResponseDoneEvent, response=(response, ...)),
        ResponseFunctionCallArgumentsDoneEvent=_wide(
            beta.ResponseFunctionCallArgumentsDoneEvent, name=(str | None, None)
        ),
    )


def _beta_client() -> Any:
    """The SDK names a response's limit as the session's, the published description by half of that name."""
    session = _wide(beta.session_update_event.Session, model=(str | None, None))
    response = _wide(beta.response_create_event.Response, max_output_tokens=(int | Literal["inf"] | None, None))
    return _events(
        beta.RealtimeClientEvent,
        SessionUpdateEvent=_wide(beta.SessionUpdateEvent, session=(session, ...)),
        ResponseCreateEvent=_wide(beta.ResponseCreateEvent, response=(response | None, None)),
    )


def _gemini_client() -> Any:
    """The SDK writes some of the setup from other types than that of the setup."""
    setup = _wide(
        gemini.LiveClientSetup,
        system_instruction=(gemini.Content | None, None),
        tools=(list[gemini.Tool] | None, None),
        realtime_input_config=(gemini.RealtimeInputConfig | None, None),
    )
    return _wide(gemini.LiveClientMessage, setup=(setup | None, None))


_MAKE = {
    ("ga", "server"): _ga_server,
    ("ga", "client"): lambda: ga.RealtimeClientEvent,
    ("beta", "server"): _beta_server,
    ("beta", "client"): _beta_client,
    ("voicelive", "server"): lambda: typed(azure.ServerEvent),
    ("voicelive", "client"): lambda: typed(azure.ClientEvent),
    ("gemini", "server"): lambda: gemini.LiveServerMessage,
    ("gemini", "client"): _gemini_client,
    ("live", "server"): lambda: live.ServerEvent,
    ("live", "client"): lambda: live.ClientEvent,
}
