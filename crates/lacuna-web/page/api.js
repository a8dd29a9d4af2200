// What the server's api.js offers, without a server: a worker in this browser answers. Errors are thrown as Problem.

/** This file is in `assets`. */
const BASE = new URL("../", import.meta.url);

/** The service worker; it must lie above all files that it keeps. */
export const SERVICE_WORKER = "sw.js";

/** A worker whose memory has grown beyond this is ended after its request: a module's memory never shrinks. */
const KEPT_BYTES = 256 << 20;

/** Texts where the page speaks of a server. */
export const OWN_TEXTS = {
  startPrivacy: ["Photos stay on this device: nothing is uploaded, and the page works without a connection.", "Фото лишаються на цьому пристрої: нічого не надсилається, сторінка працює без мережі."],
  sending: ["Preparing…", "Підготовка…"],
  kindNotRead: [
    "{name}: this {kind} file cannot be read here. Save it as an ordinary JPEG or PNG and open that.",
    "{name}: цей файл {kind} тут не читається. Збережіть його як звичайний JPEG чи PNG і відкрийте той.",
  ],
  tooManyBytes: ["{name} has {size}; up to {most} fit here", "{name} має {size}; тут вміщується до {most}"],
  tooManyPixels: [
    "{name} is {width} × {height} pixels; up to {most}, and {side} pixels a side, fit here",
    "{name} має {width} × {height} пікселів; тут вміщується до {most} і до {side} пікселів на сторону",
  ],
  offline: ["A part of this page could not be loaded. Connect to the network once, and reload the page; after that it works without.", "Частину сторінки не вдалося завантажити. Раз під’єднайтеся до мережі й перезавантажте сторінку; далі вона працює без неї."],
  refused: ["This cannot be done: {message}", "Цього не можна зробити: {message}"],
  "field-invalid": ["One of the settings cannot be used. Check their values.", "Одне з налаштувань непридатне. Перевірте їхні значення."],
  "image-invalid": ["This photo cannot be read", "Це фото не читається"],
  "image-too-large": ["The photo has too many pixels", "Фото має забагато пікселів"],
  "mask-invalid": ["The mask cannot be read", "Маска не читається"],
  "memory": [
    "This needs more memory than a page can have (4 GiB). Paint less at a time, choose “On a smaller copy” for large photos in the settings, or take a smaller photo.",
    "Для цього треба більше пам’яті, ніж може мати сторінка (4 ГіБ). Зафарбуйте менше за раз, оберіть для великих фото «На меншій копії» в налаштуваннях або візьміть менше фото.",
  ],
  "internal": ["The fill failed. Try again, or paint something else. If it stays, please report it.", "Заповнення не вдалося. Спробуйте ще раз або зафарбуйте інше. Якщо не минає, повідомте про це."],
};

export const url = (path) => new URL(path, BASE).href;

/** A problem; `code` is stable. `offline`: a file of the page itself cannot be loaded. `unheld`: a photo cannot be read. */
export class Problem extends Error {
  constructor({ code, detail = "" }) {
    super(detail);
    this.code = code;
    this.retryAfter = 0;
  }
}

// Nothing here needs a token.
export function onUnauthorized() {}
export function takeTokenFromAddress() {}

/** The compiled module and the worker's text, once they are asked for. */
let parts = null;
let worker = null;
/** The last request; the worker answers one at a time. */
let last = Promise.resolve();

async function fileOf(path) {
  try {
    const response = await fetch(url(path));
    if (response.ok) return response;
  } catch (error) {
    console.info(error);
  }
  throw new Problem({ code: "offline" });
}

function load() {
  parts ??= Promise.all([
    fileOf("assets/lacuna.wasm").then(async (response) => WebAssembly.compile(await response.arrayBuffer())),
    fileOf("assets/worker.js").then((response) => response.blob()),
  ]).catch((error) => {
    parts = null;
    throw error;
  });
  return parts;
}

/** A worker with the module. */
function start([module, text]) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/javascript" }));
  const started = new Worker(address);
  started.postMessage({ module });
  return started;
}

function stop() {
  worker?.terminate();
  worker = null;
}

/** Answers a request: { document, file }. Aborting ends the worker. */
function ask(request, files = [], { signal, progress } = {}) {
  const answer = last.then(() => run(request, files, signal, progress));
  last = answer.catch(() => {});
  return answer;
}

async function run(request, files, signal, progress) {
  signal?.throwIfAborted();
  const loaded = await load();
  let buffers;
  try {
    buffers = await Promise.all(files.map((file) => file?.arrayBuffer() ?? new ArrayBuffer(0)));
  } catch {
    throw new Problem({ code: "unheld" });
  }
  signal?.throwIfAborted();
  worker ??= start(loaded);
  const end = new AbortController();
  try {
    return await new Promise((resolve, reject) => {
      const fail = (problem) => {
        stop();
        reject(new Problem(problem));
      };
      const abort = () => {
        stop();
        reject(signal.reason);
      };
      signal?.addEventListener("abort", abort, { signal: end.signal });
      worker.addEventListener("error", (event) => fail({ code: "internal", detail: event.message }), { signal: end.signal });
      const hear = ({ data }) => {
        if (data.memory > KEPT_BYTES) stop();
        if (data.progress !== undefined) progress?.(data.progress);
        else if (data.failed !== undefined) fail(data.failed);
        else if (data.document.problem) reject(new Problem(data.document.problem));
        else resolve(data);
      };
      worker.addEventListener("message", hear, { signal: end.signal });
      worker.postMessage({ request, files: buffers }, buffers);
    });
  } finally {
    end.abort();
  }
}

export async function models() {
  return (await ask({ kind: "models" })).document;
}

/** A file of the example. */
export async function example(name, type) {
  const response = await fileOf(`example/${name}`);
  return new File([await response.blob()], name, { type });
}

/** A preview of a photo that the browser cannot decode: { blob, width, height } with the photo's original size. */
export async function preview(image, longSide, signal) {
  const { document, file } = await ask({ kind: "preview", name: image.name, long_side: longSide }, [image], { signal });
  return { ...document, blob: new Blob([file], { type: "image/png" }) };
}

/** Latent views need training's code, which is not here. `models()` says that no model has one. */
export async function latent() {
  throw new Problem({ code: "not-found" });
}

/** Fills a hole: { file, notes, seconds }. `follow.job` receives the progress. Aborting cancels. */
export async function fill(image, mask, { avoid, ...settings }, follow, signal) {
  const given = Object.entries(settings).filter(([, value]) => value !== null && value !== undefined && value !== "");
  const fields = given.map(([name, value]) => [name, String(value)]);
  const progress = (fraction) => follow.job({ state: "running", progress: fraction });
  progress(0);
  const begin = performance.now();
  const { document, file } = await ask({ kind: "fill", name: image.name, fields }, [image, mask, avoid], { signal, progress });
  const filled = new File([file], document.name, { type: document.type });
  return { file: filled, notes: document.notes, seconds: (performance.now() - begin) / 1000 };
}
