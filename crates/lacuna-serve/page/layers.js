// The layers that are drawn on a photo, with one history: the hole, what must not be copied into it, and lines to continue through it.

import { AVOID_COLOUR, Mask, SKETCH_COLOUR } from "./mask.js";

/** Undo steps that are kept; each takes one bit per pixel, half a megabyte at most. */
const STEPS = 100;

const LAYERS = ["hole", "avoid", "sketch"];

export class Layers {
  #undo = [];
  #redo = [];
  /** The redo steps from before the last change. */
  #dropped = [];

  /** Layers of a preview's size, empty or as in a packed { hole, avoid, sketch }. */
  constructor(width, height, packed) {
    this.hole = new Mask(width, height);
    this.avoid = new Mask(width, height, AVOID_COLOUR);
    this.sketch = new Mask(width, height, SKETCH_COLOUR);
    /** The layer that the tools draw on. */
    this.target = this.hole;
    for (const name of LAYERS) if (packed?.[name]) this[name].restore(packed[name]);
  }

  /** The layers at one bit per pixel, without their history. */
  packed() {
    return Object.fromEntries(LAYERS.map((name) => [name, this[name].masked ? this[name].snapshot() : null]));
  }

  /** The name of the layer that the tools draw on. */
  get aim() {
    return LAYERS.find((name) => this[name] === this.target);
  }

  /** Records a layer; called before it changes. */
  remember(layer) {
    push(this.#undo, layer);
    this.#dropped = this.#redo;
    this.#redo = [];
  }

  /** Reverts to the last record, as if nothing had changed. */
  revert() {
    const { layer, snapshot } = this.#undo.pop();
    layer.restore(snapshot);
    this.#redo = this.#dropped;
  }

  /** Takes back the last change. Returns the layer that changed; null without any. */
  undo() {
    return step(this.#undo, this.#redo);
  }

  redo() {
    return step(this.#redo, this.#undo);
  }

  get canUndo() {
    return this.#undo.length > 0;
  }

  get canRedo() {
    return this.#redo.length > 0;
  }
}

function push(records, layer) {
  records.push({ layer, snapshot: layer.snapshot() });
  if (records.length > STEPS) records.shift();
}

function step(from, to) {
  if (!from.length) return null;
  const { layer, snapshot } = from.pop();
  push(to, layer);
  layer.restore(snapshot);
  return layer;
}
