// Photos: the original files, and previews for the canvas.

import * as api from "./api.js";
import { isUsual, kindOf } from "./kinds.js";
import { amount, text } from "./texts.js";

/** Longer side of previews in pixels; the server gets the original file. */
const PREVIEW_SIDE = 2048;
const THUMBNAIL_SIDE = 128;
/** Bytes that are enough to detect the kind of a file. */
const HEAD_BYTES = 64;

/** What is wrong with a file, in the page's language. */
export class Unusable extends Error {}

/**
 * Decodes a file for the screen: { file, width, height, preview }. A file of an unusual kind is sent to the server, which alone
 * knows whether it can read it; otherwise the user would learn of a failure only after painting. `sent` receives the fraction
 * that is sent.
 */
export async function load(file, limits, { signal, sent } = {}) {
  if (limits && file.size > limits.body_bytes) {
    throw new Unusable(text("tooManyBytes", { name: file.name, size: amount.bytes(file.size), most: amount.bytes(limits.body_bytes) }));
  }
  // Results of fills (no limits) need no check.
  const mustAsk = limits !== null && !isUsual(new Uint8Array(await file.arrayBuffer()));
  let [bitmap, width, height] = [mustAsk ? null : await decode(file), 0, 0];
  if (bitmap) {
    ({ width, height } = bitmap);
  } else {
    const drawn = await askServer(file, signal, sent);
    ({ width, height } = drawn);
    bitmap = await decode(drawn.blob);
  }
  if (!bitmap) throw new Unusable(text("notAPhoto", { name: file.name }));
  if (limits && (width * height > limits.pixels || Math.max(width, height) > limits.side)) {
    bitmap.close();
    throw new Unusable(text("tooManyPixels", { name: file.name, width, height, most: amount.pixels(limits.pixels), side: limits.side }));
  }
  const preview = shrink(bitmap, PREVIEW_SIDE);
  bitmap.close();
  return { file, width, height, preview };
}

async function askServer(file, signal, sent) {
  try {
    return await api.preview(file, PREVIEW_SIDE, signal, sent);
  } catch (error) {
    if (error.code !== "image-invalid") throw error;
    console.info(error.message);
    const kind = kindOf(new Uint8Array(await file.slice(0, HEAD_BYTES).arrayBuffer()));
    throw new Unusable(kind ? text("kindNotRead", { name: file.name, kind }) : text("notAPhoto", { name: file.name }));
  }
}

async function decode(blob) {
  try {
    return await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    return null;
  }
}

/** A canvas with an image of at most this many pixels on the longer side. */
function shrink(image, side) {
  const scale = Math.min(1, side / Math.max(image.width, image.height));
  const size = (pixels) => Math.max(1, Math.round(pixels * scale));
  const canvas = new OffscreenCanvas(size(image.width), size(image.height));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(image, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** A small image of a photo. */
export function thumbnail(photo) {
  return shrink(photo.preview, THUMBNAIL_SIDE);
}

/** The whole photo as a PNG file, the format of clipboards. */
export async function asPng(photo) {
  const bitmap = (await decode(photo.file)) ?? photo.preview;
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}
