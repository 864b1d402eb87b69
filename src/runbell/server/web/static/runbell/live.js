/* Follows what happens without a reload. One element has data-live and data-etag; what is inside is compared with what the server
   sends and changed where it differs, so focus, open menus and selections stay. Nothing is asked while the tab is hidden.

   data-every on the first child says how often to ask, in seconds; without it there is nothing more to follow. data-url: whom to ask,
   when it is not the page's own address. */

import { areKeysOn } from "./keys.js";

const LONGEST = 120;
const root = document.querySelector("[data-live]");
const said = document.querySelector("[data-live-said]");
let timer, failures = 0, asked = Date.now(), isAsking = false, isBehind = false;

const every = () => Number(root.firstElementChild?.dataset.every || 0);

function plan() {
  clearTimeout(timer);
  if (document.hidden || !every() || root.dataset.state === "out") return;
  const wait = Math.min(every() * 2 ** failures, LONGEST) * (0.9 + Math.random() * 0.2);  // not all tabs at once
  timer = setTimeout(look, Math.max(wait * 1000 - (Date.now() - asked), 0));
}

function look() {
  if (isAsking) { isBehind = true; return; }
  isBehind = false;
  isAsking = true;
  asked = Date.now();
  htmx.trigger(root, "look");
}

root.addEventListener("htmx:configRequest", ({ detail }) => {
  detail.path = root.dataset.url || location.pathname + location.search;
  if (root.dataset.etag) detail.headers["If-None-Match"] = root.dataset.etag;
});

/* 304: nothing new. Without an ETag it is another page: signed out, or not ours any more. */
root.addEventListener("htmx:beforeSwap", ({ detail }) => {
  const etag = detail.xhr.getResponseHeader("ETag");
  detail.shouldSwap = detail.xhr.status === 200 && Boolean(etag);
  if (detail.shouldSwap) root.dataset.etag = etag;
});

root.addEventListener("htmx:afterRequest", ({ detail: { xhr } }) => {
  isAsking = false;
  const status = xhr.status;
  const isOut = (status === 200 && !xhr.getResponseHeader("ETag")) || (status >= 400 && status < 500 && status !== 429);
  failures = status === 200 || status === 304 ? 0 : failures + 1;
  root.dataset.state = isOut ? "out" : failures > 1 ? "lost" : "on";
  if (isBehind) look(); else plan();
});

document.addEventListener("visibilitychange", plan);

document.addEventListener("keydown", (event) => {
  const finder = event.key === "/" && areKeysOn() && !event.ctrlKey && !event.metaKey && !event.altKey && root.querySelector("input[data-find]");
  if (finder && !event.target.closest("input, textarea, select, [contenteditable], dialog")) { event.preventDefault(); finder.select(); }
});

htmx.defineExtension("live", {
  isInlineSwap: () => true,
  handleSwap(style, target, fragment) {
    const before = headline();
    renewChildren(root, fragment);
    if (said && headline() !== before) said.textContent = headline();
    return [];
  },
});

const headline = () => root.querySelector("h1")?.textContent.trim();

/* Makes `old` like `fresh`, and leaves alone what is alike. A <details> stays as the reader left it. */
function renew(old, fresh) {
  if (old.isEqualNode(fresh)) return;
  if (old.nodeType !== Node.ELEMENT_NODE) { old.nodeValue = fresh.nodeValue; return; }
  for (const { name, value } of fresh.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  for (const { name } of [...old.attributes]) if (!fresh.hasAttribute(name) && name !== "open") old.removeAttribute(name);
  renewChildren(old, fresh);
}

/* Children with an id are found by it wherever they moved; others by their place and kind. */
function renewChildren(old, fresh) {
  const named = new Map([...old.children].filter((child) => child.id).map((child) => [child.id, child]));
  let at = old.firstChild;
  for (const node of [...fresh.childNodes]) {
    const match = node.id ? named.get(node.id) : at && !at.id && at.nodeName === node.nodeName ? at : null;
    if (!match) old.insertBefore(node, at);
    else {
      if (match === at) at = at.nextSibling; else old.insertBefore(match, at);
      renew(match, node);
    }
  }
  while (at) { const next = at.nextSibling; at.remove(); at = next; }
}

/* A search changes what is shown as one types; without script the form does the same with Enter. */
const search = root.querySelector("input[data-find]");
if (search) {
  let typing;
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => {
      const url = new URL(location);
      url.searchParams.delete("after");
      if (search.value.trim()) url.searchParams.set("q", search.value); else url.searchParams.delete("q");
      history.replaceState(null, "", url);
      look();
    }, 250);
  });
}

plan();
