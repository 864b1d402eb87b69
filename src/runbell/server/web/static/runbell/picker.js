/* A <select data-picker> becomes a button and a list that can be searched, in groups, each entry with a note. Its value and its form
   stay the select's. With data-source the server searches, where there are thousands; what Slack is asked goes through the forms whose
   ids are in data-refresh and data-paste. https://www.w3.org/WAI/ARIA/apg/patterns/combobox/ */

const make = (tag, attributes = {}, ...children) => {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
  element.append(...children);
  return element;
};
const icon = (name) => {
  const svg = document.createElementNS("http://www.w3.org/2000/svg", "svg"), use = document.createElementNS("http://www.w3.org/2000/svg", "use");
  svg.setAttribute("class", "icon");
  svg.setAttribute("aria-hidden", "true");
  use.setAttribute("href", `#i-${name}`);
  svg.append(use);
  return svg;
};
const marked = (text, needle) => {
  const at = needle ? text.toLocaleLowerCase().indexOf(needle) : -1;
  return at < 0 ? [text] : [text.slice(0, at), make("b", {}, text.slice(at, at + needle.length)), text.slice(at + needle.length)];
};
const named = ({ main, more }, needle = "") => {
  const span = make("span", {}, ...marked(main, needle));
  if (more) span.append(" ", make("span", { class: "faint" }, more));
  return span;
};
const groupsOf = (select) => [...select.querySelectorAll("optgroup")].map(({ label, dataset, children }) => ({
  label, icon: dataset.icon,
  options: [...children].filter((option) => !("foot" in option.dataset)).map((option) => ({ value: option.value, ...option.dataset })),
}));
const fitting = (groups, needle) => groups
  .map((group) => ({ ...group, options: group.options.filter(({ main, more }) => `${main} ${more}`.toLocaleLowerCase().includes(needle)) }))
  .filter(({ options }) => options.length);

function replace(select) {
  const id = select.id, label = document.querySelector(`label[for="${id}"]`), field = select.closest(".field");
  const current = select.selectedOptions[0];
  const value = named(current.dataset);
  value.id = `${id}-value`;
  const button = make("button", { class: "pick", type: "button", "aria-haspopup": "listbox", "aria-expanded": "false", "aria-labelledby": `${label.id} ${value.id}` },
    icon(select.dataset.icon || "mail"), value, icon("down"));
  select.closest(".select").hidden = true;
  select.closest(".select").after(button);
  label.removeAttribute("for");
  label.addEventListener("click", () => button.focus());
  button.addEventListener("click", () => open(select, field, button));
  button.addEventListener("keydown", (event) => {
    if (event.key === "ArrowDown" || event.key === "ArrowUp") { event.preventDefault(); open(select, field, button); }
  });
}

function open(select, field, button) {
  if (field.querySelector(".popover")) return;
  const listId = `${select.id}-list`, groups = groupsOf(select), { source } = select.dataset;
  const input = make("input", { class: "input", type: "search", role: "combobox", "aria-expanded": "true", "aria-controls": listId, "aria-autocomplete": "list",
    "aria-label": select.dataset.find, placeholder: select.dataset.find, autocomplete: "off" });
  const list = make("div", { class: "options", id: listId, role: "listbox", "aria-label": field.querySelector(".label").textContent, tabindex: "-1" });
  const none = make("p", { class: "popover-foot", hidden: "" }, select.dataset.none);
  const popover = make("div", { class: "popover" }, make("div", { class: "finder" }, icon("search"), input), list, none);
  const foot = select.querySelector("option[data-foot]");
  if (foot) popover.append(make("div", { class: "popover-foot" }, make("a", { class: "textlink", href: foot.dataset.foot, "data-ask": "" }, icon("plus"), foot.textContent)));

  let items = [], active;
  const activate = (entry) => {
    active?.item.classList.remove("active");
    active = entry;
    if (!entry) return input.removeAttribute("aria-activedescendant");
    entry.item.classList.add("active");
    input.setAttribute("aria-activedescendant", entry.item.id);
    entry.item.scrollIntoView({ block: "nearest" });
  };
  const draw = (shown, needle) => {
    const wanted = needle ? active?.option.value : select.value;
    items = [];
    list.replaceChildren(...shown.map((group, g) => {
      const name = make("li", { class: "group-name", id: `${listId}-g${g}`, role: "presentation" }, group.label);
      const box = make("ul", { role: "group", "aria-labelledby": name.id }, name);
      for (const option of group.options) {
        const item = make("li", { class: "option", role: "option", id: `${listId}-${items.length}`, "aria-selected": String(option.value === select.value),
          "aria-disabled": String(Boolean(option.is_off)) }, icon(group.icon), named(option, needle), make("small", {}, option.note));
        items.push({ item, option });
        box.append(item);
      }
      return box;
    }));
    none.hidden = items.length > 0;
    activate(items.find(({ option }) => option.value === wanted) ?? items.find(({ option }) => !option.is_off) ?? items[0]);
  };
  const close = (isBack) => {
    document.removeEventListener("pointerdown", outside);
    popover.remove();
    button.setAttribute("aria-expanded", "false");
    if (isBack) button.focus();
  };
  const outside = (event) => { if (!popover.contains(event.target) && !button.contains(event.target)) close(false); };
  const choose = ({ option }) => {
    if (option.is_off) return;
    close(true);
    if (option.value === select.value) return;
    if (![...select.options].some(({ value }) => value === option.value)) select.append(new Option(option.main, option.value));
    select.value = option.value;
    select.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const needle = () => input.value.trim().toLocaleLowerCase();
  const far = source ? remote(select, popover, input, draw) : null;

  input.addEventListener("input", () => { if (far) far.look(150); else draw(fitting(groups, needle()), needle()); });
  popover.addEventListener("keydown", (event) => {
    const here = items.indexOf(active);
    if (event.key === "Escape") { event.preventDefault(); close(true); }
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      activate(items.at((here + (event.key === "ArrowDown" ? 1 : -1)) % items.length));
    } else if (event.key === "Enter" && event.target === input) { event.preventDefault(); if (active) choose(active); else far?.paste(); }
  });
  popover.addEventListener("focusout", (event) => { if (event.relatedTarget && !popover.contains(event.relatedTarget) && event.relatedTarget !== button) close(false); });
  list.addEventListener("click", (event) => { const found = items.find(({ item }) => item.contains(event.target)); if (found) choose(found); });
  document.addEventListener("pointerdown", outside);
  button.setAttribute("aria-expanded", "true");
  button.after(popover);
  input.focus();
  draw(fitting(groups, ""), "");
  far?.look(0);
}

/* A list that the server searches: how many there are, how fresh they are, a fresh list on demand with its progress, a pasted ID or link. */
function remote(select, popover, input, draw) {
  const { source, refresh, paste, pasteLabel, hint } = select.dataset;
  const count = make("span"), age = make("span"), fresh = make("button", { class: "textlink", type: "button" }, icon("refresh"), age);
  const asks = make("button", { class: "textlink", type: "button" });
  const pasted = make("div", { class: "popover-foot", hidden: "" }, asks);
  popover.append(pasted, make("div", { class: "popover-foot", role: "status" }, count, fresh), make("p", { class: "popover-foot" }, hint));
  let timer, turn = 0, isBusy = false;

  const look = (wait) => { clearTimeout(timer); timer = setTimeout(ask, wait); };
  const ask = async () => {
    const mine = ++turn, text = input.value.trim();
    const answer = await fetch(`${source}?q=${encodeURIComponent(text)}`, { headers: { "X-Requested-With": "fetch" } }).catch(() => null);
    if (!popover.isConnected || mine !== turn) return;
    if (!answer) return look(5000);
    if (!answer.ok || answer.redirected) return location.reload();
    const found = await answer.json();
    if (!popover.isConnected || mine !== turn) return;
    draw(found.groups, text.replace(/^#/, "").toLocaleLowerCase());
    count.textContent = found.count;
    age.textContent = found.refreshed;
    asks.textContent = `${pasteLabel} ${found.paste}`;
    pasted.hidden = !found.paste;
    isBusy = found.is_busy;
    if (isBusy) look(2000);
  };
  const send = async () => {
    if (isBusy) return;
    isBusy = true;
    const form = document.getElementById(refresh);
    await fetch(form.action, { method: "POST", body: new FormData(form), redirect: "manual" }).catch(() => null);
    look(0);
  };
  const submit = () => {
    if (pasted.hidden) return;
    const form = document.getElementById(paste);
    form.elements.text.value = input.value;
    form.submit();
  };
  fresh.addEventListener("click", send);
  asks.addEventListener("click", submit);
  return { look, paste: submit };
}

for (const select of document.querySelectorAll("select[data-picker]")) replace(select);
