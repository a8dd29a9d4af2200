// Keyboard shortcuts and the list of them.

import { aimAtHole, changeSize, chooseTool, toggleAim } from "./brush.js";
import { byId } from "./dom.js";
import { hold, release } from "./comparing.js";
import { keyOf } from "./keys.js";
import { redo, undo } from "./masking.js";
import { copy } from "./saving.js";
import { page, view } from "./state.js";
import { chooseVariant } from "./steps.js";
import { text } from "./texts.js";

const click = (id) => () => byId(id).click();

/** Keys without Ctrl; capitals are keys with Shift. */
const SINGLE_KEYS = {
  b: () => chooseTool("brush"),
  e: () => chooseTool("eraser"),
  r: () => chooseTool("rectangle"),
  R: () => chooseTool("rectangle-eraser"),
  l: () => chooseTool("lasso"),
  L: () => chooseTool("lasso-eraser"),
  i: click("invert"),
  g: click("grow"),
  G: click("shrink"),
  Delete: click("clear"),
  Backspace: click("clear"),
  m: click("mask-again"),
  n: () => toggleAim("avoid"),
  s: () => toggleAim("sketch"),
  "[": () => changeSize(-1),
  "]": () => changeSize(1),
  "+": click("zoom-in"),
  "=": click("zoom-in"),
  "-": click("zoom-out"),
  0: () => view.fit(),
  p: click("one-to-one"),
  z: click("zoom-hole"),
  f: click("fill"),
  a: click("another"),
  d: click("download"),
  o: () => byId("open-input").click(),
  c: () => hold(true),
  "?": click("show-keys"),
};

/** What the list of shortcuts shows: [text, keys]. */
const KEY_LIST = [
  ["open", "O"], ["brush", "B"], ["eraser", "E"], ["rectangle", "R"], ["rectangleEraser", "Shift + R"], ["lasso", "L"], ["lassoEraser", "Shift + L"],
  ["eraseKey", "Alt"], ["straightKey", "Shift"], ["brushSize", "[ ]  Shift + wheel"], ["invert", "I"], ["grow", "G"], ["shrink", "Shift + G"],
  ["clear", "Del"], ["maskAgain", "M"], ["avoid", "N"], ["sketch", "S"], ["undo", "Ctrl + Z"], ["redo", "Ctrl + Shift + Z"], ["fill", "F"], ["another", "A"], ["variantKeys", "1 – 9"],
  ["holdKey", "C"], ["zoomIn", "+"], ["zoomOut", "−"], ["fit", "0"], ["oneToOne", "P"], ["zoomHole", "Z"], ["download", "D"], ["copy", "Ctrl + C"],
];

export function onKeyDown(event) {
  if (event.target.closest("input:not([type=checkbox]):not([type=range]), select, textarea, dialog")) return;
  const key = keyOf(event);
  if (event.ctrlKey || event.metaKey) return withControl(event, key.toLowerCase());
  if (event.key === "Escape" && page.running) return page.running.abort();
  if (event.key === "Escape" && page.photo && page.layers.aim !== "hole") return aimAtHole();
  if (event.altKey || !byId("single-keys").checked || (event.repeat && key === "c")) return;
  const action = /^[1-9]$/.test(key) ? () => chooseVariant(Number(key)) : (SINGLE_KEYS[key] ?? SINGLE_KEYS[key.toLowerCase()]);
  if (!action) return;
  event.preventDefault();
  action();
}

function withControl(event, key) {
  if (key === "z" || key === "y") {
    event.preventDefault();
    if (key === "y" || event.shiftKey) redo();
    else undo();
  } else if (key === "c" && page.photo && !getSelection().toString()) {
    copy();
  }
}

export function onKeyUp(event) {
  if (keyOf(event).toLowerCase() === "c") release();
}

export function listKeys() {
  const entries = [...KEY_LIST.map(([key, keys]) => [text(key), keys]), [text("pan"), text("panKeys")]];
  byId("keys-list").replaceChildren(
    ...entries.flatMap(([name, keys]) => {
      const [term, definition] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      definition.textContent = keys;
      return [term, definition];
    }),
  );
}
