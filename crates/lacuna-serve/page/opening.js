// Opening photos: one to edit, or several as a batch.

import * as api from "./api.js";
import { ask, clearMessages } from "./dialogs.js";
import { byId } from "./dom.js";
import { importMask } from "./importing.js";
import { load } from "./photos.js";
import { busily, failed, page, progress, settle, view } from "./state.js";
import { begin } from "./steps.js";
import { text } from "./texts.js";

export async function open(file) {
  clearMessages();
  if (page.unsaved && !(await ask("askReplace", text("askReplaceText"), [["yes", "askReplaceYes"]]))) return;
  try {
    const opened = await busily("opening", (signal) => {
      progress(null, text("opening"));
      const sent = (fraction) => progress(fraction, text("sendingPart", { percent: Math.floor(100 * fraction) }));
      return load(file, page.server?.limits, { signal, sent });
    });
    page.unsaved = false;
    begin({ ...opened, saveAs: file.name });
    view.fit();
    byId("canvas").focus();
  } catch (error) {
    if (error.name === "AbortError" && page.running) return;
    failed(error);
  } finally {
    if (!page.running && page.isBusy) settle();
  }
}

export async function openExample() {
  await open(await api.example("photo.jpg", "image/jpeg"));
  await importMask(await api.example("mask.png", "image/png"));
}
