// The settings: the server's options, the current choice, and the remembered values.

import * as api from "./api.js";
import { byId } from "./dom.js";
import { latentModel } from "./latent.js";
import { aim } from "./masking.js";
import { page, settle } from "./state.js";
import { keep, recall } from "./storage.js";
import { text } from "./texts.js";

const STORED = "settings";
/** Controls whose values are remembered. The seed belongs to a photo, not to the user. */
const REMEMBERED = [
  "size", "at-once", "expand", "expand-auto", "feather", "method", "model", "refine", "strategy", "long-side", "format", "quality", "single-keys", "batch-anchor",
  "batch-scale",
];
/** Number fields, with the keys of their texts; the server's names are the same with "_". */
const NUMBERS = { answers: "answers", expand: "expand", feather: "feather", "long-side": "longSide", seed: "seed", quality: "quality" };

const value = (id) => byId(id).value;

/** The form fields besides photo and mask. */
export function settings() {
  const method = value("method");
  return {
    method,
    model: method === "patchmatch" ? null : value("model"),
    refine: refines() ? REFINE_PASSES : null,
    strategy: value("strategy"),
    long_side: value("strategy") === "resize" ? value("long-side") : null,
    seed: value("seed"),
    expand: byId("expand-auto").checked ? "auto" : value("expand"),
    feather: value("feather"),
    format: value("format"),
    quality: takesQuality() ? value("quality") : null,
  };
}

/** The number of answers to a fill. */
export function answers() {
  return hasAnswers() ? Number(value("answers")) : 1;
}

/** Whether another seed gives another answer. */
export function hasAnswers() {
  return value("method") !== "network" || Boolean(chosenModel()?.answers);
}

/** Whether lines can be drawn to continue through the hole. */
export function takesLines() {
  return ["flow", "network"].includes(value("method")) && chosenModel()?.hint === "lines";
}

const chosenModel = () => page.server?.models.find((model) => model.id === value("model"));

/** Forward passes of a refined fill. */
const REFINE_PASSES = "15";

/** Whether the chosen model can be refined. */
function canRefine() {
  return value("method") !== "patchmatch" && Boolean(chosenModel()?.refines);
}

function refines() {
  return canRefine() && byId("refine").checked;
}

function takesQuality() {
  return ["same", "jpeg"].includes(value("format"));
}

/** Whether all numbers are within their limits; the first that is not gets a message and the focus. */
export function check() {
  const wrong = Object.keys(NUMBERS).filter((id) => {
    const input = byId(id);
    const isShown = !input.disabled && !input.closest(".field").hidden;
    const isWrong = isShown && !input.checkValidity();
    showFieldError(input, isWrong);
    return isWrong;
  });
  if (!wrong.length) return true;
  const first = byId(wrong[0]);
  const details = first.closest("details");
  if (details) details.open = true;
  document.body.classList.add("sheet");
  first.focus();
  return false;
}

function showFieldError(input, isWrong) {
  const id = `${input.id}-error`;
  byId(id)?.remove();
  input.toggleAttribute("aria-invalid", isWrong);
  if (!isWrong) return input.removeAttribute("aria-describedby");
  input.setAttribute("aria-invalid", "true");
  const message = document.createElement("p");
  Object.assign(message, { id, className: "field-error" });
  message.setAttribute("role", "alert");
  message.textContent = text("numberBetween", { name: text(NUMBERS[input.id]), least: input.min, most: input.max });
  input.setAttribute("aria-describedby", id);
  input.closest(".field").append(message);
}

/** Requests the server's capabilities, unless they are known. */
export async function loadServer() {
  if (page.server) return;
  const server = await api.models();
  if (page.server) return;
  page.server = server;
  byId("version").textContent = `Lacuna ${server.version}`;
  fillChoices();
}

/** Fills the lists of methods and models. */
export function fillChoices() {
  const { server } = page;
  if (!server) return;
  const stored = read();
  const label = (name) => text(`method-${name}`);
  options("method", server.methods.map((name) => [name, label(name)]), value("method") || stored.method || server.default.method);
  if (!server.methods.includes(value("method"))) byId("method").value = server.default.method;
  fillModels(value("model") || stored.model || server.default.model);
  choicesChanged();
}

function options(id, items, chosen) {
  const element = byId(id);
  element.replaceChildren(...items.map(([name, label]) => new Option(label, name)));
  element.disabled = items.length < 2;
  element.value = items.some(([name]) => name === chosen) ? chosen : (items[0]?.[0] ?? "");
}

/** Lists the models that the chosen method can use. */
function fillModels(chosen) {
  const models = page.server?.models.filter((model) => value("method") !== "flow" || model.flow) ?? [];
  options("model", models.map((model) => [model.id, model.label ?? model.id]), chosen);
}

/** Shows the settings of the current choice, and explains it. */
export function choicesChanged() {
  const method = value("method");
  byId("method-help").textContent = method ? text(`method-${method}-help`) : "";
  fillModels(value("model"));
  byId("model-field").hidden = byId("model").options.length < 2 || method === "patchmatch";
  for (const id of ["answers-field", "seed-field"]) byId(id).hidden = !hasAnswers();
  byId("refine-field").hidden = !canRefine();
  byId("long-side-field").hidden = value("strategy") !== "resize";
  byId("quality-field").hidden = !takesQuality();
  byId("expand").disabled = byId("expand-auto").checked;
  byId("latent").hidden = !latentModel();
  byId("sketch").closest(".field").hidden = !takesLines();
  if (page.layers?.aim === "sketch" && !takesLines()) aim("hole");
  for (const id of Object.keys(NUMBERS)) if (byId(id).checkValidity()) showFieldError(byId(id), false);
  if (page.photo && !page.isBusy) settle();
}

function read() {
  try {
    return JSON.parse(recall(STORED)) ?? {};
  } catch {
    return {};
  }
}

function remember() {
  const entries = REMEMBERED.map((id) => [id, byId(id).type === "checkbox" ? byId(id).checked : (byId(id).dataset.kept ?? value(id))]);
  keep(STORED, JSON.stringify(Object.fromEntries(entries)));
}

/** Restores remembered values that are still valid. */
function restore() {
  for (const [id, kept] of Object.entries(read())) {
    const element = REMEMBERED.includes(id) ? byId(id) : null;
    if (!element) continue;
    if (element.type === "checkbox") {
      element.checked = kept === true;
      continue;
    }
    const before = element.value;
    element.value = kept;
    const fits = element.tagName === "SELECT" ? element.selectedIndex >= 0 : element.checkValidity();
    if (!fits) element.value = before;
  }
}

export function connectChoices() {
  restore();
  for (const id of new Set([...REMEMBERED, ...Object.keys(NUMBERS)])) {
    byId(id).addEventListener("change", () => {
      choicesChanged();
      remember();
    });
  }
  choicesChanged();
}
