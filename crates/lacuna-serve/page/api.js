// Requests to the server. Errors are thrown as Problem.

const TOKEN = "lacuna-token";
/** Proxies refuse large files with this status. */
const PAYLOAD_TOO_LARGE = 413;

/** The server's base URL: this file is in its `assets`. */
const BASE = new URL("../", import.meta.url);

/** The service worker. */
export const SERVICE_WORKER = "assets/sw.js";

/** Texts that differ from the page's own. */
export const OWN_TEXTS = {};

/** A URL on the server, which may be below a base path. */
export const url = (path) => new URL(path, BASE).href;

/**
 * A problem that the server reported; `code` is stable. Codes of the page itself: `offline` (no connection), `interrupted` (a
 * connection that ended early), `unheld` (the browser cannot read what it should send), `gateway` (an answer that is not the
 * server's).
 */
export class Problem extends Error {
  constructor(document, retryAfter = 0) {
    super(document.detail);
    this.code = document.code;
    this.retryAfter = retryAfter;
  }
}

let askForToken = async () => null;
/** The open token dialog, awaited by all requests that need the token. */
let asking = null;

/**
 * Sets the function that asks for a token; it resolves to one, or to null. Its argument is the rejected token, or null if none
 * was sent.
 */
export function onUnauthorized(ask) {
  askForToken = ask;
}

/** Takes a token from the address (#token=…) and removes it from there. */
export function takeTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  sessionStorage.setItem(TOKEN, token);
  history.replaceState(null, "", location.pathname + location.search);
}

/** Sends a request with the token; `sent` receives the fraction of the body that is sent. */
async function ask(path, { sent, ...options } = {}) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    let response;
    try {
      const request = { ...options, headers };
      response = sent ? await post(url(path), request, sent) : await fetch(url(path), request);
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw pageProblem((await isReadable(options.body)) ? "offline" : "unheld");
    }
    if (response.ok) return response;
    const problem = await problemOf(response);
    if (problem.code === "unauthorized") {
      asking ??= askForToken(token).finally(() => (asking = null));
      const given = await asking;
      if (given) {
        sessionStorage.setItem(TOKEN, given);
        continue;
      }
      sessionStorage.removeItem(TOKEN);
    }
    throw new Problem(problem, Number(response.headers.get("Retry-After")) || 0);
  }
}

function pageProblem(code, detail = "") {
  return new Problem({ code, detail });
}

/** The problem document of a response. Proxies answer with pages of their own. */
async function problemOf(response) {
  const document = await response.json().catch(() => null);
  if (document?.code) return document;
  if (response.status === PAYLOAD_TOO_LARGE) return { code: "body-too-large", detail: "" };
  return { code: "gateway", detail: `${response.status} ${response.statusText}`.trim() };
}

/** Whether the browser can still read the files of a form: they may have been moved, or the browser has lost them. */
async function isReadable(form) {
  for (const value of form?.values() ?? []) {
    if (!(value instanceof Blob)) continue;
    try {
      await value.slice(-1).arrayBuffer();
    } catch {
      return false;
    }
  }
  return true;
}

/** A response's body, read by `read`. */
async function arrived(read) {
  try {
    return await read();
  } catch (error) {
    throw error.name === "AbortError" ? error : pageProblem("interrupted");
  }
}

/** A POST with upload progress, which `fetch` lacks. */
function post(address, { body, headers, signal }, sent) {
  return new Promise((resolve, reject) => {
    signal?.throwIfAborted();
    const request = new XMLHttpRequest();
    request.open("POST", address);
    request.responseType = "blob";
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.addEventListener("progress", ({ loaded, total }) => total && sent(loaded / total));
    request.addEventListener("load", () => {
      const lines = request.getAllResponseHeaders().trim().split("\r\n");
      const received = lines.map((line) => [line.slice(0, line.indexOf(":")), line.slice(line.indexOf(":") + 1).trim()]);
      resolve(new Response(request.response, { status: request.status, headers: received }));
    });
    request.addEventListener("error", () => reject(new TypeError("no answer")));
    request.addEventListener("abort", () => reject(signal.reason));
    signal?.addEventListener("abort", () => request.abort(), { once: true });
    request.send(body);
  });
}

/** A form; empty values are omitted, so that the server's defaults apply. */
function form(fields) {
  const data = new FormData();
  for (const [name, value] of Object.entries(fields)) {
    if (value === null || value === undefined || value === "") continue;
    if (value instanceof Blob) data.append(name, value, value.name ?? `${name}.png`);
    else data.append(name, value);
  }
  return data;
}

export async function models() {
  const response = await ask("v1/models");
  return arrived(() => response.json());
}

/** A file of the example. */
export async function example(name, type) {
  const response = await ask(`example/${name}`);
  return new File([await arrived(() => response.blob())], name, { type });
}

/** The server's preview of a photo, { blob, width, height } with the photo's original size. */
export async function preview(image, longSide, signal, sent) {
  const response = await ask("v1/preview", { method: "POST", body: form({ image, long_side: longSide }), signal, sent });
  const size = (name) => Number(response.headers.get(`X-Lacuna-${name}`));
  return { blob: await arrived(() => response.blob()), width: size("Width"), height: size("Height") };
}

export async function latent(image, mask, model, signal) {
  const response = await ask("v1/latent", { method: "POST", body: form({ image, mask, model }), signal });
  return arrived(() => response.blob());
}

/** The server's notes on a result. Commas and percent signs within a note are encoded. */
function notesOf(response) {
  const lines = response.headers.get("X-Lacuna-Notes")?.split(",") ?? [];
  return lines.map((line) => decodeURIComponent(line.trim()));
}

/** The file name in a response's Content-Disposition. */
function fileName(response, otherwise) {
  const encoded = /filename\*=UTF-8''([^;]+)/.exec(response.headers.get("Content-Disposition") ?? "");
  return encoded ? decodeURIComponent(encoded[1]) : otherwise;
}

/**
 * Fills a hole: { file, notes, seconds }. `follow.sent` and `follow.received` receive fractions of the files, `follow.job` the job's document whenever it
 * changes. Aborting cancels the job.
 */
export async function fill(image, mask, settings, follow, signal) {
  const body = form({ image, mask, ...settings });
  const created = await ask("v1/inpaint?async", { method: "POST", body, signal, sent: follow.sent });
  const job = await arrived(() => created.json());
  const path = `v1/jobs/${job.id}`;
  let last = job;
  try {
    follow.job(job);
    const events = await ask(`${path}/events`, { signal });
    for await (const document of documents(events.body)) {
      last = document;
      follow.job(document);
    }
    if (last.state !== "done") throw last.problem ? new Problem(last.problem) : pageProblem("interrupted");
    const response = await ask(`${path}/result`, { signal });
    const type = response.headers.get("Content-Type");
    const file = new File([await received(response, follow.received)], fileName(response, image.name), { type });
    return { file, notes: notesOf(response), seconds: Number(response.headers.get("X-Lacuna-Seconds")) };
  } finally {
    // Cancels a running job, deletes a finished one.
    ask(path, { method: "DELETE", keepalive: true }).catch(() => {});
  }
}

/** A response's body; `report` receives the fraction that has arrived. */
async function received(response, report) {
  const total = Number(response.headers.get("Content-Length"));
  let loaded = 0;
  const count = new TransformStream({
    transform(chunk, controller) {
      loaded += chunk.length;
      if (total) report(loaded / total);
      controller.enqueue(chunk);
    },
  });
  try {
    return await new Response(response.body.pipeThrough(count)).blob();
  } catch (error) {
    if (error.name === "AbortError") throw error;
    // If everything has arrived, the browser has no room for it.
    throw pageProblem(loaded === total ? "unheld" : "interrupted");
  }
}

/** The data of a stream of server-sent events. EventSource cannot send a token. */
async function* documents(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await arrived(() => reader.read());
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.split("\n").find((line) => line.startsWith("data:"));
      if (data) yield JSON.parse(data.slice("data:".length));
    }
  }
}
