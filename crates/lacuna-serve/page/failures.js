// What went wrong, in the user's words.

import { Problem } from "./api.js";
import { Unusable } from "./photos.js";
import { has, text } from "./texts.js";

/** Errors of browsers that cannot read a file or have no room for a picture. */
const UNHELD = ["NotReadableError", "NotFoundError", "QuotaExceededError", "EncodingError", "RangeError"];

/** Whether the user can do something about an error; others are faults of the page. */
export function isExpected(error) {
  return error instanceof Problem || error instanceof Unusable || UNHELD.includes(error.name);
}

/** The text of an error in the page's language. The server's details are in English and for programs: they go to the console. */
export function words(error) {
  if (error instanceof Unusable) return error.message;
  if (UNHELD.includes(error.name)) return text("unheld");
  if (!(error instanceof Problem)) return text("unexpected", { message: error.message });
  if (error.message) console.info(`${error.code}: ${error.message}`);
  return has(error.code) ? text(error.code, { message: error.message }) : text("refused", { message: error.message });
}
