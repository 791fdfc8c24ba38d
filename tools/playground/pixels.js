// From a file to what a network reads. The photo is decoded by the browser; what makes it smaller is done here, with
// the filters of Pillow and PyTorch, because a network tells theirs from a canvas's own.

const ENOUGH = 1024; // the shorter side from which on a network is shown a smaller copy
const [LONG_ENOUGH, LEAST_SHORT] = [2048, 512]; // the same of a photo whose shorter side is below that
const DRAFT_PIXELS = 8_000_000; // a JPEG from this size on is decoded at a smaller scale
const MOST_PIXELS = 200_000_000;
const MOST_BYTES = 500_000_000;
const LEAST_SIDE = 16;

/** An error whose message is for the reader. */
class PhotoError extends Error {}

/** Width and height that a PNG or JPEG says it has, without decoding it; null for other files. */
function statedSize(bytes) {
  const view = new DataView(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (bytes.length > 24 && view.getUint32(0) === 0x89504e47) return [view.getUint32(16), view.getUint32(20)];
  if (bytes.length < 4 || view.getUint16(0) !== 0xffd8) return null;
  for (let at = 2; at + 9 < bytes.length; ) {
    const marker = bytes[at + 1];
    if (bytes[at] !== 0xff) return null;
    const frame = marker >= 0xc0 && marker <= 0xcf && ![0xc4, 0xc8, 0xcc].includes(marker);
    if (frame) return [view.getUint16(at + 7), view.getUint16(at + 5)];
    at += marker === 0xff || (marker >= 0xd0 && marker <= 0xd9) || marker === 1 ? (marker === 0xff ? 1 : 2) : 2 + view.getUint16(at + 2);
  }
  return null;
}

function formatOf(bytes) {
  const text = String.fromCharCode(...bytes.subarray(0, 16));
  if (bytes[0] === 0xff && bytes[1] === 0xd8) return "JPEG";
  if (text.startsWith("\x89PNG")) return "PNG";
  if (text.startsWith("RIFF") && text.slice(8, 12) === "WEBP") return "WebP";
  if (/^....ftyp(heic|heix|hevc|mif1|msf1)/s.test(text)) return "HEIC";
  if (/^(II\*\0|MM\0\*)/.test(text)) return "TIFF";
  if (text.startsWith("GIF8")) return "GIF";
  return "";
}

/**
 * Decode a file. Returns {name, format, bytes, bitmap, width, height}, upright; `bitmap` has the original pixels.
 * Throws a PhotoError that says what to do.
 */
async function openPhoto(file) {
  const name = file.name || "photo";
  if (!file.size) throw new PhotoError(`${name} is empty: choose another file`);
  if (file.size > MOST_BYTES) throw new PhotoError(`${name} has ${Math.round(file.size / 1e6)} MB, more than a page can hold: use “cropnb crop” in a shell`);
  const bytes = new Uint8Array(await file.arrayBuffer());
  const format = formatOf(bytes);
  const tooMany = (w, h) =>
    new PhotoError(`${name} has ${w} × ${h} pixels, more than the ${MOST_PIXELS / 1e6} million that a page can hold: use “cropnb crop” in a shell`);
  const stated = statedSize(bytes);
  if (stated && stated[0] * stated[1] > MOST_PIXELS) throw tooMany(...stated);
  const options = { imageOrientation: "from-image", colorSpaceConversion: "none", premultiplyAlpha: "none" };
  let bitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes], { type: file.type }), options);
  } catch {
    const raw = format === "HEIC" || format === "TIFF";
    throw new PhotoError(
      raw
        ? `this browser can't read ${format} files such as ${name}: save it as JPEG or PNG, or use “cropnb crop” in a shell`
        : `${name} is no photo that this browser can read, or it is damaged: choose a JPEG, PNG or WebP file`,
    );
  }
  const { width, height } = bitmap;
  if (width * height > MOST_PIXELS) throw tooMany(width, height);
  if (Math.min(width, height) < LEAST_SIDE) throw new PhotoError(`${name} is ${width} × ${height}: each side needs ${LEAST_SIDE} pixels at least`);
  if (Math.max(width, height) > 40 * Math.min(width, height)) throw new PhotoError(`${name} is ${width} × ${height}: one side may be 40 times the other at most; cut the strip first`);
  return { name, format, bytes, bitmap, width, height };
}

/** What a method is shown before its own resizing: {width, height, data}, three bytes a pixel, row by row. */
function smallCopy(photo) {
  const { bitmap, width, height } = photo;
  const [short, long] = [Math.min(width, height), Math.max(width, height)];
  const large = ENOUGH / short < 1;
  const share = large ? evenRound(long * (ENOUGH / short)) / long : Math.max(LONG_ENOUGH / long, LEAST_SHORT / short);
  const size = share >= 1 ? [width, height] : [evenRound(width * share), evenRound(height * share)];
  const ratio = Math.min(Math.floor(width / size[0]), Math.floor(height / size[1]));
  const draft = photo.format === "JPEG" && width * height >= DRAFT_PIXELS ? [8, 4, 2, 1].find((by) => ratio >= by) ?? 1 : 1;
  const drafted = averaged(bitmap, draft, draft);
  const gap = [drafted.width / size[0], drafted.height / size[1]].map((by) => Math.floor(by / 2) || 1);
  const reduced = gap[0] > 1 || gap[1] > 1 ? averaged(bitmap, draft * gap[0], draft * gap[1]) : drafted;
  const exact = [drafted.width / gap[0], drafted.height / gap[1]];
  const opaque = onGround(reduced);
  return opaque.width === size[0] && opaque.height === size[1] ? opaque : bicubic(opaque, size, exact);
}

/** The pixels of a bitmap, averaged over blocks; read in strips, so that a large photo isn't held twice. */
function averaged(bitmap, acrossBy, downBy) {
  const { width: fullWidth, height: fullHeight } = bitmap; // read once: each look at a bitmap takes longer than a sum
  const [width, height] = [Math.ceil(fullWidth / acrossBy), Math.ceil(fullHeight / downBy)];
  const data = new Uint8ClampedArray(width * height * 4);
  const strip = Math.max(1, Math.floor(2_000_000 / fullWidth / downBy)) * downBy;
  for (let top = 0; top < fullHeight; top += strip) {
    const rows = Math.min(strip, fullHeight - top);
    const canvas = new OffscreenCanvas(fullWidth, rows);
    const context = canvas.getContext("2d", { willReadFrequently: true });
    context.drawImage(bitmap, 0, -top);
    const pixels = context.getImageData(0, 0, fullWidth, rows).data;
    if (acrossBy === 1 && downBy === 1) {
      data.set(pixels, top * fullWidth * 4);
      continue;
    }
    for (let y = 0; y < Math.ceil(rows / downBy); y += 1)
      for (let x = 0; x < width; x += 1) {
        const right = Math.min((x + 1) * acrossBy, fullWidth);
        const bottom = Math.min((y + 1) * downBy, rows);
        const count = (right - x * acrossBy) * (bottom - y * downBy);
        const to = ((top / downBy + y) * width + x) * 4;
        for (let channel = 0; channel < 4; channel += 1) {
          let sum = 0;
          for (let v = y * downBy; v < bottom; v += 1)
            for (let u = x * acrossBy; u < right; u += 1) sum += pixels[(v * fullWidth + u) * 4 + channel];
          data[to + channel] = Math.floor(sum / count + 0.5);
        }
      }
  }
  return { width, height, data };
}

/** RGBA → RGB, transparency on white, black or grey, whichever hides the least. */
function onGround({ width, height, data }) {
  const count = width * height;
  let total = 0;
  const hidden = { 255: 0, 0: 0, 128: 0 };
  let transparent = false;
  for (let at = 0; at < count && !transparent; at += 1) transparent = data[4 * at + 3] < 255;
  let level = 255;
  if (transparent) {
    for (let at = 0; at < 4 * count; at += 4) {
      total += data[at + 3];
      for (const ground of [255, 0, 128]) {
        const off = Math.max(...[0, 1, 2].map((channel) => Math.abs(data[at + channel] - ground)));
        if (off < 40) hidden[ground] += data[at + 3];
      }
    }
    const share = (ground) => Math.round((100 * hidden[ground]) / (total || 1));
    level = [255, 0, 128].reduce((best, ground) => (share(ground) < share(best) ? ground : best), 255);
  }
  const rgb = new Uint8ClampedArray(3 * count);
  for (let at = 0; at < count; at += 1) {
    const alpha = data[4 * at + 3] / 255;
    for (let channel = 0; channel < 3; channel += 1) {
      rgb[3 * at + channel] = Math.round(data[4 * at + channel] * alpha + level * (1 - alpha));
    }
  }
  return { width, height, data: rgb };
}

/** For each pixel of the result: the first pixel of the source, and the weights of those that it is made of. */
function filterTaps(source, size, support, filter, rounding) {
  const scale = source / size;
  const wide = Math.max(scale, 1);
  return Array.from({ length: size }, (_, index) => {
    const centre = (index + 0.5) * scale;
    const first = Math.max(Math.floor(centre - support * wide + 0.5), 0);
    const last = Math.min(Math.floor(centre + support * wide + 0.5), Math.ceil(source));
    const weights = [];
    for (let at = first; at < last; at += 1) weights.push(filter((at - centre + 0.5) / wide));
    const total = weights.reduce((sum, weight) => sum + weight, 0);
    return { first, weights: weights.map((weight) => rounding(weight / total)) };
  });
}

const cubic = (value) => {
  const x = Math.abs(value);
  if (x < 1) return (1.5 * x - 2.5) * x * x + 1;
  return x < 2 ? ((-0.5 * x + 2.5) * x - 4) * x + 2 : 0;
};

/** Pillow's BICUBIC, in its own whole numbers: rounded to bytes after each direction. */
function bicubic({ width, height, data }, [newWidth, newHeight], exact = [width, height]) {
  const whole = (weight) => Math.trunc(weight * 4194304 + (weight < 0 ? -0.5 : 0.5)) / 4194304;
  const bytes = (sum) => Math.floor(sum + 0.5);
  const across = filterTaps(exact[0], newWidth, 2, cubic, whole);
  const between = new Uint8ClampedArray(newWidth * height * 3);
  for (let y = 0; y < height; y += 1)
    across.forEach(({ first, weights }, x) => {
      for (let channel = 0; channel < 3; channel += 1) {
        let sum = 0;
        for (let tap = 0; tap < weights.length; tap += 1) sum += weights[tap] * data[(y * width + first + tap) * 3 + channel];
        between[(y * newWidth + x) * 3 + channel] = bytes(sum);
      }
    });
  const result = new Uint8ClampedArray(newWidth * newHeight * 3);
  filterTaps(exact[1], newHeight, 2, cubic, whole).forEach(({ first, weights }, y) => {
    for (let at = 0; at < newWidth * 3; at += 1) {
      let sum = 0;
      for (let tap = 0; tap < weights.length; tap += 1) sum += weights[tap] * between[(first + tap) * newWidth * 3 + at];
      result[y * newWidth * 3 + at] = bytes(sum);
    }
  });
  return { width: newWidth, height: newHeight, data: result };
}

const triangle = (value) => Math.max(0, 1 - Math.abs(value));

/**
 * Bilinear and antialiased, as torchvision resizes: bytes of three channels → floats in 0…1, channel by channel, as a
 * network takes them (3, H, W).
 */
function antialiased({ width, height, data }, [newWidth, newHeight]) {
  const across = filterTaps(width, newWidth, 1, triangle, Math.fround);
  const down = filterTaps(height, newHeight, 1, triangle, Math.fround);
  const between = new Float32Array(newWidth * height);
  const result = new Float32Array(3 * newWidth * newHeight);
  for (let channel = 0; channel < 3; channel += 1) {
    for (let y = 0; y < height; y += 1)
      for (let x = 0; x < newWidth; x += 1) {
        const { first, weights } = across[x];
        let sum = 0;
        for (let tap = 0; tap < weights.length; tap += 1) sum += weights[tap] * data[(y * width + first + tap) * 3 + channel];
        between[y * newWidth + x] = sum / 255;
      }
    for (let y = 0; y < newHeight; y += 1) {
      const { first, weights } = down[y];
      const row = (channel * newHeight + y) * newWidth;
      for (let x = 0; x < newWidth; x += 1) {
        let sum = 0;
        for (let tap = 0; tap < weights.length; tap += 1) sum += weights[tap] * between[(first + tap) * newWidth + x];
        result[row + x] = Math.min(Math.max(sum, 0), 1);
      }
    }
  }
  return { width: newWidth, height: newHeight, data: result };
}

/** Width and height with the shorter side at `side`, both rounded to multiples of `multiple`. */
function shortSideSize(width, height, side, multiple = 1) {
  const scale = side / Math.min(width, height);
  return [width, height].map((length) => Math.max(evenRound((length * scale) / multiple), 1) * multiple);
}

function longSideSize(width, height, side) {
  const scale = side / Math.max(width, height);
  return [width, height].map((length) => Math.max(evenRound(length * scale), 1));
}
