// The server's notes on a result: what it could not keep, and how it read the files.

import { byId, onClick } from "./dom.js";
import { page } from "./state.js";
import { has, text } from "./texts.js";

/** How the server's notes end, and what the page says: [pattern, text key]. Named groups are values of the text. */
const NOTES = [
  [/: (?<format>[\w ]+) files cannot be written: the result is a PNG$/, "noteReadOnly"],
  [/only the first (frame|picture) of the (?<format>[\w ]+) (file|sequence) is read/, "noteFirst"],
  [/CMYK is converted to RGB/, "noteCmyk"],
  [/the colour profile .* was dropped$/, "noteProfile"],
  [/the EXIF block cannot be read and was dropped/, "noteExif"],
  [/(extended XMP was|the XMP packet .*) dropped/, "noteXmp"],
  [/data after the image .* was dropped/, "noteHidden"],
  [/the Photoshop thumbnail is erased$|XMP: thumbnails and references .* were erased$/, "noteThumbnail"],
  [/metadata of another format in a text chunk was dropped$/, "noteChunk"],
  [/only the first of several pages is read$/, "notePages"],
  [/JPEG compression in TIFF is read/, "noteTiffJpeg"],
  [/: (?<format>\w+) files cannot store (?<what>[^:]+): dropped$/, "noteLost"],
  [/the palette has no room for the new colours/, "notePalette"],
  [/nearly the whole mask is hole/, "noteInverted"],
  [/: (?<width>\d+) x (?<height>\d+) pixels of it at (?<place>[a-z-]+)$/, "noteAnchored"],
  [/lossy WebP cannot be written in a browser/, "noteLossless"],
  [/none of its hole lies on the photo$/, "noteOutside"],
  [/the hole is expanded by (?<pixels>\d+) pixels$/, "noteExpanded"],
];

/** A note in the page's language; null for one that the page does not know. */
function translated(note) {
  for (const [pattern, key] of NOTES) {
    const found = pattern.exec(note);
    if (!found) continue;
    const named = (name, prefix) => (has(prefix + name) ? text(prefix + name) : name);
    const { what, place } = found.groups ?? {};
    return text(key, { ...found.groups, what: named(what, "lost-"), place: named(place, "anchor-") });
  }
  return null;
}

/** Puts notes into a list, each once. Unknown ones stay in the server's English. */
export function listNotes(notes, list) {
  const items = new Map();
  for (const note of notes) {
    const words = translated(note);
    const item = document.createElement("li");
    item.textContent = words ?? note;
    if (!words) item.lang = "en";
    items.set(item.textContent, item);
  }
  list.replaceChildren(...items.values());
  return list;
}

/** Shows the notes of a step, unless they were closed. */
export function showNotes(step) {
  const notes = step?.notes ?? [];
  listNotes(notes, byId("notes-list"));
  byId("notes").hidden = notes.length === 0;
}

export function connectNotes() {
  onClick("notes-close", () => {
    page.photo.notes = [];
    showNotes(page.photo);
    byId("canvas").focus();
  });
}
