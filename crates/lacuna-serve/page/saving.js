// Exporting the photo: download, copy, share.

import { say, showMessage } from "./dialogs.js";
import { byId } from "./dom.js";
import { save } from "./files.js";
import { asPng } from "./photos.js";
import { page } from "./state.js";
import { text } from "./texts.js";

function currentFile() {
  const { file, saveAs } = page.photo;
  return new File([file], saveAs, { type: file.type });
}

export function download() {
  if (!page.photo) return;
  save(currentFile());
  page.unsaved = false;
  say(text("saved", { name: page.photo.saveAs }));
}

export async function copy() {
  if (!page.photo) return;
  try {
    await navigator.clipboard.write([new ClipboardItem({ "image/png": asPng(page.photo) })]);
    showMessage(text("copied"));
  } catch {
    showMessage(text("copyFailed"), "error");
  }
}

/** Shows the button only where the system can share files. */
export function offerSharing() {
  const sample = new File([""], "photo.jpg", { type: "image/jpeg" });
  byId("share").hidden = !navigator.canShare?.({ files: [sample] });
}

export async function share() {
  if (!page.photo) return;
  try {
    await navigator.share({ files: [currentFile()] });
    page.unsaved = false;
  } catch (error) {
    // The user closed the system's dialog.
    if (error.name !== "AbortError") showMessage(text("shareFailed"), "error");
  }
}
