// A method's scores of the boxes of a grid, and what lies between them. Its twin is cropnb.widgets.method_crops.

/** Pairs of grid lines [from, to] that are `least` steps apart or more, in the order in which boxes are stored. */
export function linePairs(steps, least) {
  const pairs = [];
  for (let from = 0; from <= steps; from += 1) {
    for (let to = from + least; to <= steps; to += 1) pairs.push([from, to]);
  }
  return pairs;
}

/** The pairs around an interval, in grid steps, each with its weight, which is the higher the nearer it is. */
export function pairsAround(pairs, from, to) {
  const near = (line, at) => Math.max(0, 1 - Math.abs(line - at));
  const weighted = pairs.map(([low, high], index) => [index, near(low, from) * near(high, to)]);
  return weighted.filter(([, weight]) => weight > 0);
}

/**
 * The value of a box between those of the grid's boxes around it, linear in each edge; null for a box with a side
 * below `least` steps. `values`: one for each pair across and pair down, the latter running faster.
 */
export function gridValue(values, [x1, y1, x2, y2], width, height, steps, least) {
  const [left, right] = [x1, x2].map((edge) => (edge / width) * steps);
  const [top, bottom] = [y1, y2].map((edge) => (edge / height) * steps);
  if (Math.min(right - left, bottom - top) < least - 1e-3) return null;
  const pairs = linePairs(steps, least);
  const [across, down] = [pairsAround(pairs, left, right), pairsAround(pairs, top, bottom)];
  let [sum, whole] = [0, 0];
  for (const [x, weightX] of across) {
    for (const [y, weightY] of down) {
      sum += weightX * weightY * values[x * pairs.length + y];
      whole += weightX * weightY;
    }
  }
  return whole > 0 ? sum / whole : null;
}

/** Bytes of a base64 text. */
export function bytesOf(text) {
  return Uint8Array.from(atob(text), (letter) => letter.charCodeAt(0));
}
