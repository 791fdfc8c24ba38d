function render({ model, el }) {
  const parts = frame(el, model);
  const patterns = model.get("patterns");
  const views = { scores: "scores of the partitions", pixels: "scores of the pixels", lines: "the partitions alone" };
  const scene = stage(parts.picture, model, () => draw());
  const below = layer(scene);
  const round = () => model.get("shape") === "circle";
  const get = () => model.get("box");
  const put = (values) => {
    for (const [name, value] of Object.entries(values)) model.set(name, value);
    model.save_changes();
  };
  const set = (box, from = get()) => put({ box: round() ? squareBox(box, from, scene.width, scene.height) : box });
  const label = "Your crop";
  const pointed = make("path", { fill: "white", "fill-opacity": 0.6, "pointer-events": "none" });
  scene.svg.append(pointed); // the partition whose row the mouse is on
  const drawBox = movableBox(scene, { get, set, label, color: YOURS });

  // Building the sums takes some ten milliseconds, and only the pattern on show needs them.
  let ready = null;
  const prepare = () => {
    const name = `${model.get("pattern")} ${model.get("shape")}`;
    if (ready && ready.name === name) return ready;
    const pattern = patterns.find((one) => one.name === model.get("pattern"));
    const map = ready && ready.pattern === pattern ? ready.map : sumsOf(pattern, scene.width, scene.height);
    const boxes = model.get(round() ? "squares" : "candidates");
    const scored = boxes.map((box) => cropScore(map, pattern.cells, box, round()));
    const scores = scored.map((one) => one.score);
    const best = scores.indexOf(Math.max(...scores));
    // Only differences within a photo mean something, so colours count from the candidates' mean.
    const middle = scores.reduce((sum, score) => sum + score, 0) / scores.length;
    const far = (one) => one.means.map((mean) => (mean === null ? 0 : Math.abs(mean - middle)));
    const reach = Math.max(1e-9, ...scored.map((one) => Math.max(...far(one))));
    ready = { name, pattern, map, boxes, scores, best, found: scored[best], middle, reach };
    return ready;
  };

  choice(parts.panel, {
    name: "pattern",
    label: "Pattern",
    value: model.get("pattern"),
    options: patterns.map((one) => [one.name, one.label]),
    onchoose: (name) => put({ pattern: name }),
  });
  const toShape = (shape) => put(shape === "circle" ? { shape, box: middleSquare(get()) } : { shape });
  const shape = choice(parts.panel, {
    name: "shape",
    label: "Shape of the crop",
    value: model.get("shape"),
    options: [["rectangle", "rectangle"], ["circle", "circle"]],
    onchoose: toShape,
  });
  const view = choice(parts.panel, {
    name: "view",
    label: "Drawn on the photo",
    value: model.get("view"),
    options: Object.entries(views),
    onchoose: (name) => put({ view: name }),
  });
  const show = readouts(parts.panel, {
    score: ["Score of the crop", "The mean score of its pixels, each read in the channel of its partition"],
    rank: ["Rank", "1 + the number of candidates with a higher score"],
  });
  const go = make("button", { type: "button", class: "cropnb-button", onclick: () => toBest() }, "Go to the best candidate");
  parts.panel.append(go);
  const toBest = () => put({ box: prepare().boxes[prepare().best].map(Math.round) });

  const drawFields = boxFields(parts.below, scene, { get, set, label });
  const legend = make("p", { class: "cropnb-legend" }, swatch(YOURS, "solid", "your crop"));
  legend.append(swatch(ORANGE, "dashed", "ASM-Net's best candidate"));
  const chip = (color, text) => make("span", {}, make("span", { class: "cropnb-chip", style: `background: ${color}` }), text);
  legend.append(chip(BLUE, "above the mean candidate"), chip(VERMILION, "below it"));
  const heads = ["Partition", "Share", "Score", "Adds", "In the best", "Difference"];
  const body = make("tbody", {});
  const caption = make("caption", {});
  const table = make("table", { class: "cropnb-partitions" }, caption);
  table.append(make("thead", {}, make("tr", {}, ...heads.map((head) => make("th", { scope: "col" }, head)))), body);
  const scroll = make("div", { class: "cropnb-scroll", tabindex: 0, role: "group", "aria-label": "Scores of the partitions" }, table);
  const hint = "Drag the crop or its edges. With the keyboard: arrows move, Shift + arrows resize, + and − scale.";
  parts.below.append(legend, scroll, make("p", { class: "cropnb-hint" }, hint));

  const color = (value, { middle, reach }) => {
    const strength = Math.min(1, Math.abs(value - middle) / reach);
    return { fill: value >= middle ? BLUE : VERMILION, opacity: 0.08 + 0.62 * strength };
  };

  /** One path a partition, so that 144 cells are not 144 nodes. */
  function partitionPaths(pattern, box) {
    const [rows, columns] = [pattern.cells.length, pattern.cells[0].length];
    const [wide, high] = [(box[2] - box[0]) / columns, (box[3] - box[1]) / rows];
    const paths = new Array(pattern.channels).fill("");
    pattern.cells.forEach((line, row) =>
      line.forEach((partition, column) => {
        const [x, y] = [box[0] + column * wide, box[1] + row * high];
        paths[partition] += `M${x} ${y}H${x + wide}V${y + high}H${x}Z`;
      }),
    );
    return paths;
  }

  /** The score of every pixel of the crop as a picture with transparent colours, two pixels of the photo at a time. */
  function pixelPicture(state, box) {
    const [x1, y1, x2, y2] = box;
    const { map, pattern } = state;
    const [wide, high] = [Math.ceil((x2 - x1) / 2), Math.ceil((y2 - y1) / 2)];
    const canvas = make("canvas", { width: wide, height: high });
    const context = canvas.getContext("2d");
    const picture = context.createImageData(wide, high);
    const [rows, columns] = [pattern.cells.length, pattern.cells[0].length];
    for (let at = 0; at < wide * high; at += 1) {
      const [u, v] = [((at % wide) + 0.5) / wide, (Math.floor(at / wide) + 0.5) / high];
      const partition = pattern.cells[Math.floor(v * rows)][Math.floor(u * columns)];
      const row = Math.floor(((y1 + v * (y2 - y1)) * map.rows) / map.height);
      const column = Math.floor(((x1 + u * (x2 - x1)) * map.columns) / map.width);
      const { fill, opacity } = color(map.values[(partition * map.rows + row) * map.columns + column], state);
      picture.data.set(fill === BLUE ? [0, 114, 178, 255 * opacity] : [213, 94, 0, 255 * opacity], 4 * at);
    }
    context.putImageData(picture, 0, 0);
    const size = { x: x1, y: y1, width: x2 - x1, height: y2 - y1, preserveAspectRatio: "none" };
    return make("image", { ...size, href: canvas.toDataURL() });
  }

  function ring([x1, y1, x2, y2], attributes) {
    const circle = { cx: (x1 + x2) / 2, cy: (y1 + y2) / 2, r: (x2 - x1) / 2, fill: "none" };
    return make("circle", { ...circle, "vector-effect": "non-scaling-stroke", ...attributes });
  }

  function darken(box) {
    if (!round()) return shade(scene, box);
    const [x1, y1, x2] = box;
    const [radius, y] = [(x2 - x1) / 2, (y1 + box[3]) / 2];
    const arcs = `M${x1} ${y}A${radius} ${radius} 0 1 0 ${x2} ${y}A${radius} ${radius} 0 1 0 ${x1} ${y}Z`;
    return make("path", { d: `M0 0H${scene.width}V${scene.height}H0Z ${arcs}`, class: "cropnb-shade" });
  }

  function labels(state, box, means) {
    const { pattern } = state;
    const unit = scene.unit();
    const [rows, columns] = [pattern.cells.length, pattern.cells[0].length];
    const [wide, high] = [(box[2] - box[0]) / columns, (box[3] - box[1]) / rows];
    return labelCells(pattern.cells, pattern.channels).flatMap(([row, column], partition) => {
      const own = (at) => pattern.cells[row][at] === partition;
      let [from, to] = [column, column];
      while (from > 0 && own(from - 1)) from -= 1;
      while (to + 1 < columns && own(to + 1)) to += 1;
      const room = (to - from + 1) * wide;
      if (room < 26 * unit || high < 11 * unit || means[partition] === null) return [];
      const digits = room < 40 * unit ? 1 : 2;
      const at = { x: box[0] + ((from + to + 1) / 2) * wide, y: box[1] + (row + 0.5) * high + 4 * unit };
      const ink = { "font-size": 12 * unit, "text-anchor": "middle", fill: "white", stroke: "black", "paint-order": "stroke" };
      return [make("text", { ...at, ...ink, "stroke-width": 3 * unit }, signed(means[partition], digits))];
    });
  }

  function signed(value, digits) {
    return value === null ? "–" : value.toFixed(digits).replace("-", "−");
  }

  function fillTable(state, found) {
    const { pattern } = state;
    const most = Math.max(1e-9, ...found.adds.map((part, at) => Math.abs(part - state.found.adds[at])));
    const rows = found.adds.map((part, at) => {
      const gap = part - state.found.adds[at];
      const mean = found.means[at];
      const side = gap < 0 ? `right: 50%; background: ${VERMILION}` : `left: 50%; background: ${BLUE}`;
      const bar = make("span", { class: "cropnb-gap" }, make("i", { style: `${side}; width: ${(50 * Math.abs(gap)) / most}%` }));
      const dot = mean === null ? "" : color(mean, state);
      const tint = dot ? `background: ${dot.fill}; opacity: ${0.3 + dot.opacity}` : "";
      const name = make("th", { scope: "row" }, make("span", { class: "cropnb-chip", style: tint }), ` ${pattern.names[at]}`);
      const cells = [`${(100 * found.shares[at]).toFixed(0)} %`, signed(mean, 2), signed(part, 3), signed(state.found.adds[at], 3)];
      const numbers = cells.map((text) => make("td", {}, text));
      numbers[1].dataset.value = mean === null ? "" : mean;
      const mark = { onpointerenter: () => point(at), onpointerleave: () => point(null) };
      return make("tr", { "data-partition": at, ...mark }, name, ...numbers, make("td", {}, bar, make("span", { class: "cropnb-number" }, signed(gap, 3))));
    });
    caption.textContent =
      `What each partition of your crop adds to its score, beside the best candidate's; the last column sums to ` +
      signed(found.score - state.found.score, 3);
    body.replaceChildren(...rows);
  }

  function point(partition) {
    const path = partition === null ? "" : partitionPaths(prepare().pattern, get())[partition];
    setAll(pointed, { d: path });
  }

  function draw() {
    const state = prepare();
    const box = get();
    const found = cropScore(state.map, state.pattern.cells, box, round());
    const shapes = [];
    const kind = model.get("view");
    if (kind === "pixels") shapes.push(pixelPicture(state, box));
    else if (kind === "scores") {
      partitionPaths(state.pattern, box).forEach((d, partition) => {
        if (found.means[partition] === null) return;
        const { fill, opacity } = color(found.means[partition], state);
        shapes.push(make("path", { d, fill, "fill-opacity": opacity, "data-partition": partition }));
      });
    }
    const path = partitionLines(state.pattern.cells, box).map(([a, b, c, d]) => `M${a} ${b}L${c} ${d}`).join("");
    const thin = { d: path, fill: "none", "vector-effect": "non-scaling-stroke" };
    shapes.push(make("path", { ...thin, stroke: "black", "stroke-width": 2.4, opacity: 0.5 }));
    shapes.push(make("path", { ...thin, stroke: "white", "stroke-width": 1.2 }));
    shapes.push(darken(box));
    const winner = state.boxes[state.best];
    if (round()) {
      shapes.push(ring(winner, { stroke: "white", "stroke-width": 3.5 }), ring(winner, { stroke: ORANGE, "stroke-width": 2, "stroke-dasharray": "7 5" }));
      shapes.push(ring(box, { stroke: casing(YOURS), "stroke-width": 4.5 }), ring(box, { stroke: YOURS, "stroke-width": 2.5 }));
    } else shapes.push(outline(scene, winner, { color: ORANGE, dashed: true }));
    if (kind === "scores") shapes.push(...labels(state, box, found.means));
    below.replaceChildren(...shapes);
    point(null);
    drawBox();
    drawFields();
    fillTable(state, found);
    const rank = 1 + state.scores.filter((score) => score > found.score + 1e-9).length;
    const count = state.scores.length;
    const top = state.scores[state.best];
    show("score", found.score, signed(found.score, 3), `best candidate ${signed(top, 3)}`);
    show("rank", rank, `${rank} of ${count + 1}`, `beside ${count} ${round() ? "circles" : "candidates"}`);
    go.disabled = state.boxes[state.best].every((edge, side) => Math.round(edge) === box[side]);
    parts.say(`${state.pattern.label}: score ${signed(found.score, 3)}, rank ${rank} of ${count + 1}`);
  }
  function update() {
    shape.value = model.get("shape");
    view.value = model.get("view");
    parts.panel.querySelector("[data-name=pattern]").value = model.get("pattern");
    draw();
  }
  const events = "change:box change:pattern change:shape change:view";
  model.on(events, update);
  update();
  return () => {
    model.off(events, update);
    scene.stop();
  };
}

export default { render };
