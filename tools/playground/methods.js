// A photo and a method → crops, as cropnb.load(method)(photo) gives them. Here a method is its kind: what surrounds
// the networks follows from the facts that came with them.

const cells = (boxes) => ({ data: Float32Array.from(boxes.flat()), dims: [boxes.length, 4] });
const scaled = (box, across, down) => [box[0] * across, box[1] * down, box[2] * across, box[3] * down].map(Math.fround);

/** What the networks read of a photo: a tensor (1, 3, h, w). */
function tensorOf(small, [width, height]) {
  const { data } = antialiased(small, [width, height]);
  return { data, dims: [1, 3, height, width] };
}

const KINDS = {
  anchors: {
    see: (small, { short_side, multiple }) => tensorOf(small, shortSideSize(small.width, small.height, short_side, multiple)),
    async score({ sessions }, look, boxes, { width, height }) {
      const [, , h, w] = look.seen.dims;
      const own = boxes.map((box) => scaled(box, w / width, h / height));
      const { scores } = await sessions.score({ reduced: look.reduced, share: look.share, boxes: cells(own) });
      return Array.from(scores.data);
    },
    async crops(method, look, photo, ratio) {
      const { width, height } = photo;
      let boxes = ratio ? aspectWindows(width, height, ratio, method.facts.scales) : gridAnchors(width, height);
      if (!boxes.length) boxes = aspectWindows(width, height, fraction(width, height), ASPECT_PERCENTS);
      const scores = await KINDS.anchors.score(method, look, boxes, photo);
      const widest = Math.max(...boxes.map((box) => box[2] - box[0]));
      const sizes = ratio ? boxes.map((box) => (box[2] - box[0]) / widest) : null;
      const order = ranking(preference(boxes, scores, method.facts.sharpness, sizes));
      return order.map((at) => ({ box: boxes[at], score: scores[at] }));
    },
  },
  "score map": {
    see(small, { short_side, multiple }) {
      const tensor = tensorOf(small, shortSideSize(small.width, small.height, short_side, multiple));
      tensor.data = tensor.data.map((value) => evenRound(value * 255) / 255);
      return tensor;
    },
    async score({ facts }, look, boxes, { width, height }) {
      return compositionPool(areaTables(look.score_map), boxes, facts.cells, width, height);
    },
    async crops({ facts }, look, { width, height }, ratio) {
      const [boxes, scores] = searchMap(look.score_map, width, height, ratio, facts);
      return boxes.map((box, at) => ({ box, score: scores[at] }));
    },
    map({ facts }, look) {
      // What a place is worth on average over the partitions' channels.
      const [channels, rows, columns] = look.score_map.dims;
      const values = new Float32Array(rows * columns);
      look.score_map.data.forEach((value, at) => (values[at % (rows * columns)] += value / channels));
      return { values, rows, columns };
    },
  },
  map: {
    see(small, { long_side }) {
      return tensorOf(small, longSideSize(small.width, small.height, long_side));
    },
    async mapOf({ facts, sessions }, look, aspect) {
      const { logits } = await sessions.map({ features: look.features, aspect: { data: Float32Array.of(aspect), dims: [1] } });
      const [, , h, w] = look.seen.dims;
      const [rows, columns] = [Math.ceil(h / facts.out_stride), Math.ceil(w / facts.out_stride)];
      const values = new Float32Array(rows * columns);
      for (let y = 0; y < rows; y += 1)
        for (let x = 0; x < columns; x += 1) values[y * columns + x] = 1 / (1 + Math.exp(-logits.data[y * logits.dims[1] + x]));
      return { values, rows, columns };
    },
    async crops(method, look, { width, height }, ratio) {
      const aspect = ratio ? number(ratio) : width / height;
      const map = await KINDS.map.mapOf(method, look, aspect);
      const [, , h, w] = look.seen.dims;
      const stride = method.facts.out_stride;
      const cell = [(stride * width) / w, (stride * height) / h];
      const { box } = cropFromValues(map.values, map.rows, map.columns, cell, aspect, width, height, method.facts.threshold);
      return [{ box: box.map(Math.fround), score: null, map }];
    },
  },
  steps: {
    see(small, { short_side, multiple, smallest_photo }) {
      if (Math.min(small.width, small.height) < smallest_photo) throw new PhotoError(`this method needs ${smallest_photo} pixels a side`);
      return tensorOf(small, shortSideSize(small.width, small.height, short_side, multiple));
    },
    async crops({ facts, sessions }, look, { width, height }, ratio) {
      const { divisions, least, moves, names } = facts;
      let box = [0, 0, divisions, divisions];
      const pixels = (cell) => cell.map((edge, side) => (edge / divisions) * (side % 2 ? height : width));
      const film = [{ box: pixels(box), name: "the whole photo", chance: null }];
      for (let step = 0; step < facts.step_limit; step += 1) {
        const share = { data: Float32Array.from(box, (edge) => edge / divisions), dims: [4] };
        const { probabilities } = await sessions.step({ maps: look.maps, box: share });
        const chances = Array.from(probabilities.data);
        const chosen = chances.indexOf(Math.max(...chances));
        const next = box.map((edge, side) => edge + moves[chosen][side]);
        const inside = next[0] >= 0 && next[1] >= 0 && next[2] <= divisions && next[3] <= divisions;
        if (inside && next[2] - next[0] >= least && next[3] - next[1] >= least) box = next;
        film.push({ box: pixels(box), name: names[chosen], chance: chances[chosen] });
        if (chosen === names.length - 1) break;
      }
      const end = pixels(box);
      return [{ box: ratio ? windowAround(end, width, height, ratio) : end.map(Math.fround), score: null, film }];
    },
  },
  set: {
    see(small, { short_side, long_side }) {
      const longest = Math.max(...shortSideSize(small.width, small.height, short_side));
      const side = Math.min(short_side, Math.floor((short_side * long_side) / longest));
      return tensorOf(small, shortSideSize(small.width, small.height, side));
    },
    async crops({ facts }, look, { width, height }, ratio) {
      const [size, values] = [[width, height], Array.from(look.validities.data)];
      const crops = ranking(values).map((at) => {
        const own = Array.from(look.boxes.data.slice(4 * at, 4 * at + 4));
        const first = [0, 1].map((side) => Math.min(Math.max(own[side] * size[side], 0), size[side] - facts.least));
        const last = [0, 1].map((side) => Math.min(Math.max(own[side + 2] * size[side], first[side] + facts.least), size[side]));
        return { box: [...first, ...last], score: values[at] };
      });
      if (!ratio) return likeliestFirst(crops, facts.sharpness);
      const boxes = crops.map((crop) => crop.box);
      let windows = Math.min(width, height) < 16 ? [] : aspectWindows(width, height, ratio, ASPECT_PERCENTS);
      if (!windows.length) windows = boxes.map((box) => windowWithin(box, number(ratio)));
      const chances = softmax(crops.map((crop) => facts.set_sharpness * crop.score));
      const overlaps = expectedOverlap(windows, boxes, chances);
      const sides = windows.map((box) => box[2] - box[0]);
      const widest = Math.max(...sides);
      const liked = preference(windows, overlaps, facts.ratio_sharpness, sides.map((side) => side / widest));
      return ranking(liked).map((at) => ({ box: windows[at], score: overlaps[at] }));
    },
  },
};

const ASPECT_PERCENTS = [40, 45, 50, 55, 60, 65, 70, 75, 80, 85, 90, 95, 100];

/** The crop of a set that may expect to overlap most with the wanted one, then the others as they come. */
function likeliestFirst(crops, sharpness) {
  if (!sharpness) return crops;
  const liked = preference(crops.map((crop) => crop.box), crops.map((crop) => crop.score), sharpness);
  const [first] = ranking(liked);
  return [crops[first], ...crops.filter((_, at) => at !== first)];
}

/** The largest window of a ratio in the photo, as near to a box's centre as the borders let it. */
function windowAround([x1, y1, x2, y2], width, height, ratio) {
  const [across, down] = largestSides(width, height, ratio).map(number);
  const left = Math.min(Math.max((x1 + x2 - across) / 2, 0), width - across);
  const top = Math.min(Math.max((y1 + y2 - down) / 2, 0), height - down);
  return [left, top, left + across, top + down];
}

/** The largest window of a ratio in a box, with the same centre. */
function windowWithin([x1, y1, x2, y2], aspect) {
  const wide = Math.min(x2 - x1, (y2 - y1) * aspect) / 2;
  const [x, y] = [(x1 + x2) / 2, (y1 + y2) / 2];
  return [x - wide, y - wide / aspect, x + wide, y + wide / aspect];
}

/** What the first network saw of a photo; kept, so that another ratio costs little. */
async function lookAt(method, photo) {
  photo.looks ??= {};
  photo.looks[method.key] ??= (async () => {
    photo.small ??= smallCopy(photo);
    const seen = KINDS[method.facts.kind].see(photo.small, method.facts);
    return { seen, ...(await method.sessions.look({ photo: seen })) };
  })();
  return photo.looks[method.key];
}

/** The best crops of a photo: [{box, pixels, score, …}], best first. `ratio`: a fraction, or null. */
async function bestCrops(method, photo, ratio, count = 5) {
  if (ratio && Math.min(...largestSides(photo.width, photo.height, ratio).map(number)) < 1) {
    throw new PhotoError("no window of this ratio fits into the photo");
  }
  const look = await lookAt(method, photo);
  const crops = await KINDS[method.facts.kind].crops(method, look, photo, ratio);
  return crops.slice(0, count).map((crop) => ({ ...crop, pixels: wholePixels(crop.box, photo.width, photo.height, ratio) }));
}

/** The method's scores of boxes, or null where it scores none. */
async function scoresOf(method, photo, boxes) {
  const kind = KINDS[method.facts.kind];
  return kind.score ? kind.score(method, await lookAt(method, photo), boxes, photo) : null;
}
