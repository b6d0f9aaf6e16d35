"""A client of a flat dialect (`flat` has the tables): its events as GA's, and GA's as it knows them."""

from typing import ClassVar

from dragoman.voice.codecs.codec import ClientCodec, Event, Note, standard_base64, typed
from dragoman.voice.codecs.flat import LOST, RENAMED, Tables, read_item, read_part, write_param


class FlatClient(ClientCodec):
    """Towards a client. Its dialect's module gives the tables."""

    TABLES: ClassVar[Tables]

    def _read(self, said: Event) -> list[Event]:
        kind = typed(said)
        event = dict(said)
        match kind:
            case "session.update" | "transcription_session.update":
                event["type"] = "session.update"
                if isinstance(session := said.get("session"), dict):
                    about = "realtime" if kind == "session.update" else "transcription"
                    event["session"] = {"type": about, **self._session(session)}
            case "conversation.item.create":
                event["item"] = read_item(said.get("item"), self.note)
            case "response.create" if isinstance(response := said.get("response"), dict):
                event["response"] = self.TABLES.create.read(response, self._noting("response"))
            case "input_audio_buffer.append" if "audio" in said:
                event["audio"] = standard_base64(said["audio"])
        return [event]

    def _session(self, session: Event) -> Event:
        return self.TABLES.session.read(session, self._noting("session"))

    def _write(self, event: Event) -> list[Event]:
        kind = event["type"]
        if kind in self.TABLES.quiet:
            return []
        if kind in self.TABLES.unsaid:
            self.record(kind)
            return []
        said = {**event, "type": RENAMED.get(kind, kind)}
        if isinstance(session := event.get("session"), dict):
            said["session"] = self._told_session(session)
            if session.get("type") == "transcription":
                said["type"] = kind.replace("session.", "transcription_session.")
        if "item" in event:
            said["item"] = self.TABLES.item(event["item"], self._recording("item"))
            if said["item"] is LOST:
                self.record(f"{kind} of type {event['item']['type']}")
                return []
        if isinstance(response := event.get("response"), dict):
            said["response"] = self._told_response(response)
        if "part" in event:
            said["part"] = read_part(event["part"])
        if isinstance(error := event.get("error"), dict) and "param" in error:
            said["error"] = {**error, "param": write_param(self.TABLES, error["param"])}
        return [said]

    def _told_session(self, session: Event) -> Event:
        """A session, as the client is told of it. What its dialect cannot say of it, it has not said either."""
        told = {key: value for key, value in session.items() if key != "type"}
        return self.TABLES.session.write(told, _unheard)

    def _told_response(self, response: Event) -> Event:
        return self.TABLES.response.write(response, _unheard)

    def _noting(self, where: str) -> Note:
        return lambda name: self.note(f"{where}.{name}" if name else where)

    def _recording(self, where: str) -> Note:
        def record(name: str) -> None:
            self.record(f"{where}.{name}")

        return record


def _unheard(name: str) -> None:
    """Defaults of the server that the client's dialect has no words for."""
