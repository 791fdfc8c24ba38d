const NAMED = [["1:2", 1 / 2], ["9:16", 9 / 16], ["2:3", 2 / 3], ["3:4", 3 / 4], ["1:1", 1], ["4:3", 4 / 3], ["3:2", 3 / 2], ["16:9", 16 / 9], ["2:1", 2]];
const OURS = SKY; // the colour of Mars
const ABOVE = "white";
const LAYERS = { map: ["Predicted map"], above: ["Cells above θ", ABOVE], medians: ["Medians", VERMILION], centred: ["Largest centred window", GREY] };
// From dark to light, in even steps of lightness: the map's values from 0 to 1.
const HEAT = [[0, 0, 4], [40, 17, 89], [101, 26, 128], [159, 47, 127], [212, 72, 103], [245, 113, 92], [254, 176, 120], [252, 253, 191]];

function heat(value) {
  const place = value * (HEAT.length - 1);
  const from = Math.min(Math.floor(place), HEAT.length - 2);
  return HEAT[from].map((part, index) => part + (place - from) * (HEAT[from + 1][index] - part));
}

/** Counts over places as bars, with a line at the median of those that aren't zero and a mark at the median place. */
function countsChart(parent, side, other) {
  const [width, height, base] = [330, 96, 80];
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", class: "cropnb-counts" });
  const caption = make("p", { class: "cropnb-caption" });
  parent.append(make("div", {}, caption, svg));
  return ({ counts, most, median, place, unit, length }) => {
    const [x, y] = [(at) => (at * width) / counts.length, (count) => base - (count / most) * (base - 6)];
    const bars = counts.map((count, at) => (count ? `M${x(at)} ${base}V${y(count)}H${x(at + 1)}V${base}Z` : "")).join("");
    const level = { x1: 0, x2: width, y1: y(median / unit), y2: y(median / unit) };
    svg.replaceChildren(
      make("path", { d: bars, fill: OURS }),
      make("line", { ...level, stroke: VERMILION, "stroke-width": 2, "stroke-dasharray": "6 4" }),
      make("line", { x1: 0, x2: width, y1: base, y2: base, stroke: "currentColor", "stroke-opacity": 0.4 }),
      make("path", { d: `M${(place / length) * width} ${base + 1}l6 11h-12Z`, fill: VERMILION }),
    );
    const text = `Cells above θ in each ${side}: their median gives a ${other} of ${median.toFixed(0)} px`;
    caption.textContent = text;
    svg.setAttribute("aria-label", `${text}; the median cell lies ${place.toFixed(0)} px from the ${side === "column" ? "left" : "top"}`);
  };
}

/** What is left of the photo, as a picture of its own. */
function cutOut(parent, color) {
  const svg = make("svg", { class: "cropnb-cut", role: "img", style: `border-color: ${color}` });
  const text = make("figcaption", {});
  const whole = make("figure", {}, svg, text);
  parent.append(whole);
  return (photo, [x1, y1, x2, y2], caption, hidden) => {
    whole.hidden = hidden;
    const scale = Math.min(150 / (x2 - x1), 130 / (y2 - y1));
    const size = { width: (x2 - x1) * scale, height: (y2 - y1) * scale };
    setAll(svg, { ...size, viewBox: `${x1} ${y1} ${x2 - x1} ${y2 - y1}`, "aria-label": caption });
    svg.replaceChildren(make("image", { href: photo.photo, width: photo.width, height: photo.height, preserveAspectRatio: "none" }));
    text.textContent = caption;
  };
}

function render({ model, el }) {
  const parts = frame(el, model);
  const [photos, ratios] = [model.get("photos"), model.get("ratios")];
  const unpacked = new Map();
  const put = (changes) => {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  };
  const nearest = (ratio) => {
    const far = ratios.map((known) => Math.abs(Math.log(known / ratio)));
    return far.indexOf(Math.min(...far));
  };
  const nameOf = (at) => (NAMED.find(([, ratio]) => nearest(ratio) === at && Math.abs(Math.log(ratio / ratios[at])) < 0.03) ?? [""])[0];

  let [scene, picture, photo] = [null, null, null];
  function showPhoto() {
    const wanted = photos.find((one) => one.name === model.get("shown"));
    if (wanted === photo) return;
    if (scene) scene.stop();
    photo = wanted;
    parts.picture.replaceChildren();
    // A photo that is not the first stands in for the model's own.
    const view = { get: (name) => (name in photo ? photo[name] : model.get(name)) };
    scene = stage(parts.picture, view, () => draw());
    picture = layer(scene);
  }

  const options = photos.map((one) => [one.name, one.name]);
  const chooser = choice(parts.panel, { name: "shown", label: "Photo", options, value: model.get("shown"), onchoose: (shown) => put({ shown }) });
  const ratio = slider(parts.panel, { name: "at", label: "Ratio", min: 0, max: ratios.length - 1, step: 1, value: model.get("at"), onmove: (at) => put({ at }) });
  const row = make("div", { class: "cropnb-ratios", role: "group", "aria-label": "Usual ratios" });
  const buttons = NAMED.filter(([, wanted]) => Math.abs(Math.log(wanted / ratios[nearest(wanted)])) < 0.03).map(([name, wanted]) => {
    const button = make("button", { type: "button", class: "cropnb-button", "data-ratio": name, onclick: () => put({ at: nearest(wanted) }) }, name);
    row.append(button);
    return [nearest(wanted), button];
  });
  parts.panel.append(row);
  const theta = slider(parts.panel, { name: "threshold", label: "Threshold θ", min: 0.02, max: 0.98, step: 0.01, value: model.get("threshold"), onmove: (threshold) => put({ threshold: Math.round(100 * threshold) / 100 }) });
  const colors = HEAT.map((color) => `rgb(${color.join(" ")})`).join(", ");
  parts.panel.append(make("div", { class: "cropnb-heat", style: `background: linear-gradient(to right, ${colors})`, role: "img", "aria-label": "Colours of the map, from 0 on the left to 1 on the right" }));
  const checks = make("fieldset", { class: "cropnb-checks", "aria-label": "Drawn on the photo" });
  const boxes = Object.entries(LAYERS).map(([name, [text, color]]) => {
    const change = (event) => {
      const others = model.get("layers").filter((other) => other !== name);
      put({ layers: event.target.checked ? [...others, name] : others });
    };
    const input = make("input", { type: "checkbox", "data-name": name, onchange: change });
    const chip = color ? [make("span", { class: "cropnb-chip", style: `background: ${color}` })] : [];
    checks.append(make("label", {}, input, ...chip, text));
    return [name, input];
  });
  const cuts = make("div", { class: "cropnb-cuts" });
  const [cutCrop, cutWindow] = [cutOut(cuts, OURS), cutOut(cuts, GREY)];
  const counts = make("div", { class: "cropnb-two" });
  const [columnChart, rowChart] = [countsChart(counts, "column", "height"), countsChart(counts, "row", "width")];
  const note = make("p", { class: "cropnb-hint", "data-name": "note" });
  parts.below.append(checks, cuts, counts, note);
  const show = readouts(parts.panel, {
    kept: ["Kept of the photo", "Area of the crop divided by the area of the photo"],
    above: ["Map above θ", "Share of the map's cells that lie above the threshold"],
    overlap: ["IoU with the centred window", "How much the crop shares with the largest window of this ratio in the middle of the photo"],
  });

  function heatImage(map) {
    const canvas = make("canvas", { width: photo.columns, height: photo.rows });
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(photo.columns, photo.rows);
    map.forEach((level, at) => pixels.data.set([...heat(levelValue(level)), 255], 4 * at));
    context.putImageData(pixels, 0, 0);
    const size = { width: photo.columns * photo.cell[0], height: photo.rows * photo.cell[1], preserveAspectRatio: "none" };
    return make("image", { ...size, href: canvas.toDataURL(), opacity: 0.62 });
  }

  /** The outline of the cells above the threshold: each edge between one that is and one that isn't. */
  function edges(ones) {
    const { rows, columns, cell } = photo;
    const is = (row, column) => row >= 0 && column >= 0 && row < rows && column < columns && ones[row * columns + column];
    let d = "";
    for (let row = 0; row <= rows; row += 1) {
      for (let column = 0; column <= columns; column += 1) {
        const [x, y] = [column * cell[0], row * cell[1]];
        if (Boolean(is(row, column)) !== Boolean(is(row - 1, column))) d += `M${x} ${y}h${cell[0]}`;
        if (Boolean(is(row, column)) !== Boolean(is(row, column - 1))) d += `M${x} ${y}v${cell[1]}`;
      }
    }
    return d;
  }

  function line(d, color, thick) {
    const both = { d, fill: "none", "vector-effect": "non-scaling-stroke", "stroke-linecap": "round" };
    const under = make("path", { ...both, stroke: "black", "stroke-width": thick + 2, opacity: 0.55 });
    return make("g", {}, under, make("path", { ...both, stroke: color, "stroke-width": thick }));
  }

  function current() {
    const cells = photo.rows * photo.columns;
    if (!unpacked.has(photo)) unpacked.set(photo, unpackMaps(photo.code, ratios.length, cells, photo.step));
    const size = photo.rows * photo.columns;
    const map = unpacked.get(photo).subarray(model.get("at") * size, (model.get("at") + 1) * size);
    const { rows, columns, cell, width, height } = photo;
    return { map, found: cropFromMap(map, rows, columns, cell, ratios[model.get("at")], width, height, model.get("threshold")) };
  }

  function draw() {
    const { map, found } = current();
    const layers = model.get("layers");
    const wanted = ratios[model.get("at")];
    const window = largestWindow(wanted, photo.width, photo.height);
    const shapes = [];
    if (layers.includes("map")) shapes.push(heatImage(map));
    else shapes.push(shade(scene, found.box));
    if (layers.includes("above")) shapes.push(line(edges(found.ones), ABOVE, 1.6));
    if (layers.includes("centred")) shapes.push(outline(scene, window, { color: GREY, dashed: true }));
    shapes.push(outline(scene, found.box, { color: OURS, thick: true }));
    const [x, y, across, down] = found.medians;
    if (layers.includes("medians")) {
      const unit = scene.unit();
      const bars = `M${x - across / 2} ${y}H${x + across / 2}M${x} ${y - down / 2}V${y + down / 2}`;
      shapes.push(line(bars, VERMILION, 2), make("circle", { cx: x, cy: y, r: 5 * unit, fill: VERMILION, stroke: "white", "stroke-width": 1.5 * unit }));
    }
    picture.replaceChildren(...shapes);
    const [wide, high] = [found.box[2] - found.box[0], found.box[3] - found.box[1]];
    const share = (100 * wide * high) / (photo.width * photo.height);
    const above = (100 * found.above) / map.length;
    const overlap = iou(found.box, window);
    show("kept", share, `${share.toFixed(0)} %`, `${wide.toFixed(0)} × ${high.toFixed(0)} px of ${photo.width} × ${photo.height}`);
    show("above", above, `${above.toFixed(1)} %`, `medians ${across.toFixed(0)} × ${down.toFixed(0)} px`);
    show("overlap", overlap, overlap.toFixed(2));
    columnChart({ counts: found.heights, most: photo.rows, median: down, place: x, unit: photo.cell[1], length: photo.columns * photo.cell[0] });
    rowChart({ counts: found.widths, most: photo.columns, median: across, place: y, unit: photo.cell[0], length: photo.rows * photo.cell[1] });
    cutCrop(photo, found.box, `The crop at ${wanted.toFixed(2)}`, false);
    cutWindow(photo, window, "Largest centred window", !layers.includes("centred"));
    note.textContent = found.above
      ? "The dot is the median cell, the bars through it are the median width and height. One of the two is then cut to the ratio."
      : `Nothing lies above θ = ${model.get("threshold").toFixed(2)}, so half of the map's maximum, ${found.threshold.toFixed(2)}, takes its place.`;
    return { share, overlap };
  }

  function update() {
    showPhoto();
    const at = model.get("at");
    const text = ratios[at].toFixed(2) + (nameOf(at) ? `, about ${nameOf(at)}` : "");
    chooser.value = model.get("shown");
    ratio.input.value = at;
    ratio.input.setAttribute("aria-valuetext", text);
    ratio.shown.textContent = text;
    theta.input.value = model.get("threshold");
    theta.shown.textContent = model.get("threshold").toFixed(2);
    for (const [index, button] of buttons) button.setAttribute("aria-pressed", index === at);
    for (const [name, input] of boxes) input.checked = model.get("layers").includes(name);
    const { share, overlap } = draw();
    parts.say(`Ratio ${text}: the crop keeps ${share.toFixed(0)} per cent of the photo, IoU ${overlap.toFixed(2)} with the centred window`);
  }
  const events = "change:shown change:at change:threshold change:layers";
  model.on(events, update);
  update();
  return () => {
    model.off(events, update);
    scene.stop();
  };
}

export default { render };
