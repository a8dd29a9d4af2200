// The view: the photo under the mask, moved and scaled.

/** Zoom ranges from a tenth of the fitted size to this many screen pixels per preview pixel. */
const MOST_ZOOM = 32;
/** Margin around a fitted photo, in screen pixels. */
const MARGIN = 24;
const MASK_OPACITY = 0.55;
/** What must not be copied is pale while something else is drawn. */
const PALE_OPACITY = 0.3;
const OVERLAY_OPACITY = 0.85;
/** Size of the view relative to a rectangle that is zoomed to. */
const ROOM = 1.6;
/** Side of a square of the chequerboard under transparent parts, and of the divider's grip, in screen pixels. */
const SQUARE = 8;
const GRIP = 14;

export class View {
  scale = 1;
  x = 0;
  y = 0;
  photo = null;
  /** What is drawn on the photo. */
  layers = null;
  /** The photo before the last fill, shown left of `split` (0 to 1), or everywhere if it is 1. */
  before = null;
  split = 0;
  /** An image over the photo. */
  overlay = null;
  /** What a tool draws over everything, given the context. */
  hint = null;
  #asked = false;

  constructor(canvas) {
    this.canvas = canvas;
    this.context = canvas.getContext("2d");
    new ResizeObserver(() => this.#resize()).observe(canvas.parentElement);
  }

  #resize() {
    const { width, height } = this.canvas.parentElement.getBoundingClientRect();
    const fitted = this.#isFitted;
    this.canvas.width = Math.round(width * devicePixelRatio);
    this.canvas.height = Math.round(height * devicePixelRatio);
    [this.width, this.height] = [width, height];
    if (fitted) this.fit();
    // At once: an empty canvas would flash.
    this.#draw();
  }

  #isFitted = true;

  show(photo, layers) {
    [this.photo, this.layers] = [photo, layers];
    this.draw();
  }

  fit() {
    if (!this.photo) return this.draw();
    const { width, height } = this.photo;
    const room = (side) => Math.max(1, side - 2 * Math.min(MARGIN, side / 20));
    this.scale = Math.min(room(this.width) / width, room(this.height) / height, 4);
    this.x = (this.width - width * this.scale) / 2;
    this.y = (this.height - height * this.scale) / 2;
    this.#isFitted = true;
    this.draw();
  }

  /** Scales about a point of the screen. */
  zoom(factor, at = { x: this.width / 2, y: this.height / 2 }) {
    if (!this.photo) return;
    const fitted = Math.min(this.width / this.photo.width, this.height / this.photo.height);
    const scale = Math.min(MOST_ZOOM, Math.max(fitted / 10, this.scale * factor));
    this.x = at.x - ((at.x - this.x) * scale) / this.scale;
    this.y = at.y - ((at.y - this.y) * scale) / this.scale;
    this.scale = scale;
    this.#isFitted = false;
    this.draw();
  }

  move(dx, dy) {
    this.x += dx;
    this.y += dy;
    this.#isFitted = false;
    this.draw();
  }

  /** Zooms to a rectangle of the photo, { x, y, width, height }. */
  zoomTo({ x, y, width, height }) {
    const scale = Math.min(this.width / width, this.height / height) / ROOM;
    this.zoom(scale / this.scale);
    this.x = this.width / 2 - (x + width / 2) * this.scale;
    this.y = this.height / 2 - (y + height / 2) * this.scale;
    this.draw();
  }

  /** Distance of a screen point from the divider, in screen pixels; Infinity without a divider. */
  distanceToDivider({ x, y }) {
    if (!this.photo || !this.before || this.split <= 0 || this.split >= 1) return Infinity;
    const at = this.toPhoto({ x, y });
    if (at.y < 0 || at.y > this.photo.height) return Infinity;
    return Math.abs(at.x - this.split * this.photo.width) * this.scale;
  }

  /** Moves so that a point of the photo is on the screen. */
  reveal(point) {
    const screen = this.toScreen(point);
    const beyond = (at, side) => (at < MARGIN ? MARGIN - at : at > side - MARGIN ? side - MARGIN - at : 0);
    const [dx, dy] = [beyond(screen.x, this.width), beyond(screen.y, this.height)];
    if (dx || dy) this.move(dx, dy);
  }

  /** From the screen, relative to the canvas, to the preview's pixels. */
  toPhoto({ x, y }) {
    return { x: (x - this.x) / this.scale, y: (y - this.y) / this.scale };
  }

  toScreen({ x, y }) {
    return { x: x * this.scale + this.x, y: y * this.scale + this.y };
  }

  /** Draws before the next frame. */
  draw() {
    if (this.#asked) return;
    this.#asked = true;
    requestAnimationFrame(() => this.#draw());
  }

  #draw() {
    this.#asked = false;
    const { context, canvas, photo } = this;
    context.setTransform(1, 0, 0, 1, 0, 0);
    context.clearRect(0, 0, canvas.width, canvas.height);
    if (!photo) return;
    const scale = this.scale * devicePixelRatio;
    context.setTransform(scale, 0, 0, scale, this.x * devicePixelRatio, this.y * devicePixelRatio);
    context.imageSmoothingEnabled = this.scale < 3;
    const { width, height } = photo;
    this.#drawChequers(width, height);
    const part = (from, to, image) => {
      if (!image || to <= from) return;
      context.save();
      context.beginPath();
      context.rect(from * width, 0, (to - from) * width, height);
      context.clip();
      context.drawImage(image, 0, 0, width, height);
      context.restore();
    };
    const split = this.before ? this.split : 0;
    part(0, split, this.before);
    part(split, 1, photo);
    if (this.overlay) {
      context.globalAlpha = OVERLAY_OPACITY;
      context.drawImage(this.overlay, 0, 0, width, height);
      context.globalAlpha = 1;
    } else if (this.layers) {
      const { hole, avoid, sketch, target, aim } = this.layers;
      // Before and after are compared without it.
      if (split === 0) this.#drawLayer(avoid, target, aim === "avoid" ? MASK_OPACITY : PALE_OPACITY);
      this.#drawLayer(hole, target, aim === "sketch" ? PALE_OPACITY : MASK_OPACITY);
      // A result is looked at without the lines that led to it.
      if (split === 0 && (aim === "sketch" || hole.masked)) this.#drawLayer(sketch, target, 1);
    }
    if (split > 0 && split < 1) this.#drawDivider(split * width, height);
    this.hint?.(context, this.scale);
  }

  #drawLayer(layer, target, opacity) {
    if (!layer.masked && !(this.drawing && layer === target)) return;
    this.context.globalAlpha = opacity;
    this.context.drawImage(layer.canvas, 0, 0);
    this.context.globalAlpha = 1;
  }

  /** The background of transparent parts. */
  #drawChequers(width, height) {
    const { context } = this;
    const pattern = context.createPattern(chequers(), "repeat");
    pattern.setTransform(new DOMMatrix().scale(1 / this.scale));
    context.fillStyle = pattern;
    context.fillRect(0, 0, width, height);
  }

  #drawDivider(x, height) {
    const { context } = this;
    const unit = 1 / this.scale;
    context.fillStyle = "#fff";
    context.strokeStyle = "#0008";
    context.lineWidth = unit;
    context.fillRect(x - unit, 0, 2 * unit, height);
    context.beginPath();
    context.arc(x, height / 2, GRIP * unit, 0, 2 * Math.PI);
    context.fill();
    context.stroke();
    context.strokeStyle = "#1d2321";
    context.lineWidth = 2 * unit;
    context.beginPath();
    for (const side of [-1, 1]) {
      context.moveTo(x + side * 4 * unit, height / 2 - 4 * unit);
      context.lineTo(x + side * 8 * unit, height / 2);
      context.lineTo(x + side * 4 * unit, height / 2 + 4 * unit);
    }
    context.stroke();
  }
}

let tile = null;

/** A tile of the chequerboard. */
function chequers() {
  if (tile) return tile;
  tile = new OffscreenCanvas(2 * SQUARE, 2 * SQUARE);
  const context = tile.getContext("2d");
  for (const [x, y] of [[0, 0], [1, 0], [0, 1], [1, 1]]) {
    context.fillStyle = (x + y) % 2 ? "#c8c8c8" : "#f4f4f4";
    context.fillRect(x * SQUARE, y * SQUARE, SQUARE, SQUARE);
  }
  return tile;
}
