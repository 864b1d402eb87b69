/* Unsaved changes: leaving asks, and they are kept in this tab, so that a session which ends in the middle of an edit loses nothing. */

export function drafts(facts, model, words, say, isConflict) {
  const key = `runbell:${facts.draft}`, wish = `${key}:apply`;
  const kept = JSON.parse(sessionStorage.getItem(key) ?? "[]");
  let isDirty = false, isLeaving = false;

  addEventListener("beforeunload", (event) => { if (isDirty && !isLeaving) event.preventDefault(); });
  addEventListener("pageshow", () => { isLeaving = false; });
  document.querySelector("[data-discard]")?.addEventListener("click", () => { isLeaving = true; sessionStorage.removeItem(key); });

  /* What was kept and is still to be done. What has been saved meanwhile, or is of a job that is gone, is not. */
  function left() {
    return kept.filter(([id, outcome, , to]) => {
      const line = model.byId.get(id), n = model.outcomes.indexOf(outcome);
      return line && ((line.own >> n) & 1) !== Number(to === "on");
    });
  }

  function apply(cells, after) {
    for (const [id, outcome, , to] of cells) model.put(id, outcome, to === "on");
    after();
  }

  return {
    keep(changes) {
      if (changes) sessionStorage.setItem(key, JSON.stringify(model.cells()));
      else if (isDirty) sessionStorage.removeItem(key);
      isDirty = changes > 0 || isConflict;
    },

    leave() { isLeaving = true; },

    /* True when there was something to bring back. `after` draws it; without it the page is for reading, and leads to the form. */
    offer(after) {
      const cells = left(), wished = sessionStorage.getItem(wish);
      sessionStorage.removeItem(wish);
      if (!cells.length) { sessionStorage.removeItem(key); return false; }
      if (wished && after) { apply(cells, after); return true; }
      const notice = document.querySelector("[data-draft]");
      notice.querySelector("h2").textContent = say(words.found, cells.length);
      notice.hidden = false;
      notice.querySelector("[data-draft-back]").addEventListener("click", () => {
        if (!after) { sessionStorage.setItem(wish, "1"); return location.assign(document.querySelector("[data-edit]").href); }
        notice.hidden = true;
        apply(cells, after);
      });
      notice.querySelector("[data-draft-drop]").addEventListener("click", () => { sessionStorage.removeItem(key); notice.hidden = true; });
      return true;
    },
  };
}
