// Changes of the layers: strokes, changes of the whole, undo and redo, and the mask of the last fill.

import { compare } from "./comparing.js";
import { ask, say, showMessage } from "./dialogs.js";
import { hideLatent } from "./latent.js";
import { Mask, scaleBits } from "./mask.js";
import { page, settle, view } from "./state.js";
import { goTo } from "./steps.js";
import { text } from "./texts.js";
import { byId } from "./dom.js";

export function beginStroke() {
  compare(0);
  hideLatent();
  page.layers.remember(page.layers.target);
}

export function endStroke(wasCancelled) {
  const { layers } = page;
  if (wasCancelled) layers.revert();
  else changed(layers.target);
  layers.target.settle();
  settle();
}

/** Changes a whole layer as a step that can be undone. */
export function change(layer, how) {
  hideLatent();
  page.layers.remember(layer);
  how(layer);
  changed(layer);
  view.draw();
  settle();
}

/** Replaces the hole, and lets the tools draw on it. */
export function changeHole(bits) {
  page.layers.target = page.mask;
  change(page.mask, (mask) => mask.write(bits));
}

/** A hole that was changed is no longer that of a file. */
function changed(layer) {
  if (layer === page.mask) page.imported = null;
}

/** Lets the tools draw on a layer: the hole, "avoid" or "sketch". */
export function aim(name) {
  const { layers } = page;
  if (!layers || layers.aim === name) return;
  layers.target = layers[name];
  say(text(`${name}On`));
  view.draw();
  settle();
}

export function undo() {
  if (!byId("undo").disabled) step(page.layers.undo(), page.current - 1);
}

export function redo() {
  if (!byId("redo").disabled) step(page.layers.redo(), page.current + 1);
}

/** Shows the layer that changed, or else another step. */
function step(layer, otherwise) {
  if (!layer) return goTo(otherwise);
  changed(layer);
  view.draw();
  settle();
}

/**
 * The current hole: { width, height, drawn, avoided, sketched, file, avoid, hint, fields } with the photo's size, snapshots of the
 * layers, the mask files and the form fields for the server. Further drawing does not change it.
 */
export async function drawnHole() {
  const { imported, mask, photo } = page;
  const { width, height } = photo;
  const whole = await withDrawn({ width, height, drawn: mask.snapshot() });
  if (imported?.isAlpha) return { ...whole, file: null, fields: { mask_from: "alpha" } };
  if (imported) return { ...whole, file: imported.file, fields: { threshold: 127, invert: imported.invert } };
  return { ...whole, file: await mask.file(width, height), fields: {} };
}

/** A hole with what is drawn now as not to be copied into it, and as lines to continue through it. */
export async function withDrawn(hole) {
  const { avoid, sketch } = page.layers;
  const named = async (layer, name) => {
    if (layer.masked === 0) return { snapshot: null, file: null };
    const snapshot = layer.snapshot();
    const file = await layer.file(hole.width, hole.height);
    return { snapshot, file: new File([file], name, { type: file.type }) };
  };
  const avoided = await named(avoid, "avoid.png");
  const sketched = await named(sketch, "sketch.png");
  return { ...hole, avoided: avoided.snapshot, avoid: avoided.file, sketched: sketched.snapshot, hint: sketched.file };
}

/** Masks what is transparent in the photo, which is opaque once it is filled. */
export function maskTransparent() {
  const { mask, photo } = page;
  const drawing = new OffscreenCanvas(mask.width, mask.height).getContext("2d");
  drawing.drawImage(photo.preview, 0, 0, mask.width, mask.height);
  const { data } = drawing.getImageData(0, 0, mask.width, mask.height);
  const bits = new Uint8Array(mask.width * mask.height).map((_, i) => Number(data[4 * i + 3] < 255));
  if (!bits.includes(1)) return showMessage(text("nothingTransparent"));
  changeHole(bits);
  page.imported = { isAlpha: true };
}

/** The mask of a hole, as it was drawn. */
export function maskOf({ drawn }) {
  const mask = new Mask(drawn.width, drawn.height);
  mask.restore(drawn);
  return mask;
}

/** The hole that is drawn now, or else that of the last fill; null without any. */
export async function currentHole() {
  return page.photo && page.mask.masked > 0 ? drawnHole() : page.lastHole;
}

export function hasHole() {
  return Boolean(page.lastHole) || Boolean(page.photo && page.mask.masked > 0);
}

/** Asks whether a mask of another size may be scaled to the photo. */
export async function mayScale(size, { width, height }) {
  const values = { width: size.width, height: size.height, photoWidth: width, photoHeight: height };
  return Boolean(await ask("askScale", text("askScaleText", values), [["yes", "askScaleYes"]]));
}

/** Puts the mask of the last fill on the photo. */
export async function reuseMask() {
  const { lastHole, photo } = page;
  if (!photo) return;
  if (!lastHole) return showMessage(text("noLastMask"));
  const fits = lastHole.width === photo.width && lastHole.height === photo.height;
  if (!fits && !(await mayScale(lastHole, photo))) return;
  const { width, height } = lastHole.drawn;
  changeHole(scaleBits({ width, height, bits: maskOf(lastHole).read() }, page.mask.width, page.mask.height));
  if (fits && lastHole.fields.threshold) page.imported = { file: lastHole.file, invert: lastHole.fields.invert };
}

/** Zooms to the masked pixels, or else to those that the last fill changed. */
export function zoomToHole() {
  const { mask, photo } = page;
  if (!photo) return;
  const around = mask.masked === 0 && photo.hole ? maskOf(photo.hole) : mask;
  const bounds = around.bounds();
  if (bounds) view.zoomTo(bounds);
  else showMessage(text("nothingMasked"));
}
