// From a recorded map to a crop, in the page. The twin of cropnb.mars.crops_from_maps, and a test compares the two.

/**
 * Maps from their text (see `pack` in ratio_slider.py): `count` maps of `size` cells, as levels 0…255.
 * Where only each `step`-th level was kept, a level is the middle of its step.
 */
export function unpackMaps(code, count, size, step = 1) {
  const text = atob(code);
  let at = 0;
  const next = () => {
    const byte = text.charCodeAt(at >> 1);
    at += 1;
    return at % 2 ? byte >> 4 : byte & 15;
  };
  const levels = new Uint8Array(count * size);
  for (let place = 0; place < levels.length; ) {
    const half = next();
    let [change, repeat] = [half - 6, 1];
    if (half === 13) [change, repeat] = [0, next() + 3];
    else if (half === 14) [change, repeat] = [0, 16 * next() + next() + 19];
    else if (half === 15) change = 16 * next() + next();
    for (; repeat > 0 && place < levels.length; repeat -= 1, place += 1) {
      const before = place >= size ? levels[place - size] : place > 0 ? levels[place - 1] : 0;
      levels[place] = before + change; // an unsigned byte, so it counts modulo 256
    }
  }
  return step === 1 ? levels : levels.map((level) => level * step + (step >> 1));
}

/** A level as the number that it stands for: the middle of its step, which is never a whole hundredth. */
export function levelValue(level) {
  return (level + 0.5) / 256;
}

/** The median of coordinates of which place i holds counts[i]; of an even number the middle of the two. */
export function medianPlace(counts) {
  const total = counts.reduce((sum, count) => sum + count, 0);
  const place = (rank) => {
    let reached = 0;
    return counts.findIndex((count) => (reached += count) >= rank);
  };
  return (place(Math.floor((total + 1) / 2)) + place(Math.floor(total / 2) + 1)) / 2;
}

/** The median of those values that aren't zero. */
export function medianOfNonzero(values) {
  const some = values.filter((value) => value > 0).sort((a, b) => a - b);
  return (some[Math.floor((some.length - 1) / 2)] + some[Math.floor(some.length / 2)]) / 2;
}

/** The largest window of a ratio in the middle of a photo. */
export function largestWindow(aspect, width, height) {
  const [across, down] = [Math.min(width, height * aspect), Math.min(height, width / aspect)];
  return [(width - across) / 2, (height - down) / 2, (width + across) / 2, (height + down) / 2];
}

/**
 * Section 3.4 of the paper: binarise, medians of the coordinates, medians of the sums, and the ratio. `levels`: one map;
 * `cell`: [width, height] of a cell in pixels. Where no cell lies above the threshold, half of the map's maximum counts.
 */
export function cropFromMap(levels, ...rest) {
  return cropFromValues(Array.from(levels, levelValue), ...rest);
}

/** The same from values in 0…1. */
export function cropFromValues(values, rows, columns, cell, aspect, width, height, threshold) {
  let ones = Array.from(values, (value) => value > threshold);
  const above = ones.filter(Boolean).length;
  const half = Math.max(...values) / 2;
  if (!above) ones = Array.from(values, (value) => value >= half);
  const [heights, widths] = [new Array(columns).fill(0), new Array(rows).fill(0)];
  ones.forEach((one, place) => {
    if (!one) return;
    heights[place % columns] += 1;
    widths[Math.floor(place / columns)] += 1;
  });
  const centre = [(medianPlace(heights) + 0.5) * cell[0], (medianPlace(widths) + 0.5) * cell[1]];
  const extent = [medianOfNonzero(widths) * cell[0], medianOfNonzero(heights) * cell[1]];
  const sides = [Math.min(extent[0], extent[1] * aspect), Math.min(extent[1], extent[0] / aspect)];
  const fit = Math.min(1, width / sides[0], height / sides[1]);
  const [across, down] = [sides[0] * fit, sides[1] * fit];
  const left = Math.min(Math.max(centre[0] - across / 2, 0), width - across);
  const top = Math.min(Math.max(centre[1] - down / 2, 0), height - down);
  const box = [left, top, left + across, top + down];
  return { box, medians: [...centre, ...extent], threshold: above ? threshold : half, above, ones, heights, widths };
}
