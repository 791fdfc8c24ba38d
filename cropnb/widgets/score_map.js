// Composition-aware pooling in the page: what each partition of a crop makes of a score map that is smaller than its
// photo. Every formula has its twin in cropnb.asm_net, and a test compares the two. Boxes are in pixels of the photo.

/** Numbers from their 16-bit code: base64 of little-endian unsigned integers, 0 for `low` and 65535 for `high`. */
export function unpack(code, low, high) {
  const text = atob(code);
  const values = new Float64Array(text.length / 2);
  for (let at = 0; at < values.length; at += 1) {
    const level = text.charCodeAt(2 * at) + 256 * text.charCodeAt(2 * at + 1);
    values[at] = low + (level * (high - low)) / 65535;
  }
  return values;
}

/**
 * What is summed once for a map, so that no crop sums it again. `map`: {code, low, high, channels, rows, columns};
 * `width`, `height`: the photo's. Entry (row, column) of `table` sums the first rows and columns of a channel, so a
 * rectangle's sum is four entries; that of `lines` sums the first columns of one row.
 */
export function sumsOf(map, width, height) {
  const { channels, rows, columns } = map;
  const values = unpack(map.code, map.low, map.high);
  const table = new Float64Array(channels * (rows + 1) * (columns + 1));
  const lines = new Float64Array(channels * rows * (columns + 1));
  for (let channel = 0; channel < channels; channel += 1) {
    for (let row = 0; row < rows; row += 1) {
      const line = (channel * rows + row) * (columns + 1);
      const above = (channel * (rows + 1) + row) * (columns + 1);
      for (let column = 0; column < columns; column += 1) {
        lines[line + column + 1] = lines[line + column] + values[(channel * rows + row) * columns + column];
        table[above + columns + column + 2] = table[above + column + 1] + lines[line + column + 1];
      }
    }
  }
  return { values, table, lines, channels, rows, columns, width, height };
}

/** A table's value between its entries: bilinear, because a pixel counts by the share of it that is covered. */
function tableAt({ table, rows, columns }, channel, x, y) {
  const [left, above] = [Math.min(Math.floor(x), columns - 1), Math.min(Math.floor(y), rows - 1)];
  const [right, below] = [x - left, y - above];
  const at = (channel * (rows + 1) + above) * (columns + 1) + left;
  const first = table[at] * (1 - right) + table[at + 1] * right;
  const second = table[at + columns + 1] * (1 - right) + table[at + columns + 2] * right;
  return first * (1 - below) + second * below;
}

/** The sum of a row's values from its start to x. */
function lineAt({ lines, rows, columns }, channel, row, x) {
  const left = Math.min(Math.floor(x), columns - 1);
  const at = (channel * rows + row) * (columns + 1) + left;
  return lines[at] * (1 - x + left) + lines[at + 1] * (x - left);
}

/** Sum of the scores in each partition of a rectangle, and the area of each, in pixels of the map. */
function rectangleSums(map, cells, [x1, y1, x2, y2]) {
  const [across, down] = [map.columns / map.width, map.rows / map.height];
  const [totals, areas] = [new Array(map.channels).fill(0), new Array(map.channels).fill(0)];
  const [wide, high] = [((x2 - x1) * across) / cells[0].length, ((y2 - y1) * down) / cells.length];
  cells.forEach((line, row) =>
    line.forEach((partition, column) => {
      const [left, top] = [x1 * across + column * wide, y1 * down + row * high];
      const [right, bottom] = [Math.min(left + wide, map.columns), Math.min(top + high, map.rows)];
      const at = (x, y) => tableAt(map, partition, x, y);
      totals[partition] += at(right, bottom) - at(left, bottom) - at(right, top) + at(left, top);
      areas[partition] += wide * high;
    }),
  );
  return { totals, areas };
}

/** The same for the circle inscribed in a square, line by line of the photo: a line cuts a circle in one chord. */
function circleSums(map, cells, [x1, y1, x2, y2]) {
  const scale = map.columns / map.width;
  const [totals, areas] = [new Array(map.channels).fill(0), new Array(map.channels).fill(0)];
  const [radius, middle] = [(x2 - x1) / 2, (x1 + x2) / 2];
  for (let y = y1; y < y2; y += 1) {
    const off = y + 0.5 - (y1 + y2) / 2;
    const half = Math.sqrt(Math.max(0, radius ** 2 - off ** 2));
    const partitions = cells[Math.floor(((off + radius) * cells.length) / (2 * radius))];
    const row = Math.min(Math.floor(((y + 0.5) * map.rows) / map.height), map.rows - 1);
    partitions.forEach((partition, column) => {
      const edge = (at) => x1 + ((x2 - x1) * at) / partitions.length;
      const left = Math.max(edge(column), middle - half) * scale;
      const right = Math.min(edge(column + 1), middle + half) * scale;
      if (right <= left) return;
      totals[partition] += lineAt(map, partition, row, right) - lineAt(map, partition, row, left);
      areas[partition] += right - left;
    });
  }
  return { totals, areas };
}

/**
 * The score of a crop (equation 1, for the circle inscribed in a square equation 9), and what it is made of: for each
 * partition its mean score (null where it has nothing), its share of the crop, and what it adds to the score.
 * `cells`: rows of partition numbers.
 */
export function cropScore(map, cells, box, circle = false) {
  const { totals, areas } = circle ? circleSums(map, cells, box) : rectangleSums(map, cells, box);
  const area = areas.reduce((sum, part) => sum + part, 0);
  const means = totals.map((total, partition) => (areas[partition] ? total / areas[partition] : null));
  const adds = totals.map((total) => total / area);
  return { score: adds.reduce((sum, part) => sum + part, 0), means, shares: areas.map((part) => part / area), adds };
}

/** A box made square after a change: the dragged side sets the length, and the edges that stayed stay. */
export function squareBox(box, before, width, height) {
  const [x1, y1, x2, y2] = box;
  const moved = box.map((edge, side) => edge !== before[side]);
  const [across, down] = [x2 - x1, y2 - y1];
  if (across === down) return box;
  const sideways = moved[0] || moved[2];
  const upright = moved[1] || moved[3];
  const wanted = sideways === upright ? Math.min(across, down) : sideways ? across : down;
  const [fromRight, fromBottom] = [moved[0] && !moved[2], moved[1] && !moved[3]];
  const side = Math.min(wanted, width, height);
  const left = Math.min(Math.max(fromRight ? x2 - side : x1, 0), width - side);
  const top = Math.min(Math.max(fromBottom ? y2 - side : y1, 0), height - side);
  return [left, top, left + side, top + side];
}

/** The largest square in the middle of a box, in whole pixels. */
export function middleSquare([x1, y1, x2, y2]) {
  const side = Math.min(x2 - x1, y2 - y1);
  const [left, top] = [x1 + Math.floor((x2 - x1 - side) / 2), y1 + Math.floor((y2 - y1 - side) / 2)];
  return [left, top, left + side, top + side];
}

/** For each partition the cell [row, column] to write on: the one nearest to the middle of the partition. */
export function labelCells(cells, partitions) {
  const places = Array.from({ length: partitions }, () => []);
  cells.forEach((line, row) => line.forEach((partition, column) => places[partition].push([row, column])));
  return places.map((own) => {
    const [y, x] = [0, 1].map((axis) => own.reduce((sum, place) => sum + place[axis], 0) / own.length);
    // Of two equally near cells the one above or below wins, so that mirrored partitions get mirrored labels.
    const distance = ([row, column]) => (row - y) ** 2 + 1.02 * (column - x) ** 2;
    return own.reduce((best, place) => (distance(place) < distance(best) - 1e-9 ? place : best));
  });
}

/** The lines between partitions inside a box: [x1, y1, x2, y2] each. */
export function partitionLines(cells, [x1, y1, x2, y2]) {
  const [rows, columns] = [cells.length, cells[0].length];
  const [x, y] = [(column) => x1 + ((x2 - x1) * column) / columns, (row) => y1 + ((y2 - y1) * row) / rows];
  const lines = [];
  for (let row = 0; row < rows; row += 1) {
    for (let column = 0; column < columns; column += 1) {
      const own = cells[row][column];
      if (column + 1 < columns && cells[row][column + 1] !== own) lines.push([x(column + 1), y(row), x(column + 1), y(row + 1)]);
      if (row + 1 < rows && cells[row + 1][column] !== own) lines.push([x(column), y(row + 1), x(column + 1), y(row + 1)]);
    }
  }
  return lines;
}
