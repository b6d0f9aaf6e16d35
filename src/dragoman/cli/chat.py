"""`dragoman chat`: one answer, or a conversation, through the gateway's own path in this process."""

import asyncio
import sys
from collections.abc import Callable
from contextlib import suppress
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from dragoman.cli.settings import AsJson, ConfigFile, settings

if TYPE_CHECKING:
    from dragoman import config
    from dragoman.canon import Event, Failure
    from dragoman.dialects.dialect import Dialect, StreamReader
    from dragoman.gateway import Gateway

INTERRUPTED = 130  # the exit status of programs that Ctrl-C ended
Message = dict[str, str]


def chat(
    prompt: Annotated[
        str | None, typer.Argument(metavar="[PROMPT]", help="What to ask; - for standard input. Without: a talk.")
    ] = None,
    *,
    model: Annotated[str | None, typer.Option("-m", "--model", help="Default: the first of the config.")] = None,
    as_json: AsJson = False,
    config_file: ConfigFile = None,
) -> None:
    """Ask a model, through the gateway's own path."""
    if prompt == "-" or (prompt is None and not sys.stdin.isatty()):
        prompt = sys.stdin.read().strip()
        if not prompt:
            raise typer.BadParameter("standard input is empty: there is nothing to ask")
    if prompt is None and as_json:
        raise typer.BadParameter("--json prints one reply: give a prompt")
    with asyncio.Runner() as runner:
        talk = Talk(runner, settings(config_file), model)
        try:
            status = talk.once(prompt, as_json) if prompt is not None else talk.on()
        finally:
            talk.close()
    raise typer.Exit(status)


class Talk:
    """A conversation with one model. `runner` runs what is asynchronous."""

    def __init__(self, runner: asyncio.Runner, found: "config.Config", model: str | None) -> None:
        """Raises `ConfigError`."""
        found.access.mode = "open"  # who can read config and state needs no gateway key
        self._runner = runner
        self._gateway = runner.run(gateway(found))
        self.model = model or self._first()
        self.messages: list[Message] = []

    def _first(self) -> str:
        from dragoman.config import ConfigError

        declared = self._gateway.serving.directory.declared()
        if not declared:
            raise ConfigError("no model is declared: name one with -m provider/model-id, or install dragoman[local]")
        return declared[0].name

    def close(self) -> None:
        self._runner.run(self._gateway.close())

    def once(self, prompt: str, as_json: bool) -> int:
        """One answer. Returns the exit status."""
        answer = self._ask(prompt, stream=not as_json)
        if as_json and answer.body:
            typer.echo(answer.body.decode())
        elif answer.text:
            typer.echo()
        return answer.status

    def on(self) -> int:
        """Asks whoever sits at the terminal, until they leave with Ctrl-D. Returns the exit status."""
        with suppress(ImportError):
            import readline  # noqa: F401 - line editing for `input`

        typer.echo(f"You talk to {self.model}. Ctrl-C ends an answer, Ctrl-D the conversation.", err=True)
        while True:
            try:
                prompt = input("> ").strip()
            except EOFError:
                typer.echo()
                return 0
            except KeyboardInterrupt:
                typer.echo()
                continue
            if prompt:
                self._ask(prompt, stream=True)
                typer.echo()

    def _ask(self, prompt: str, stream: bool) -> "Answer":
        """Puts the conversation with `prompt` to the model; it stays in the conversation only if it was answered."""
        from dragoman import dialects
        from dragoman.gateway import Call

        dialect = dialects.client("openai-chat")
        asked = [*self.messages, {"role": "user", "content": prompt}]
        body = msgspec.json.encode({"model": self.model, "messages": asked, "stream": stream})
        answer = Answer(dialect, stream, _show)
        try:
            self._runner.run(self._gateway.answer(Call(dialect=dialect, body=body, headers={}), answer))
        except KeyboardInterrupt:
            answer.status = INTERRUPTED
        if not answer.ended:  # the gateway books a call that was broken off, and returns
            answer.status = INTERRUPTED
        if answer.text:
            self.messages = [*asked, {"role": "assistant", "content": answer.text}]
        return answer


class Answer:
    """Where the gateway's answer goes: text to `show` as it comes, failures to standard error. See `gateway.Out`."""

    def __init__(self, dialect: "Dialect", stream: bool, show: Callable[[str], None]) -> None:
        self._dialect = dialect
        self._reader: StreamReader | None = dialect.StreamReader() if stream else None
        self._show = show
        self._shown = -1  # the index of the part that is text; reasoning and tool calls are not shown
        self.body = b""
        self.text = ""
        self.status = 0
        self.ended = False

    async def whole(self, status: int, head: bytes, body: bytes) -> None:
        self.ended = True
        if status < 300:
            self.body = body
        else:
            self._fail(self._dialect.read_error(status, body))

    async def start(self, status: int, head: bytes) -> None:
        pass

    def push(self, data: bytes) -> bool:
        if self._reader is not None:
            self._take(self._reader.feed(data))
        return True

    async def drained(self) -> None:
        pass

    async def finish(self, data: bytes = b"") -> None:
        self.ended = True
        if self._reader is not None:
            self._take(self._reader.feed(data))

    def abort(self) -> None:
        typer.echo("dragoman: the answer broke off", err=True)
        self.status, self.ended = 1, True

    def _take(self, events: "list[Event]") -> None:
        from dragoman.canon import Broken, PartDelta, PartStart, Refusal, Text

        for event in events:
            text = ""
            if isinstance(event, PartStart) and isinstance(event.part, Text | Refusal):
                self._shown = event.index
                text = event.part.text
            elif isinstance(event, PartDelta) and event.index == self._shown:
                text = event.text
            elif isinstance(event, Broken):
                self._fail(event.failure)
            if text:
                self.text += text
                self._show(text)

    def _fail(self, failure: "Failure") -> None:
        self.status = 1
        typer.echo(("\n" if self.text else "") + f"dragoman: {failure.message}", err=True)


def _show(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()


async def gateway(found: "config.Config") -> "Gateway":
    """A gateway of this process, which serves nobody else. Raises `ConfigError`."""
    from dragoman.access.keys import KeyBook
    from dragoman.gateway import Gateway
    from dragoman.ledger.journal import Journal
    from dragoman.server.serve import make_client

    return Gateway(
        found,
        client=make_client(found),
        journal=Journal(found.state.path),
        keys=KeyBook(found.state, found.access.admin_key),
        observe=lambda row: None,
    )
