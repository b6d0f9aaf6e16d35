// A realtime session with the gateway that this page comes from, over a WebSocket.
// Source of the events: OpenAI Realtime (GA); `dragoman.turn` is the gateway's own.

import { RATE } from "./sound.js";

const FORMAT = { type: "audio/pcm", rate: RATE };

export class Session {
  /** `on.event(event)` for each event of the server, `on.end(reason)` once, where the session ends. */
  constructor({ model, key, instructions }, on) {
    const query = new URLSearchParams({ model, dragoman_turns: "1" });
    const url = `${location.origin.replace(/^http/, "ws")}/v1/realtime?${query}`;
    // A page can't set headers: the key goes where OpenAI's own clients put it in a browser.
    this.socket = new WebSocket(url, ["realtime", ...(key ? [`openai-insecure-api-key.${key}`] : [])]);
    this.opened = false;
    this.begun = new Promise((resolve) => (this.resolve = resolve)); // whether there is a session
    this.socket.onopen = () => {
      this.opened = true;
      this.resolve(true);
      const session = {
        type: "realtime",
        ...(instructions ? { instructions } : {}),
        audio: {
          input: {
            format: FORMAT,
            transcription: { model: "gpt-4o-mini-transcribe" },
            turn_detection: { type: "semantic_vad" },
          },
          output: { format: FORMAT },
        },
      };
      this.send({ type: "session.update", session });
    };
    this.socket.onmessage = ({ data }) => on.event(JSON.parse(data));
    this.socket.onclose = ({ code, reason }) => {
      this.resolve(false);
      on.end(this.#why(code, reason));
    };
  }

  send(event) {
    if (this.socket.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(event));
  }

  /** Sound of the microphone, an `Int16Array`. */
  hear(samples) {
    this.send({ type: "input_audio_buffer.append", audio: base64(samples) });
  }

  /** Something written instead of spoken. */
  write(text) {
    const item = { type: "message", role: "user", content: [{ type: "input_text", text }] };
    this.send({ type: "conversation.item.create", item });
    this.send({ type: "response.create" });
  }

  /** `ms` of the item have been heard, no more will be. The answer tells the words that were. */
  truncate({ item, ms }) {
    this.send({ type: "conversation.item.truncate", item_id: item, content_index: 0, audio_end_ms: ms });
    this.send({ type: "conversation.item.retrieve", item_id: item });
  }

  close() {
    this.socket.close(1000);
  }

  /** What there is to say of the end; empty where it was wished for. */
  #why(code, reason) {
    if (!this.opened) return "The gateway refused the session. Is the key right, and does the model exist?";
    if (code === 1000) return "";
    return reason || (code === 1006 ? "The connection to the gateway was lost." : `The session ended (${code}).`);
  }
}

function base64(samples) {
  return btoa(String.fromCharCode(...new Uint8Array(samples.buffer)));
}

/** The sound in an event, as samples. */
export function samples(text) {
  const bytes = Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
  return new Int16Array(bytes.buffer, 0, bytes.length >> 1);
}

/** The names that may be asked for. Rejects with what the gateway says where it refuses. */
export async function models(key) {
  const answer = await fetch("/v1/models", { headers: key ? { authorization: `Bearer ${key}` } : {} });
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error?.message ?? `The gateway says ${answer.status}.`);
  return body.data.map(({ id }) => id);
}
