const OURS = PURPLE; // the colour of set prediction
const VIEWS = [["match", "the matching"], ["top", "the K most valid crops"]];
const RULE_NAMES = [["hungarian", "Hungarian"], ["greedy", "greedy, cheapest pair first"], ["cheapest", "each crop its cheapest anchor"]];

/** Good crops as dots above, anchors as bars of their validity below, from the most to the least valid. */
function ladder(parent) {
  const [width, height, top, floor] = [720, 190, 22, 172];
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "cropnb-ladder" });
  parent.append(svg);
  return ({ label, validities, order, crops, bars, lines, threshold }) => {
    svg.setAttribute("aria-label", label);
    const pitch = (width - 20) / order.length;
    const places = new Array(order.length);
    order.forEach((anchor, place) => (places[anchor] = 10 + (place + 0.5) * pitch));
    const high = Math.max(0.5, ...validities);
    const level = (value) => floor - (value / high) * 62;
    const shapes = [make("line", { x1: 10, x2: width - 10, y1: floor, y2: floor, class: "cropnb-grid" })];
    validities.forEach((value, anchor) => {
      const [color, opacity] = bars(anchor);
      const y = Math.min(level(value), floor - 1.5);
      const size = { x: places[anchor] - 0.4 * pitch, y, width: 0.8 * pitch, height: floor - y };
      shapes.push(make("rect", { ...size, fill: color, "fill-opacity": opacity }));
    });
    const dot = (crop) => 10 + ((crop + 0.5) * (width - 20)) / crops.length;
    for (const { crop, anchor, dashed, thick } of lines) {
      const ends = { x1: dot(crop), y1: top, x2: places[anchor], y2: level(validities[anchor]) };
      shapes.push(make("line", { ...ends, stroke: OURS, "stroke-width": thick ? 3.4 : 2, "stroke-dasharray": dashed ? "6 4" : "none" }));
    }
    crops.forEach(({ filled }, crop) => {
      shapes.push(make("circle", { cx: dot(crop), cy: top, r: 7, fill: filled ? "currentColor" : "none", stroke: "currentColor", "stroke-width": 2 }));
    });
    if (threshold > 0 && threshold <= high) {
      const at = { x1: 10, x2: width - 10, y1: level(threshold), y2: level(threshold) };
      shapes.push(make("line", { ...at, stroke: "currentColor", "stroke-width": 1.5, "stroke-dasharray": "5 4" }));
    }
    svg.replaceChildren(...shapes);
  };
}

function render({ model, el }) {
  const parts = frame(el, model);
  const read = (...names) => names.map((name) => model.get(name));
  const [truths, names, allBoxes, allValidities, width, height] = read("truths", "names", "boxes", "validities", "width", "height");
  const scene = stage(parts.picture, model, () => draw());
  const picture = layer(scene);
  const put = (changes) => {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  };
  const moved = (name) => (value) => (halt(), put({ [name]: value }));

  choice(parts.panel, { name: "view", label: "Show", options: VIEWS, value: model.get("view"), onchoose: moved("view") });
  const moment = slider(parts.panel, { name: "moment", label: "When", min: 0, max: names.length - 1, step: 1, value: model.get("moment"), onmove: moved("moment") });
  const matchPanel = make("div", { class: "cropnb-panel" });
  const topPanel = make("div", { class: "cropnb-panel" });
  parts.panel.append(matchPanel, topPanel);
  choice(matchPanel, { name: "rule", label: "Who is paired", options: RULE_NAMES, value: model.get("rule"), onchoose: moved("rule") });
  const focal = slider(matchPanel, { name: "focal", label: "weight of the validity", min: 0, max: 4, step: 0.1, value: model.get("focal"), onmove: moved("focal") });
  const showMatch = readouts(matchPanel, {
    total: ["Sum of the costs", "Equation 3 over the pairs so far"],
    anchors: ["Anchors that answer", "How many different anchors the crops have so far"],
    iou: ["Mean IoU of the pairs", "How well the paired crops overlap"],
  });
  const k = slider(topPanel, { name: "k", label: "K, crops at most", min: 1, max: allBoxes[0].length, step: 1, value: model.get("k"), onmove: moved("k") });
  const threshold = slider(topPanel, { name: "threshold", label: "validity at least", min: 0, max: 0.5, step: 0.01, value: model.get("threshold"), onmove: moved("threshold") });
  const eps = slider(topPanel, { name: "eps", label: "a hit from IoU", min: 0.5, max: 1, step: 0.01, value: model.get("eps"), onmove: moved("eps") });
  const showTop = readouts(topPanel, {
    shown: ["Crops shown", "The K most valid ones that reach the threshold"],
    hits: ["Hits", "Shown crops that lie within ε of a good one"],
    reached: ["Good crops reached", "Good crops that some shown crop lies within ε of"],
  });

  const button = (name, text, onclick) => make("button", { type: "button", class: "cropnb-button", "data-name": name, onclick }, text);
  const play = button("play", "▶ Play", () => (timer ? halt() : run()));
  const steps = make("div", { class: "cropnb-steps" }, button("first", "First", moved("step").bind(null, 0)), play);
  const stepper = slider(steps, { name: "step", label: "Good crops matched", min: 0, max: truths.length, step: 1, value: model.get("step"), onmove: moved("step") });
  const caption = make("p", { class: "cropnb-caption" });
  const chartBox = make("div", {}, caption);
  const chart = ladder(chartBox);
  const legend = make("p", { class: "cropnb-legend" });
  const hint = make("p", { class: "cropnb-hint" });
  parts.below.append(steps, chartBox, legend, hint);

  let timer = null;
  function halt() {
    clearInterval(timer);
    timer = null;
    play.textContent = "▶ Play";
  }
  function run() {
    if (model.get("step") >= truths.length) put({ step: 0 });
    play.textContent = "⏸ Pause";
    timer = setInterval(() => {
      put({ step: model.get("step") + 1 });
      if (model.get("step") >= truths.length) halt();
    }, 900);
  }

  /** Corners of a pair joined by threads, which shows how far the anchor still is. */
  function threads(box, truth) {
    const line = { stroke: OURS, "stroke-width": 1.6, "vector-effect": "non-scaling-stroke" };
    return [[0, 1], [2, 1], [0, 3], [2, 3]].map(([x, y]) => make("line", { x1: box[x], y1: box[y], x2: truth[x], y2: truth[y], ...line }));
  }

  function drawMatch(boxes, validities, order) {
    const [step, rule, overlap, focalWeight] = read("step", "rule", "overlap", "focal");
    const costs = costTable(boxes, validities, truths, width, height, { overlap, focal: focalWeight });
    const all = RULES[rule](costs);
    const [now, before] = [all[step - 1] ?? [], all[step - 2] ?? []];
    const pairs = now.map((anchor, crop) => ({ anchor, crop })).filter(({ anchor }) => anchor >= 0);
    const doubled = (anchor) => pairs.filter((pair) => pair.anchor === anchor).length > 1;
    const look = ({ anchor, crop }) => {
      const rerouted = before[crop] >= 0 && before[crop] !== undefined && before[crop] !== anchor;
      const fresh = before[crop] === undefined || before[crop] < 0;
      return { dashed: rerouted || doubled(anchor), thick: fresh && step > 0 };
    };
    const drawn = truths.map((truth) => outline(scene, truth, { color: TRUTH }));
    for (const pair of pairs) {
      drawn.push(outline(scene, boxes[pair.anchor], { color: OURS, ...look(pair) }), ...threads(boxes[pair.anchor], truths[pair.crop]));
    }
    picture.replaceChildren(...drawn);
    const used = new Set(pairs.map(({ anchor }) => anchor));
    chart({
      label: `${pairs.length} lines from good crops to anchors`,
      validities, order, threshold: 0,
      crops: truths.map((_, crop) => ({ filled: now[crop] >= 0 })),
      bars: (anchor) => (used.has(anchor) ? [OURS, 1] : ["currentColor", 0.28]),
      lines: pairs.map((pair) => ({ ...pair, ...look(pair) })),
    });
    const total = pairingCost(costs, now);
    const mean = pairs.length ? pairs.reduce((sum, { anchor, crop }) => sum + iou(boxes[anchor], truths[crop]), 0) / pairs.length : 0;
    const full = (name) => pairingCost(costs, RULES[name](costs).at(-1));
    showMatch("total", total, signed(total, 3), step === truths.length && rule !== "hungarian" ? `Hungarian: ${signed(full("hungarian"), 3)}` : "");
    showMatch("anchors", used.size, String(used.size), used.size < pairs.length ? `for ${pairs.length} crops: not a matching` : "");
    showMatch("iou", mean, mean.toFixed(3));
    stepper.input.value = step;
    stepper.shown.textContent = `${step} of ${truths.length}`;
    stepper.input.setAttribute("aria-valuetext", `${step} of ${truths.length}`);
    focal.shown.textContent = focalWeight.toFixed(1);
    caption.textContent = "Above the good crops, below the anchors: bars are their validity, the most valid on the left";
    const changed = swatch(OURS, "dashed", rule === "cheapest" ? "an anchor that two crops want" : "pushed to another anchor");
    legend.replaceChildren(swatch(TRUTH, "solid", "good crop"), swatch(OURS, "solid", "matched in this step"), swatch(OURS, "solid", "matched before", false), changed);
    hint.textContent = "Threads join the corners of a predicted crop with those of its good crop.";
    parts.say(`${step} good crops matched, cost ${signed(total, 3)}, mean IoU ${mean.toFixed(3)}`);
  }

  function drawTop(boxes, validities, order) {
    const [most, least, near] = read("k", "threshold", "eps");
    const { chosen, hits, reached } = topCrops(boxes, validities, truths, most, least, near);
    const isHit = new Set(hits);
    const [isReached, isChosen] = [new Set(reached), new Set(chosen)];
    const drawn = truths.map((truth) => outline(scene, truth, { color: TRUTH }));
    for (const index of [...chosen].reverse()) drawn.push(outline(scene, boxes[index], { color: OURS, dashed: !isHit.has(index), thick: index === chosen[0] }));
    picture.replaceChildren(...drawn);
    chart({
      label: `validities of ${boxes.length} anchors, ${chosen.length} chosen`,
      validities, order, threshold: least, lines: [],
      crops: truths.map((_, crop) => ({ filled: isReached.has(crop) })),
      bars: (anchor) => (isChosen.has(anchor) ? [OURS, isHit.has(anchor) ? 1 : 0.5] : ["currentColor", 0.28]),
    });
    showTop("shown", chosen.length, String(chosen.length));
    showTop("hits", hits.length, String(hits.length), chosen.length ? `${Math.round((100 * hits.length) / chosen.length)} % of them` : "");
    showTop("reached", reached.length, String(reached.length), `of ${truths.length}`);
    k.shown.textContent = most;
    threshold.shown.textContent = least.toFixed(2);
    eps.shown.textContent = near.toFixed(2);
    caption.textContent = "Above the good crops, filled where reached; below the validity of each anchor, the most valid on the left";
    legend.replaceChildren(swatch(TRUTH, "solid", "good crop"), swatch(OURS, "solid", "shown, a hit"), swatch(OURS, "dashed", "shown, no hit"));
    hint.textContent = "Raise K and more good crops are reached; raise the threshold and fewer misses are shown.";
    parts.say(`${chosen.length} crops shown, ${hits.length} hits, ${reached.length} of ${truths.length} good crops reached`);
  }

  function draw() {
    const at = model.get("moment");
    const [boxes, validities] = [allBoxes[at], allValidities[at]];
    const order = validities.map((_, index) => index).sort((a, b) => validities[b] - validities[a] || a - b);
    const matching = model.get("view") === "match";
    steps.hidden = !matching;
    matchPanel.hidden = !matching;
    topPanel.hidden = matching;
    moment.input.value = at;
    moment.shown.textContent = names[at];
    moment.input.setAttribute("aria-valuetext", names[at]);
    (matching ? drawMatch : drawTop)(boxes, validities, order);
  }
  const watched = ["view", "moment", "rule", "step", "overlap", "focal", "k", "threshold", "eps"].map((name) => `change:${name}`).join(" ");
  model.on(watched, draw);
  draw();
  return () => {
    halt();
    model.off(watched, draw);
    scene.stop();
  };
}

function signed(value, digits) {
  return value.toFixed(digits).replace("-", "−").replace(/^−(0\.?0*)$/, "$1");
}

export default { render };
