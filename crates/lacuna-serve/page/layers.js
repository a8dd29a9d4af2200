// The two layers that are drawn on a photo, with one history: the hole, and what must not be copied into it.

import { AVOID_COLOUR, Mask } from "./mask.js";

/** Undo steps that are kept; each takes one bit per pixel, half a megabyte at most. */
const STEPS = 100;

export class Layers {
  #undo = [];
  #redo = [];
  /** The redo steps from before the last change. */
  #dropped = [];

  /** Layers of a preview's size, empty or as in a packed { hole, avoid }. */
  constructor(width, height, packed) {
    this.hole = new Mask(width, height);
    this.avoid = new Mask(width, height, AVOID_COLOUR);
    /** The layer that the tools draw on. */
    this.target = this.hole;
    if (packed?.hole) this.hole.restore(packed.hole);
    if (packed?.avoid) this.avoid.restore(packed.avoid);
  }

  /** The layers at one bit per pixel, without their history. */
  packed() {
    return { hole: this.hole.snapshot(), avoid: this.avoid.masked ? this.avoid.snapshot() : null };
  }

  /** Whether the tools draw what must not be copied. */
  get isAvoiding() {
    return this.target === this.avoid;
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
