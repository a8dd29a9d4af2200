// A mask: drawn at the preview's size, exported at the photo's size.

import { maskPng } from "./files.js";

/** The colours of the layers; see layers.js. They differ in brightness too. */
export const HOLE_COLOUR = "#ff2d6f";
export const AVOID_COLOUR = "#1f4fd8";
export const SKETCH_COLOUR = "#ffd60a";
/** A pixel is masked if at least half of it is covered. */
const HALF = 128;
/** Rows scaled at a time. */
const STRIP = 256;

/** What drawing does to the mask, as the canvas calls it. */
export const ADD = "source-over";
export const ERASE = "destination-out";

export class Mask {
  constructor(width, height, colour = HOLE_COLOUR) {
    this.colour = colour;
    this.width = width;
    this.height = height;
    this.canvas = new OffscreenCanvas(width, height);
    this.context = this.canvas.getContext("2d", { willReadFrequently: true });
    this.context.lineCap = this.context.lineJoin = "round";
    this.masked = 0;
  }

  // Drawing, in the preview's pixels.

  /** Adds or erases a line of a width from one point to another; a disc where they are the same. */
  line(from, to, width, effect) {
    const { context } = this;
    context.globalCompositeOperation = effect;
    context.beginPath();
    if (from.x === to.x && from.y === to.y) {
      // Browsers differ in drawing a line of zero length: some draw nothing.
      context.fillStyle = this.colour;
      context.arc(from.x, from.y, width / 2, 0, 2 * Math.PI);
      context.fill();
    } else {
      context.strokeStyle = this.colour;
      context.lineWidth = width;
      context.moveTo(from.x, from.y);
      context.lineTo(to.x, to.y);
      context.stroke();
    }
    context.globalCompositeOperation = ADD;
  }

  rectangle(one, other, effect) {
    this.context.globalCompositeOperation = effect;
    this.context.fillStyle = this.colour;
    const [x, y] = [Math.min(one.x, other.x), Math.min(one.y, other.y)];
    this.context.fillRect(x, y, Math.abs(one.x - other.x), Math.abs(one.y - other.y));
    this.context.globalCompositeOperation = ADD;
  }

  polygon(points, effect) {
    this.context.globalCompositeOperation = effect;
    this.context.fillStyle = this.colour;
    this.context.beginPath();
    for (const point of points) this.context.lineTo(point.x, point.y);
    this.context.fill();
    this.context.globalCompositeOperation = ADD;
  }

  // Whole masks.

  /** The smallest rectangle around what is masked, { x, y, width, height }; null if nothing is. */
  bounds() {
    const bits = this.read();
    let [left, top, right, bottom] = [this.width, this.height, -1, -1];
    for (let i = bits.indexOf(1); i >= 0; i = bits.indexOf(1, i + 1)) {
      const [x, y] = [i % this.width, Math.floor(i / this.width)];
      [left, right] = [Math.min(left, x), Math.max(right, x)];
      [top, bottom] = [Math.min(top, y), Math.max(bottom, y)];
    }
    return right < 0 ? null : { x: left, y: top, width: right - left + 1, height: bottom - top + 1 };
  }

  /** 0 or 1 per pixel. */
  read() {
    const { data } = this.context.getImageData(0, 0, this.width, this.height);
    const bits = new Uint8Array(this.width * this.height);
    for (let i = 0; i < bits.length; i++) bits[i] = data[4 * i + 3] >= HALF ? 1 : 0;
    return bits;
  }

  write(bits) {
    const image = this.context.createImageData(this.width, this.height);
    const pixels = new Uint32Array(image.data.buffer);
    const colour = pixelOf(this.colour);
    for (let i = 0; i < bits.length; i++) pixels[i] = bits[i] ? colour : 0;
    this.context.putImageData(image, 0, 0);
    this.masked = count(bits);
  }

  invert() {
    this.write(this.read().map((bit) => 1 - bit));
  }

  clear() {
    this.write(new Uint8Array(this.width * this.height));
  }

  /** Grows by this many pixels, or shrinks if negative. */
  grow(pixels) {
    const bits = this.read();
    const from = pixels > 0 ? 1 : 0;
    const reached = near(bits, this.width, this.height, from, Math.abs(pixels));
    this.write(bits.map((bit, i) => (reached[i] ? from : bit)));
  }

  /** The mask at one bit per pixel: { width, height, packed }. */
  snapshot() {
    return { width: this.width, height: this.height, packed: pack(this.read()) };
  }

  /** Draws a snapshot, scaled if it is of another size. */
  restore(snapshot) {
    this.write(scaleBits(unpacked(snapshot), this.width, this.height));
  }

  /** Counts masked pixels after drawing. */
  settle() {
    this.masked = count(this.read());
  }

  // Files.

  /** A PNG file of the photo's size, white where it is masked. */
  async file(width, height) {
    if (width === this.width && height === this.height) {
      const bits = this.read();
      return maskPng(width, height, (y) => bits.subarray(y * width, (y + 1) * width));
    }
    // Scaled smoothly and thresholded at half, so that edges are as smooth as on the screen, and no pixel is half masked.
    const canvas = new OffscreenCanvas(width, STRIP);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    let [top, data] = [-STRIP, null];
    return maskPng(width, height, (y) => {
      if (y >= top + STRIP) {
        top = y;
        context.clearRect(0, 0, width, STRIP);
        context.drawImage(this.canvas, 0, -top, width, height);
        data = context.getImageData(0, 0, width, STRIP).data;
      }
      const row = new Uint8Array(width);
      const start = 4 * width * (y - top) + 3;
      for (let x = 0; x < width; x++) row[x] = data[start + 4 * x] >= HALF ? 1 : 0;
      return row;
    });
  }
}

/** Reads a mask from an image file: { width, height, bits, fraction }. Bright pixels are hole, or opaque ones if some are not. */
export async function readMask(blob) {
  const bitmap = await createImageBitmap(blob, { imageOrientation: "from-image" });
  const { width, height } = bitmap;
  const context = new OffscreenCanvas(width, height).getContext("2d");
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  const { data } = context.getImageData(0, 0, width, height);
  const bits = new Uint8Array(width * height);
  let transparent = false;
  for (let i = 3; i < data.length && !transparent; i += 4) transparent = data[i] < 255;
  for (let i = 0; i < bits.length; i++) {
    const at = 4 * i;
    const grey = 0.299 * data[at] + 0.587 * data[at + 1] + 0.114 * data[at + 2];
    bits[i] = (transparent ? data[at + 3] : grey) >= HALF ? 1 : 0;
  }
  return { width, height, bits, fraction: count(bits) / bits.length };
}

/** Scales bits to another size, each pixel from the nearest. */
export function scaleBits({ width, height, bits }, toWidth, toHeight) {
  if (width === toWidth && height === toHeight) return bits;
  const scaled = new Uint8Array(toWidth * toHeight);
  for (let y = 0; y < toHeight; y++) {
    const row = Math.floor(((y + 0.5) * height) / toHeight) * width;
    for (let x = 0; x < toWidth; x++) scaled[y * toWidth + x] = bits[row + Math.floor(((x + 0.5) * width) / toWidth)];
  }
  return scaled;
}

function count(bits) {
  let sum = 0;
  for (const bit of bits) sum += bit;
  return sum;
}

function pack(bits) {
  const packed = new Uint8Array(Math.ceil(bits.length / 8));
  for (let i = 0; i < bits.length; i++) packed[i >> 3] |= bits[i] << (i & 7);
  return packed;
}

/** A snapshot's bits: { width, height, bits }. */
function unpacked({ width, height, packed }) {
  return { width, height, bits: Uint8Array.from({ length: width * height }, (_, i) => (packed[i >> 3] >> (i & 7)) & 1) };
}

/** A colour "#rrggbb", opaque, as a pixel of image data: a little-endian number. */
function pixelOf(colour) {
  const [red, green, blue] = [1, 3, 5].map((at) => parseInt(colour.slice(at, at + 2), 16));
  return ((255 << 24) | (blue << 16) | (green << 8) | red) >>> 0;
}

/** Where a pixel of value `from` is at most `reach` away: 1 there, 0 elsewhere. */
function near(bits, width, height, from, reach) {
  // Along rows first: the distance to the nearest one; a disc is then a stack of rows.
  const along = new Uint16Array(bits.length).fill(reach + 1);
  for (let y = 0; y < height; y++) {
    const row = y * width;
    for (let x = 0, far = reach + 1; x < width; x++) {
      far = bits[row + x] === from ? 0 : Math.min(far + 1, reach + 1);
      along[row + x] = far;
    }
    for (let x = width - 1, far = reach + 1; x >= 0; x--) {
      far = bits[row + x] === from ? 0 : Math.min(far + 1, reach + 1);
      if (far < along[row + x]) along[row + x] = far;
    }
  }
  const found = new Uint8Array(bits.length);
  for (let up = -reach; up <= reach; up++) {
    const half = Math.floor(Math.sqrt(reach * reach - up * up));
    const [first, last] = [Math.max(0, -up) * width, (height - Math.max(0, up)) * width];
    for (let i = first; i < last; i++) if (along[i + up * width] <= half) found[i] = 1;
  }
  return found;
}
