// Questions and messages.

import { has, text } from "./texts.js";

const byId = (id) => document.getElementById(id);

/** Milliseconds that a message stays that is no error. */
const SHOWN_FOR = 6000;

/** Asks a question; resolves to the value of the answer, or null. Answers: [value, text key, picture?]. */
export function ask(titleKey, body, answers) {
  const dialog = byId("ask-dialog");
  byId("ask-title").textContent = text(titleKey);
  byId("ask-text").textContent = body;
  byId("ask-picture").replaceChildren(...answers.map(([, , picture]) => picture).filter(Boolean));
  const buttons = [...answers, ["", "cancel"]].map(([value, key], index) => {
    const button = document.createElement("button");
    Object.assign(button, { value, textContent: text(key), className: index === 0 ? "primary" : "" });
    return button;
  });
  byId("ask-answers").replaceChildren(...buttons);
  return answer(dialog);
}

/** Asks for the token; resolves to it, or to null. */
export async function askForToken() {
  byId("token").value = "";
  const given = await answer(byId("token-dialog"));
  return given === "ok" ? byId("token").value.trim() || null : null;
}

function answer(dialog) {
  dialog.returnValue = "";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue || null), { once: true });
  });
}

/** Shows a message; errors stay until they are closed. */
export function tell(message, isError = false) {
  const box = document.createElement("div");
  box.className = isError ? "message error" : "message";
  const words = document.createElement("p");
  words.textContent = message;
  const close = document.createElement("button");
  Object.assign(close, { textContent: "×", className: "icon" });
  close.setAttribute("aria-label", text("close"));
  close.addEventListener("click", () => box.remove());
  box.append(words, close);
  // One at a time: what is told now matters.
  byId("messages").replaceChildren(box);
  if (!isError) setTimeout(() => box.remove(), SHOWN_FOR);
}

export function clearMessages() {
  byId("messages").replaceChildren();
}

/** What went wrong, in words. */
export function words(error) {
  if (error.code && has(error.code)) return error.message ? `${text(error.code)}: ${error.message}` : text(error.code);
  return error.message || String(error);
}

/** Tells screen readers alone. */
export function say(message) {
  byId("live").textContent = message;
}
