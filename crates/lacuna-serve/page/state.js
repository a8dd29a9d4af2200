// The state of the page: the open photo, its steps, its mask, and what is running.

import { say, showMessage } from "./dialogs.js";
import { byId } from "./dom.js";
import { isExpected, words } from "./failures.js";
import { text } from "./texts.js";
import { View } from "./view.js";

const root = document.documentElement;

export const view = new View(byId("canvas"));

/** Called after each change of state, with whether a photo can be edited now. */
const listeners = [];

export const page = {
  /** The document of /v1/models, once the server has sent it. */
  server: null,
  /** The steps on the way to the current photo; see steps.js. */
  steps: [],
  current: -1,
  /** What is drawn on the photo. */
  layers: null,
  /**
   * What the mask came from, until something is drawn on it: a file of the photo's size, { file, invert }, or the photo's
   * transparent parts, { isAlpha }.
   */
  imported: null,
  /** The hole of the last fill; see masking.js. */
  lastHole: null,
  /** The AbortController of what is running. */
  running: null,
  unsaved: false,

  get photo() {
    return this.steps[this.current] ?? null;
  },

  /** The layer of the hole. */
  get mask() {
    return this.layers?.hole ?? null;
  },

  get isBusy() {
    return root.dataset.state === "filling" || root.dataset.state === "opening";
  },

  get canEdit() {
    return Boolean(this.photo) && !this.isBusy;
  },
};

export function onState(listener) {
  listeners.push(listener);
}

export function setState(state) {
  root.dataset.state = state;
  const { canEdit, layers, current, steps } = page;
  for (const element of document.querySelectorAll(".needs-photo")) element.disabled = !canEdit;
  byId("undo").disabled = !canEdit || !(layers.canUndo || current > 0);
  byId("redo").disabled = !canEdit || !(layers.canRedo || current < steps.length - 1);
  for (const listener of listeners) listener(canEdit);
  describe();
}

/** Updates the derived state: what is open and shown. */
export function settle() {
  setState(!page.photo ? "empty" : view.split > 0 ? "comparing" : "ready");
}

/** Describes the canvas for screen readers. */
export function describe() {
  const { photo, layers } = page;
  if (!photo) return byId("canvas").setAttribute("aria-label", text("canvasEmpty"));
  const share = (layer) => ((100 * layer.masked) / (layer.width * layer.height)).toFixed(1);
  const { width, height } = photo;
  const label = text("canvas", { width, height, share: share(layers.hole) });
  const avoided = layers.avoid.masked ? text("canvasAvoid", { share: share(layers.avoid) }) : "";
  const sketched = layers.sketch.masked ? text("canvasSketch", { share: share(layers.sketch) }) : "";
  byId("canvas").setAttribute("aria-label", label + avoided + sketched);
}

/** Shows an error. */
export function failed(error) {
  if (error.name === "AbortError") {
    settle();
    return say(text("cancelled"));
  }
  if (!isExpected(error)) console.error(error);
  showMessage(words(error), "error");
  settle();
  root.dataset.state = "error";
}

/** Runs something that can be cancelled and that keeps the photo from being edited meanwhile. */
export async function busily(state, work) {
  page.running?.abort();
  const running = new AbortController();
  page.running = running;
  setState(state);
  try {
    return await work(running.signal);
  } finally {
    if (page.running === running) {
      page.running = null;
      if (page.isBusy) settle();
    }
  }
}

/** Shows progress: a fraction, or null if none is known, and a message. */
export function progress(fraction, message) {
  const bar = byId("progress");
  if (fraction === null) bar.removeAttribute("value");
  else bar.value = fraction;
  byId("progress-text").textContent = message;
}
