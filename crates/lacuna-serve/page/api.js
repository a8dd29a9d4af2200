// The server, as the page asks it. Errors are thrown as Problem.

const TOKEN = "lacuna-token";

/** What the server said is wrong; `code` is stable. */
export class Problem extends Error {
  constructor(document, retryAfter) {
    super(document.detail);
    this.code = document.code;
    this.retryAfter = retryAfter;
  }
}

let askForToken = async () => null;

/** Sets what is called when the server wants a token; it resolves to one, or to null. */
export function onUnauthorized(ask) {
  askForToken = ask;
}

/** Takes a token from the address (#token=…), where nobody else sees it afterwards. */
export function takeTokenFromAddress() {
  const token = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!token) return;
  sessionStorage.setItem(TOKEN, token);
  history.replaceState(null, "", location.pathname + location.search);
}

async function ask(path, options = {}) {
  for (;;) {
    const token = sessionStorage.getItem(TOKEN);
    const headers = token ? { Authorization: `Bearer ${token}` } : {};
    let response;
    try {
      response = await fetch(path, { ...options, headers });
    } catch (error) {
      if (error.name === "AbortError") throw error;
      throw new Problem({ code: "offline", detail: "" });
    }
    if (response.ok) return response;
    const problem = await response.json().catch(() => ({ code: "internal", detail: `${response.status}` }));
    if (problem.code === "unauthorized") {
      const given = await askForToken();
      if (given) {
        sessionStorage.setItem(TOKEN, given);
        continue;
      }
    }
    throw new Problem(problem, Number(response.headers.get("Retry-After")) || 0);
  }
}

/** A form; empty values are left to the server. */
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
  return (await ask("/v1/models")).json();
}

export async function preview(image, longSide, signal) {
  const response = await ask("/v1/preview", { method: "POST", body: form({ image, long_side: longSide }), signal });
  const size = (name) => Number(response.headers.get(`X-Lacuna-${name}`));
  return { blob: await response.blob(), width: size("Width"), height: size("Height") };
}

export async function latent(image, mask, model, signal) {
  return (await ask("/v1/latent", { method: "POST", body: form({ image, mask, model }), signal })).blob();
}

/** What a response's Content-Disposition calls the file. */
function fileName(response, otherwise) {
  const encoded = /filename\*=UTF-8''([^;]+)/.exec(response.headers.get("Content-Disposition") ?? "");
  return encoded ? decodeURIComponent(encoded[1]) : otherwise;
}

/** Fills a hole; `tell` gets the job's document whenever it changes. Aborting cancels the job. */
export async function fill(image, mask, settings, tell, signal) {
  const body = form({ image, mask, ...settings });
  const job = await (await ask("/v1/inpaint?async", { method: "POST", body, signal })).json();
  const path = `/v1/jobs/${job.id}`;
  let last = job;
  try {
    tell(job);
    const events = await ask(`${path}/events`, { signal });
    for await (const document of documents(events.body)) {
      last = document;
      tell(document);
    }
    if (last.state !== "done") throw new Problem(last.problem ?? { code: "internal", detail: last.state });
    const response = await ask(`${path}/result`, { signal });
    const blob = await response.blob();
    const file = new File([blob], fileName(response, image.name), { type: blob.type });
    const header = (name) => response.headers.get(`X-Lacuna-${name}`);
    return { file, seconds: Number(header("Seconds")), how: `${header("Method")}, ${header("Strategy")}` };
  } finally {
    // Cancels what runs, forgets what is done.
    ask(path, { method: "DELETE", keepalive: true }).catch(() => {});
  }
}

/** The data of a stream of server-sent events. EventSource cannot send a token. */
async function* documents(stream) {
  const reader = stream.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    const events = (rest + value).split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.split("\n").find((line) => line.startsWith("data:"));
      if (data) yield JSON.parse(data.slice("data:".length));
    }
  }
}
