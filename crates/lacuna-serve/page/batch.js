// Many photos, one after another, into a ZIP file.

import * as api from "./api.js";
import { ask, words } from "./dialogs.js";
import { save, Zip } from "./files.js";
import { Mask, readMask, scaleBits } from "./mask.js";
import { load } from "./photos.js";
import { text } from "./texts.js";

const byId = (id) => document.getElementById(id);

/** LaMa's names for masks: NAME_mask.png, NAME_mask000.png. */
const MASK_NAME = /^(.+)_mask\d*$/;

const stem = (name) => name.replace(/\.[^.]+$/, "");

export class Batch {
  #photos = [];
  #own = new Map();
  #file = null;
  #running = null;

  /** `page` tells settings and limits, waits for busy servers, and has the mask that is drawn now. */
  constructor(page) {
    this.page = page;
    byId("batch-start").addEventListener("click", () => this.#run());
    byId("batch-cancel").addEventListener("click", () => (this.#running ? this.#running.abort() : byId("batch-dialog").close()));
    byId("batch-dialog").addEventListener("close", () => this.#running?.abort());
    byId("batch-mask").addEventListener("click", () => byId("batch-mask-input").click());
    byId("batch-mask-input").addEventListener("change", (event) => {
      [this.#file] = event.target.files;
      if (!this.#file) return;
      byId("batch-file").checked = true;
      byId("batch-mask").textContent = this.#file.name;
    });
  }

  /** Shows what would be filled. */
  open(files) {
    this.#own.clear();
    this.#photos = [];
    for (const file of files) {
      const name = MASK_NAME.exec(stem(file.name))?.[1];
      if (name) this.#own.set(name, file);
      else this.#photos.push(file);
    }
    byId("batch-summary").textContent = text("batchSummary", { photos: this.#photos.length, masks: this.#own.size });
    const drawn = Boolean(this.page.currentMask());
    byId("batch-current").disabled = !drawn;
    byId(this.#own.size || !drawn ? "batch-own" : "batch-current").checked = true;
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
    this.#running = new AbortController();
    const { signal } = this.#running;
    byId("batch-start").disabled = true;
    byId("batch-cancel").textContent = text("cancel");
    const zip = new Zip();
    const choice = document.querySelector("input[name=batch-mask]:checked").value;
    const masks = { scale: null };
    try {
      for (const [index, file] of this.#photos.entries()) {
        const state = byId("batch-list").children[index].lastElementChild;
        state.textContent = text("batchRunning");
        try {
          const filled = await this.#fill(file, choice, masks, signal);
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
      }
    } catch {
      // Cancelled: what is done is kept.
    }
    byId("batch-summary").textContent = text("batchFinished", { done: zip.count, all: this.#photos.length });
    if (zip.count) save(zip.finish());
    this.#running = null;
    byId("batch-start").disabled = false;
    byId("batch-cancel").textContent = text("close");
  }

  /** One photo filled; null if it has no mask, or must not be scaled. */
  async #fill(file, choice, masks, signal) {
    const { width, height } = await load(file, this.page.limits(), signal);
    const mask = await this.#mask(file, choice, masks, width, height);
    if (!mask) return null;
    return this.page.patiently(signal, () => api.fill(file, mask.file, { ...this.page.settings(), ...mask.fields }, () => {}, signal));
  }

  async #mask(photo, choice, masks, width, height) {
    if (choice === "current") {
      const drawn = this.page.currentMask();
      if (drawn.width === width && drawn.height === height) return { file: await drawn.file(), fields: {} };
      if (!(await this.#mayScale(masks, drawn, width, height))) return null;
      return { file: await drawn.mask.file(width, height), fields: {} };
    }
    const file = choice === "own" ? this.#own.get(stem(photo.name)) : this.#file;
    if (!file) return null;
    const read = await readMask(file);
    const fields = { threshold: 127, invert: false };
    if (read.width === width && read.height === height) return { file, fields };
    if (!(await this.#mayScale(masks, read, width, height))) return null;
    const scaled = new Mask(width, height);
    scaled.write(scaleBits(read, width, height));
    return { file: await scaled.file(width, height), fields: {} };
  }

  /** Asks once whether masks of other sizes shall be scaled. */
  async #mayScale(masks, mask, photoWidth, photoHeight) {
    const values = { width: mask.width, height: mask.height, photoWidth, photoHeight };
    masks.scale ??= (await ask("askScale", text("askScaleText", values), [["yes", "askScaleYes"]])) ? "yes" : "no";
    return masks.scale === "yes";
  }
}
