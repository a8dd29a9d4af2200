// The drawing tools: selection, brush size, and the effect of a finished stroke.

import { byId, onClick } from "./dom.js";
import { say } from "./dialogs.js";
import { divide } from "./comparing.js";
import { fill } from "./filling.js";
import { avoiding, beginStroke, endStroke } from "./masking.js";
import { onState, page, view } from "./state.js";
import { text } from "./texts.js";
import { Tools } from "./tools.js";

const tools = new Tools(view, {
  begin: beginStroke,
  end(outcome) {
    endStroke(outcome.isCancelled);
    // By keyboard a hole is drawn in many small strokes, and erasing means that the hole is not finished.
    const isWhole = !outcome.isCancelled && !outcome.erases && !outcome.byKeys;
    if (isWhole && !page.layers.isAvoiding && byId("at-once").checked && page.mask.masked > 0) fill();
  },
  divide,
  say: (key) => say(text(key)),
  isEnabled: () => page.canEdit,
  resize: changeSize,
});

export function cancelStroke() {
  tools.cancel();
}

export function chooseTool(name) {
  tools.choose(name);
  for (const button of document.querySelectorAll(".tool")) {
    button.setAttribute("aria-pressed", String(button.id === `tool-${name}`));
  }
}

/** Makes the brush larger (1) or smaller (-1). */
export function changeSize(direction) {
  const input = byId("size");
  input.value = Math.round(input.value * (direction > 0 ? 1.15 : 1 / 1.15) + direction);
  sizeChanged();
}

function sizeChanged() {
  tools.size = Number(byId("size").value);
  byId("size-value").textContent = tools.size;
  view.draw();
}

/** Switches between drawing the hole and drawing what must not be copied. */
export function toggleAvoiding() {
  if (!page.canEdit) return;
  cancelStroke();
  avoiding(!page.layers.isAvoiding);
}

export function connectTools() {
  for (const button of document.querySelectorAll(".tool")) {
    button.addEventListener("click", () => chooseTool(button.id.slice("tool-".length)));
  }
  byId("size").addEventListener("input", sizeChanged);
  onClick("avoid-done", toggleAvoiding);
  onState((canEdit) => {
    const isAvoiding = Boolean(canEdit && page.layers.isAvoiding);
    byId("avoiding").hidden = !isAvoiding;
    byId("avoid").setAttribute("aria-pressed", String(isAvoiding));
  });
  sizeChanged();
}
