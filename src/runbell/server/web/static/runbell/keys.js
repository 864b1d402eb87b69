/* Shortcuts of a single key can be switched off on the profile page, for people whose speech or hands press keys by accident
   (https://www.w3.org/TR/WCAG22/#character-key-shortcuts). Kept in this browser, where the keyboard is. */

const KEY = "runbell:keys";

export const areKeysOn = () => localStorage.getItem(KEY) !== "off";

export function setKeys(isOn) {
  localStorage.setItem(KEY, isOn ? "on" : "off");
  show();
}

function show() { document.documentElement.classList.toggle("no-keys", !areKeysOn()); }

show();
