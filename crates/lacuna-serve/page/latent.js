// The latent view: the effect of a hole on the network's features, drawn over the photo.

import * as api from "./api.js";
import { showMessage } from "./dialogs.js";
import { byId } from "./dom.js";
import { busily, failed, page, progress, view } from "./state.js";
import { text } from "./texts.js";

export function latentModel() {
  const chosen = byId("model").value;
  return page.server?.models.find((model) => model.latent && (model.id === chosen || !chosen));
}

export function hideLatent() {
  view.overlay?.close();
  view.overlay = null;
  byId("latent").setAttribute("aria-pressed", "false");
  view.draw();
}

export async function toggleLatent() {
  if (view.overlay) return hideLatent();
  const { mask, photo } = page;
  if (mask.masked === 0) return showMessage(text("nothingMasked"));
  try {
    await busily("filling", async (signal) => {
      progress(null, text("sending"));
      const file = await mask.file(photo.width, photo.height);
      const blob = await api.latent(photo.file, file, latentModel().id, signal);
      view.overlay = await createImageBitmap(blob);
      byId("latent").setAttribute("aria-pressed", "true");
      view.draw();
    });
  } catch (error) {
    failed(error);
  }
}
