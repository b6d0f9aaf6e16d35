// What is said, turn by turn, as the session's events tell it. No sound, no page: events in, state changed.

/** A turn's stages, in their order, and what they are. */
export const STAGES = {
  vad_hang: "from the end of speech until the turn was found to be over",
  turn_model: "of that: judging whether it was",
  stt_final: "the last words, after that",
  route: "choosing the model",
  llm_ttft: "the model's first token, since it was asked; choosing it included",
  first_clause: "its first clause",
  tts_ttfa: "the first sound of that",
  send: "sending it",
};

const WITHIN = { turn_model: "vad_hang", route: "llm_ttft" };

/** A turn's stages as they stand one after the other: [name, ms] of those that took any time. What is part of another
 * stage is taken out of that. */
export function inRow(stages) {
  const ms = { ...stages };
  for (const [part, whole] of Object.entries(WITHIN)) if (ms[whole] > 0) ms[whole] = Math.max(0, ms[whole] - ms[part]);
  return Object.keys(STAGES)
    .filter((name) => ms[name] > 0)
    .map((name) => [name, ms[name]]);
}

export class Turns {
  constructor() {
    // { number, item, you, response, replyItem, reply, heard, status, problem, brokenMs, stages, target }
    this.all = [];
    this.hearing = false;
    this.lost = new Set(); // names of settings that the model's provider can't be told
  }

  add(fields) {
    const turn = { number: this.all.length + 1, item: "", you: "", response: "", reply: "", status: "", ...fields };
    this.all.push(turn);
    return turn;
  }

  /** Something was written by the user. */
  written(text) {
    this.add({ you: text });
  }

  /** The reply that was being played has stopped after `ms`. */
  broken(ms) {
    const turn = this.all.findLast((turn) => turn.response);
    if (turn) turn.brokenMs = ms;
  }

  take(event) {
    const handler = HANDLERS[event.type];
    if (handler) handler(this, event);
  }

  ofItem(id) {
    return this.all.find((turn) => turn.item === id);
  }

  ofResponse(id) {
    return this.all.find((turn) => id && turn.response === id);
  }
}

const HANDLERS = {
  "input_audio_buffer.speech_started": (turns) => {
    turns.hearing = true;
  },
  "input_audio_buffer.speech_stopped": (turns) => {
    turns.hearing = false;
  },
  "input_audio_buffer.committed": (turns, { item_id }) => {
    turns.hearing = false;
    turns.add({ item: item_id });
  },
  "conversation.item.input_audio_transcription.delta": (turns, { item_id, delta }) => {
    const turn = turns.ofItem(item_id);
    if (turn) turn.you += delta;
  },
  "conversation.item.input_audio_transcription.completed": (turns, { item_id, transcript }) => {
    const turn = turns.ofItem(item_id);
    if (turn) turn.you = transcript.trim() || "(no words)";
  },
  "conversation.item.input_audio_transcription.failed": (turns, { item_id }) => {
    const turn = turns.ofItem(item_id);
    if (turn) turn.you = "(not understood)";
  },
  "response.created": (turns, { response }) => {
    const last = turns.all.at(-1);
    const turn = last && !last.response ? last : turns.add({});
    turn.response = response.id;
    turn.status = "in_progress";
  },
  "response.output_audio_transcript.delta": (turns, { response_id, item_id, delta }) => {
    const turn = turns.ofResponse(response_id);
    if (!turn) return;
    turn.reply += delta;
    turn.replyItem = item_id;
  },
  "response.output_text.delta": (turns, event) => HANDLERS["response.output_audio_transcript.delta"](turns, event),
  "conversation.item.retrieved": (turns, { item }) => {
    const turn = turns.all.find((turn) => turn.replyItem === item.id);
    if (turn) turn.heard = item.content[0]?.transcript ?? "";
  },
  "response.done": (turns, { response }) => {
    const turn = turns.ofResponse(response.id);
    if (!turn) return;
    turn.status = response.status;
    const details = response.status_details;
    turn.problem = response.status === "failed" ? (details?.error?.message ?? "The reply failed.") : "";
  },
  "dragoman.lossy": (turns, { fields }) => {
    for (const name of fields) turns.lost.add(name);
  },
  "dragoman.turn": (turns, { response_id, stages_ms, target }) => {
    const turn = turns.ofResponse(response_id) ?? turns.all.find((turn) => turn.response && !turn.stages);
    if (turn) Object.assign(turn, { stages: stages_ms, target });
  },
};
