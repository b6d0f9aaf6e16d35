// Sound in and out: the microphone as frames, and a queue of what is to be heard.

export const RATE = 24000;
const LEAD = 0.01; // seconds that a piece is told ahead: what is told late would overlap with the next

/** The microphone, as `Int16Array`s of 20 ms at RATE, each given to `take`. Rejects where there is none. */
export async function microphone(context, take) {
  if (!navigator.mediaDevices) {
    throw new Error("A microphone can only be used over https, or from this machine (http://localhost).");
  }
  const stream = await navigator.mediaDevices.getUserMedia({
    audio: { channelCount: 1, echoCancellation: true, noiseSuppression: true, autoGainControl: true },
  });
  const tracks = stream.getTracks();
  let own = null; // some browsers can't bring a microphone into a context of another rate: then it gets its own
  let source;
  try {
    source = context.createMediaStreamSource(stream);
  } catch {
    own = new AudioContext();
    source = own.createMediaStreamSource(stream);
  }
  await source.context.audioWorklet.addModule("/console/capture.js");
  const node = new AudioWorkletNode(source.context, "capture", { numberOfOutputs: 0 });
  node.port.onmessage = ({ data }) => take(new Int16Array(data));
  source.connect(node);
  return {
    mute: (muted) => tracks.forEach((track) => (track.enabled = !muted)),
    close: () => {
      tracks.forEach((track) => track.stop());
      source.disconnect();
      own?.close();
    },
  };
}

/** Plays pieces one after the other, and knows to the millisecond what has been heard. `idle`: called at its end. */
export class Player {
  constructor(context, idle) {
    this.context = context;
    this.idle = idle;
    this.meter = context.createAnalyser();
    this.meter.connect(context.destination);
    this.pieces = []; // { item, begin, seconds, source }, since it was silent
    this.heard = new Map(); // seconds of each item that were heard before that
    this.stopped = new Set(); // items of which nothing more is played
  }

  get end() {
    const last = this.pieces.at(-1);
    return last ? last.begin + last.seconds : 0;
  }

  play(item, samples) {
    if (this.stopped.has(item) || !samples.length) return;
    const buffer = this.context.createBuffer(1, samples.length, RATE);
    buffer.getChannelData(0).set(Float32Array.from(samples, (sample) => sample / 32768));
    const source = this.context.createBufferSource();
    source.buffer = buffer;
    source.connect(this.meter);
    const soon = this.context.currentTime + LEAD;
    const piece = { item, begin: Math.max(soon, this.end), seconds: samples.length / RATE, source };
    source.onended = () => {
      if (piece === this.pieces.at(-1)) this.over();
    };
    source.start(piece.begin);
    this.pieces.push(piece);
  }

  over() {
    for (const { item, seconds } of this.pieces) this.heard.set(item, (this.heard.get(item) ?? 0) + seconds);
    this.pieces = [];
    this.idle();
  }

  /** Falls silent. What was being played, and how many milliseconds of it have left the loudspeaker; or null. */
  stop() {
    const now = this.context.currentTime;
    const playing = this.pieces.find((piece) => piece.begin + piece.seconds > now);
    if (!playing) return null;
    const heard = now - (this.context.outputLatency || 0);
    const seconds = this.pieces
      .filter((piece) => piece.item === playing.item)
      .reduce(
        (sum, piece) => sum + Math.max(0, Math.min(piece.seconds, heard - piece.begin)),
        this.heard.get(playing.item) ?? 0,
      );
    this.stopped.add(playing.item);
    for (const { source } of this.pieces) {
      source.onended = null;
      source.stop();
    }
    this.over();
    return { item: playing.item, ms: Math.floor(seconds * 1000) };
  }

  /** How loud it is now, 0..1. */
  get level() {
    const wave = new Float32Array(this.meter.fftSize);
    this.meter.getFloatTimeDomainData(wave);
    return loudness(wave);
  }
}

/** Of samples of full scale 1: 0 at −60 dBFS and below, 1 at full scale. */
export function loudness(wave) {
  let sum = 0;
  for (const sample of wave) sum += sample * sample;
  const decibels = 10 * Math.log10(sum / wave.length + 1e-12);
  return Math.max(0, Math.min(1, 1 + decibels / 60));
}
