// What the step player computes, apart from how it looks: moves on a lattice, rewards, returns. Its twin is
// `play_out` in step_player.py, and a test compares the two. `iou` comes from geometry.js, which stands before this file.

/** Move edges on a lattice. `cells`: left, top, right, bottom; `move`: how far each goes. What doesn't fit is not done. */
export function latticeStep(cells, move, divisions, least) {
  const next = cells.map((cell, side) => cell + move[side]);
  const inside = next.every((cell) => cell >= 0 && cell <= divisions);
  return inside && next[2] - next[0] >= least && next[3] - next[1] >= least ? next : cells;
}

export function latticeBox(cells, width, height, divisions) {
  return cells.map((cell, side) => (cell / divisions) * (side % 2 ? height : width));
}

/** IoU with the true boxes: their mean, or that of the best match. */
export function overlapWith(box, truths, match) {
  const overlaps = truths.map((truth) => iou(box, truth));
  return match === "best" ? Math.max(...overlaps) : overlaps.reduce((sum, value) => sum + value, 0) / overlaps.length;
}

/** LA2C's equation 1: plus the new IoU when it rose, minus the new IoU when it fell, nothing when it stayed. */
export function signReward(before, after) {
  return after > before ? after : after < before ? -after : 0;
}

/** r₀ + γ r₁ + γ² r₂ + … */
export function discountedReturn(rewards, gamma) {
  return rewards.reduceRight((later, reward) => reward + gamma * later, 0);
}

/**
 * The episode that follows from a list of actions, from the whole photo on. An action whose move is all zeros ends it, and
 * so does the `limit`; what is listed after that is left out. Neither of these last actions is paid.
 */
export function playOut(taken, moves, truths, width, height, { divisions, least, limit, match }) {
  let cells = [0, 0, divisions, divisions];
  const boxes = [latticeBox(cells, width, height, divisions)];
  const [ious, rewards, actions] = [[overlapWith(boxes[0], truths, match)], [], []];
  let over = false;
  for (const action of taken) {
    if (over) break;
    const stopped = moves[action].every((shift) => shift === 0);
    cells = latticeStep(cells, moves[action], divisions, least);
    boxes.push(latticeBox(cells, width, height, divisions));
    ious.push(overlapWith(boxes[boxes.length - 1], truths, match));
    actions.push(action);
    over = stopped || actions.length >= limit;
    rewards.push(signReward(ious[ious.length - 2], ious[ious.length - 1]));
  }
  return { boxes, ious, rewards, actions, over };
}
