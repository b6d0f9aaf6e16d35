// The page to talk to: puts microphone, session, loudspeaker and view together.

import { h, render } from "./vendor/preact.mjs";
import { Session, models, samples } from "./session.js";
import { Player, RATE, loudness, microphone } from "./sound.js";
import { Turns } from "./turns.js";
import { Page } from "./view.js";

const wanted = new URLSearchParams(location.search).get("model") ?? "";
const state = {
  phase: "idle", // connecting | listening | hearing | thinking | speaking
  error: "",
  models: wanted ? [wanted] : [],
  model: wanted,
  key: "",
  instructions: "",
  muted: false,
  microphone: null,
  turns: new Turns(),
};
let context = null;
let session = null;
let player = null;
let heardLevel = 0;

const act = {
  set(name, value) {
    state[name] = value;
    if (name === "key") list();
    draw();
  },

  async start(event) {
    event.preventDefault();
    Object.assign(state, { phase: "connecting", error: "", turns: new Turns(), muted: false });
    draw();
    context = new AudioContext({ sampleRate: RATE });
    player = new Player(context, () => move("listening", ["speaking"]));
    try {
      const mine = new Session(state, {
        event: (event) => mine === session && take(event),
        end: (reason) => mine === session && end(reason),
      });
      session = mine;
    } catch {
      end("The key has letters that no key has.");
      return;
    }
    await listen(session);
    draw();
  },

  stop(event) {
    event.preventDefault();
    session?.close();
    end("");
  },

  mute() {
    state.muted = !state.muted;
    state.microphone.mute(state.muted);
    draw();
  },

  write(event) {
    event.preventDefault();
    const field = event.target.elements.text;
    const text = field.value.trim();
    if (!text) return;
    field.value = "";
    breakIn();
    state.turns.written(text);
    session.write(text);
    draw();
  },
};

/** Opens the microphone for a session, once that has begun; a session without one can be written to. */
async function listen(mine) {
  if (!(await mine.begun) || mine !== session) return;
  try {
    const opened = await microphone(context, hear);
    if (mine === session) state.microphone = opened;
    else opened.close();
  } catch (error) {
    if (mine !== session) return;
    state.error = error.name === "NotAllowedError" ? "The microphone was not allowed." : error.message;
  }
}

function hear(frame) {
  heardLevel = loudness(Float32Array.from(frame, (sample) => sample / 32768));
  if (state.phase !== "connecting") session?.hear(frame);
}

function take(event) {
  state.turns.take(event);
  switch (event.type) {
    case "session.updated":
      move("listening", ["connecting"]);
      break;
    case "input_audio_buffer.speech_started":
      breakIn();
      move("hearing");
      break;
    case "input_audio_buffer.speech_stopped":
    case "response.created":
      move("thinking", ["listening", "hearing", "thinking"]);
      break;
    case "response.output_audio.delta":
      player.play(event.item_id, samples(event.delta));
      move("speaking");
      break;
    case "response.done":
      move("listening", ["thinking"]);
      break;
    case "error":
      state.error = event.error.message;
      break;
  }
  draw();
}

/** The user speaks (or writes) into the reply: it stops, and the model is told how much of it was heard. */
function breakIn() {
  const stopped = player.stop();
  if (!stopped) return;
  state.turns.broken(stopped.ms);
  session.truncate(stopped);
}

function move(phase, from) {
  if (state.phase === "idle" || (from && !from.includes(state.phase))) return;
  state.phase = phase;
  draw();
}

function end(reason) {
  if (state.phase === "idle") return;
  session = null;
  state.phase = "idle";
  state.error = reason || state.error;
  hush();
  draw();
}

function hush() {
  state.microphone?.close();
  state.microphone = null;
  if (context.state !== "closed") context.close();
  state.turns.hearing = false;
  heardLevel = 0;
}

async function list() {
  try {
    const found = await models(state.key);
    state.models = wanted && !found.includes(wanted) ? [wanted, ...found] : found;
    state.model ||= found[0] ?? "";
    state.error = found.length || wanted ? "" : "This gateway has no models yet: give it an account.";
  } catch (error) {
    state.error = error.message;
  }
  draw();
}

function draw() {
  const turns = document.getElementById("turns");
  const atEnd = turns && turns.scrollHeight - turns.scrollTop - turns.clientHeight < 40;
  render(h(Page, { state, act }), document.getElementById("page"));
  if (atEnd) turns.scrollTop = turns.scrollHeight;
}

/** The ring around the button follows whoever is heard. */
function pulse() {
  const level = state.phase === "speaking" ? player.level : heardLevel;
  document.getElementById("ring").style.transform = `scale(${1 + 0.35 * (state.phase === "idle" ? 0 : level)})`;
  requestAnimationFrame(pulse);
}

draw();
list();
requestAnimationFrame(pulse);
