// Masks from files: any size, either polarity.

import { ask, clearMessages } from "./dialogs.js";
import { Mask, readMask, scaleBits } from "./mask.js";
import { changeHole, mayScale } from "./masking.js";
import { Unusable } from "./photos.js";
import { failed, page } from "./state.js";
import { text } from "./texts.js";

/** Above this fraction of the photo it is unclear which part is the hole: holes are rarely most of a photo. */
const UNCLEAR = 0.5;
/** Longer side of the thumbnails that show both interpretations of a mask, in pixels. */
const DRAWING_SIDE = 160;

export async function importMask(file) {
  clearMessages();
  try {
    const read = await readMask(file).catch(() => {
      throw new Unusable(text("notAPhoto", { name: file.name }));
    });
    const { width, height } = page.photo;
    const fits = read.width === width && read.height === height;
    if (!fits && !(await mayScale(read, page.photo))) return;
    let invert = false;
    if (read.fraction > UNCLEAR) {
      const dark = read.bits.map((bit) => 1 - bit);
      // The smaller part is more likely the hole.
      const answer = await ask("askPolarity", text("askPolarityText"), [
        ["dark", "askDark", drawing({ ...read, bits: dark }, "askDark")],
        ["bright", "askBright", drawing(read, "askBright")],
      ]);
      if (!answer) return;
      invert = answer === "dark";
      if (invert) read.bits = dark;
    }
    changeHole(scaleBits(read, page.mask.width, page.mask.height));
    if (fits) page.imported = { file, invert };
  } catch (error) {
    failed(error);
  }
}

/** A small drawing of a mask over the photo, with a caption. */
function drawing(read, key) {
  const scale = DRAWING_SIDE / Math.max(read.width, read.height);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(read.width * scale));
  canvas.height = Math.max(1, Math.round(read.height * scale));
  const context = canvas.getContext("2d");
  context.drawImage(page.photo.preview, 0, 0, canvas.width, canvas.height);
  const small = new Mask(canvas.width, canvas.height);
  small.write(scaleBits(read, canvas.width, canvas.height));
  context.globalAlpha = 0.7;
  context.drawImage(small.canvas, 0, 0);
  const caption = document.createElement("figcaption");
  caption.textContent = text(key);
  const figure = document.createElement("figure");
  figure.append(canvas, caption);
  return figure;
}
