// Filling the hole, once or with several answers, and again with another seed.

import * as api from "./api.js";
import { answers, check, loadServer, settings, takesLines } from "./choices.js";
import { compare } from "./comparing.js";
import { clearMessages, say, showMessage } from "./dialogs.js";
import { byId, onClick } from "./dom.js";
import { drawnHole, withDrawn } from "./masking.js";
import { load } from "./photos.js";
import { busily, failed, onState, page, progress, setState } from "./state.js";
import { add, chooseVariant } from "./steps.js";
import { text } from "./texts.js";

/** Retries while the server is busy, before the user is informed. */
const MOST_RETRIES = 20;

/** Fills the masked pixels, once for each answer that is wanted. */
export async function fill() {
  if (!page.canEdit) return;
  clearMessages();
  if (page.mask.masked === 0) return showMessage(text("nothingMasked"));
  const seeds = Array.from({ length: answers() }, (_, answer) => Number(settings().seed) + answer);
  const [first] = await produce({ photo: page.photo, place: page.current + 1, findHole: drawnHole, seeds });
  if (first) chooseVariant(page.photo.variants.indexOf(first) + 1);
}

/**
 * Fills the hole of the current step again, with another seed and with what is drawn now besides the hole; the earlier results stay
 * as variants.
 */
export async function another() {
  if (!canRepeat()) return;
  clearMessages();
  const { from, hole, variants } = page.photo;
  const seed = Math.max(...variants.map((variant) => variant.seed)) + 1;
  await produce({ photo: from, place: page.current, findHole: () => withDrawn(hole), seeds: [seed] });
}

function canRepeat() {
  return page.canEdit && Boolean(page.photo.hole);
}

/** Fills a hole of a photo with each seed, puts the results at a place among the steps as they come, and returns them. */
async function produce({ photo, place, findHole, seeds }) {
  const results = [];
  if (!check()) return results;
  compare(0);
  try {
    await busily("filling", async (signal) => {
      progress(null, text("sending"));
      await loadServer();
      const hole = await findHole();
      // The same for all answers, whatever is changed meanwhile.
      const asked = { ...settings(), ...hole.fields, avoid: hole.avoid, hint: takesLines() ? hole.hint : null };
      for (const [index, seed] of seeds.entries()) {
        // A result that is shown ends the work's state.
        if (index > 0) setState("filling");
        const fillOnce = () => api.fill(photo.file, hole.file, { ...asked, seed }, follow(index, seeds.length), signal);
        const filled = await patiently(signal, fillOnce);
        const named = new File([filled.file], photo.file.name, { type: filled.file.type });
        const loaded = await load(named, null, { signal });
        page.unsaved = true;
        page.lastHole = hole;
        // What must not be copied into this hole must not be copied into the next one either; lines stay for another answer.
        const layers = { hole: null, avoid: hole.avoided, sketch: hole.sketched };
        const result = { ...loaded, saveAs: filled.file.name, layers, from: photo, hole, seed, notes: filled.notes };
        add(result, place);
        results.push(result);
        say(text("filled", { seconds: filled.seconds.toFixed(1) }));
      }
    });
  } catch (error) {
    failed(error);
  }
  return results;
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

/** Shows the progress of an answer, by its index. */
const follow = (index, count) => ({
  // After everything is sent, the server still has to read it.
  sent: (fraction) => progress(fraction < 1 ? fraction : null, text("sendingPart", { percent: percent(fraction) })),
  received: (fraction) => progress(fraction, text("receiving", { percent: percent(fraction) })),
  job(job) {
    const done = { number: index + 1, count, percent: percent(job.progress) };
    if (job.state !== "queued") progress(job.progress, text(count > 1 ? "fillingSeveral" : "filling", done));
    else if (job.position) progress(null, text("queued", { position: job.position }));
    else progress(null, text("queuedNext"));
  },
});

export function connectFilling() {
  onClick("cancel", () => page.running?.abort());
  onState(() => {
    byId("another").hidden = !page.photo?.hole;
    byId("another").disabled = !canRepeat();
  });
}
