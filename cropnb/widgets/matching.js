// What the match player computes, apart from how it looks: the costs of equation 3 of the set predictor, three ways to
// pair crops with anchors, and which of the most valid crops are hits. Its twin is match_player.py, and a test compares
// the two. `iou` and `area` come from geometry.js, which stands before this file.

export const [ALPHA, GAMMA] = [0.25, 2]; // of the focal loss

/** Generalised IoU, −1…1: IoU less the share of the common hull that neither box covers. */
export function generalizedIou(a, b) {
  const hull = area([Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.max(a[2], b[2]), Math.max(a[3], b[3])]);
  const overlap = iou(a, b);
  const union = (area(a) + area(b)) / (1 + overlap);
  return overlap - (hull - union) / hull;
}

/** What being matched changes in the focal loss of an anchor: that of label 1 less that of label 0. */
export function focalDifference(validity) {
  const p = Math.min(Math.max(validity, 1e-6), 1 - 1e-6);
  return -ALPHA * (1 - p) ** GAMMA * Math.log(p) + (1 - ALPHA) * p ** GAMMA * Math.log(1 - p);
}

/** Equation 3 of one pair, in parts: {regression, overlap, focal, total}. Boxes are in pixels. */
export function pairCost(box, truth, validity, width, height, weights) {
  const centred = ([x1, y1, x2, y2]) => [(x1 + x2) / 2 / width, (y1 + y2) / 2 / height, (x2 - x1) / width, (y2 - y1) / height];
  const [a, b] = [centred(box), centred(truth)];
  const regression = a.reduce((sum, value, part) => sum + Math.abs(value - b[part]), 0);
  const unit = ([x1, y1, x2, y2]) => [x1 / width, y1 / height, x2 / width, y2 / height];
  const overlap = 1 - generalizedIou(unit(box), unit(truth));
  const focal = focalDifference(validity);
  return { regression, overlap, focal, total: regression + weights.overlap * overlap + weights.focal * focal };
}

/** A row a true crop, a column an anchor. */
export function costTable(boxes, validities, truths, width, height, weights) {
  return truths.map((truth) => boxes.map((box, anchor) => pairCost(box, truth, validities[anchor], width, height, weights).total));
}

/**
 * Equation 2, one true crop after the other: after step k the first k crops are paired at the least sum of costs. A crop
 * that enters may push others to another anchor. Returns the list of pairings, each an array crop → anchor.
 */
export function hungarianSteps(costs) {
  const [rows, columns] = [costs.length, costs[0].length];
  const rowPrice = new Array(rows + 1).fill(0);
  const columnPrice = new Array(columns + 1).fill(0);
  const owner = new Array(columns + 1).fill(0); // which row has a column, counted from 1; 0: nobody
  const steps = [];
  for (let row = 1; row <= rows; row += 1) {
    const least = new Array(columns + 1).fill(Infinity);
    const cameFrom = new Array(columns + 1).fill(0);
    const visited = new Array(columns + 1).fill(false);
    let column = 0;
    owner[0] = row;
    do {
      visited[column] = true;
      const here = owner[column];
      let [gap, next] = [Infinity, 0];
      for (let other = 1; other <= columns; other += 1) {
        if (visited[other]) continue;
        const reduced = costs[here - 1][other - 1] - rowPrice[here] - columnPrice[other];
        if (reduced < least[other]) [least[other], cameFrom[other]] = [reduced, column];
        if (least[other] < gap) [gap, next] = [least[other], other];
      }
      for (let other = 0; other <= columns; other += 1) {
        if (visited[other]) [rowPrice[owner[other]], columnPrice[other]] = [rowPrice[owner[other]] + gap, columnPrice[other] - gap];
        else least[other] -= gap;
      }
      column = next;
    } while (owner[column] !== 0);
    for (; column; column = cameFrom[column]) owner[column] = owner[cameFrom[column]];
    const pairing = new Array(row).fill(-1);
    owner.forEach((one, at) => at && one && (pairing[one - 1] = at - 1));
    steps.push(pairing);
  }
  return steps;
}

/** The cheapest free pair first, then the next. After step k a crop that has no anchor yet is -1. */
export function greedySteps(costs) {
  const pairing = new Array(costs.length).fill(-1);
  const taken = new Set();
  return costs.map(() => {
    let best = [Infinity, 0, 0];
    costs.forEach((line, row) => {
      if (pairing[row] >= 0) return;
      line.forEach((cost, column) => cost < best[0] && !taken.has(column) && (best = [cost, row, column]));
    });
    pairing[best[1]] = best[2];
    taken.add(best[2]);
    return [...pairing];
  });
}

/** No matching at all: every true crop takes the anchor that is cheapest for it, whoever else has it. */
export function cheapestSteps(costs) {
  const own = costs.map((line) => line.indexOf(Math.min(...line)));
  return own.map((_, row) => own.slice(0, row + 1));
}

export const RULES = { hungarian: hungarianSteps, greedy: greedySteps, cheapest: cheapestSteps };

/** The sum of the costs of a pairing. */
export function pairingCost(costs, pairing) {
  return pairing.reduce((sum, column, row) => sum + (column < 0 ? 0 : costs[row][column]), 0);
}

/**
 * The K most valid crops of at least the given validity: {chosen, hits, reached}. A hit lies within ε of some true crop;
 * a true crop is reached where one of the chosen lies within ε of it.
 */
export function topCrops(boxes, validities, truths, k, threshold, eps) {
  const order = validities.map((_, index) => index).sort((a, b) => validities[b] - validities[a] || a - b);
  const chosen = order.slice(0, k).filter((index) => validities[index] >= threshold);
  const near = (box, truth) => iou(box, truth) >= eps - 1e-6;
  return {
    chosen,
    hits: chosen.filter((index) => truths.some((truth) => near(boxes[index], truth))),
    reached: truths.map((_, crop) => crop).filter((crop) => chosen.some((index) => near(boxes[index], truths[crop]))),
  };
}
