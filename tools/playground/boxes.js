// Ratios, windows and whole pixels: the twins of cropnb.ratios and cropnb.candidates, in exact fractions where those
// are exact. Boxes are [x1, y1, x2, y2] in pixels of the upright photo.

const ONE = 1n;

/** A fraction of whole numbers (BigInt), reduced, its denominator above 0. */
function fraction(top, bottom = ONE) {
  let [a, b] = [BigInt(top), BigInt(bottom)];
  if (b < 0n) [a, b] = [-a, -b];
  let [x, y] = [a < 0n ? -a : a, b];
  while (y) [x, y] = [y, x % y];
  return { top: a / (x || ONE), bottom: b / (x || ONE) };
}

const times = (a, b) => fraction(a.top * b.top, a.bottom * b.bottom);
const over = (a, b) => fraction(a.top * b.bottom, a.bottom * b.top);
const minus = (a, b) => fraction(a.top * b.bottom - b.top * a.bottom, a.bottom * b.bottom);
const less = (a, b) => a.top * b.bottom < b.top * a.bottom;
const smaller = (a, b) => (less(b, a) ? b : a);
const floor = (a) => (a.top >= 0n ? a.top / a.bottom : -((-a.top + a.bottom - ONE) / a.bottom));
const number = (a) => Number(a.top) / Number(a.bottom);

/** Python's round: halves go to the even neighbour. */
function evenRound(value) {
  const low = Math.floor(value);
  const rest = value - low;
  if (rest !== 0.5) return Math.round(value);
  return low % 2 === 0 ? low : low + 1;
}

const halfUp = (value) => Math.floor(value + 0.5);

/** The nearest fraction whose denominator is at most `most`. */
function simplest(value, most = 1000n) {
  if (value.bottom <= most) return value;
  let [p0, q0, p1, q1, n, d] = [0n, 1n, 1n, 0n, value.top, value.bottom];
  for (;;) {
    const a = n / d;
    const q2 = q0 + a * q1;
    if (q2 > most) break;
    [p0, q0, p1, q1, n, d] = [p1, q1, p0 + a * p1, q2, d, n - a * d];
  }
  const k = (most - q0) / q1;
  const [one, two] = [fraction(p0 + k * p1, q0 + k * q1), fraction(p1, q1)];
  const apart = (other) => {
    const gap = minus(other, value);
    return gap.top < 0n ? fraction(-gap.top, gap.bottom) : gap;
  };
  return less(apart(one), apart(two)) ? one : two;
}

function decimal(text) {
  const [whole, part = ""] = text.split(".");
  return fraction(BigInt(whole + part), 10n ** BigInt(part.length));
}

/**
 * What a reader asks for: "16:9", "1.91:1" and "1.5" are ratios, "1080x1350" is a size. Returns {ratio, size}, both
 * null for an empty text; throws an Error that says how to write it.
 */
function parseShape(text) {
  if (!text.trim()) return { ratio: null, size: null };
  const match = /^\s*(\d{1,9}(?:\.\d{1,20})?)\s*(?:([:/xX×])\s*(\d{1,9}(?:\.\d{1,20})?)\s*)?$/.exec(text);
  const wrong = new PhotoError(`“${text.slice(0, 40)}” is neither a ratio such as 16:9 or 1.5 nor a size such as 1080x1350`);
  if (!match) throw wrong;
  const first = decimal(match[1]);
  const second = match[3] === undefined ? fraction(1) : decimal(match[3]);
  if (first.top <= 0n || second.top <= 0n) throw wrong;
  let ratio = over(first, second);
  if (match[3] === undefined) {
    const simple = simplest(ratio);
    if (Math.abs(number(simple) - number(ratio)) <= 1e-7 * number(ratio)) ratio = simple;
  }
  if (number(ratio) > 100000 || number(ratio) < 1 / 100000) throw wrong;
  const sized = /[xX×]/.test(match[2] ?? "") && first.bottom === ONE && second.bottom === ONE;
  const size = sized ? [Number(first.top), Number(second.top)] : null;
  if (size && Math.max(...size) > 100000) throw wrong;
  return { ratio, size };
}

/** Width and height of the largest window of a ratio, as fractions. */
function largestSides(width, height, ratio) {
  const [w, h] = [fraction(width), fraction(height)];
  return [smaller(w, times(h, ratio)), smaller(h, over(w, ratio))];
}

/** The candidates of GAICD: pairs of cells of a 12 × 12 grid that keep half of the photo or more. */
function gridAnchors(width, height) {
  const bins = 12;
  const boxes = [];
  const at = (cell, side) => Math.floor(((2 * cell + 1) * side + bins) / (2 * bins));
  for (let x1 = 0; x1 < 4; x1 += 1)
    for (let y1 = 0; y1 < 4; y1 += 1)
      for (let x2 = 8; x2 < 12; x2 += 1)
        for (let y2 = 8; y2 < 12; y2 += 1) {
          const [columns, rows] = [x2 - x1, y2 - y1];
          if (columns * rows * 10000 <= 4999 * bins * bins) continue;
          if (columns * width * 2 < rows * height || columns * width * 5 > 11 * rows * height) continue;
          boxes.push([at(x1, width), at(y1, height), at(x2, width), at(y2, height)]);
        }
  return boxes;
}

const places = (room, step) => 1 + Number(floor(over(room, step)));

/** Every window of every size, with equal offsets from border to border (one place: in the middle). */
function slide(width, height, sizes, stepX, stepY) {
  const boxes = [];
  for (const [w, h] of sizes) {
    const across = places(minus(fraction(width), w), stepX);
    const down = places(minus(fraction(height), h), stepY);
    const [wide, high] = [number(w), number(h)];
    for (let row = 0; row < down; row += 1)
      for (let column = 0; column < across; column += 1) {
        const left = (across === 1 ? 0.5 : column / (across - 1)) * (width - wide);
        const top = (down === 1 ? 0.5 : row / (down - 1)) * (height - high);
        const box = [Math.max(left, 0), Math.max(top, 0), Math.min(left + wide, width), Math.min(top + high, height)];
        boxes.push(box.map(Math.fround));
      }
  }
  return boxes;
}

function smallestThatFits(high, fits) {
  let [low, top] = [1, high];
  while (low < top) {
    const middle = Math.floor((low + top) / 2);
    if (fits(middle)) top = middle;
    else low = middle + 1;
  }
  return low;
}

/** Windows of one ratio, as many as fit into `count`; `percents`: their sides, of those of the largest window. */
function aspectWindows(width, height, ratio, percents, count = 1140) {
  const largest = largestSides(width, height, ratio);
  const sizes = percents.map((share) => largest.map((side) => times(side, fraction(share, 100))));
  const total = (moveX, moveY) =>
    sizes.reduce((sum, [w, h]) => {
      const across = places(minus(fraction(width), w), fraction(moveX, 64));
      return sum + across * places(minus(fraction(height), h), fraction(moveY, 64));
    }, 0);
  const both = smallestThatFits(64 * Math.max(width, height), (move) => total(move, move) <= count);
  const down = smallestThatFits(both, (move) => total(both, move) <= count);
  return slide(width, height, sizes, fraction(both, 64), fraction(down, 64));
}

const SLIDING_PERCENTS = [50, 60, 70, 80, 90, 100];

/** Some 900 windows of seven ratios and six sizes, as ASM-Net searches them. */
function slidingWindows(width, height) {
  const ratios = [[9, 16], [2, 3], [3, 4], [1, 1], [4, 3], [3, 2], [16, 9]].map(([w, h]) => fraction(w, h));
  const sizes = ratios.flatMap((ratio) => {
    const largest = largestSides(width, height, ratio);
    return SLIDING_PERCENTS.map((share) => largest.map((side) => times(side, fraction(share, 100))));
  });
  return slide(width, height, sizes, fraction(width, 10), fraction(height, 10));
}

/** A box in whole pixels; of a required ratio with sides of exactly that ratio, where some are near enough. */
function wholePixels([x1, y1, x2, y2], width, height, ratio = null) {
  if (!ratio) {
    const rounded = (first, last, side) => {
      const length = Math.min(Math.max(evenRound(last - first), 1), side);
      const start = Math.min(Math.max(evenRound(first), 0), side - length);
      return [start, start + length];
    };
    const [[left, right], [top, bottom]] = [rounded(x1, x2, width), rounded(y1, y2, height)];
    return [left, top, right, bottom];
  }
  const [across, down] = nearestSides(x2 - x1, y2 - y1, width, height, ratio);
  const left = Math.min(Math.max(halfUp((x1 + x2 - across) / 2), 0), width - across);
  const top = Math.min(Math.max(halfUp((y1 + y2 - down) / 2), 0), height - down);
  return [left, top, left + across, top + down];
}

function nearestSides(across, down, width, height, ratio) {
  const [p, q] = [Number(ratio.top), Number(ratio.bottom)];
  const scale = Math.sqrt((across * down) / (p * q));
  const largest = Math.min(Math.floor(width / p), Math.floor(height / q));
  if (largest) {
    const exact = Math.min(Math.max(halfUp(scale), 1), largest);
    if (Math.abs(exact - scale) <= 0.1 * scale) return [exact * p, exact * q];
  }
  // The shorter side runs through whole numbers; of those as near to the ratio the larger wins.
  const upright = p < q;
  const shape = upright ? fraction(q, p) : fraction(p, q);
  const [longLimit, shortLimit] = upright ? [height, width] : [width, height];
  const short = scale * Math.min(p, q);
  const reach = Math.max(0.01 * short, 2);
  const first = Math.max(Math.floor(short - reach), 1);
  const last = Math.min(Math.max(Math.ceil(short + reach), 1), shortLimit);
  let best = null;
  for (let side = Math.min(first, last); side <= last; side += 1) {
    const exact = times(fraction(side), shape);
    const long = Math.min(Math.max(Number(floor(fraction(2n * exact.top + exact.bottom, 2n * exact.bottom))), 1), longLimit);
    let off = minus(fraction(long, side), shape);
    if (off.top < 0n) off = fraction(-off.top, off.bottom);
    if (!best || less(off, best.off) || (!less(best.off, off) && side > best.side)) best = { off, side, long };
  }
  return upright ? [best.side, best.long] : [best.long, best.side];
}
