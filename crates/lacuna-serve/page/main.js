// Connects the page's parts to its buttons, keys and files.

import * as api from "./api.js";
import { Batch } from "./batch.js";
import { cancelStroke, connectTools, toggleAim } from "./brush.js";
import { connectChoices, fillChoices, loadServer, settings } from "./choices.js";
import { connectComparing } from "./comparing.js";
import { askForToken } from "./dialogs.js";
import { byId, onClick } from "./dom.js";
import { save } from "./files.js";
import { another, connectFilling, fill, patiently } from "./filling.js";
import { importMask } from "./importing.js";
import { connectInstalling } from "./installing.js";
import { toggleLatent } from "./latent.js";
import { change, currentHole, hasHole, maskTransparent, mayScale, redo, reuseMask, undo, zoomToHole } from "./masking.js";
import { connectNotes, showNotes } from "./notes.js";
import { open, openExample } from "./opening.js";
import { copy, download, offerSharing, share } from "./saving.js";
import { listKeys, onKeyDown, onKeyUp } from "./shortcuts.js";
import { describe, failed, onState, page, setState, view } from "./state.js";
import { listSteps } from "./steps.js";
import { currentLanguage, setLanguage, translate } from "./texts.js";

/** Preview pixels by which a mask grows or shrinks per step. */
const GROWTH = 4;
/** Factor of one step of zooming. */
const ZOOM = 1.25;

const batch = new Batch({ settings, limits: () => page.server?.limits, patiently, currentHole, hasHole, mayScale });

function openAll(files) {
  if (files.length > 1) batch.open([...files]);
  else if (files.length === 1) open(files[0]);
}

/** Changes the whole layer that is drawn on, after cancelling a stroke in progress. */
function onWholeLayer(id, how) {
  onClick(id, () => {
    cancelStroke();
    change(page.layers.target, how);
  });
}

function connectButtons() {
  for (const id of ["open", "start-open", "batch-open"]) onClick(id, () => byId("open-input").click());
  onClick("start-camera", () => byId("camera-input").click());
  onClick("example", () => openExample().catch(failed));
  onClick("undo", undo);
  onClick("redo", redo);
  onClick("fill", () => {
    cancelStroke();
    fill();
  });
  onClick("another", another);
  onClick("download", download);
  onClick("copy", copy);
  onClick("share", share);
  onWholeLayer("invert", (layer) => layer.invert());
  onWholeLayer("clear", (layer) => layer.clear());
  onWholeLayer("grow", (layer) => layer.grow(GROWTH));
  onWholeLayer("shrink", (layer) => layer.grow(-GROWTH));
  onClick("mask-again", () => {
    cancelStroke();
    reuseMask();
  });
  onClick("mask-transparent", maskTransparent);
  onClick("mask-import", () => byId("mask-import-input").click());
  onClick("mask-export", async () => save(await page.mask.file(page.photo.width, page.photo.height)));
  onClick("zoom-in", () => view.zoom(ZOOM));
  onClick("zoom-out", () => view.zoom(1 / ZOOM));
  onClick("fit", () => view.fit());
  onClick("one-to-one", () => view.zoom(page.photo.width / page.photo.preview.width / view.scale / devicePixelRatio));
  onClick("zoom-hole", zoomToHole);
  onClick("latent", toggleLatent);
  onClick("show-keys", () => byId("keys-dialog").showModal());
  onClick("language", () => {
    setLanguage(currentLanguage() === "en" ? "uk" : "en");
    showLanguage();
  });
  const sheet = (isOpen) => {
    document.body.classList.toggle("sheet", isOpen);
    byId("show-settings").setAttribute("aria-expanded", String(isOpen));
  };
  onClick("show-settings", () => {
    const isOpen = !document.body.classList.contains("sheet");
    sheet(isOpen);
    byId(isOpen ? "hide-settings" : "show-settings").focus();
  });
  onClick("hide-settings", () => {
    sheet(false);
    byId("show-settings").focus();
  });
  for (const name of ["avoid", "sketch"]) {
    onClick(name, () => {
      toggleAim(name);
      // The sheet would cover the photo to draw on.
      sheet(false);
      byId("canvas").focus();
    });
  }
}

function connectFiles() {
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
  addEventListener("beforeunload", (event) => page.unsaved && event.preventDefault());
}

function showLanguage() {
  translate(document);
  const other = currentLanguage() === "en" ? ["uk", "УК", "Українською"] : ["en", "EN", "In English"];
  const button = byId("language");
  button.lang = other[0];
  [button.textContent, button.title] = [other[1], other[2]];
  button.setAttribute("aria-label", `${other[1]}: ${other[2]}`);
  listKeys();
  fillChoices();
  if (page.photo) listSteps();
  showNotes(page.photo);
  describe();
}

for (const svg of document.querySelectorAll("svg")) svg.setAttribute("aria-hidden", "true");
api.onUnauthorized(askForToken);
api.takeTokenFromAddress();
connectChoices();
connectTools();
connectButtons();
connectFiles();
connectComparing();
connectFilling();
connectNotes();
onState(() => (byId("mask-again").disabled = !page.canEdit || !page.lastHole));
document.addEventListener("keydown", onKeyDown);
document.addEventListener("keyup", onKeyUp);
offerSharing();
showLanguage();
setState("empty");
loadServer().catch(failed);
connectInstalling();
