"""How `dragoman voice ask` shows a conversation: captions as it goes, and what each turn took when it is over."""

from pathlib import Path

import msgspec
import typer

from dragoman.cli.out import print_table
from dragoman.cli.voice_turns import ServerEvent, Turn, Turns

STAGES = ("vad_hang", "turn_model", "stt_final", "route", "llm_ttft", "first_clause", "tts_ttfa", "send", "total")


def quiet(event: ServerEvent) -> None:
    """Shows nothing."""


def caption(event: ServerEvent) -> None:
    """What was said, and replied, as soon as it is known; errors on standard error."""
    if event.type == "conversation.item.input_audio_transcription.completed":
        typer.echo(f"you:   {event.transcript.strip()}")
    elif event.type == "response.output_audio_transcript.done":
        typer.echo(f"reply: {event.transcript.strip()}")
    elif event.type == "error":
        typer.echo(f"dragoman: {event.error.message}", err=True)


def show(turns: Turns) -> None:
    """What each turn took: first as it was heard, then stage by stage as the session tells, in milliseconds."""
    typer.echo()
    if not turns.all:
        typer.echo("The session heard nobody speak.", err=True)
        return
    staged = [stage for stage in STAGES if any(stage in turn.stages_ms for turn in turns.all)]
    columns = ["turn", "heard after ms", *staged, "target", ""]
    rows = [
        [turn.number, _whole(turn.latency_ms), *(_whole(turn.stages_ms.get(stage)) for stage in staged), turn.target,
         remark(turn)] for turn in turns.all
    ]  # fmt: skip
    print_table(columns, rows, right=columns[:-2])


def remark(turn: Turn) -> str | None:
    """What is unusual about a turn."""
    if turn.broken_into_ms is not None:
        return f"broken into after {turn.broken_into_ms} ms"
    if turn.status not in ("completed", None):
        return f"{turn.status}: {turn.problem}" if turn.problem else turn.status
    if turn.status is None:
        return "no reply" if turn.heard is None else "the reply did not end"
    return None if turn.heard is not None else "nothing was to be heard"


def as_json(file: Path, seconds: float, url: str, turns: Turns) -> dict[str, object]:
    """All that is known, for programs. Times are seconds since the recording began."""
    return {
        "recording": str(file),
        "seconds": round(seconds, 3),
        "url": url,
        "turns": [msgspec.to_builtins(turn) | {"latency_ms": turn.latency_ms} for turn in turns.all],
        "errors": [msgspec.to_builtins(error) for error in turns.errors],
    }


def _whole(ms: float | None) -> int | None:
    return None if ms is None else round(ms)
