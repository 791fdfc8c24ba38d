// A crop as a file: the original pixels, and what the photo's file says about itself (camera, place, profile).

const segment = (bytes, at) => ({ marker: bytes[at + 1], start: at, end: at + 2 + ((bytes[at + 2] << 8) | bytes[at + 3]) });
const startsWith = (bytes, at, text) => [...text].every((letter, place) => bytes[at + place] === letter.charCodeAt(0));

/** The segments of a JPEG that hold EXIF, XMP, the colour profile and captions. */
function jpegMetadata(bytes) {
  const parts = [];
  for (let at = 2; at + 4 < bytes.length && bytes[at] === 0xff && bytes[at + 1] !== 0xda; ) {
    const part = segment(bytes, at);
    const exif = part.marker === 0xe1;
    const profile = part.marker === 0xe2 && startsWith(bytes, at + 4, "ICC_PROFILE\0");
    if (exif || profile || part.marker === 0xed || part.marker === 0xfe) parts.push(bytes.slice(at, part.end));
    at = part.end;
  }
  return parts;
}

/** EXIF of the crop: upright, of its own size, without the small picture of the whole photo. Changed in place. */
function mendExif(part, width, height) {
  if (!startsWith(part, 4, "Exif\0\0")) return part;
  const view = new DataView(part.buffer, part.byteOffset + 10, part.length - 10);
  try {
    const little = view.getUint16(0) === 0x4949;
    const fix = (directory, wanted) => {
      const count = view.getUint16(directory, little);
      for (let entry = 0; entry < count; entry += 1) {
        const at = directory + 2 + 12 * entry;
        const [tag, kind] = [view.getUint16(at, little), view.getUint16(at + 2, little)];
        if (tag === 0x8769) fix(view.getUint32(at + 8, little), { 0xa002: width, 0xa003: height });
        else if (tag in wanted && kind === 3) view.setUint16(at + 8, wanted[tag], little);
        else if (tag in wanted && kind === 4) view.setUint32(at + 8, wanted[tag], little);
      }
      return directory + 2 + 12 * count;
    };
    const next = fix(view.getUint32(4, little), { 0x0112: 1 });
    view.setUint32(next, 0, little);
  } catch {
    return null; // damaged: the crop goes without it
  }
  return part;
}

const joined = (pieces) => new Blob(pieces);

/** Put the metadata of one JPEG into another. */
function withJpegMetadata(made, original, width, height) {
  const parts = jpegMetadata(original).map((part) => (part[1] === 0xe1 ? mendExif(part, width, height) : part)).filter(Boolean);
  let at = 2;
  while (made[at] === 0xff && (made[at + 1] === 0xe0 || made[at + 1] === 0xe1 || made[at + 1] === 0xe2)) at = segment(made, at).end;
  const head = made[3] === 0xe0 ? made.slice(0, segment(made, 2).end) : made.slice(0, 2);
  return joined([head, ...parts, made.slice(at)]);
}

function pngChunks(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  const chunks = [];
  for (let at = 8; at + 12 <= bytes.length; ) {
    const end = at + 12 + view.getUint32(at);
    chunks.push({ kind: String.fromCharCode(...bytes.subarray(at + 4, at + 8)), bytes: bytes.slice(at, end) });
    at = end;
  }
  return chunks;
}

const CRC = Array.from({ length: 256 }, (_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? 0xedb88320 ^ (value >>> 1) : value >>> 1;
  return value >>> 0;
});

/** Put the metadata of one PNG into another: profile, density, texts, and EXIF that is upright. */
function withPngMetadata(made, original, width, height) {
  const wanted = ["iCCP", "gAMA", "cHRM", "sRGB", "cICP", "pHYs", "eXIf", "tEXt", "zTXt", "iTXt"];
  const extra = pngChunks(original).filter((chunk) => wanted.includes(chunk.kind)).flatMap((chunk) => {
    if (chunk.kind !== "eXIf") return [chunk.bytes];
    // As a JPEG would hold it: two bytes of marker, two of length, six of name, then what stands here.
    const part = new Uint8Array(10 + chunk.bytes.length - 12);
    part.set([0xff, 0xe1, 0, 0, 0x45, 0x78, 0x69, 0x66, 0, 0]);
    part.set(chunk.bytes.subarray(8, -4), 10);
    const mended = mendExif(part, width, height);
    if (!mended) return [];
    chunk.bytes.set(mended.subarray(10), 8);
    const crc = chunk.bytes.subarray(4, -4).reduce((value, byte) => CRC[(value ^ byte) & 255] ^ (value >>> 8), 0xffffffff);
    new DataView(chunk.bytes.buffer).setUint32(chunk.bytes.length - 4, (crc ^ 0xffffffff) >>> 0);
    return [chunk.bytes];
  });
  const [first, ...others] = pngChunks(made);
  const rest = others.filter((chunk) => !wanted.includes(chunk.kind)).map((chunk) => chunk.bytes);
  return joined([made.slice(0, 8), first.bytes, ...extra, ...rest]);
}

/**
 * The crop as a file: {blob, name, note}. JPEG stays JPEG and PNG stays PNG, with their metadata; WebP stays WebP and
 * anything else becomes PNG, without, and the note says so. `whose` names the file's crop; `size`: [width, height] to
 * shrink to, or null.
 */
async function cropFile(photo, [left, top, right, bottom], whose, size = null) {
  const own = [right - left, bottom - top];
  const [width, height] = size && size[0] <= own[0] ? size : own;
  const canvas = new OffscreenCanvas(width, height);
  const context = canvas.getContext("2d");
  context.imageSmoothingQuality = "high";
  context.drawImage(photo.bitmap, left, top, ...own, 0, 0, width, height);
  const kinds = { JPEG: ["image/jpeg", "jpg"], WebP: ["image/webp", "webp"] };
  const [type, ending] = kinds[photo.format] ?? ["image/png", "png"];
  const encoded = await canvas.convertToBlob({ type, quality: 0.95 });
  const name = `${photo.name.replace(/\.[^.]*$/, "")}-${whose}.${ending}`;
  const made = new Uint8Array(await encoded.arrayBuffer());
  if (photo.format === "JPEG") return { blob: new Blob([withJpegMetadata(made, photo.bytes, width, height)], { type }), name, note: "" };
  if (photo.format === "PNG") return { blob: new Blob([withPngMetadata(made, photo.bytes, width, height)], { type }), name, note: "" };
  const note = `of a ${photo.format || "file of this kind"} a page can't keep the metadata; “cropnb crop” does`;
  return { blob: encoded, name, note };
}

/** What the page found, as JSON. */
function boxesFile(photo, results, drawn, shape) {
  const rows = (crops) => crops.map(({ box, pixels, score }) => ({ box: box.map((edge) => Math.round(edge * 1000) / 1000), pixels, score }));
  const content = {
    photo: { name: photo.name, width: photo.width, height: photo.height },
    unit: "pixels of the upright photo: left, top, right, bottom",
    asked: shape || null,
    methods: Object.fromEntries(Object.entries(results).map(([name, crops]) => [name, rows(crops)])),
    drawn,
  };
  const name = `${photo.name.replace(/\.[^.]*$/, "")}-boxes.json`;
  return { blob: new Blob([JSON.stringify(content, null, 2) + "\n"], { type: "application/json" }), name };
}

function download({ blob, name }) {
  const link = make("a", { href: URL.createObjectURL(blob), download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(link.href), 10_000);
}
