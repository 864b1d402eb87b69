/* The boxes of a matrix: what is stored, what is set now, and the difference. Knows nothing of the page.

   Each line has two numbers with a bit for each outcome: `own`, its stored rules, and `now`. The line of all jobs covers every other
   line, which keeps its own bits below. */

export class Model {
  constructor(facts) {
    this.outcomes = facts.outcomes;
    this.everything = { id: 0, name: facts.words.everything, own: facts.everything, now: facts.everything };
    this.lines = facts.lines.map(([id, name, last, own]) => ({ id, name, last, own, now: own, key: name.toLocaleLowerCase() }));
    this.byId = new Map(this.lines.map((line) => [line.id, line]));
    this.byId.set(0, this.everything);
    for (const [id, outcome, , to] of facts.changes) this.put(id, outcome, to === "on");
  }

  isOn(line, n) { return Boolean(((line.now | this.everything.now) >> n) & 1); }

  isLocked(line, n) { return line !== this.everything && Boolean((this.everything.now >> n) & 1); }

  isChanged(line, n) { return Boolean(((line.now ^ line.own) >> n) & 1); }

  /* Beside what all jobs have. */
  isSet(line) { return Boolean(line.now & ~this.everything.now); }

  set(line, n, isOn) { line.now = isOn ? line.now | (1 << n) : line.now & ~(1 << n); }

  put(id, outcome, isOn) {
    const line = this.byId.get(id);
    if (line) this.set(line, this.outcomes.indexOf(outcome), isOn);
  }

  /* An outcome no longer goes for all jobs: their boxes are kept, one by one, or are what lies below. */
  release(n, isKept) {
    this.set(this.everything, n, false);
    if (isKept) for (const line of this.lines) this.set(line, n, true);
  }

  /* It goes for all again: what was changed below since is forgotten. */
  cover(n) {
    this.set(this.everything, n, true);
    if ((this.everything.own >> n) & 1) for (const line of this.lines) this.set(line, n, (line.own >> n) & 1);
  }

  touched() { return [this.everything, ...this.lines].filter((line) => line.now !== line.own); }

  /* [line, outcome, was, to] for each changed box, as the server reads them. */
  cells() {
    return this.touched().flatMap((line) => this.outcomes.flatMap((outcome, n) => {
      if (!this.isChanged(line, n)) return [];
      const isOn = Boolean((line.now >> n) & 1);
      const isBelow = line !== this.everything && ((this.everything.own & this.everything.now) >> n) & 1;
      return [[line.id, outcome, isBelow ? "all" : isOn ? "off" : "on", isOn ? "on" : "off"]];
    }));
  }
}
