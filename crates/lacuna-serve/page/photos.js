// Photos: files as they came, and previews that the canvas can show.

import * as api from "./api.js";
import { Problem } from "./api.js";
import { text } from "./texts.js";

/** Longer side of what is shown; the server gets the file itself. */
const PREVIEW_SIDE = 2048;
const THUMBNAIL_SIDE = 128;

/** What is wrong with a file, in the page's language. */
export class Unusable extends Error {}

/** Decodes a file for the screen: { file, width, height, preview }. */
export async function load(file, limits, signal) {
  if (limits && file.size > limits.body_bytes) {
    throw new Unusable(text("tooManyBytes", { name: file.name, bytes: file.size, most: limits.body_bytes }));
  }
  let [bitmap, width, height] = [await decode(file), 0, 0];
  if (bitmap) {
    ({ width, height } = bitmap);
  } else {
    // TIFF and others that browsers cannot show.
    try {
      const drawn = await api.preview(file, PREVIEW_SIDE, signal);
      ({ width, height } = drawn);
      bitmap = await decode(drawn.blob);
    } catch (error) {
      if (error instanceof Problem && error.code === "image-invalid") throw new Unusable(`${text("notAPhoto", { name: file.name })}: ${error.message}`);
      throw error;
    }
  }
  if (!bitmap) throw new Unusable(text("notAPhoto", { name: file.name }));
  if (limits && (width * height > limits.pixels || Math.max(width, height) > limits.side)) {
    bitmap.close();
    throw new Unusable(text("tooManyPixels", { name: file.name, width, height, most: limits.pixels, side: limits.side }));
  }
  const preview = shrink(bitmap, PREVIEW_SIDE);
  bitmap.close();
  return { file, width, height, preview };
}

async function decode(blob) {
  try {
    return await createImageBitmap(blob, { imageOrientation: "from-image" });
  } catch {
    return null;
  }
}

/** A canvas with a picture of at most so many pixels on the longer side. */
function shrink(picture, side) {
  const scale = Math.min(1, side / Math.max(picture.width, picture.height));
  const size = (pixels) => Math.max(1, Math.round(pixels * scale));
  const canvas = new OffscreenCanvas(size(picture.width), size(picture.height));
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(picture, 0, 0, canvas.width, canvas.height);
  return canvas;
}

/** A small picture of a photo, as a canvas for the page. */
export function thumbnail(photo) {
  const small = shrink(photo.preview, THUMBNAIL_SIDE);
  const canvas = document.createElement("canvas");
  [canvas.width, canvas.height] = [small.width, small.height];
  canvas.getContext("2d").drawImage(small, 0, 0);
  return canvas;
}

/** The whole photo as a PNG file, which is what clipboards take. */
export async function asPng(photo) {
  const bitmap = (await decode(photo.file)) ?? photo.preview;
  const canvas = new OffscreenCanvas(bitmap.width, bitmap.height);
  canvas.getContext("2d").drawImage(bitmap, 0, 0);
  return canvas.convertToBlob({ type: "image/png" });
}
