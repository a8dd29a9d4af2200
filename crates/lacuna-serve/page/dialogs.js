// Questions and messages.

import { byId } from "./dom.js";
import { text } from "./texts.js";

/** Milliseconds for which a message that is not an error is shown. */
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

/** Asks for the token; resolves to it, or to null. `wrong` is the token that the server refused, if one was sent. */
export async function askForToken(wrong) {
  byId("token").value = "";
  byId("token-wrong").textContent = wrong ? text("tokenWrong") : "";
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

/** Shows a message, of kind "note" or "error"; errors stay until they are closed. */
export function showMessage(message, kind = "note") {
  const box = document.createElement("div");
  box.className = `message ${kind}`;
  const words = document.createElement("p");
  words.textContent = message;
  const close = document.createElement("button");
  Object.assign(close, { textContent: "×", className: "icon" });
  close.setAttribute("aria-label", text("close"));
  close.addEventListener("click", () => box.remove());
  box.append(words, close);
  // One at a time: only the newest message matters.
  byId("messages").replaceChildren(box);
  if (kind === "note") setTimeout(() => box.remove(), SHOWN_FOR);
}

export function clearMessages() {
  byId("messages").replaceChildren();
}

/** Announces a text to screen readers only. */
export function say(message) {
  byId("live").textContent = message;
}
