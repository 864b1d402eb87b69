/* A <select data-picker> becomes a button and a list that can be searched, in groups, each entry with a note. Its value and its form
   stay the select's. https://www.w3.org/WAI/ARIA/apg/patterns/combobox/ */

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
const named = (option) => {
  const span = make("span", {}, option.dataset.main);
  if (option.dataset.more) span.append(" ", make("span", { class: "faint" }, option.dataset.more));
  return span;
};

function replace(select) {
  const id = select.id, label = document.querySelector(`label[for="${id}"]`), field = select.closest(".field");
  const current = select.selectedOptions[0];
  const value = named(current);
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
  const listId = `${select.id}-list`;
  const input = make("input", { class: "input", type: "search", role: "combobox", "aria-expanded": "true", "aria-controls": listId, "aria-autocomplete": "list",
    "aria-label": select.dataset.find, placeholder: select.dataset.find, autocomplete: "off" });
  const list = make("div", { class: "options", id: listId, role: "listbox", "aria-label": field.querySelector(".label").textContent, tabindex: "-1" });
  const none = make("p", { class: "popover-foot", hidden: "" }, select.dataset.none);
  const popover = make("div", { class: "popover" }, make("div", { class: "finder" }, icon("search"), input), list, none);
  const items = [];
  [...select.querySelectorAll("optgroup")].forEach((group, g) => {
    const name = make("li", { class: "group-name", id: `${listId}-g${g}`, role: "presentation" }, group.label);
    const box = make("ul", { role: "group", "aria-labelledby": name.id }, name);
    for (const option of group.querySelectorAll("option:not([data-foot])")) {
      const item = make("li", { class: "option", role: "option", id: `${listId}-${items.length}`, "aria-selected": String(option.selected) },
        icon(group.dataset.icon), named(option), make("small", {}, option.dataset.note));
      items.push({ item, option, box, key: `${option.dataset.main} ${option.dataset.more}`.toLocaleLowerCase() });
      box.append(item);
    }
    list.append(box);
  });
  const foot = select.querySelector("option[data-foot]");
  if (foot) popover.append(make("div", { class: "popover-foot" }, make("a", { class: "textlink", href: foot.dataset.foot, "data-ask": "" }, icon("plus"), foot.textContent)));

  let active = items.find(({ option }) => option.selected) ?? items[0];
  const activate = (entry) => {
    active?.item.classList.remove("active");
    active = entry;
    if (!entry) return input.removeAttribute("aria-activedescendant");
    entry.item.classList.add("active");
    input.setAttribute("aria-activedescendant", entry.item.id);
    entry.item.scrollIntoView({ block: "nearest" });
  };
  const close = (isBack) => {
    document.removeEventListener("pointerdown", outside);
    popover.remove();
    button.setAttribute("aria-expanded", "false");
    if (isBack) button.focus();
  };
  const outside = (event) => { if (!popover.contains(event.target) && !button.contains(event.target)) close(false); };
  const choose = ({ option }) => {
    close(true);
    if (option.selected) return;
    select.value = option.value;
    select.dispatchEvent(new Event("change", { bubbles: true }));
  };
  const fitting = () => items.filter(({ item }) => !item.hidden);

  input.addEventListener("input", () => {
    const needle = input.value.trim().toLocaleLowerCase();
    for (const { item, key } of items) item.hidden = !key.includes(needle);
    for (const box of new Set(items.map(({ box }) => box))) box.hidden = !box.querySelector(".option:not([hidden])");
    none.hidden = fitting().length > 0;
    activate(fitting()[0]);
  });
  popover.addEventListener("keydown", (event) => {
    const rows = fitting(), here = rows.indexOf(active);
    if (event.key === "Escape") { event.preventDefault(); close(true); }
    else if (event.key === "ArrowDown" || event.key === "ArrowUp") {
      event.preventDefault();
      activate(rows.at((here + (event.key === "ArrowDown" ? 1 : -1)) % rows.length));
    } else if (event.key === "Enter" && event.target === input) { event.preventDefault(); if (active) choose(active); }
  });
  popover.addEventListener("focusout", (event) => { if (event.relatedTarget && !popover.contains(event.relatedTarget) && event.relatedTarget !== button) close(false); });
  list.addEventListener("click", (event) => { const found = items.find(({ item }) => item.contains(event.target)); if (found) choose(found); });
  document.addEventListener("pointerdown", outside);
  button.setAttribute("aria-expanded", "true");
  button.after(popover);
  input.focus();
  activate(active);
}

for (const select of document.querySelectorAll("select[data-picker]")) replace(select);
