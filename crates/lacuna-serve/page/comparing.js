// Before and after: a divider that is dragged on the photo, a slider for the keyboard, and a button to hold.

import { byId, onClick } from "./dom.js";
import { onState, page, settle, view } from "./state.js";

/** Shows the photo before the last fill left of a fraction of the width; 0 shows none of it, 1 nothing else. */
export function compare(fraction) {
  view.split = fraction;
  byId("compare").value = 100 * fraction;
  byId("compare-toggle").setAttribute("aria-pressed", String(fraction > 0 && fraction < 1));
  view.draw();
}

/** Moves the divider. */
export function divide(fraction) {
  // At the very ends the divider could not be grabbed any more.
  compare(Math.min(0.99, Math.max(0.01, fraction)));
  settle();
}

export function hold(isHeld) {
  if (!page.canEdit || page.current === 0) return;
  compare(isHeld ? 1 : 0);
  settle();
}

/** Ends the comparison by holding, if active. */
export function release() {
  if (view.split === 1) hold(false);
}

export function connectComparing() {
  onState((canEdit) => {
    byId("compare-bar").hidden = !canEdit || page.current < 1;
    byId("compare").hidden = !(view.split > 0);
  });
  onClick("compare-toggle", () => {
    compare(view.split > 0 ? 0 : 0.5);
    settle();
  });
  byId("compare").addEventListener("input", (event) => {
    compare(event.target.value / 100);
    settle();
  });
  const holder = byId("hold");
  holder.addEventListener("pointerdown", () => hold(true));
  for (const kind of ["pointerup", "pointerleave", "pointercancel", "blur"]) holder.addEventListener(kind, release);
  const isPress = (event) => event.key === "Enter" || event.key === " ";
  holder.addEventListener("keydown", (event) => isPress(event) && !event.repeat && hold(true));
  holder.addEventListener("keyup", (event) => isPress(event) && release());
}
