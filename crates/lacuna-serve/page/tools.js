// Drawing on the canvas: by mouse, pen, fingers, and by keys.

import { ADD, ERASE } from "./mask.js";

/** Screen pixels that an arrow key moves the cursor by, and with Shift. */
const STEP = 8;
const LARGE_STEP = 48;
/** Distance from the divider within which it can be grabbed, by mouse and by finger, in screen pixels. */
const REACH = { mouse: 10, pen: 16, touch: 24 };

/** The tools by name. */
const TOOLS = {
  brush: { shape: "brush", effect: ADD },
  eraser: { shape: "brush", effect: ERASE },
  rectangle: { shape: "rectangle", effect: ADD },
  "rectangle-eraser": { shape: "rectangle", effect: ERASE },
  lasso: { shape: "lasso", effect: ADD },
  "lasso-eraser": { shape: "lasso", effect: ERASE },
};

export class Tools {
  tool = TOOLS.brush;
  /** The brush's width on the screen, whatever the zoom. */
  size = 40;
  #pointers = new Map();
  #stroke = null;
  #spaceHeld = false;
  #spaceUsed = false;
  #cursor = null;
  #pen = false;
  #byKeys = false;
  /** The end of the last brush stroke, for straight lines from there, and the mask that it was drawn on. */
  #anchor = null;

  /**
   * `begin` is called before the mask changes, `end({ isCancelled, erases, byKeys })` after a stroke, `divide(fraction)` when
   * the divider is dragged, `resize(1 or -1)` when the brush shall be larger or smaller.
   */
  constructor(view, { begin, end, divide, say, isEnabled, resize }) {
    Object.assign(this, { view, begin, end, divide, say, isEnabled, resize });
    const { canvas } = view;
    canvas.addEventListener("pointerdown", (event) => this.#down(event));
    canvas.addEventListener("pointermove", (event) => this.#move(event));
    for (const kind of ["pointerup", "pointercancel"]) canvas.addEventListener(kind, (event) => this.#up(event));
    canvas.addEventListener("pointerleave", () => {
      if (!this.#byKeys) this.#cursor = null;
      view.draw();
    });
    canvas.addEventListener("wheel", (event) => this.#wheel(event), { passive: false });
    canvas.addEventListener("keydown", (event) => this.#key(event));
    canvas.addEventListener("blur", () => this.#lift());
    document.addEventListener("keydown", (event) => {
      if (event.code === "Space") this.#spaceHeld = true;
    });
    document.addEventListener("keyup", (event) => {
      if (event.code !== "Space") return;
      const dab = this.#spaceHeld && !this.#spaceUsed && document.activeElement === canvas;
      this.#spaceHeld = this.#spaceUsed = false;
      if (dab) this.#press(false);
    });
    view.hint = (context, scale) => this.#hint(context, scale);
  }

  choose(name) {
    this.cancel();
    this.tool = TOOLS[name];
    this.view.draw();
  }

  /** The brush's width in the preview's pixels. */
  get width() {
    return this.size / this.view.scale;
  }

  /** Ends the current stroke and leaves the mask as it was before it. */
  cancel() {
    const stroke = this.#stroke;
    this.#stroke = null;
    this.#pen = false;
    this.view.drawing = false;
    if (stroke?.drawn) this.end({ isCancelled: true });
    this.view.draw();
  }

  #at(event) {
    const box = this.view.canvas.getBoundingClientRect();
    return { x: event.clientX - box.left, y: event.clientY - box.top };
  }

  // Pointers.

  #down(event) {
    if (!this.isEnabled()) return;
    this.view.canvas.setPointerCapture(event.pointerId);
    this.#pointers.set(event.pointerId, this.#at(event));
    this.#byKeys = false;
    if (this.#pointers.size === 2) return this.#startPinch();
    if (this.#pointers.size > 2) return;
    if (event.button === 1 || this.#spaceHeld) {
      this.#spaceUsed = true;
      this.#stroke = { kind: "pan" };
      event.preventDefault();
    } else if (event.button === 0 && this.#isAtDivider(event)) {
      this.#stroke = { kind: "divider" };
    } else if (event.button === 0) {
      this.#start(this.view.toPhoto(this.#at(event)), event);
    }
  }

  #isAtDivider(event) {
    return this.view.distanceToDivider(this.#at(event)) <= (REACH[event.pointerType] ?? REACH.mouse);
  }

  #startPinch() {
    // The first finger had begun to draw.
    this.cancel();
    this.#stroke = { kind: "pinch" };
  }

  #move(event) {
    const at = this.#at(event);
    const last = this.#pointers.get(event.pointerId);
    this.#cursor = this.view.toPhoto(at);
    this.view.canvas.style.cursor = this.#isAtDivider(event) || this.#stroke?.kind === "divider" ? "ew-resize" : "";
    if (!last) return this.view.draw();
    if (this.#stroke?.kind === "divider") {
      this.divide(this.#cursor.x / this.view.photo.width);
    } else if (this.#stroke?.kind === "pan") {
      this.view.move(at.x - last.x, at.y - last.y);
    } else if (this.#stroke?.kind === "pinch") {
      const other = [...this.#pointers].find(([id]) => id !== event.pointerId)?.[1] ?? last;
      const spread = (point) => Math.hypot(point.x - other.x, point.y - other.y) || 1;
      this.view.zoom(spread(at) / spread(last), { x: (at.x + other.x) / 2, y: (at.y + other.y) / 2 });
      this.view.move((at.x - last.x) / 2, (at.y - last.y) / 2);
    } else {
      if (this.#stroke?.drawn) this.#stroke.isStraight ||= event.shiftKey && this.#stroke.shape === "brush";
      for (const part of event.getCoalescedEvents?.() ?? [event]) this.#draw(this.view.toPhoto(this.#at(part)));
      this.#draw(this.#cursor);
    }
    this.#pointers.set(event.pointerId, at);
  }

  #up(event) {
    if (!this.#pointers.delete(event.pointerId)) return;
    if (this.#pointers.size > 0) return;
    if (this.#stroke?.drawn) this.#finish();
    else this.#stroke = null;
  }

  #wheel(event) {
    event.preventDefault();
    if (event.shiftKey) return this.resize(event.deltaY + event.deltaX < 0 ? 1 : -1);
    // Trackpads send small steps, wheels large ones.
    this.view.zoom(Math.exp(-event.deltaY / (event.deltaMode ? 10 : 400)), this.#at(event));
  }

  // Strokes, in the preview's pixels.

  /** Begins a stroke. With Alt it erases what would be added, and the reverse; with Shift it is a straight line. */
  #start(point, { altKey = false, shiftKey = false } = {}) {
    this.begin();
    const { shape, effect } = this.tool;
    const mask = this.view.layers.target;
    const flipped = effect === ADD ? ERASE : ADD;
    this.#stroke = { drawn: true, shape, effect: altKey ? flipped : effect, start: point, last: point, points: [point], isStraight: false };
    this.view.drawing = true;
    if (this.#isBrush) {
      const from = shiftKey && this.#anchor?.mask === mask ? this.#anchor.point : point;
      mask.line(from, point, this.width, this.#stroke.effect);
    }
    this.view.draw();
  }

  get #isBrush() {
    return this.tool.shape === "brush";
  }

  #draw(point) {
    const stroke = this.#stroke;
    if (!stroke?.drawn) return;
    // Straight lines are drawn when they end.
    if (stroke.shape === "brush" && !stroke.isStraight) {
      this.view.layers.target.line(stroke.last, point, this.width, stroke.effect);
      stroke.start = point;
    } else if (stroke.shape === "lasso") {
      stroke.points.push(point);
    }
    stroke.last = point;
    this.view.draw();
  }

  #finish() {
    const stroke = this.#stroke;
    if (!stroke?.drawn) return;
    const mask = this.view.layers.target;
    const { shape, effect, start, last } = stroke;
    if (shape === "brush") {
      if (stroke.isStraight) mask.line(start, last, this.width, effect);
      this.#anchor = { point: last, mask };
    } else if (shape === "rectangle") {
      mask.rectangle(start, last, effect);
    } else {
      mask.polygon(stroke.points, effect);
    }
    this.#stroke = null;
    this.view.drawing = false;
    this.end({ isCancelled: false, erases: effect === ERASE, byKeys: this.#byKeys });
    this.view.draw();
  }

  // Keys.

  #key(event) {
    if (!this.isEnabled() || event.ctrlKey || event.metaKey) return;
    const arrow = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (arrow) {
      event.preventDefault();
      const step = event.shiftKey ? LARGE_STEP : STEP;
      if (event.altKey) return this.view.move(-LARGE_STEP * arrow[0], -LARGE_STEP * arrow[1]);
      const { width, height } = this.view.photo;
      const from = this.#cursor ?? { x: width / 2, y: height / 2 };
      const along = (at, direction, side) => Math.min(side, Math.max(0, at + (direction * step) / this.view.scale));
      this.#cursor = { x: along(from.x, arrow[0], width), y: along(from.y, arrow[1], height) };
      this.#byKeys = true;
      this.view.reveal(this.#cursor);
      if (this.#pen) this.#draw(this.#cursor);
      this.view.draw();
    } else if (event.key === "Enter") {
      event.preventDefault();
      this.#press(true);
    } else if (event.code === "Space") {
      event.preventDefault();
    } else if (event.key === "Escape" && this.#stroke?.drawn) {
      event.stopPropagation();
      this.cancel();
    }
  }

  /** Space and Enter at the cursor. */
  #press(enter) {
    if (!this.isEnabled()) return;
    const { width, height } = this.view.photo;
    const point = (this.#cursor ??= { x: width / 2, y: height / 2 });
    this.#byKeys = true;
    if (this.#isBrush) {
      if (this.#pen) return this.#lift();
      this.#start(point);
      if (!enter) return this.#finish();
      this.#pen = true;
      this.say("penDown");
    } else if (!this.#stroke?.drawn) {
      this.#start(point);
      this.#pen = this.tool.shape === "rectangle";
      this.say("corner");
    } else {
      this.#draw(point);
      if (this.tool.shape === "rectangle" || enter) this.#lift();
    }
  }

  #lift() {
    if (!this.#pen && !this.#byKeys) return;
    this.#pen = false;
    this.say("penUp");
    this.#finish();
  }

  // Overlays.

  #hint(context, scale) {
    const line = 1.5 / scale;
    const twice = (path) => {
      // Light on dark, so that it is visible on any photo.
      for (const [colour, width] of [["#000a", 3 * line], ["#fff", line]]) {
        context.strokeStyle = colour;
        context.lineWidth = width;
        context.beginPath();
        path();
        context.stroke();
      }
    };
    const stroke = this.#stroke;
    if (stroke?.shape === "rectangle") {
      const { start, last } = stroke;
      twice(() => context.rect(start.x, start.y, last.x - start.x, last.y - start.y));
    } else if (stroke?.isStraight) {
      twice(() => [stroke.start, stroke.last].forEach((point) => context.lineTo(point.x, point.y)));
    } else if (stroke?.shape === "lasso") {
      twice(() => stroke.points.forEach((point) => context.lineTo(point.x, point.y)));
    }
    const cursor = this.#cursor;
    if (!cursor || !this.isEnabled()) return;
    if (this.#isBrush) twice(() => context.arc(cursor.x, cursor.y, this.width / 2, 0, 2 * Math.PI));
    if (this.#byKeys || !this.#isBrush) {
      const arm = 9 / scale;
      twice(() => {
        context.moveTo(cursor.x - arm, cursor.y);
        context.lineTo(cursor.x + arm, cursor.y);
        context.moveTo(cursor.x, cursor.y - arm);
        context.lineTo(cursor.x, cursor.y + arm);
      });
    }
  }
}
