// Which of many scored boxes is best, and what a map says of a box: the twins of cropnb.croppers.preference and
// cropnb.asm_net's pooling and search.

const PEOPLE = [0.0297, 0.0361, 0.0606, 0.0873, 0.1253, 0.1391, 0.1295, 0.0864, 0.3061]; // cropnb.croppers.sizes

/** What each size adds to the logarithm of its window's probability, so that sizes are as likely as people draw them. */
function logSizeWeights(sizes) {
  const steps = sizes.map((size) => Math.min(Math.floor(size / 0.05 + 0.5), 20) - 12);
  const counts = PEOPLE.map((_, step) => steps.filter((own) => Math.max(own, 0) === step).length);
  return steps.map((step) => Math.log(Math.max(step >= 0 ? PEOPLE[step] / counts[step] : 0, 1e-12)));
}

function softmax(values) {
  const most = values.reduce((a, b) => Math.max(a, b), -Infinity);
  const powers = values.map((value) => Math.exp(value - most));
  const total = powers.reduce((sum, power) => sum + power, 0);
  return powers.map((power) => power / total);
}

/** How much each box overlaps, by expectation, with a true box of which only the chances are known. */
function expectedOverlap(boxes, truths, chances) {
  const likely = truths.map((truth, at) => [...truth, area(truth), chances[at]]).filter((one) => one[5] > 1e-9);
  return boxes.map((box) => {
    const [x1, y1, x2, y2] = box;
    const own = area(box);
    let sum = 0;
    for (const [u1, v1, u2, v2, other, chance] of likely) {
      const [across, down] = [Math.min(x2, u2) - Math.max(x1, u1), Math.min(y2, v2) - Math.max(y1, v1)];
      if (across > 0 && down > 0) sum += (chance * across * down) / (own + other - across * down);
    }
    return sum;
  });
}

/**
 * What boxes are ranked by: the score, or with a sharpness the overlap that each can expect with what a person draws.
 * `sizes`: shares of the largest window, where all have one ratio. `truths`: what may be drawn, with scores and sizes;
 * by default the boxes.
 */
function preference(boxes, scores, sharpness, sizes = null, truths = boxes) {
  if (!sharpness || !boxes.length) return scores;
  const extra = sizes ? logSizeWeights(sizes) : null;
  const chances = softmax(scores.map((score, at) => sharpness * score + (extra ? extra[at] : 0)));
  return expectedOverlap(boxes, truths, chances);
}

/** The summed-area tables of a map (L, h, w), each (h + 1, w + 1). */
function areaTables({ data, dims: [channels, height, width] }) {
  const tables = [];
  for (let channel = 0; channel < channels; channel += 1) {
    const table = new Float64Array((height + 1) * (width + 1));
    for (let y = 0; y < height; y += 1) {
      let row = 0;
      for (let x = 0; x < width; x += 1) {
        row += data[(channel * height + y) * width + x];
        table[(y + 1) * (width + 1) + x + 1] = table[y * (width + 1) + x + 1] + row;
      }
    }
    tables.push(table);
  }
  return { tables, height, width };
}

/** The scores of boxes from a map: the mean over a pattern's cells, each read in its partition's channel (Eq. 2). */
function compositionPool({ tables, height, width }, boxes, cells, photoWidth, photoHeight) {
  const [rows, columns] = [cells.length, cells[0].length];
  const look = (table, x, y) => {
    const [left, above] = [Math.min(Math.floor(x), width - 1), Math.min(Math.floor(y), height - 1)];
    const [u, v] = [x - left, y - above];
    const at = above * (width + 1) + left;
    const upper = table[at] * (1 - u) + table[at + 1] * u;
    return upper * (1 - v) + (table[at + width + 1] * (1 - u) + table[at + width + 2] * u) * v;
  };
  return boxes.map(([x1, y1, x2, y2]) => {
    const [sx, sy] = [width / photoWidth, height / photoHeight];
    const [left, top, right, bottom] = [x1 * sx, y1 * sy, x2 * sx, y2 * sy];
    const x = (step) => left + ((right - left) * step) / columns;
    const y = (step) => top + ((bottom - top) * step) / rows;
    let sum = 0;
    for (let row = 0; row < rows; row += 1)
      for (let column = 0; column < columns; column += 1) {
        const table = tables[cells[row][column]];
        const [a, b, c, d] = [x(column), x(column + 1), y(row), y(row + 1)];
        sum += look(table, b, d) - look(table, a, d) - look(table, b, c) + look(table, a, c);
      }
    return Math.fround(sum / ((right - left) * (bottom - top)));
  });
}

/** Slightly moved, resized and stretched versions of boxes that stay inside the photo. */
function neighbourhood(boxes, width, height, keepRatio, { shift, stretch }) {
  const moves = [-1, 0, 1];
  const varied = [];
  for (const [x1, y1, x2, y2] of boxes)
    for (const right of moves)
      for (const down of moves)
        for (const size of moves)
          for (const ratio of keepRatio ? [0] : moves) {
            if (!right && !down && !size && !ratio) continue;
            const [x, y] = [(x1 + x2) / 2 + right * shift * width, (y1 + y2) / 2 + down * shift * height];
            const across = (x2 - x1) * stretch ** (size + ratio / 2);
            const high = (y2 - y1) * stretch ** (size - ratio / 2);
            const box = [x - across / 2, y - high / 2, x + across / 2, y + high / 2];
            if (box[0] < 0 || box[1] < 0 || box[2] > width || box[3] > height) continue;
            varied.push([Math.fround(box[0]), Math.fround(box[1]), Math.min(Math.fround(box[2]), width), Math.min(Math.fround(box[3]), height)]);
          }
  return varied;
}

/** Both stages of ASM-Net's search (Sec. 3.3), best first: [boxes, scores]. */
function searchMap(map, width, height, ratio, facts) {
  const tables = areaTables(map);
  const [rows, columns] = [facts.cells.length, facts.cells[0].length];
  const largeEnough = (box) => box[2] - box[0] >= columns && box[3] - box[1] >= rows;
  let first = ratio ? aspectWindows(width, height, ratio, SLIDING_PERCENTS, 895) : [];
  if (!ratio && facts.sharpness) first = gridAnchors(width, height); // those that people rated
  if (!ratio && !first.length) first = slidingWindows(width, height);
  first = first.filter(largeEnough);
  const whole = ratio ? Math.max(...first.map(area)) : width * height;
  const least = facts.least_area * whole;
  first = first.filter((box) => area(box) >= least);
  const scores = compositionPool(tables, first, facts.cells, width, height);
  const sides = first.map((box) => box[2] - box[0]);
  const widest = Math.max(...sides);
  const sizes = ratio ? sides.map((side) => side / widest) : null;
  const best = ranking(preference(first, scores, facts.sharpness, sizes)).slice(0, facts.best);
  let second = neighbourhood(best.map((at) => first[at]), width, height, Boolean(ratio), facts);
  second = second.filter((box) => largeEnough(box) && area(box) >= least);
  const all = [...first, ...second];
  const allScores = [...scores, ...compositionPool(tables, second, facts.cells, width, height)];
  // The neighbours crowd around a few windows, so they don't count as what may be drawn.
  const liked = facts.sharpness ? preference(all, scores, facts.sharpness, sizes, first) : allScores;
  const order = ranking(liked);
  return [order.map((at) => all[at]), order.map((at) => allScores[at])];
}
