// Runs the module: one request at a time, on a thread of its own. The page starts it from memory, so that the page's content
// security policy applies: it cannot connect to anything.

/** Seconds between messages about progress. */
const INTERVAL = 0.05;

let module = null;
/** The exports of the module, once it has started. */
let started = null;
let panic = null;
let told = 0;

self.addEventListener("message", async ({ data }) => {
  if (data.module) {
    module = data.module;
    return;
  }
  try {
    started ??= start();
    const reply = call(await started, data.request, data.files);
    postMessage(reply, [reply.file]);
  } catch (error) {
    // The module cannot go on after a trap: the page starts another worker. Without a panic it had no memory.
    const hasTrapped = error instanceof WebAssembly.RuntimeError || error instanceof RangeError;
    const code = hasTrapped && !panic ? "memory" : "internal";
    postMessage({ failed: { code, detail: panic ?? error.message } });
  }
});

async function start() {
  const env = {
    lacuna_progress(fraction) {
      const now = performance.now() / 1000;
      if (now - told < INTERVAL) return;
      told = now;
      postMessage({ progress: fraction });
    },
    lacuna_panicked(text, length) {
      panic = new TextDecoder().decode(new Uint8Array(exports.memory.buffer, text >>> 0, length));
    },
  };
  const { exports } = await WebAssembly.instantiate(module, { env });
  exports.lacuna_start();
  return exports;
}

/** Sends a request to the module: { document, file, memory }, with the bytes of memory that it has taken so far. */
function call({ memory, lacuna_take: take, lacuna_call: ask, lacuna_free: free }, request, files) {
  const lengths = files.map((file) => file.byteLength);
  const document = new TextEncoder().encode(JSON.stringify({ ...request, files: lengths }));
  const parts = [document, ...files.map((file) => new Uint8Array(file))];
  const length = parts.reduce((sum, part) => sum + part.length, 0);
  const room = take(length) >>> 0;
  if (!room) return { document: { problem: { code: "memory", detail: `no memory for ${length} bytes` } }, file: new ArrayBuffer(0) };
  let at = room;
  for (const part of parts) {
    new Uint8Array(memory.buffer).set(part, at);
    at += part.length;
  }
  const place = ask(room, length, document.length) >>> 0;
  const [text, textLength, file, fileLength] = new Uint32Array(memory.buffer, place, 4);
  const reply = {
    document: JSON.parse(new TextDecoder().decode(new Uint8Array(memory.buffer, text, textLength))),
    file: memory.buffer.slice(file, file + fileLength),
    memory: memory.buffer.byteLength,
  };
  free(place);
  return reply;
}
