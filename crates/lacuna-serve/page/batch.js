// Batches: fills many photos, one after another, into a ZIP file.

import * as api from "./api.js";
import { check } from "./choices.js";
import { words } from "./dialogs.js";
import { byId, onClick } from "./dom.js";
import { save, Zip } from "./files.js";
import { Mask, readMask, scaleBits } from "./mask.js";
import { maskOf } from "./masking.js";
import { load } from "./photos.js";
import { text } from "./texts.js";

/** LaMa's rule, as in crates/lacuna/src/pairs.rs: the photo's name stands before the last `_mask`, as in NAME_mask000.png. */
const MASK_NAME = /^(.+)_mask/s;

/** The batch shows no progress within a photo. */
const UNWATCHED = { sent() {}, received() {}, job() {} };

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
    });
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
    const choice = document.querySelector("input[name=batch-mask]:checked").value;
    this.#mayScale = null;
    try {
      for (const [index, file] of this.#photos.entries()) {
        const line = byId("batch-list").children[index];
        const state = line.lastElementChild;
        state.textContent = text("batchRunning");
        line.scrollIntoView({ block: "nearest" });
        try {
          const filled = await this.#fill(file, choice, signal);
          if (!filled) {
            state.textContent = text("batchNoMask");
          } else if (zip.fits(filled.file.size)) {
            await zip.add(filled.file);
            state.textContent = text("batchDone");
          } else {
            throw new Error(text("batchTooLarge"));
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
  async #fill(file, choice, signal) {
    const photo = await load(file, this.page.limits(), { signal });
    const mask = choice === "current" ? await this.#currentMask(photo) : await this.#maskFile(photo, choice);
    if (!mask) return null;
    const settings = { ...this.page.settings(), ...mask.fields };
    return this.page.patiently(signal, () => api.fill(file, mask.file, settings, UNWATCHED, signal));
  }

  async #currentMask(photo) {
    const hole = await this.page.currentHole();
    const fits = hole.width === photo.width && hole.height === photo.height;
    if (fits && hole.file) return hole;
    if (!fits && !(await this.#maskMayScale(hole, photo))) return null;
    return { file: await maskOf(hole).file(photo.width, photo.height), fields: {} };
  }

  async #maskFile(photo, choice) {
    const file = choice === "own" ? this.#own.get(stem(photo.file.name)) : this.#file;
    if (!file) return null;
    const read = await readMask(file);
    const fields = { threshold: 127, invert: false };
    if (read.width === photo.width && read.height === photo.height) return { file, fields };
    if (!(await this.#maskMayScale(read, photo))) return null;
    const scaled = new Mask(photo.width, photo.height);
    scaled.write(scaleBits(read, photo.width, photo.height));
    return { file: await scaled.file(photo.width, photo.height), fields: {} };
  }

  /** Asks once whether masks of other sizes may be scaled. */
  async #maskMayScale(size, photo) {
    this.#mayScale ??= await this.page.mayScale(size, photo);
    return this.#mayScale;
  }
}
