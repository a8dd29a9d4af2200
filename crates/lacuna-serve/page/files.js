// Files that the page writes itself: one-bit PNG masks, and ZIP archives that only store.

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc >>> 0;
});

/** The CRC-32 of bytes. */
export function crc32(...parts) {
  let crc = 0xffffffff;
  for (const part of parts) for (const byte of part) crc = CRC_TABLE[(crc ^ byte) & 255] ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

function chunk(kind, data) {
  const bytes = new Uint8Array(12 + data.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, data.length);
  bytes.set(new TextEncoder().encode(kind), 4);
  bytes.set(data, 8);
  view.setUint32(8 + data.length, crc32(bytes.subarray(4, 8 + data.length)));
  return bytes;
}

/** A PNG file of one bit a pixel; `row(y)` gives a row of 0 and 1. */
export async function maskPng(width, height, row) {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([1, 0, 0, 0, 0], 8);
  const stride = 1 + Math.ceil(width / 8);
  let y = 0;
  const rows = new ReadableStream({
    pull(controller) {
      if (y === height) return controller.close();
      const count = Math.min(64, height - y);
      const packed = new Uint8Array(stride * count);
      for (let i = 0; i < count; i++, y++) {
        const bits = row(y);
        const start = i * stride + 1;
        for (let x = 0; x < width; x++) if (bits[x]) packed[start + (x >> 3)] |= 128 >> (x & 7);
      }
      controller.enqueue(packed);
    },
  });
  const deflated = await new Response(rows.pipeThrough(new CompressionStream("deflate"))).arrayBuffer();
  const signature = Uint8Array.of(137, 80, 78, 71, 13, 10, 26, 10);
  const parts = [signature, chunk("IHDR", header), chunk("IDAT", new Uint8Array(deflated)), chunk("IEND", new Uint8Array())];
  return new File(parts, "mask.png", { type: "image/png" });
}

/** The most that a ZIP file without extensions holds. */
export const MOST_ZIP_BYTES = 0xffffffff;

/** A ZIP archive; photos do not compress, so they are stored. */
export class Zip {
  #parts = [];
  #entries = [];
  #names = new Set();
  bytes = 0;

  /** Whether a file of this many bytes still fits. */
  fits(bytes) {
    const perEntry = 46 + 30 + 2 * 400;
    return this.bytes + bytes + perEntry * (this.#entries.length + 2) < MOST_ZIP_BYTES && this.#entries.length < 65535;
  }

  async add(file) {
    const name = new TextEncoder().encode(this.#free(file.name));
    const data = new Uint8Array(await file.arrayBuffer());
    const crc = crc32(data);
    const head = record(0x04034b50, 30, name, (view) => {
      fields(view, 4, crc, data.length, name.length);
    });
    this.#entries.push({ name, crc, length: data.length, offset: this.bytes });
    // The file itself, not its bytes: the browser may keep it on disk.
    this.#parts.push(head, file);
    this.bytes += head.length + data.length;
  }

  get count() {
    return this.#entries.length;
  }

  /** "a.jpg", or "a (2).jpg" if that is taken. */
  #free(name) {
    const dot = name.lastIndexOf(".");
    const [stem, extension] = dot > 0 ? [name.slice(0, dot), name.slice(dot)] : [name, ""];
    let free = name;
    for (let number = 2; this.#names.has(free); number++) free = `${stem} (${number})${extension}`;
    this.#names.add(free);
    return free;
  }

  finish() {
    const directory = this.#entries.map(({ name, crc, length, offset }) =>
      record(0x02014b50, 46, name, (view) => {
        view.setUint16(4, 20, true);
        fields(view, 6, crc, length, name.length);
        view.setUint32(42, offset, true);
      }),
    );
    const size = directory.reduce((sum, entry) => sum + entry.length, 0);
    const end = record(0x06054b50, 22, new Uint8Array(), (view) => {
      view.setUint16(8, this.#entries.length, true);
      view.setUint16(10, this.#entries.length, true);
      view.setUint32(12, size, true);
      view.setUint32(16, this.bytes, true);
    });
    return new File([...this.#parts, ...directory, end], "lacuna.zip", { type: "application/zip" });
  }
}

function record(signature, length, name, write) {
  const bytes = new Uint8Array(length + name.length);
  const view = new DataView(bytes.buffer);
  view.setUint32(0, signature, true);
  write(view);
  bytes.set(name, length);
  return bytes;
}

/** The fields that both kinds of headers have in common, starting at "version needed". */
function fields(view, at, crc, length, nameLength) {
  view.setUint16(at, 20, true);
  view.setUint16(at + 2, 0x0800, true); // names are UTF-8
  view.setUint16(at + 8, 0x21, true); // 1 January 1980
  view.setUint32(at + 10, crc, true);
  view.setUint32(at + 14, length, true);
  view.setUint32(at + 18, length, true);
  view.setUint16(at + 22, nameLength, true);
}

/** Saves a file as a download. */
export function save(file) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(file);
  link.download = file.name;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}
