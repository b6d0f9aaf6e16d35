"""What the two dialects with flat sessions share (`beta`, `voicelive`): tables of fields, and how they are put to use.

A table says for each field of a flat object where it stands in GA, and how its value is read and written. What a flat
dialect says and GA cannot is in `UNREAD` of its tables, what GA says and it cannot in `UNSAID`. Anything else that is
in no table rides along under its own name.

| flat                                                   | GA                                                         |
|--------------------------------------------------------|------------------------------------------------------------|
| `response.audio.*`, `.audio_transcript.*`, `.text.*`   | `response.output_audio.*`, `.output_audio_transcript.*`, … |
| `conversation.item.created`                            | `conversation.item.added`, and later `.done`               |
| `transcription_session.update`, `.updated`, `.created` | `session.*` with `type` `transcription`                    |
| content of the assistant `text`, `audio`               | `output_text`, `output_audio`                              |
| `error.param`: `session.voice`                         | `session.audio.output.voice`                               |
| `modalities`: `["audio", "text"]`                      | `output_modalities`: `["audio"]`                           |
| `pcm16`, `g711_ulaw`, `g711_alaw`                      | `audio/pcm` (24 kHz), `audio/pcmu`, `audio/pcma`           |
"""

from collections.abc import Callable, Iterable
from typing import Any

from msgspec import Struct

from dragoman.voice.codecs.codec import Event, Note

Convert = Callable[[Any, Note], Any]


class _Lost:
    """Stands for a value that cannot be said at all."""


LOST = _Lost()


def same(value: Any, note: Note) -> Any:
    """What is said alike in both."""
    del note
    return value


class Field(Struct, frozen=True):
    """A field of a flat object: its name there, its path in GA, and how its value is brought from one to the other."""

    flat: str
    ga: str
    read: Convert = same
    write: Convert = same


class Table(Struct, frozen=True):
    """The fields of one kind of object. `unread`: fields that GA has no place for; `unsaid`: GA's, the other way."""

    fields: tuple[Field, ...]
    unread: frozenset[str] = frozenset()
    unsaid: frozenset[str] = frozenset()

    def read(self, flat: Event, note: Note) -> Event:
        """A flat object as GA has it. `note` is told what is lost, by its flat name."""
        known = {each.flat: each for each in self.fields}
        ga: Event = {k: v for k, v in flat.items() if k not in known and k not in self.unread}
        for name in flat.keys() & self.unread:
            if flat[name] is not None:
                note(name)
        for name, each in known.items():
            if name in flat:
                value = each.read(flat[name], _under(note, name))
                if value is LOST:
                    note(name)
                else:
                    put(ga, each.ga, value)
        return ga

    def write(self, ga: Event, note: Note) -> Event:
        """A GA object as the flat dialect has it. `note` is told what is lost, by its path in GA."""
        flat: Event = {}
        for each in self.fields:
            value = get(ga, each.ga)
            if value is LOST:
                continue
            value = each.write(value, _under(note, each.ga))
            if value is LOST:
                note(each.ga)
            else:
                flat[each.flat] = value
        paths = {each.ga for each in self.fields}
        for path, value in _others(ga, paths):
            if path in self.unsaid or "." in path:
                if value is not None:
                    note(path)
            else:
                flat[path] = value
        return flat


def _under(note: Note, name: str) -> Note:
    return lambda below: note(name + below if below[:1] in ("", "[") else f"{name}.{below}")


def get(ga: Event, path: str) -> Any:
    """The value at `path`, or `LOST` where there is none."""
    here: Any = ga
    for step in path.split("."):
        if not isinstance(here, dict) or step not in here:
            return LOST
        here = here[step]
    return here


def put(ga: Event, path: str, value: Any) -> None:
    """Sets the value at `path`; what was no object on the way to it becomes one."""
    *way, last = path.split(".")
    for step in way:
        if not isinstance(ga.get(step), dict):
            ga[step] = {}
        ga = ga[step]
    ga[last] = value


def _others(ga: Event, known: set[str], under: str = "") -> Iterable[tuple[str, Any]]:
    """The paths and values that are not at or below `known`."""
    for key, value in ga.items():
        path = under + key
        if path in known:
            continue
        if isinstance(value, dict) and any(k.startswith(path + ".") for k in known):
            yield from _others(value, known, path + ".")
        else:
            yield path, value


# --- values ----------------------------------------------------------------------------------------------------------

_FORMATS: dict[str, Event] = {
    "pcm16": {"type": "audio/pcm", "rate": 24000},
    "g711_ulaw": {"type": "audio/pcmu"},
    "g711_alaw": {"type": "audio/pcma"},
}
_FORMAT_NAMES = {form["type"]: name for name, form in _FORMATS.items()}


def read_format(value: Any, note: Note) -> Any:
    del note
    return dict(_FORMATS[value]) if isinstance(value, str) and value in _FORMATS else value


def write_format(value: Any, note: Note) -> Any:
    del note
    kind = value.get("type", "audio/pcm") if isinstance(value, dict) else None
    return _FORMAT_NAMES[kind] if isinstance(kind, str) and kind in _FORMAT_NAMES else value


def read_modalities(value: Any, note: Note) -> Any:
    """Sound always comes with its transcript: GA names only the sound."""
    if not isinstance(value, list):
        return value
    for name in ("animation", "avatar"):
        if name in value:
            note(name)
    if not set(value) <= {"text", "audio", "animation", "avatar"}:
        return value
    return ["audio"] if "audio" in value else ["text"]


def write_modalities(value: Any, note: Note) -> Any:
    del note
    return ["audio", "text"] if isinstance(value, list) and "audio" in value else value


def only(*names: str, **renamed: str) -> Convert:
    """An object of which only these fields can be said, some by another name; without the rest, not without itself."""

    def convert(value: Any, note: Note) -> Any:
        if not isinstance(value, dict):
            return value
        kept = {}
        for key, one in value.items():
            if key in names or key in renamed:
                kept[renamed.get(key, key)] = one
            elif one is not None:
                note(key)
        return kept

    return convert


def within(names: frozenset[str | None], convert: Convert) -> Convert:
    """For objects told apart by their `type`: those of `names` are converted, others cannot be said."""

    def chosen(value: Any, note: Note) -> Any:
        if isinstance(value, dict) and value.get("type") not in names:
            return LOST
        return convert(value, note)

    return chosen


def each(convert: Convert) -> Convert:
    """An array of which each entry is converted, and those that cannot be said are left out, and named."""

    def every(value: Any, note: Note) -> Any:
        if not isinstance(value, list):
            return value
        kept = []
        for i, one in enumerate(value):
            said = convert(one, _under(note, f"[{i}]"))
            if said is LOST:
                note(f"[{i}]")
            else:
                kept.append(said)
        return kept

    return every


# --- items -----------------------------------------------------------------------------------------------------------

_CONTENT = {"text": "output_text", "audio": "output_audio"}  # of the assistant
_CONTENT_NAMES = {ga: flat for flat, ga in _CONTENT.items()}


def read_item(item: Any, note: Note) -> Any:
    """An item with GA's names for its content."""
    if not isinstance(item, dict) or not isinstance(content := item.get("content"), list):
        return item
    assistant = item.get("role") == "assistant"
    names = _CONTENT if assistant else {"text": "input_text"}
    return {**item, "content": _renamed(content, names)}


def _renamed(content: list[Any], names: dict[str, str]) -> list[Any]:
    return [
        {**part, "type": names[part["type"]]} if isinstance(part, dict) and part.get("type") in names else part
        for part in content
    ]


def write_item(types: frozenset[str], content: frozenset[str], leave_out: frozenset[str] = frozenset()) -> Convert:
    """Items of these types, with content of these types; `leave_out`: fields that have no place there."""

    def convert(item: Any, note: Note) -> Any:
        if not isinstance(item, dict):
            return item
        if isinstance(item.get("type"), str) and item["type"] not in types:
            return LOST
        item = {key: value for key, value in item.items() if key not in leave_out}
        if isinstance(parts := item.get("content"), list):
            item["content"] = each(_write_part(content))(_renamed(parts, _CONTENT_NAMES), _under(note, "content"))
        return item

    return convert


def _write_part(content: frozenset[str]) -> Convert:
    def convert(part: Any, note: Note) -> Any:
        del note
        if isinstance(part, dict) and isinstance(part.get("type"), str) and part["type"] not in content:
            return LOST
        return part

    return convert


# --- events ----------------------------------------------------------------------------------------------------------

RENAMED = {  # GA -> flat
    "response.output_audio.delta": "response.audio.delta",
    "response.output_audio.done": "response.audio.done",
    "response.output_audio_transcript.delta": "response.audio_transcript.delta",
    "response.output_audio_transcript.done": "response.audio_transcript.done",
    "response.output_text.delta": "response.text.delta",
    "response.output_text.done": "response.text.done",
    "conversation.item.added": "conversation.item.created",
}
READ = {flat: ga for ga, flat in RENAMED.items()}


class Tables(Struct, frozen=True):
    """All that makes a flat dialect: its tables of fields, and which events the other side does not know."""

    session: Table
    create: Table  # the `response` of a `response.create`
    response: Table  # the `response` of the server's events
    item: Convert  # an item as the server tells it
    asked: Convert  # an item as a client creates it
    unsaid: frozenset[str]  # events of GA's server that it does not have
    unread: frozenset[str] = frozenset()  # events of its server that GA does not have
    quiet: frozenset[str] = frozenset({"conversation.item.done"})  # events that only say once more what it was told


def read_part(part: Any) -> Any:
    """A content part of an event: GA's types for these are the short ones."""
    return {**part, "type": _CONTENT_NAMES.get(part["type"], part["type"])} if _has_type(part) else part


def _has_type(part: Any) -> bool:
    return isinstance(part, dict) and isinstance(part.get("type"), str)


def read_param(tables: Tables, param: Any) -> Any:
    """The `param` of an error, as GA names it."""
    return _param(param, [(f"session.{f.flat}", f"session.{f.ga}") for f in tables.session.fields])


def write_param(tables: Tables, param: Any) -> Any:
    """The `param` of an error, as the flat dialect names it."""
    return _param(param, [(f"session.{f.ga}", f"session.{f.flat}") for f in tables.session.fields])


def _param(param: Any, names: list[tuple[str, str]]) -> Any:
    if not isinstance(param, str):
        return param
    for name, other in names:
        if param == name or param.startswith((name + ".", name + "[")):
            return other + param[len(name) :]
    return param
