// Filling the hole, and filling it again with another seed.

import * as api from "./api.js";
import { check, loadServer, settings } from "./choices.js";
import { compare } from "./comparing.js";
import { clearMessages, say, showMessage } from "./dialogs.js";
import { byId, onClick } from "./dom.js";
import { avoidingDrawn, drawnHole } from "./masking.js";
import { load } from "./photos.js";
import { busily, failed, onState, page, progress } from "./state.js";
import { add } from "./steps.js";
import { text } from "./texts.js";

/** Retries while the server is busy, before the user is informed. */
const MOST_RETRIES = 20;

/** Fills the masked pixels. */
export async function fill() {
  if (!page.canEdit) return;
  clearMessages();
  if (page.mask.masked === 0) return showMessage(text("nothingMasked"));
  await produce({ photo: page.photo, place: page.current + 1, findHole: drawnHole, seed: Number(settings().seed) });
}

/**
 * Fills the hole of the current step again, with another seed and what is drawn now as not to be copied; the earlier results
 * stay as variants.
 */
export async function another() {
  if (!canRepeat()) return;
  clearMessages();
  const { from, hole, variants } = page.photo;
  const seed = Math.max(...variants.map((variant) => variant.seed)) + 1;
  await produce({ photo: from, place: page.current, findHole: () => avoidingDrawn(hole), seed });
}

function canRepeat() {
  return page.canEdit && Boolean(page.photo.hole);
}

/** Fills a hole of a photo and puts the result at a place among the steps. */
async function produce({ photo, place, findHole, seed }) {
  if (!check()) return;
  compare(0);
  try {
    await busily("filling", async (signal) => {
      progress(null, text("sending"));
      await loadServer();
      const hole = await findHole();
      const asked = { ...settings(), ...hole.fields, avoid: hole.avoid, seed };
      const filled = await patiently(signal, () => api.fill(photo.file, hole.file, asked, follow, signal));
      const named = new File([filled.file], photo.file.name, { type: filled.file.type });
      const loaded = await load(named, null, { signal });
      page.unsaved = true;
      page.lastHole = hole;
      // What must not be copied into this hole must not be copied into the next one either.
      const layers = { hole: null, avoid: hole.avoided };
      add({ ...loaded, saveAs: filled.file.name, layers, from: photo, hole, seed, notes: filled.notes }, place);
      say(text("filled", { seconds: filled.seconds.toFixed(1) }));
    });
  } catch (error) {
    failed(error);
  }
}

/** Retries an action while the server is busy. */
export async function patiently(signal, work) {
  for (let attempt = 0; ; attempt++) {
    try {
      return await work();
    } catch (error) {
      if (!["queue-full", "client-busy"].includes(error.code) || attempt === MOST_RETRIES) throw error;
      for (let left = Math.max(1, error.retryAfter); left > 0; left--) {
        progress(null, text("retry", { seconds: left }));
        await new Promise((resolve) => setTimeout(resolve, 1000));
        signal.throwIfAborted();
      }
    }
  }
}

const percent = (fraction) => Math.floor(100 * fraction);

const follow = {
  // After everything is sent, the server still has to read it.
  sent: (fraction) => progress(fraction < 1 ? fraction : null, text("sendingPart", { percent: percent(fraction) })),
  received: (fraction) => progress(fraction, text("receiving", { percent: percent(fraction) })),
  job(job) {
    if (job.state !== "queued") progress(job.progress, text("filling", { percent: percent(job.progress) }));
    else if (job.position) progress(null, text("queued", { position: job.position }));
    else progress(null, text("queuedNext"));
  },
};

export function connectFilling() {
  onClick("cancel", () => page.running?.abort());
  onState(() => {
    byId("another").hidden = !page.photo?.hole;
    byId("another").disabled = !canRepeat();
  });
}
