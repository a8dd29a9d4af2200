// The page: one photo, its mask, and the steps it went through.

import * as api from "./api.js";
import { Batch } from "./batch.js";
import { ask, askForToken, clearMessages, say, tell, words } from "./dialogs.js";
import { save } from "./files.js";
import { keyOf } from "./keys.js";
import { Mask, readMask, scaleBits } from "./mask.js";
import { asPng, load, thumbnail, Unusable } from "./photos.js";
import { currentLanguage, setLanguage, text, translate } from "./texts.js";
import { Tools } from "./tools.js";
import { View } from "./view.js";

const byId = (id) => document.getElementById(id);
const root = document.documentElement;

/** Pixels of the preview by which a mask grows or shrinks at a time. */
const GROWTH = 4;
/** Steps that are kept; the photo as opened is the first. */
const MOST_STEPS = 30;
/** How many times busy servers are asked again before the person is told. */
const MOST_RETRIES = 20;

const view = new View(byId("canvas"));
const tools = new Tools(view, {
  begin: beginStroke,
  end: endStroke,
  say: (key) => say(text(key)),
  enabled: () => Boolean(photo()) && root.dataset.state !== "filling",
});

let server = null;
/** { file, width, height, preview, saveAs, thumbnail, mask }; preview and mask as lighten() leaves them */
let steps = [];
let current = -1;
let mask = null;
/** An imported mask of the photo's size, as long as nothing is drawn on it: { file, invert }. */
let imported = null;
let running = null;
let unsaved = false;

const photo = () => steps[current] ?? null;

function setState(state) {
  root.dataset.state = state;
  const has = Boolean(photo());
  for (const element of document.querySelectorAll(".needs-photo")) element.disabled = !has || state === "filling";
  byId("undo").disabled = !has || state === "filling" || !(mask.canUndo || current > 0);
  byId("redo").disabled = !has || state === "filling" || !(mask.canRedo || current < steps.length - 1);
  byId("latent").disabled = !has || state === "filling" || !latentModel();
  byId("compare-bar").hidden = !has || current === 0;
  describe();
}

/** Tells what the canvas shows. */
function describe() {
  const shown = photo();
  const share = shown ? ((100 * mask.masked) / (mask.width * mask.height)).toFixed(1) : 0;
  byId("canvas").setAttribute("aria-label", shown ? text("canvas", { ...shown, share }) : text("canvasEmpty"));
}

function settle() {
  setState(!photo() ? "empty" : view.split > 0 ? "comparing" : "ready");
}

function failed(error) {
  if (error.name === "AbortError") return say(text("cancelled"));
  if (!(error instanceof api.Problem || error instanceof Unusable)) console.error(error);
  tell(words(error), true);
  setState(photo() ? "ready" : "empty");
  root.dataset.state = "error";
}

// Opening.

async function open(file) {
  clearMessages();
  if (unsaved) {
    const answer = await ask("askReplace", text("askReplaceText"), [["yes", "askReplaceYes"]]);
    if (!answer) return;
  }
  running?.abort();
  try {
    const opened = await load(file, server?.limits);
    steps = [];
    unsaved = false;
    add({ ...opened, saveAs: file.name });
    view.fit();
    byId("canvas").focus();
  } catch (error) {
    failed(error);
  }
}

function openAll(files) {
  if (files.length > 1) batch.open([...files]);
  else if (files.length === 1) open(files[0]);
}

async function openExample() {
  const file = async (name, type) => new File([await (await fetch(`/example/${name}`)).blob()], name, { type });
  await open(await file("photo.jpg", "image/jpeg"));
  await importMask(await file("mask.png", "image/png"));
}

// Steps.

/** A photo more, after the current one. */
function add(step) {
  if (photo()) photo().mask = mask;
  steps = [...steps.slice(0, current + 1), { ...step, thumbnail: thumbnail(step) }];
  // The photo as opened stays.
  if (steps.length > MOST_STEPS) steps.splice(1, 1);
  show(steps.length - 1, new Mask(step.preview.width, step.preview.height));
}

function show(index, withMask) {
  current = index;
  lighten();
  mask = withMask;
  imported = null;
  view.before = steps[index - 1]?.preview ?? null;
  hideLatent();
  compare(0);
  view.show(photo().preview, mask);
  listSteps();
  settle();
}

async function goTo(index) {
  const step = steps[index];
  if (index === current || !step) return;
  photo().mask = mask;
  for (const near of [step, steps[index - 1]]) {
    if (near && !near.preview) near.preview = (await load(near.file, null)).preview;
  }
  // Something else was opened meanwhile.
  if (steps[index] !== step) return;
  const { width, height } = step.preview;
  show(index, step.mask instanceof Mask ? step.mask : Mask.unpacked(width, height, step.mask));
}

/** Keeps of steps that are far from the current one no more than their files and the bits of their masks. */
function lighten() {
  for (const [index, step] of steps.entries()) {
    if (Math.abs(index - current) <= 1) continue;
    step.preview = null;
    if (step.mask instanceof Mask) step.mask = step.mask.packed();
  }
}

function listSteps() {
  const items = steps.map((step, index) => {
    const button = document.createElement("button");
    const name = index === 0 ? text("stepOriginal") : text("step", { number: index });
    button.append(step.thumbnail);
    button.setAttribute("aria-label", name);
    button.title = name;
    if (index === current) button.setAttribute("aria-current", "step");
    button.addEventListener("click", () => goTo(index));
    const item = document.createElement("li");
    item.append(button);
    return item;
  });
  byId("history").replaceChildren(...items);
  items[current]?.scrollIntoView({ block: "nearest", inline: "nearest" });
}

// The mask.

function beginStroke() {
  compare(0);
  hideLatent();
  mask.remember();
}

function endStroke(cancelled) {
  if (cancelled) mask.revert();
  else imported = null;
  mask.settle();
  settle();
  if (!cancelled && byId("at-once").checked && mask.masked > 0) fill();
}

/** Changes the whole mask as a step that can be undone. */
function change(how) {
  tools.cancel();
  hideLatent();
  mask.remember();
  how();
  imported = null;
  view.draw();
  settle();
}

function undo() {
  if (!byId("undo").disabled) step(mask.undo(), current - 1);
}

function redo() {
  if (!byId("redo").disabled) step(mask.redo(), current + 1);
}

/** Shows the mask if it changed; if there was no more of it, another step. */
function step(changed, otherwise) {
  if (!changed) return goTo(otherwise);
  imported = null;
  view.draw();
  settle();
}

async function importMask(file) {
  try {
    const read = await readMask(file).catch(() => {
      throw new Unusable(text("notAPhoto", { name: file.name }));
    });
    const { width, height } = photo();
    if (read.width !== width || read.height !== height) {
      const values = { width: read.width, height: read.height, photoWidth: width, photoHeight: height };
      if (!(await ask("askScale", text("askScaleText", values), [["yes", "askScaleYes"]]))) return;
    }
    let invert = false;
    // A hole is rarely most of a photo: then it is not clear which part is meant.
    if (read.share > 0.5) {
      const dark = read.bits.map((bit) => 1 - bit);
      const answer = await ask("askPolarity", text("askPolarityText"), [
        ["bright", "askBright", picture({ ...read }, "askBright")],
        ["dark", "askDark", picture({ ...read, bits: dark }, "askDark")],
      ]);
      if (!answer) return;
      invert = answer === "dark";
      if (invert) read.bits = dark;
    }
    change(() => mask.write(scaleBits(read, mask.width, mask.height)));
    if (read.width === width && read.height === height) imported = { file, invert };
  } catch (error) {
    failed(error);
  }
}

/** A small drawing of a mask, with a caption. */
function picture(read, key) {
  const scale = 160 / Math.max(read.width, read.height);
  const canvas = document.createElement("canvas");
  canvas.width = Math.max(1, Math.round(read.width * scale));
  canvas.height = Math.max(1, Math.round(read.height * scale));
  const context = canvas.getContext("2d");
  context.drawImage(photo().preview, 0, 0, canvas.width, canvas.height);
  const small = new Mask(canvas.width, canvas.height);
  small.write(scaleBits(read, canvas.width, canvas.height));
  context.globalAlpha = 0.7;
  context.drawImage(small.canvas, 0, 0);
  const caption = document.createElement("figcaption");
  caption.textContent = text(key);
  const figure = document.createElement("figure");
  figure.append(canvas, caption);
  return figure;
}

/** The mask as the server gets it, with the fields that go with it. */
async function maskForServer() {
  if (imported) return { mask: imported.file, fields: { threshold: 127, invert: imported.invert } };
  return { mask: await mask.file(photo().width, photo().height), fields: {} };
}

/** The mask that is drawn, or the one of the fill that made the current photo; null without any. */
function lastMask() {
  if (!photo()) return null;
  if (mask.masked > 0) return mask;
  const used = steps[current - 1]?.mask;
  if (!used || used instanceof Mask) return used ?? null;
  return Mask.unpacked(steps[current - 1].preview.width, steps[current - 1].preview.height, used);
}

// Filling.

/** What is asked of the server besides photo and mask. */
function settings() {
  const value = (id) => byId(id).value;
  const method = value("method");
  return {
    method,
    model: method === "patchmatch" ? null : value("model"),
    strategy: value("strategy"),
    long_side: value("strategy") === "resize" ? value("long-side") : null,
    seed: value("seed"),
    expand: value("expand"),
    feather: value("feather"),
  };
}

/** Asks the server what it offers, if it has not said so yet (the token was missing, or it did not answer). */
async function loadServer() {
  if (server) return;
  server = await api.models();
  byId("version").textContent = `Lacuna ${server.version}`;
  fillChoices();
}

async function fill() {
  if (!photo() || root.dataset.state === "filling") return;
  clearMessages();
  if (mask.masked === 0) return tell(text("nothingMasked"));
  tools.cancel();
  compare(0);
  running = new AbortController();
  const { signal } = running;
  setState("filling");
  progress(null, text("sending"));
  try {
    await loadServer();
    const filled = await patiently(signal, async () => {
      const { mask: file, fields } = await maskForServer();
      return api.fill(photo().file, file, { ...settings(), ...fields }, showJob, signal);
    });
    const named = new File([filled.file], steps[0].file.name, { type: filled.file.type });
    const loaded = await load(named, null, signal);
    unsaved = true;
    add({ ...loaded, saveAs: filled.file.name });
    say(text("filled", { seconds: filled.seconds.toFixed(1), how: filled.how }));
  } catch (error) {
    settle();
    failed(error);
  } finally {
    running = null;
    if (root.dataset.state === "filling") settle();
  }
}

/** Does something again while the server is busy. */
async function patiently(signal, work) {
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

function showJob(job) {
  if (job.state === "queued") progress(null, text("queued", { position: job.position ?? 0 }));
  else progress(job.progress, text("filling", { percent: Math.round(100 * job.progress) }));
}

function progress(share, message) {
  const bar = byId("progress");
  if (share === null) bar.removeAttribute("value");
  else bar.value = share;
  byId("progress-text").textContent = message;
}

// Looking.

function compare(share) {
  view.split = share;
  byId("compare").value = 100 * share;
  view.draw();
}

function hold(isHeld) {
  if (!photo() || current === 0 || root.dataset.state === "filling") return;
  compare(isHeld ? 1 : 0);
  settle();
}

function latentModel() {
  return server?.models.find((model) => model.latent && (model.id === byId("model").value || !byId("model").value));
}

function hideLatent() {
  view.overlay?.close();
  view.overlay = null;
  byId("latent").setAttribute("aria-pressed", "false");
  view.draw();
}

async function toggleLatent() {
  if (view.overlay) return hideLatent();
  if (mask.masked === 0) return tell(text("nothingMasked"));
  running = new AbortController();
  setState("filling");
  progress(null, text("sending"));
  try {
    const file = await mask.file(photo().width, photo().height);
    const blob = await api.latent(photo().file, file, latentModel().id, running.signal);
    view.overlay = await createImageBitmap(blob);
    byId("latent").setAttribute("aria-pressed", "true");
    view.draw();
  } catch (error) {
    failed(error);
  } finally {
    running = null;
    if (root.dataset.state === "filling") settle();
  }
}

// Saving.

function download() {
  if (!photo()) return;
  save(new File([photo().file], photo().saveAs, { type: photo().file.type }));
  unsaved = false;
  say(text("saved", { name: photo().saveAs }));
}

async function copy() {
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": asPng(photo()) })]);
    tell(text("copied"));
  } catch {
    tell(text("copyFailed"), true);
  }
}

// Keys.

const SINGLE_KEYS = {
  b: () => chooseTool("brush"),
  e: () => chooseTool("eraser"),
  r: () => chooseTool("rectangle"),
  l: () => chooseTool("lasso"),
  i: () => byId("invert").click(),
  g: () => byId("grow").click(),
  G: () => byId("shrink").click(),
  Delete: () => byId("clear").click(),
  Backspace: () => byId("clear").click(),
  "[": () => changeSize(-1),
  "]": () => changeSize(1),
  "+": () => view.zoom(1.25),
  "=": () => view.zoom(1.25),
  "-": () => view.zoom(0.8),
  0: () => view.fit(),
  1: () => oneToOne(),
  f: () => fill(),
  d: () => download(),
  o: () => byId("open-input").click(),
  c: () => hold(true),
  "?": () => byId("show-keys").click(),
};

const KEY_LIST = [
  ["open", "O"], ["brush", "B"], ["eraser", "E"], ["rectangle", "R"], ["lasso", "L"], ["brushSize", "[ ]  Shift + wheel"],
  ["invert", "I"], ["grow", "G"], ["shrink", "Shift + G"], ["clear", "Del"], ["undo", "Ctrl + Z"], ["redo", "Ctrl + Shift + Z"],
  ["fill", "F"], ["holdKey", "C"], ["zoomIn", "+"], ["zoomOut", "−"], ["fit", "0"], ["oneToOne", "1"], ["download", "D"], ["copy", "Ctrl + C"],
];

function onKey(event) {
  if (event.target.closest("input:not([type=checkbox]):not([type=range]), select, textarea, dialog")) return;
  if (event.ctrlKey || event.metaKey) {
    const key = keyOf(event).toLowerCase();
    if (key === "z") {
      event.preventDefault();
      if (event.shiftKey) redo();
      else undo();
    } else if (key === "y") {
      event.preventDefault();
      redo();
    } else if (key === "c" && photo() && !getSelection().toString()) {
      copy();
    }
    return;
  }
  if (event.key === "Escape" && running) return running.abort();
  const key = keyOf(event);
  if (event.altKey || !byId("single-keys").checked || (event.repeat && key === "c")) return;
  const action = SINGLE_KEYS[key] ?? SINGLE_KEYS[key.toLowerCase()];
  if (!action) return;
  event.preventDefault();
  action();
}

function chooseTool(name) {
  tools.choose(name);
  for (const button of document.querySelectorAll(".tool")) {
    button.setAttribute("aria-pressed", String(button.id === `tool-${name}`));
  }
}

function changeSize(direction) {
  const input = byId("size");
  input.value = Math.round(input.value * (direction > 0 ? 1.15 : 1 / 1.15) + direction);
  sizeChanged();
}

function sizeChanged() {
  tools.size = Number(byId("size").value);
  byId("size-value").textContent = tools.size;
  view.draw();
}

function oneToOne() {
  if (photo()) view.zoom(photo().width / photo().preview.width / view.scale / devicePixelRatio);
}

// Beginning.

function fillChoices() {
  const options = (element, items) => {
    element.replaceChildren(...items.map(([value, name]) => new Option(name, value)));
    element.disabled = items.length < 2;
  };
  const method = (name) => text(`method${name[0].toUpperCase()}${name.slice(1)}`);
  const chosen = byId("method").value || server.default.method;
  options(byId("method"), server.methods.map((name) => [name, method(name)]));
  byId("method").value = chosen;
  options(byId("model"), server.models.map((model) => [model.id, `${model.id}: ${model.name}`]));
  choicesChanged();
}

function choicesChanged() {
  byId("model-field").hidden = !server?.models.length || byId("method").value === "patchmatch";
  byId("long-side-field").hidden = byId("strategy").value !== "resize";
  byId("latent-why").textContent = latentModel() ? "" : text("latentNone");
  if (photo()) settle();
}

function showLanguage() {
  translate(document);
  const other = currentLanguage() === "en" ? ["uk", "УК", "Українською"] : ["en", "EN", "In English"];
  const button = byId("language");
  button.lang = other[0];
  [button.textContent, button.title] = [other[1], other[2]];
  button.setAttribute("aria-label", `${other[1]}: ${other[2]}`);
  byId("keys-list").replaceChildren(
    ...[...KEY_LIST.map(([key, keys]) => [text(key), keys]), [text("pan"), text("panKeys")]].flatMap(([name, keys]) => {
      const [term, definition] = [document.createElement("dt"), document.createElement("dd")];
      term.textContent = name;
      definition.textContent = keys;
      return [term, definition];
    }),
  );
  if (server) fillChoices();
  if (photo()) listSteps();
  describe();
}

const batch = new Batch({
  settings,
  limits: () => server?.limits,
  patiently,
  currentMask: () => {
    const { width, height } = photo() ?? {};
    const drawn = lastMask();
    return drawn && { width, height, file: () => drawn.file(width, height), mask: drawn };
  },
});

function connect() {
  const click = (id, action) => byId(id).addEventListener("click", action);
  for (const svg of document.querySelectorAll("svg")) svg.setAttribute("aria-hidden", "true");
  for (const id of ["open", "start-open", "batch-open"]) click(id, () => byId("open-input").click());
  click("start-camera", () => byId("camera-input").click());
  click("example", () => openExample().catch(failed));
  click("mask-import", () => byId("mask-import-input").click());
  const chosen = (id, action) => {
    byId(id).addEventListener("change", (event) => {
      const files = [...event.target.files];
      event.target.value = "";
      if (files.length) action(files);
    });
  };
  chosen("open-input", openAll);
  chosen("camera-input", openAll);
  chosen("mask-import-input", ([file]) => importMask(file));
  click("mask-export", async () => save(await mask.file(photo().width, photo().height)));
  click("undo", undo);
  click("redo", redo);
  click("fill", fill);
  click("cancel", () => running?.abort());
  click("download", download);
  click("copy", copy);
  click("invert", () => change(() => mask.invert()));
  click("clear", () => change(() => mask.clear()));
  click("grow", () => change(() => mask.grow(GROWTH)));
  click("shrink", () => change(() => mask.grow(-GROWTH)));
  click("zoom-in", () => view.zoom(1.25));
  click("zoom-out", () => view.zoom(0.8));
  click("fit", () => view.fit());
  click("one-to-one", oneToOne);
  click("latent", toggleLatent);
  click("show-keys", () => byId("keys-dialog").showModal());
  click("language", () => {
    setLanguage(currentLanguage() === "en" ? "uk" : "en");
    showLanguage();
  });
  for (const button of document.querySelectorAll(".tool")) click(button.id, () => chooseTool(button.id.slice("tool-".length)));
  const sheet = (isOpen) => {
    document.body.classList.toggle("sheet", isOpen);
    byId("show-settings").setAttribute("aria-expanded", String(isOpen));
    byId(isOpen ? "hide-settings" : "show-settings").focus();
  };
  click("show-settings", () => sheet(!document.body.classList.contains("sheet")));
  click("hide-settings", () => sheet(false));
  byId("size").addEventListener("input", sizeChanged);
  tools.onSize = changeSize;
  for (const id of ["method", "model", "strategy"]) byId(id).addEventListener("change", choicesChanged);
  byId("compare").addEventListener("input", (event) => {
    compare(event.target.value / 100);
    settle();
  });
  const holder = byId("hold");
  holder.addEventListener("pointerdown", () => hold(true));
  for (const kind of ["pointerup", "pointerleave", "pointercancel", "blur"]) holder.addEventListener(kind, () => view.split === 1 && hold(false));
  holder.addEventListener("keydown", (event) => ["Enter", " "].includes(event.key) && !event.repeat && hold(true));
  holder.addEventListener("keyup", (event) => ["Enter", " "].includes(event.key) && hold(false));

  document.addEventListener("keydown", onKey);
  document.addEventListener("keyup", (event) => keyOf(event).toLowerCase() === "c" && view.split === 1 && hold(false));
  document.addEventListener("paste", (event) => {
    const files = [...event.clipboardData.files].filter((file) => file.type.startsWith("image/"));
    if (files.length) openAll(files);
  });
  document.addEventListener("dragover", (event) => {
    event.preventDefault();
    document.body.classList.add("dropping");
  });
  for (const kind of ["dragleave", "drop"]) document.addEventListener(kind, () => document.body.classList.remove("dropping"));
  document.addEventListener("drop", (event) => {
    event.preventDefault();
    openAll(event.dataTransfer.files);
  });
  addEventListener("beforeunload", (event) => unsaved && event.preventDefault());
}

api.onUnauthorized(askForToken);
api.takeTokenFromAddress();
connect();
showLanguage();
sizeChanged();
setState("empty");
loadServer().catch(failed);
