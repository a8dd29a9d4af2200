// Changes of the mask: strokes, changes of the whole, undo and redo, and the mask of the last fill.

import { compare } from "./comparing.js";
import { ask, showMessage } from "./dialogs.js";
import { hideLatent } from "./latent.js";
import { Mask, scaleBits } from "./mask.js";
import { page, settle, view } from "./state.js";
import { goTo } from "./steps.js";
import { text } from "./texts.js";
import { byId } from "./dom.js";

export function beginStroke() {
  compare(0);
  hideLatent();
  page.mask.remember();
}

export function endStroke(wasCancelled) {
  if (wasCancelled) page.mask.revert();
  else page.imported = null;
  page.mask.settle();
  settle();
}

/** Changes the whole mask as a step that can be undone. */
export function change(how) {
  hideLatent();
  page.mask.remember();
  how();
  page.imported = null;
  view.draw();
  settle();
}

export function undo() {
  if (!byId("undo").disabled) step(page.mask.undo(), page.current - 1);
}

export function redo() {
  if (!byId("redo").disabled) step(page.mask.redo(), page.current + 1);
}

/** Shows the mask if it changed, or else another step. */
function step(changed, otherwise) {
  if (!changed) return goTo(otherwise);
  page.imported = null;
  view.draw();
  settle();
}

/**
 * The current hole: { width, height, drawn, file, fields } with the photo's size, the drawn mask, and the mask file with its
 * form fields for the server. It is a snapshot: further drawing does not change it.
 */
export async function drawnHole() {
  const { imported, mask, photo } = page;
  const { width, height } = photo;
  const drawn = { width: mask.width, height: mask.height, packed: mask.packed() };
  if (imported?.isAlpha) return { width, height, drawn, file: null, fields: { mask_from: "alpha" } };
  if (imported) return { width, height, drawn, file: imported.file, fields: { threshold: 127, invert: imported.invert } };
  return { width, height, drawn, file: await mask.file(width, height), fields: {} };
}

/** Masks what is transparent in the photo, which is opaque once it is filled. */
export function maskTransparent() {
  const { mask, photo } = page;
  const drawing = new OffscreenCanvas(mask.width, mask.height).getContext("2d");
  drawing.drawImage(photo.preview, 0, 0, mask.width, mask.height);
  const { data } = drawing.getImageData(0, 0, mask.width, mask.height);
  const bits = new Uint8Array(mask.width * mask.height).map((_, i) => Number(data[4 * i + 3] < 255));
  if (!bits.includes(1)) return showMessage(text("nothingTransparent"));
  change(() => mask.write(bits));
  page.imported = { isAlpha: true };
}

/** The mask of a hole, as it was drawn. */
export function maskOf({ drawn }) {
  return Mask.unpacked(drawn.width, drawn.height, drawn.packed);
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
  change(() => page.mask.write(scaleBits({ width, height, bits: maskOf(lastHole).read() }, page.mask.width, page.mask.height)));
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
