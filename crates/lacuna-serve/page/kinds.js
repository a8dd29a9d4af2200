// Detects the kind of a photo's file by its bytes.

const ascii = (bytes, from, to) => String.fromCharCode(...bytes.subarray(from, to));

/** Signatures that name a kind: [kind, offset, text]. */
const SIGNATURES = [
  ["GIF", 0, "GIF8"], ["BMP", 0, "BM"], ["TIFF", 0, "II*\0"], ["TIFF", 0, "MM\0*"], ["TIFF", 0, "II+\0"], ["TIFF", 0, "MM\0+"],
  ["PDF", 0, "%PDF"], ["Photoshop", 0, "8BPS"], ["JPEG XL", 0, "\xff\x0a"], ["JPEG XL", 4, "JXL "], ["JPEG 2000", 4, "jP  "], ["SVG", 0, "<svg"],
];
/** Brands of the ISO base media format. */
const BRANDS = [["AVIF", /avi[fs]/], ["HEIC", /he[iv][cmsx]|mif1|msf1/], ["Canon raw", /crx /]];

/** The kind of a file by its first bytes, as a readable name; null if unknown. */
export function kindOf(bytes) {
  if (ascii(bytes, 0, 4) === "\x89PNG") return "PNG";
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return "JPEG";
  if (ascii(bytes, 0, 4) === "RIFF" && ascii(bytes, 8, 12) === "WEBP") return "WebP";
  if (ascii(bytes, 4, 8) === "ftyp") {
    const brands = ascii(bytes, 8, Math.min(bytes.length, 32));
    return BRANDS.find(([, brand]) => brand.test(brands))?.[0] ?? "video";
  }
  return SIGNATURES.find(([, offset, text]) => ascii(bytes, offset, offset + text.length) === text)?.[0] ?? null;
}

/**
 * Whether a file is of a kind that every server reads: complete PNG, WebP and JPEG files without unusual features. Other
 * kinds must be checked by the server.
 */
export function isUsual(bytes) {
  const kind = kindOf(bytes);
  if (kind === "JPEG") return isUsualJpeg(bytes);
  if (kind === "PNG") return ascii(bytes, bytes.length - 8, bytes.length - 4) === "IEND";
  if (kind === "WebP") {
    const view = new DataView(bytes.buffer, bytes.byteOffset);
    const isAnimated = ascii(bytes, 12, 16) === "VP8X" && (bytes[20] & 2) !== 0;
    return !isAnimated && view.getUint32(4, true) + 8 <= bytes.length;
  }
  return false;
}

/** Baseline or progressive, 8 bits, grey or three components, and not truncated. */
function isUsualJpeg(bytes) {
  let isUsualFrame = false;
  for (let at = 2; at + 10 < bytes.length && bytes[at] === 0xff; ) {
    const marker = bytes[at + 1];
    if (marker === 0xff) {
      at++;
      continue;
    }
    const isFrame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (isFrame) isUsualFrame = marker <= 0xc2 && bytes[at + 4] === 8 && [1, 3].includes(bytes[at + 9]);
    // Start of scan: the end marker must come after it, because thumbnails before it have end markers too.
    if (marker === 0xda) return isUsualFrame && hasEnd(bytes, at);
    at += 2 + 256 * bytes[at + 2] + bytes[at + 3];
  }
  return false;
}

function hasEnd(bytes, from) {
  for (let at = bytes.lastIndexOf(0xd9); at > from; at = bytes.lastIndexOf(0xd9, at - 1)) {
    if (bytes[at - 1] === 0xff) return true;
  }
  return false;
}
