/* What every page gains from script: dialogs instead of pages that ask, toasts that close, menus that close, the current tab in view.
   Everything here works without it. */

const here = document.querySelector(".side [aria-current]");
if (here && here.closest(".side").scrollWidth > innerWidth) here.scrollIntoView({ inline: "center", block: "nearest" });

for (const box of document.querySelectorAll("input[data-mixed]")) box.indeterminate = true;

/* A link with data-ask leads to a page with one form.ask; it opens as a dialog, and focus comes back when it closes. */
async function ask(link) {
  const answer = await fetch(link.href, { headers: { "X-Requested-With": "fetch" } });
  const form = answer.ok && !answer.redirected && new DOMParser().parseFromString(await answer.text(), "text/html").querySelector("form.ask");
  if (!form) return location.assign(link.href);
  const dialog = document.createElement("dialog");
  dialog.className = "dialog";
  form.classList.remove("card");
  dialog.setAttribute("aria-labelledby", form.getAttribute("aria-labelledby"));
  dialog.append(document.adoptNode(form));
  document.body.append(dialog);
  dialog.addEventListener("close", () => { dialog.remove(); link.focus(); });
  dialog.addEventListener("click", (event) => {
    if (event.target === dialog || event.target.closest("[data-close]")) { event.preventDefault(); dialog.close(); }
  });
  dialog.showModal();
}

document.addEventListener("click", (event) => {
  const link = event.target.closest("a[data-ask]");
  if (link && !event.ctrlKey && !event.metaKey && !event.shiftKey) { event.preventDefault(); ask(link); }
  for (const menu of document.querySelectorAll("details.menu[open]")) if (!menu.contains(event.target)) menu.open = false;
});

document.addEventListener("keydown", (event) => {
  const menu = event.key === "Escape" && document.querySelector("details.menu[open]");
  if (menu) { menu.open = false; menu.querySelector("summary").focus(); }
});

/* A toast stays until it is closed, or 20 s after the last pointer or focus was on it. */
export function watchToast(toast) {
  let timer;
  const wait = () => { clearTimeout(timer); timer = setTimeout(() => toast.remove(), 20000); };
  const close = toast.querySelector("[data-toast-close]");
  close.hidden = false;
  close.addEventListener("click", () => toast.remove());
  for (const name of ["pointerenter", "focusin"]) toast.addEventListener(name, () => clearTimeout(timer));
  for (const name of ["pointerleave", "focusout"]) toast.addEventListener(name, wait);
  wait();
}
for (const toast of document.querySelectorAll("[data-toast]")) watchToast(toast);

/* data-submits: a choice submits its form at once. */
document.addEventListener("change", (event) => { if (event.target.matches("[data-submits]")) event.target.form.requestSubmit(); });

/* data-copy="#id": puts that element's text or value on the clipboard and says so. */
document.addEventListener("click", async (event) => {
  const button = event.target.closest("button[data-copy]");
  if (!button) return;
  const source = document.querySelector(button.dataset.copy);
  await navigator.clipboard.writeText(source.value ?? source.textContent.trim());
  const word = button.lastChild; // after the icon
  button.dataset.said ??= word.data;
  word.data = button.dataset.copied;
  setTimeout(() => { word.data = button.dataset.said; }, 2000);
});
for (const button of document.querySelectorAll("button[data-copy]")) button.hidden = !navigator.clipboard;

/* The theme of the profile menu changes without loading the page, so nothing that is half edited is lost. */
document.addEventListener("submit", async (event) => {
  const form = event.target.closest("form[data-theme-form]");
  if (!form) return;
  event.preventDefault();
  const chosen = event.submitter.value;
  const said = await fetch(form.action, { method: "POST", body: new FormData(form, event.submitter), redirect: "manual" });
  if (said.type !== "opaqueredirect") return location.reload();
  if (chosen === "system") delete document.documentElement.dataset.theme; else document.documentElement.dataset.theme = chosen;
  const field = document.querySelector("select#theme");
  if (field) field.value = chosen;
  for (const button of form.querySelectorAll("button")) button.setAttribute("aria-pressed", String(button.value === chosen));
});
