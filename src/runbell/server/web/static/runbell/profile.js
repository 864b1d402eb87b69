/* The profile page: the time in the chosen zone, and the zone of this browser on offer. */

import { areKeysOn, setKeys } from "./keys.js";

const zone = document.querySelector("#zone");
const clock = document.querySelector("[data-clock]");
const offer = document.querySelector("[data-browser-zone]");
const own = Intl.DateTimeFormat().resolvedOptions().timeZone;

function tell() {
  offer.hidden = !own || own === zone.value;
  try {
    clock.textContent = new Intl.DateTimeFormat("en-GB", { timeZone: zone.value, hour: "2-digit", minute: "2-digit" }).format();
  } catch {
    clock.textContent = "…"; // a name that is not whole yet
  }
}

offer.querySelector("span").textContent = own;
offer.addEventListener("click", () => { zone.value = own; tell(); zone.focus(); });
zone.addEventListener("input", tell);
setInterval(tell, 10000);
tell();

const keys = document.querySelector("[data-keys]");
keys.hidden = false;
keys.querySelector("input").checked = areKeysOn();
keys.addEventListener("change", (event) => setKeys(event.target.checked));
