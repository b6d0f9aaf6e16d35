// The page for blind votes on a comparison's answers: two side by side, without names.

import { h, render } from "./vendor/preact.mjs";
import htm from "./vendor/htm.mjs";

const html = htm.bind(h);
const KEYS = { ArrowLeft: "left", ArrowRight: "right", t: "tie" };
const state = {
  key: "",
  voter: "",
  comparisons: [],
  name: new URLSearchParams(location.search).get("comparison") ?? "",
  shown: null, // what the gateway last said of the chosen comparison
  waiting: false,
  error: "",
};

async function ask(path, body) {
  const headers = state.key ? { authorization: `Bearer ${state.key}` } : {};
  const how = body === undefined ? { headers } : { method: "POST", headers, body: JSON.stringify(body) };
  const answer = await fetch(`/dragoman/v1/comparisons${path}`, how);
  const said = await answer.json();
  if (!answer.ok) throw new Error(said.error?.message ?? `The gateway says ${answer.status}.`);
  return said;
}

/** Does something that may fail, and draws before and after it. */
async function tried(work) {
  if (state.waiting) return;
  Object.assign(state, { waiting: true, error: "" });
  draw();
  try {
    await work();
  } catch (error) {
    state.error = error.message;
  }
  state.waiting = false;
  draw();
}

const place = () => `/${encodeURIComponent(state.name)}`;

const act = {
  list: () =>
    tried(async () => {
      state.comparisons = (await ask("")).comparisons;
      if (!state.comparisons.some(({ name }) => name === state.name)) state.name = state.comparisons[0]?.name ?? "";
    }),

  begin(event) {
    event.preventDefault();
    tried(async () => {
      state.shown = await ask(`${place()}?voter=${encodeURIComponent(state.voter)}`);
    });
  },

  vote(better) {
    const { number } = state.shown.pair;
    tried(async () => {
      state.shown = await ask(place(), { voter: state.voter, number, better });
    });
  },
};

function Page() {
  return html`
    <header class="top">
      <a class="mark" href="/console"><img src="/console/icon.svg" alt="" width="24" height="24" />Dragoman</a>
      ${state.shown && html`<span role="status">${state.shown.voted} of ${state.shown.pairs} pairs</span>`}
    </header>
    <main class="votes">
      ${state.error && html`<p class="error" role="alert">${state.error}</p>`}
      ${!state.shown ? html`<${Begin} />` : state.shown.pair ? html`<${Pair} />` : html`<${Result} />`}
    </main>
  `;
}

function Begin() {
  return html`
    <form class="begin" onSubmit=${act.begin}>
      <h1>Which answer is better?</h1>
      <p>You see two answers at a time, and not who gave them. Who it was is told at the end.</p>
      <label class="field">
        <span>Admin key, where the gateway asks for one</span>
        <input type="password" autocomplete="off" placeholder="dgm-…" value=${state.key}
          onChange=${(event) => { state.key = event.target.value.trim(); act.list(); }} />
      </label>
      <label class="field">
        <span>Comparison</span>
        <select name="comparison" value=${state.name} onChange=${(event) => { state.name = event.target.value; }}>
          ${state.comparisons.map(
            ({ name, pairs }) => html`<option key=${name} value=${name}>${name} (${pairs} pairs)</option>`,
          )}
        </select>
      </label>
      <label class="field">
        <span>Your name, for the report</span>
        <input name="voter" required maxlength="64" value=${state.voter}
          onInput=${(event) => { state.voter = event.target.value.trim(); draw(); }} />
      </label>
      <button class="plain" disabled=${!state.name || !state.voter || state.waiting}>Begin</button>
      ${!state.comparisons.length && html`<p class="note">None is here yet: run <code>dragoman compare</code>.</p>`}
    </form>
  `;
}

function Pair() {
  const { prompt, left, right, number } = state.shown.pair;
  return html`
    <section key=${number} aria-label="Request"><pre class="asked">${prompt}</pre></section>
    <div class="sides">
      <section aria-label="Left answer"><pre>${left}</pre></section>
      <section aria-label="Right answer"><pre>${right}</pre></section>
    </div>
    <div class="choices">
      <button class="plain" disabled=${state.waiting} onClick=${() => act.vote("left")}>← Left is better</button>
      <button class="plain" disabled=${state.waiting} onClick=${() => act.vote("tie")}>Neither (t)</button>
      <button class="plain" disabled=${state.waiting} onClick=${() => act.vote("right")}>Right is better →</button>
    </div>
  `;
}

function Result() {
  const { verdict, models, judges } = state.shown.result;
  const score = (value) => (value === null || value === undefined ? "" : value.toFixed(2));
  return html`
    <h1>Thank you</h1>
    <p>${verdict}</p>
    <table>
      <thead><tr><th>reviewer</th>${models.map(({ model }) => html`<th key=${model}>${model}</th>`)}</tr></thead>
      <tbody>
        ${judges.map(({ judge, scores }) => html`
          <tr key=${judge}>
            <th>${judge}</th>${models.map(({ model }) => html`<td key=${model}>${score(scores[model])}</td>`)}
          </tr>`)}
        <tr><th>all</th>${models.map((each) => html`<td key=${each.model}>${score(each.score)}</td>`)}</tr>
      </tbody>
    </table>
  `;
}

function draw() {
  render(html`<${Page} />`, document.getElementById("page"));
}

addEventListener("keydown", (event) => {
  const better = KEYS[event.key];
  if (!better || !state.shown?.pair || event.repeat || event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  act.vote(better);
});

document.getElementById("page").replaceChildren();
draw();
act.list();
