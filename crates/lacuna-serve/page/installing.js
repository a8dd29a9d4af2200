// The page as an app: its files are cached for use without a connection, and browsers may offer to install it.

import { SERVICE_WORKER, url } from "./api.js";
import { byId, onClick } from "./dom.js";

export function connectInstalling() {
  // Without a secure context (plain HTTP on another machine) there are no service workers; the page works without.
  navigator.serviceWorker?.register(url(SERVICE_WORKER), { scope: url("") }).catch((error) => console.info(error));
  let offered = null;
  addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault();
    offered = event;
    byId("install").hidden = false;
  });
  onClick("install", async () => {
    byId("install").hidden = true;
    await offered?.prompt();
    offered = null;
  });
}
