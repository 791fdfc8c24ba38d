// What the figures compute, apart from how they look. Boxes are [x1, y1, x2, y2] in pixels of the photo.
// Every formula here has its twin in cropnb.boxes or cropnb.metrics, and a test compares the two.
// The file is put in front of each figure's own program, and Node imports it in the tests.

export const GOLDEN = (Math.sqrt(5) - 1) / 2; // 0.618…, the longer part of a side cut by the golden ratio

export function area([x1, y1, x2, y2]) {
  return Math.max(0, x2 - x1) * Math.max(0, y2 - y1);
}

export function iou(a, b) {
  const overlap = area([Math.max(a[0], b[0]), Math.max(a[1], b[1]), Math.min(a[2], b[2]), Math.min(a[3], b[3])]);
  const union = area(a) + area(b) - overlap;
  return union > 0 ? overlap / union : 0;
}

/** How far each edge is off, as a share of the photo's width or height: [left, top, right, bottom]. */
export function edgeErrors(box, truth, width, height) {
  return box.map((edge, side) => Math.abs(edge - truth[side]) / (side % 2 ? height : width));
}

/** Boundary displacement error: the mean of the four edge errors. */
export function boundaryDisplacement(box, truth, width, height) {
  return edgeErrors(box, truth, width, height).reduce((sum, error) => sum + error, 0) / 4;
}

/** Distance between the two centres, in pixels. */
export function centerOffset(a, b) {
  return Math.hypot((a[0] + a[2] - b[0] - b[2]) / 2, (a[1] + a[3] - b[1] - b[3]) / 2);
}

/** Index of the box that overlaps most; of several equal ones the first. */
export function bestMatch(box, boxes) {
  const overlaps = boxes.map((other) => iou(box, other));
  return overlaps.indexOf(Math.max(...overlaps));
}

/** Index of the true box that a crop is measured against: the highest IoU and, of those tied, the lowest BDE. */
export function bestTruth(box, truths, width, height) {
  const overlaps = truths.map((truth) => iou(box, truth));
  const shifts = truths.map((truth) => boundaryDisplacement(box, truth, width, height));
  return truths.map((_, index) => index).sort((a, b) => overlaps[b] - overlaps[a] || shifts[a] - shifts[b] || a - b)[0];
}

/** All that the crop explorer shows. `overlaps`: the candidates' IoU with their best true box, from `candidateOverlaps`. */
export function explore(box, truths, width, height, candidates = [], scores = [], overlaps = null) {
  const truth = bestTruth(box, truths, width, height);
  const values = {
    truth,
    iou: iou(box, truths[truth]),
    bde: boundaryDisplacement(box, truths[truth], width, height),
    offset: centerOffset(box, truths[truth]),
    edges: edgeErrors(box, truths[truth], width, height),
  };
  if (candidates.length) {
    overlaps = overlaps ?? candidateOverlaps(candidates, truths);
    values.rank = 1 + overlaps.filter((overlap) => overlap > values.iou).length;
    values.nearest = bestMatch(box, candidates);
  }
  if (scores.length) {
    values.score = scores[values.nearest];
    values.score_rank = 1 + scores.filter((score) => score > values.score).length;
  }
  return values;
}

export function candidateOverlaps(candidates, truths) {
  return candidates.map((box) => Math.max(...truths.map((truth) => iou(box, truth))));
}

/** Indices from the highest to the lowest value; equal values keep their order. */
export function ranking(values) {
  return values.map((_, index) => index).sort((a, b) => values[b] - values[a] || a - b);
}

/** The N-th largest value. */
export function nthLargest(values, n) {
  return [...values].sort((a, b) => b - a)[n - 1];
}

/**
 * Acc K/N: the share of the K best-scored boxes whose reference score reaches the N-th largest reference score. Where
 * scores tie for the last of the K places, the mean over all orders of them.
 */
export function accKN(scores, reference, k, n) {
  const [last, threshold] = [nthLargest(scores, k), nthLargest(reference, n)];
  const above = scores.filter((score) => score > last).length;
  const level = scores.filter((score) => score === last).length;
  const chance = (score) => (score > last ? 1 : score === last ? (k - above) / level : 0);
  return scores.reduce((sum, score, index) => sum + (reference[index] >= threshold ? chance(score) : 0), 0) / k;
}

/** Ranks from 1 for the smallest value; equal values share the mean of their ranks. */
export function averageRanks(values) {
  const order = ranking(values).reverse();
  const ranks = new Array(values.length);
  for (let start = 0; start < order.length; ) {
    let end = start;
    while (end < order.length && values[order[end]] === values[order[start]]) end += 1;
    for (let at = start; at < end; at += 1) ranks[order[at]] = (start + 1 + end) / 2;
    start = end;
  }
  return ranks;
}

/** Spearman's rank correlation; 0 where one side is constant and there is nothing to correlate. */
export function srcc(a, b) {
  const [x, y] = [averageRanks(a), averageRanks(b)];
  const mean = (a.length + 1) / 2;
  const product = (u, v) => u.reduce((sum, value, index) => sum + (value - mean) * (v[index] - mean), 0);
  const spread = Math.sqrt(product(x, x) * product(y, y));
  return spread > 0 ? product(x, y) / spread : 0;
}

/** Lines of a composition rule inside a box, as [x1, y1, x2, y2] each. */
export function ruleLines(rule, [x1, y1, x2, y2]) {
  if (rule === "diagonals") return [[x1, y1, x2, y2], [x1, y2, x2, y1]];
  const at = (from, to, share) => from + (to - from) * share;
  return ruleShares(rule).flatMap((share) => [
    [at(x1, x2, share), y1, at(x1, x2, share), y2],
    [x1, at(y1, y2, share), x2, at(y1, y2, share)],
  ]);
}

export function ruleShares(rule) {
  return { thirds: [1 / 3, 2 / 3], golden: [1 - GOLDEN, GOLDEN], centre: [1 / 2] }[rule];
}

/**
 * How far a point is from what a rule asks for, as a share of the crop's diagonal: from the nearest crossing of its
 * lines (thirds, golden, centre), or from the nearer diagonal.
 */
export function ruleDistance(rule, [x1, y1, x2, y2], [x, y]) {
  const [width, height] = [x2 - x1, y2 - y1];
  const diagonal = Math.hypot(width, height);
  const [u, v] = [(x - x1) / width, (y - y1) / height];
  if (rule === "diagonals") {
    return (Math.min(Math.abs(u - v), Math.abs(u + v - 1)) * width * height) / diagonal / diagonal;
  }
  const gap = (value) => Math.min(...ruleShares(rule).map((share) => Math.abs(value - share)));
  return Math.hypot(gap(u) * width, gap(v) * height) / diagonal;
}

/**
 * Weighted mean of the terms for each box; 0 where all weights are 0. `terms`: one array of N values a term;
 * `weights`: one number of 0 or more a term.
 */
export function weightedTotals(terms, weights) {
  const whole = weights.reduce((sum, weight) => sum + weight, 0) || 1;
  return terms[0].map((_, box) => terms.reduce((sum, values, term) => sum + weights[term] * values[box], 0) / whole);
}

/** For each box, how many places it rose (positive) or fell between two rankings. */
export function rankChanges(before, after) {
  const changes = new Array(before.length);
  before.forEach((index, place) => (changes[index] = place));
  after.forEach((index, place) => (changes[index] -= place));
  return changes;
}

/** Round a box to whole pixels, move it back inside the photo and keep each side at `least` pixels or more. */
export function keepInside([x1, y1, x2, y2], width, height, least) {
  const side = (from, to, length) => {
    const size = Math.min(Math.max(Math.round(to - from), Math.min(least, length)), length);
    const start = Math.min(Math.max(Math.round(from), 0), length - size);
    return [start, start + size];
  };
  const [[left, right], [top, bottom]] = [side(x1, x2, width), side(y1, y2, height)];
  return [left, top, right, bottom];
}

/** Move some edges of a box by (dx, dy). `edges` holds letters of l, t, r, b; all four together move the whole box. */
export function dragEdges(box, edges, dx, dy, width, height, least) {
  if (edges === "ltrb") return keepInside([box[0] + dx, box[1] + dy, box[2] + dx, box[3] + dy], width, height, least);
  const limit = (value, low, high) => Math.min(Math.max(Math.round(value), low), high);
  let [x1, y1, x2, y2] = box;
  if (edges.includes("l")) x1 = limit(x1 + dx, 0, x2 - least);
  if (edges.includes("t")) y1 = limit(y1 + dy, 0, y2 - least);
  if (edges.includes("r")) x2 = limit(x2 + dx, x1 + least, width);
  if (edges.includes("b")) y2 = limit(y2 + dy, y1 + least, height);
  return [x1, y1, x2, y2];
}
