// The line to the server: JSON over a WebSocket. It comes back by itself when it is lost.

const FIRST_WAIT = 300, LONGEST_WAIT = 5000; // milliseconds

export class Line {
  // `on` has hello(answer), answer(answer), and lost(), all of them optional but hello; `status` shows what goes on.
  constructor(tab, on, status) {
    Object.assign(this, { tab, on, status, wait: FIRST_WAIT, open: false });
    this.connect();
  }

  connect() {
    this.say("connecting …", "busy");
    const scheme = location.protocol === "https:" ? "wss" : "ws";
    this.socket = new WebSocket(`${scheme}://${location.host}/ws/${this.tab}`);
    this.socket.onmessage = event => this.receive(JSON.parse(event.data));
    this.socket.onclose = () => {
      this.open = false;
      this.on.lost?.();
      this.say("the server does not answer; trying again …", "busy");
      setTimeout(() => this.connect(), this.wait);
      this.wait = Math.min(2 * this.wait, LONGEST_WAIT);
    };
  }

  receive(answer) {
    if (answer.kind === "hello") {
      this.open = true;
      this.wait = FIRST_WAIT;
      this.say("");
      this.on.hello(answer);
    } else if (answer.kind === "error") {
      this.say(answer.text, "error");
      this.on.error?.(answer);
    } else if (answer.kind === "loading") {
      this.say(`loading ${answer.model} …`, "busy");
    } else {
      if (this.status.dataset.mood === "busy") this.say("");
      this.on.answer(answer);
    }
  }

  // Returns whether it was sent.
  ask(what, fields = {}) {
    if (!this.open) return false;
    if (this.status.dataset.mood === "error") this.say("");
    this.socket.send(JSON.stringify({ do: what, ...fields }));
    return true;
  }

  say(text, mood = "") {
    this.status.textContent = text;
    this.status.dataset.mood = mood;
  }
}
