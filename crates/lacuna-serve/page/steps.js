// The steps of a photo, and the variants of each step: results of the same photo to choose from.
//
// A step is { file, width, height, preview, saveAs, thumbnail, layers, from, hole, seed, notes, variants, later }. `preview` and
// `layers` are as lighten() leaves them; `hole` of step `from` was filled with `seed` to get here, and `notes` are the server's
// on that; `variants` are the steps that share this place; `later` are the steps after this one while another variant is shown.

import { compare } from "./comparing.js";
import { byId } from "./dom.js";
import { hideLatent } from "./latent.js";
import { Layers } from "./layers.js";
import { showNotes } from "./notes.js";
import { load, thumbnail } from "./photos.js";
import { page, settle, view } from "./state.js";
import { text } from "./texts.js";

/** Steps that are kept; the photo as opened is the first. */
const MOST_STEPS = 30;
/** Variants of a step that are kept: as many as there are number keys. */
const MOST_VARIANTS = 9;

/** Begins with a photo. */
export function begin(photo) {
  page.steps = [];
  page.current = -1;
  add(photo, 0);
}

/** Adds a step at a place; a step that is there stays as a variant. */
export function add(step, place) {
  keepLayers();
  const there = page.steps[place];
  if (there) there.later = page.steps.slice(place + 1);
  const variants = there?.variants ?? [];
  variants.push(step);
  if (variants.length > MOST_VARIANTS) variants.shift();
  Object.assign(step, { variants, later: [], thumbnail: thumbnail(step) });
  page.steps = [...page.steps.slice(0, place), step];
  // The photo as opened stays.
  if (page.steps.length > MOST_STEPS) page.steps.splice(1, 1);
  show(page.steps.length - 1);
}

function keepLayers() {
  if (page.photo) page.photo.layers = page.layers;
}

function show(index) {
  page.current = index;
  lighten();
  const { preview, layers } = page.photo;
  page.layers = layers instanceof Layers ? layers : new Layers(preview.width, preview.height, layers);
  page.imported = null;
  view.before = page.steps[index - 1]?.preview ?? null;
  hideLatent();
  compare(0);
  view.show(preview, page.layers);
  showNotes(page.photo);
  listSteps();
  settle();
}

async function decode(...steps) {
  for (const step of steps) if (step && !step.preview) step.preview = (await load(step.file, null)).preview;
}

export async function goTo(index) {
  const step = page.steps[index];
  if (!step || index === page.current) return;
  await decode(step, page.steps[index - 1]);
  // Something else was opened meanwhile.
  if (page.steps[index] !== step) return;
  keepLayers();
  show(index);
}

/** Shows a variant of the current step. */
async function choose(step) {
  const place = page.current;
  const shown = page.photo;
  if (!step || step === shown) return;
  await decode(step);
  if (page.photo !== shown || page.isBusy) return;
  keepLayers();
  shown.later = page.steps.slice(place + 1);
  page.steps = [...page.steps.slice(0, place), step, ...step.later];
  show(place);
}

/** Shows a variant of the current step by its number, from 1. */
export function chooseVariant(number) {
  if (page.canEdit && page.photo.variants.length > 1) choose(page.photo.variants[number - 1]);
}

/** Keeps only the files of steps far from the current one, and their layers at one bit per pixel. */
function lighten() {
  const near = page.steps.slice(Math.max(0, page.current - 1), page.current + 2);
  const all = page.steps.flatMap((step) => step.variants.flatMap((variant) => [variant, ...variant.later]));
  for (const step of all) {
    if (near.includes(step)) continue;
    step.preview = null;
    if (step.layers instanceof Layers) step.layers = step.layers.packed();
  }
}

/** Lists the steps, and the variants of the current one. */
export function listSteps() {
  const steps = page.steps.map((step, index) => {
    const name = index === 0 ? text("stepOriginal") : text("step", { number: index });
    return item(step, name, index === page.current, () => goTo(index));
  });
  byId("history").replaceChildren(...steps);
  steps[page.current]?.scrollIntoView({ block: "nearest", inline: "nearest" });
  const variants = page.photo?.variants ?? [];
  byId("variants").hidden = variants.length < 2;
  byId("variants").replaceChildren(
    ...variants.map((step, index) => item(step, text("variant", { number: index + 1 }), step === page.photo, () => choose(step))),
  );
}

function item(step, name, isCurrent, action) {
  const picture = document.createElement("canvas");
  [picture.width, picture.height] = [step.thumbnail.width, step.thumbnail.height];
  picture.getContext("2d").drawImage(step.thumbnail, 0, 0);
  const button = document.createElement("button");
  button.append(picture);
  button.className = "needs-photo";
  button.setAttribute("aria-label", name);
  button.title = name;
  if (isCurrent) button.setAttribute("aria-current", "step");
  button.addEventListener("click", action);
  const entry = document.createElement("li");
  entry.append(button);
  return entry;
}
