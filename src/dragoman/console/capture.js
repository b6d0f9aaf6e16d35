// Runs in the audio thread: what the microphone gives, as frames of 20 ms of 16-bit sound at 24 kHz.

const RATE = 24000;
const FRAME = 480;

class Capture extends AudioWorkletProcessor {
  constructor() {
    super();
    this.ratio = sampleRate / RATE; // input samples to one output sample; 1 where the context runs at RATE
    this.missing = this.ratio; // of the output sample that is being made
    this.sum = 0;
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
  }

  process([[mono]]) {
    for (const sample of mono ?? []) this.take(sample);
    return true;
  }

  // An output sample is the mean of the stretch of input that it stands for.
  take(sample) {
    let left = 1;
    while (this.missing <= left) {
      this.emit((this.sum + sample * this.missing) / this.ratio);
      left -= this.missing;
      this.sum = 0;
      this.missing = this.ratio;
    }
    this.sum += sample * left;
    this.missing -= left;
  }

  emit(value) {
    this.frame[this.filled++] = Math.max(-32768, Math.min(32767, Math.round(value * 32768)));
    if (this.filled < FRAME) return;
    this.port.postMessage(this.frame.buffer, [this.frame.buffer]);
    this.frame = new Int16Array(FRAME);
    this.filled = 0;
  }
}

registerProcessor("capture", Capture);
