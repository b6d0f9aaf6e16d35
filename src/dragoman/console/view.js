// How the page looks for a given state. No state of its own.

import { h } from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";
import { STAGES, inRow } from "./turns.js";

const html = htm.bind(h);

const PHASES = {
  idle: "Not connected",
  connecting: "Connecting …",
  listening: "Listening",
  hearing: "Hearing you",
  thinking: "Thinking",
  speaking: "Speaking",
};

export function Page({ state, act }) {
  return html`
    <header class="top">
      <a class="mark" href="/console"><img src="/console/icon.svg" alt="" width="24" height="24" />Dragoman</a>
      <span class="state ${state.phase}" role="status">${PHASES[state.phase]}</span>
    </header>
    <main class="talk">
      <${Controls} state=${state} act=${act} />
      <${Conversation} state=${state} act=${act} />
    </main>
  `;
}

function Controls({ state, act }) {
  const live = state.phase !== "idle";
  return html`
    <form class="controls ${live ? "live" : ""}" aria-label="Session" onSubmit=${live ? act.stop : act.start}>
      <button class="orb ${state.phase}" disabled=${!state.model && !live}>
        <span class="ring" id="ring"></span>
        <span class="word">${live ? "End" : "Talk"}</span>
      </button>
      <p class="hint">${hint(state)}</p>
      ${live &&
      html`<button type="button" class="plain" aria-pressed=${state.muted} onClick=${act.mute} disabled=${!state.microphone}>
        ${state.muted ? "Unmute the microphone" : "Mute the microphone"}
      </button>`}
      ${state.error && html`<p class="error" role="alert">${state.error}</p>`}
      ${state.turns.lost.size > 0 &&
      html`<p class="note lost">The provider can't be told: ${[...state.turns.lost].join(", ")}.</p>`}
      <label class="field">
        <span>Model or route</span>
        <select value=${state.model} disabled=${live} onChange=${(event) => act.set("model", event.target.value)}>
          ${state.models.map((name) => html`<option key=${name} value=${name}>${name}</option>`)}
        </select>
      </label>
      <label class="field">
        <span>Gateway key, where it asks for one</span>
        <input type="password" autocomplete="off" placeholder="dgm-…" value=${state.key} disabled=${live}
          onChange=${(event) => act.set("key", event.target.value.trim())} />
      </label>
      <label class="field">
        <span>Instructions</span>
        <textarea rows="2" placeholder="You are a friendly guide. Be brief." value=${state.instructions}
          disabled=${live} onChange=${(event) => act.set("instructions", event.target.value.trim())}></textarea>
      </label>
    </form>
  `;
}

function hint({ phase, microphone }) {
  if (phase === "idle") return "Press, allow the microphone, and speak.";
  if (phase === "connecting") return "One moment.";
  return microphone ? "Speak at any time; speaking stops the reply." : "Without a microphone: write below.";
}

function Conversation({ state, act }) {
  const { turns, phase } = state;
  const longest = Math.max(1, ...turns.all.map((turn) => span(turn.stages)));
  return html`
    <section class="conversation" aria-label="Conversation">
      ${turns.all.some((turn) => turn.stages) && html`<${Legend} />`}
      <ol class="turns" id="turns" role="log" aria-live="polite">
        ${turns.all.map((turn) => html`<${Turn} key=${turn.number} turn=${turn} longest=${longest} />`)}
        ${turns.hearing && html`<li class="turn" key="now"><p class="you pending" aria-label="You are speaking">…</p></li>`}
      </ol>
      ${!turns.all.length && !turns.hearing &&
      html`<p class="empty">What you and the model say appears here, and under it what each turn took.</p>`}
      <form class="write" onSubmit=${act.write}>
        <input name="text" aria-label="Write instead of speaking" placeholder="Write instead of speaking"
          autocomplete="off" disabled=${phase === "idle" || phase === "connecting"} />
        <button class="plain" disabled=${phase === "idle" || phase === "connecting"}>Send</button>
      </form>
    </section>
  `;
}

function Turn({ turn, longest }) {
  const spoken = turn.item && !turn.you;
  return html`
    <li class="turn">
      ${(turn.you || spoken) && html`<p class="you ${spoken ? "pending" : ""}"><b>You</b>${turn.you || "…"}</p>`}
      ${turn.response && html`<p class="reply ${turn.reply ? "" : "pending"}"><b>Model</b><${Reply} turn=${turn} /></p>`}
      ${turn.problem && html`<p class="error">${turn.problem}</p>`}
      ${turn.brokenMs !== undefined && html`<p class="note">You broke in after ${(turn.brokenMs / 1000).toFixed(1)} s.</p>`}
      ${turn.stages && html`<${Bar} turn=${turn} longest=${longest} />`}
    </li>
  `;
}

/** What was said; what of it nobody heard, because somebody spoke, is struck through. */
function Reply({ turn }) {
  const { reply, heard, status } = turn;
  if (!reply && status === "cancelled") return "(you spoke on)";
  if (!heard || !reply.startsWith(heard)) return reply || "…";
  return html`${heard}<del>${reply.slice(heard.length)}</del>`;
}

/** What was done, one stage after the other. The mark: when the reply sounded; that is sooner than the sum where it was
 * begun before the turn was over. */
function Bar({ turn, longest }) {
  const { stages, target } = turn;
  const named = Object.keys(STAGES).filter((name) => stages[name] > 0);
  const share = (value) => `${(100 * value) / longest}%`;
  const said = named.map((name) => `${name} ${ms(stages[name])}`).join(", ");
  return html`
    <div class="stages">
      <div class="bar" role="img" aria-label=${said + (stages.total > 0 ? `; heard after ${ms(stages.total)}` : "")}>
        ${inRow(stages).map(
          ([name, value]) => html`<i class="stage ${name}" style=${{ width: share(value) }}
            title=${`${name}: ${ms(stages[name])}, ${STAGES[name]}`}></i>`,
        )}
        ${stages.total > 0 && html`<i class="heard" style=${{ left: share(stages.total) }}></i>`}
      </div>
      <p class="total">${stages.total > 0 && html`<b>${ms(stages.total)}</b>`} ${target}</p>
    </div>
    <details>
      <summary>Stages</summary>
      <table>
        <tbody>
          ${named.map(
            (name) => html`<tr><th scope="row">${name}</th><td>${ms(stages[name])}</td><td>${STAGES[name]}</td></tr>`,
          )}
        </tbody>
      </table>
    </details>
  `;
}

function Legend() {
  return html`
    <ul class="legend" aria-label="Stages of a turn">
      ${Object.keys(STAGES).map((name) => html`<li title=${STAGES[name]}><i class="stage ${name}"></i>${name}</li>`)}
      <li title="Sooner than the sum, where the reply was begun before the turn was over"><i class="heard"></i>heard</li>
    </ul>
  `;
}

/** How long a bar must be, in milliseconds. */
function span(stages) {
  return stages ? Math.max(stages.total ?? 0, inRow(stages).reduce((sum, [, value]) => sum + value, 0)) : 0;
}

function ms(value) {
  return value < 10 ? `${value.toFixed(1)} ms` : `${Math.round(value)} ms`;
}
