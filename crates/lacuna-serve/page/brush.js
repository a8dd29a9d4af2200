// The drawing tools: selection, brush size, and the effect of a finished stroke.

import { byId, onClick } from "./dom.js";
import { say } from "./dialogs.js";
import { divide } from "./comparing.js";
import { fill } from "./filling.js";
import { aim, beginStroke, endStroke } from "./masking.js";
import { onState, page, view } from "./state.js";
import { text } from "./texts.js";
import { Tools } from "./tools.js";

/** The size of the brush for lines. */
let lineSize = 5;

const tools = new Tools(view, {
  begin: beginStroke,
  end(outcome) {
    endStroke(outcome.isCancelled);
    // By keyboard a hole is drawn in many small strokes, and erasing means that the hole is not finished.
    const isWhole = !outcome.isCancelled && !outcome.erases && !outcome.byKeys;
    if (isWhole && page.layers.aim === "hole" && byId("at-once").checked && page.mask.masked > 0) fill();
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

/** Switches between drawing on a layer, "avoid" or "sketch", and drawing the hole. */
export function toggleAim(name) {
  if (!page.canEdit || byId(name).closest(".field").hidden) return;
  cancelStroke();
  aim(page.layers.aim === name ? "hole" : name);
}

/** Lets the tools draw the hole again. */
export function aimAtHole() {
  if (!page.canEdit) return;
  cancelStroke();
  aim("hole");
}

/** The brush has a size of its own for lines: a hole is drawn broadly, a line finely. The broad size is kept, and remembered, meanwhile. */
function chooseSize() {
  const input = byId("size");
  const isLine = page.layers?.aim === "sketch";
  if (isLine === ("kept" in input.dataset)) return;
  if (isLine) {
    input.dataset.kept = input.value;
    input.value = lineSize;
  } else {
    lineSize = input.value;
    input.value = input.dataset.kept;
    delete input.dataset.kept;
  }
  sizeChanged();
}

export function connectTools() {
  for (const button of document.querySelectorAll(".tool")) {
    button.addEventListener("click", () => chooseTool(button.id.slice("tool-".length)));
  }
  byId("size").addEventListener("input", sizeChanged);
  onClick("aim-done", aimAtHole);
  onState((canEdit) => {
    const aimed = canEdit ? page.layers.aim : "hole";
    byId("aiming").hidden = aimed === "hole";
    for (const name of ["avoid", "sketch"]) {
      byId(name).setAttribute("aria-pressed", String(aimed === name));
      byId(`aiming-${name}`).hidden = aimed !== name;
    }
    chooseSize();
  });
  sizeChanged();
}
