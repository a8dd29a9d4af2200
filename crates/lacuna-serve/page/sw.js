// Caches the page's own files, so that the app opens without a connection. Photos and API responses are never cached.

const CACHE = "lacuna-page";
const FILES = [
  "api.js", "batch.js", "brush.js", "choices.js", "comparing.js", "dialogs.js", "dom.js", "failures.js", "files.js", "filling.js", "icon-192.png",
  "icon-512.png", "icon.svg", "icons.svg", "importing.js", "installing.js", "keys.js", "kinds.js", "latent.js", "layers.js",
  "main.js", "manifest.webmanifest", "mask.js", "masking.js", "notes.js", "opening.js", "photos.js", "saving.js", "shortcuts.js",
  "state.js", "steps.js", "storage.js", "style.css", "texts.js", "tools.js", "view.js",
];
/** Further files that a page without a server needs. */
const MORE = [];
const paths = ["", ...FILES.map((name) => `assets/${name}`), ...MORE];
const addresses = new Set(paths.map((path) => new URL(path, self.registration.scope).href));

self.addEventListener("install", (event) => {
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(addresses)));
  self.skipWaiting();
});

self.addEventListener("activate", (event) => event.waitUntil(self.clients.claim()));

self.addEventListener("fetch", (event) => {
  const address = event.request.url.split(/[?#]/)[0];
  if (event.request.method === "GET" && addresses.has(address)) event.respondWith(newest(event.request, address));
});

/** The server's file, or the cached one if the server does not respond. */
async function newest(request, address) {
  const cache = await caches.open(CACHE);
  try {
    const response = await fetch(request);
    // A full storage must not keep the page from opening.
    if (response.ok) await cache.put(address, response.clone()).catch(() => {});
    return response;
  } catch (error) {
    const kept = await cache.match(address);
    if (kept) return kept;
    throw error;
  }
}
