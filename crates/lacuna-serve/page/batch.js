// Batches: fills many photos, one after another, into a ZIP file.

import * as api from "./api.js";
import { check } from "./choices.js";
import { byId, onClick } from "./dom.js";
import { words } from "./failures.js";
import { save, Zip } from "./files.js";
import { Mask, readMask, scaleBits } from "./mask.js";
import { maskOf } from "./masking.js";
import { listNotes } from "./notes.js";
import { load, Unusable } from "./photos.js";
import { text } from "./texts.js";

/** LaMa's rule, as in crates/lacuna/src/pairs.rs: the photo's name stands before the last `_mask`, as in NAME_mask000.png. */
const MASK_NAME = /^(.+)_mask/s;

/** The batch shows no progress within a photo. */
const UNWATCHED = { sent() {}, received() {}, job() {} };

const choice = () => document.querySelector("input[name=batch-mask]:checked").value;

const stem = (name) => name.replace(/\.[^.]+$/, "");

export class Batch {
  #photos = [];
  #own = new Map();
  #file = null;
  #running = null;
  /** Whether masks of other sizes may be scaled, after the user was asked. */
  #mayScale = null;

  /** `page` provides settings and limits, retries while the server is busy, and knows the current or last hole. */
  constructor(page) {
    this.page = page;
    onClick("batch-start", () => this.#run());
    onClick("batch-cancel", () => (this.#running ? this.#running.abort() : byId("batch-dialog").close()));
    byId("batch-dialog").addEventListener("close", () => this.#running?.abort());
    onClick("batch-mask", () => byId("batch-mask-input").click());
    byId("batch-mask-input").addEventListener("change", (event) => {
      [this.#file] = event.target.files;
      if (!this.#file) return;
      byId("batch-file").checked = true;
      byId("batch-mask").textContent = this.#file.name;
      choicesChanged();
    });
    for (const id of ["batch-own", "batch-current", "batch-file", "batch-anchor"]) byId(id).addEventListener("change", choicesChanged);
  }

  /** Shows a summary of the batch. */
  open(files) {
    this.#own.clear();
    this.#photos = [];
    for (const file of files) {
      const name = MASK_NAME.exec(stem(file.name))?.[1];
      if (name) this.#own.set(name, file);
      else this.#photos.push(file);
    }
    byId("batch-summary").textContent = text("batchSummary", { photos: this.#photos.length, masks: this.#own.size });
    const hasHole = this.page.hasHole();
    byId("batch-current").disabled = !hasHole;
    byId(this.#own.size || !hasHole ? "batch-own" : "batch-current").checked = true;
    choicesChanged();
    byId("batch-progress").value = 0;
    byId("batch-list").replaceChildren(...this.#photos.map((file) => {
      const item = document.createElement("li");
      const [name, state] = [document.createElement("span"), document.createElement("span")];
      name.textContent = file.name;
      state.textContent = text("batchWaiting");
      item.append(name, state);
      return item;
    }));
    byId("batch-start").disabled = this.#photos.length === 0;
    byId("batch-dialog").showModal();
  }

  async #run() {
    if (!check()) return byId("batch-dialog").close();
    this.#running = new AbortController();
    const { signal } = this.#running;
    byId("batch-start").disabled = true;
    byId("batch-cancel").textContent = text("cancel");
    const zip = new Zip();
    this.#mayScale = null;
    try {
      for (const [index, file] of this.#photos.entries()) {
        const line = byId("batch-list").children[index];
        const state = line.lastElementChild;
        state.textContent = text("batchRunning");
        line.querySelector("ul")?.remove();
        line.scrollIntoView({ block: "nearest" });
        try {
          const filled = await this.#fill(file, signal);
          if (!filled) {
            state.textContent = text("batchNoMask");
          } else if (zip.fits(filled.file.size)) {
            await zip.add(filled.file);
            state.textContent = text("batchDone");
            if (filled.notes.length) state.before(listNotes(filled.notes, document.createElement("ul")));
          } else {
            throw new Unusable(text("batchTooLarge"));
          }
        } catch (error) {
          if (signal.aborted) throw error;
          state.textContent = words(error);
        }
        byId("batch-progress").value = (index + 1) / this.#photos.length;
      }
    } catch {
      // Cancelled: finished photos are kept.
    }
    byId("batch-summary").textContent = text("batchFinished", { done: zip.count, all: this.#photos.length });
    if (zip.count) save(zip.finish());
    this.#running = null;
    byId("batch-start").disabled = false;
    byId("batch-cancel").textContent = text("close");
  }

  /** Fills one photo; null if it has no mask, or its mask must not be scaled. */
  async #fill(file, signal) {
    const photo = await load(file, this.page.limits(), { signal });
    const masks = { own: () => this.#ownMask(photo), current: () => this.#currentMask(photo), file: () => this.#maskFile(photo) };
    const mask = await masks[choice()]();
    if (!mask) return null;
    const settings = { ...this.page.settings(), ...mask.fields };
    return this.page.patiently(signal, () => api.fill(file, mask.file, settings, UNWATCHED, signal));
  }

  /** The mask beside a photo. */
  async #ownMask(photo) {
    const file = this.#own.get(stem(photo.file.name));
    if (!file) return null;
    const read = await readMask(file);
    if (isSize(read, photo)) return { file, fields: FILE_FIELDS };
    return (await this.#maskMayScale(read, photo)) ? stretched(read, photo) : null;
  }

  /** The drawn mask or the last one, for each photo. */
  async #currentMask(photo) {
    const hole = await this.page.currentHole();
    if (isSize(hole, photo) && hole.file) return hole;
    if (!byId("batch-anchor").value) return { file: await maskOf(hole).file(photo.width, photo.height), fields: {} };
    const [file, fields] = hole.file ? [hole.file, hole.fields] : [await maskOf(hole).file(hole.width, hole.height), {}];
    return { file, fields: { ...fields, ...anchor() } };
  }

  /** The mask file for all photos. */
  async #maskFile(photo) {
    const file = this.#file;
    if (!file) return null;
    if (byId("batch-anchor").value) return { file, fields: { ...FILE_FIELDS, ...anchor() } };
    const read = await readMask(file);
    return isSize(read, photo) ? { file, fields: FILE_FIELDS } : stretched(read, photo);
  }

  /** Asks once whether masks of other sizes may be scaled. */
  async #maskMayScale(size, photo) {
    this.#mayScale ??= await this.page.mayScale(size, photo);
    return this.#mayScale;
  }
}

/** How the server reads mask files: as the page does. */
const FILE_FIELDS = { threshold: 127, invert: false };

function isSize(one, other) {
  return one.width === other.width && one.height === other.height;
}

/** A mask as large as a photo. */
async function stretched(read, { width, height }) {
  const mask = new Mask(width, height);
  mask.write(scaleBits(read, width, height));
  return { file: await mask.file(width, height), fields: {} };
}

/** The form fields of the chosen place. */
function anchor() {
  return { anchor: byId("batch-anchor").value, anchor_scale: byId("batch-scale").value };
}

/** One mask for photos of many sizes needs a place; a mask for each photo does not. */
function choicesChanged() {
  byId("batch-fit").hidden = choice() === "own";
  byId("batch-scale-field").hidden = byId("batch-anchor").value === "";
}
