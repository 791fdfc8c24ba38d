// What every figure is made of: a photo with boxes, a box to drag, read-outs, sliders, a line for screen readers.

const BLUE = "#0072B2";
const ORANGE = "#E69F00";
const GREEN = "#009E73";
const VERMILION = "#D55E00";
const PURPLE = "#CC79A7";
const SKY = "#56B4E9";
const YELLOW = "#F0E442";
const GREY = "#8C8C8C";
const PALETTE = [BLUE, ORANGE, GREEN, VERMILION, PURPLE, SKY, GREY, YELLOW];
// One language in all figures. What people drew, or a formula knows, is black; what the reader chose is yellow; a
// method's crop has the method's colour (cropnb.notebook.METHOD_COLORS); a window that looks at no photo is grey.
const TRUTH = "black";
const YOURS = YELLOW;

/** Make an HTML or SVG element with attributes and children; `on…` attributes become listeners. */
function make(tag, attributes = {}, ...children) {
  const svg = ["svg", "g", "rect", "path", "line", "image", "text", "circle"].includes(tag);
  const node = svg ? document.createElementNS("http://www.w3.org/2000/svg", tag) : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else if (value !== undefined && value !== false) node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children);
  return node;
}

function setAll(node, attributes) {
  for (const [name, value] of Object.entries(attributes)) node.setAttribute(name, value);
}

/** The frame of a figure: photo on the left, panel on the right or below, notes at the end. */
function frame(el, model) {
  const live = make("p", { class: "cropnb-live", "aria-live": "polite" });
  const parts = { picture: make("div", { class: "cropnb-picture" }), panel: make("div", { class: "cropnb-panel" }) };
  parts.below = make("div", { class: "cropnb-below" });
  const body = make("div", { class: "cropnb-body" }, parts.picture, parts.panel, parts.below, live);
  const root = make("div", { class: "cropnb", role: "group", "aria-label": model.get("label") }, body);
  el.replaceChildren(root);
  let waiting;
  // A screen reader should hear where a drag ended, not each pixel of it, and nothing before the figure is used.
  parts.say = (text) => {
    if (!live.textContent) live.textContent = text;
    clearTimeout(waiting);
    waiting = setTimeout(() => (live.textContent = text), 350);
  };
  return parts;
}

/** The photo as an SVG whose unit is a pixel of the photo. `unit()` is what a pixel of the screen measures in it. */
function stage(picture, model, redraw) {
  const [width, height] = [model.get("width"), model.get("height")];
  // An upright photo shall leave room for the numbers on the same screen.
  const style = `max-width: ${Math.round((480 * width) / height)}px`;
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "group", "aria-label": model.get("label"), style });
  const photo = { href: model.get("photo"), width, height, preserveAspectRatio: "none" };
  svg.append(make("image", { ...photo, role: "img", "aria-label": model.get("alt") }));
  picture.append(svg);
  const unit = () => width / (svg.getBoundingClientRect().width || 600);
  const observer = new ResizeObserver(() => redraw());
  observer.observe(svg);
  const point = (event) => {
    const rectangle = svg.getBoundingClientRect();
    const [x, y] = [event.clientX - rectangle.left, event.clientY - rectangle.top];
    return [(x / rectangle.width) * width, (y / rectangle.height) * height];
  };
  return { svg, width, height, unit, point, stop: () => observer.disconnect() };
}

/** What a line of this colour stands out against on any ground. */
function casing(color) {
  return color === YELLOW ? "black" : "white";
}

function layer(scene) {
  const group = make("g", { "pointer-events": "none" });
  scene.svg.append(group);
  return group;
}

/** Darken what lies outside of a box. */
function shade(scene, [x1, y1, x2, y2]) {
  const d = `M0 0H${scene.width}V${scene.height}H0Z M${x1} ${y1}V${y2}H${x2}V${y1}Z`;
  return make("path", { d, class: "cropnb-shade" });
}

/** A box with a white line below the coloured one (a black one below yellow), so that it shows on any photo, and a label where there is one. */
function outline(scene, [x1, y1, x2, y2], { color, dashed = false, thick = false, label = "" }) {
  const unit = scene.unit();
  const size = { x: x1, y: y1, width: Math.max(0, x2 - x1), height: Math.max(0, y2 - y1) };
  const line = { fill: "none", "vector-effect": "non-scaling-stroke" };
  const pattern = dashed ? { "stroke-dasharray": "7 5" } : {};
  const group = make("g", {});
  group.append(make("rect", { ...size, ...line, stroke: casing(color), "stroke-width": thick ? 5 : 3.5, opacity: 0.85 }));
  group.append(make("rect", { ...size, ...line, ...pattern, stroke: color, "stroke-width": thick ? 3 : 2 }));
  if (label) {
    const wide = (label.length * 7.2 + 10) * unit;
    const x = Math.min(Math.max(x1, 0), scene.width - wide);
    const y = y1 - 18 * unit >= 0 ? y1 - 18 * unit : y1;
    group.append(make("rect", { x, y, width: wide, height: 18 * unit, fill: color }));
    const ink = [ORANGE, SKY, PURPLE, YELLOW].includes(color) ? "black" : "white";
    const text = make("text", { x: x + 5 * unit, y: y + 13.2 * unit, "font-size": 12 * unit, fill: ink }, label);
    group.append(text);
  }
  return group;
}

const CURSORS = { lt: "nwse", rb: "nwse", rt: "nesw", lb: "nesw", l: "ew", r: "ew", t: "ns", b: "ns" };
const HANDLES = { l: [0, 0.5], r: [1, 0.5], t: [0.5, 0], b: [0.5, 1], lt: [0, 0], rt: [1, 0], lb: [0, 1], rb: [1, 1] };
const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };

/** Follow a pointer (mouse, pen or finger) from where it presses to where it lets go. */
function followPointer(node, scene, start) {
  node.addEventListener("pointerdown", (event) => {
    if (event.button !== 0) return;
    event.preventDefault();
    const move = start(scene.point(event), event);
    const onMove = (next) => next.pointerId === event.pointerId && move(scene.point(next));
    const onEnd = (last) => {
      if (last.pointerId !== event.pointerId) return;
      for (const [name, listener] of Object.entries(listeners)) node.removeEventListener(name, listener);
    };
    const listeners = { pointermove: onMove, pointerup: onEnd, pointercancel: onEnd };
    node.setPointerCapture(event.pointerId);
    for (const [name, listener] of Object.entries(listeners)) node.addEventListener(name, listener);
  });
}

/**
 * A box that is dragged and resized by pointer and keyboard. `get` reads it, `set` is told of each change.
 * Arrow keys move it, with Shift they move its right and bottom edge; plus and minus scale it about its centre.
 * While a pointer drags, `set` is told where the box was when the drag began, too.
 */
function movableBox(scene, { get, set, label, color }) {
  const { width, height } = scene;
  const least = Math.max(2, Math.round(Math.min(width, height) / 20));
  const step = Math.max(1, Math.round(Math.min(width, height) / 100));
  const group = make("g", { tabindex: 0, role: "application", class: "cropnb-box", "aria-roledescription": "movable box" });
  const drawn = make("g", { "pointer-events": "none" });
  const body = make("rect", { fill: "transparent", class: "cropnb-grip", style: "cursor: move" });
  group.append(drawn, body);
  const grips = Object.entries({ ltrb: null, ...HANDLES }).map(([edges, place]) => {
    const cursor = place ? `cursor: ${CURSORS[edges]}-resize` : "";
    const grip = place ? make("rect", { fill: "transparent", class: "cropnb-grip", style: cursor }) : body;
    const knob = place ? make("rect", { class: "cropnb-knob", fill: color, "pointer-events": "none" }) : null;
    group.append(grip, ...(knob ? [knob] : []));
    followPointer(grip, scene, ([x, y]) => {
      group.focus({ preventScroll: true });
      const from = get();
      return ([u, v]) => set(dragEdges(from, edges, u - x, v - y, width, height, least), from);
    });
    return { place, grip, knob };
  });
  group.addEventListener("keydown", (event) => {
    const [x1, y1, x2, y2] = get();
    const arrow = ARROWS[event.key];
    const scale = { "+": step, "=": step, "-": -step, _: -step }[event.key];
    if ((!arrow && !scale) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    if (scale) {
      const grown = (y2 - y1) * (scale / (x2 - x1));
      set(keepInside([x1 - scale, y1 - grown, x2 + scale, y2 + grown], width, height, least));
    } else {
      const edges = event.shiftKey ? "rb" : "ltrb";
      set(dragEdges([x1, y1, x2, y2], edges, arrow[0] * step, arrow[1] * step, width, height, least));
    }
  });
  scene.svg.append(group);
  return function draw() {
    const [unit, [x1, y1, x2, y2]] = [scene.unit(), get()];
    const coarse = matchMedia("(pointer: coarse)").matches;
    const reach = (coarse ? 36 : 20) * unit;
    drawn.replaceChildren(outline(scene, [x1, y1, x2, y2], { color, thick: true }));
    group.setAttribute("aria-label", `${label}: left ${x1}, top ${y1}, right ${x2}, bottom ${y2}`);
    setAll(body, { x: x1, y: y1, width: x2 - x1, height: y2 - y1 });
    for (const { place, grip, knob } of grips) {
      if (!place) continue;
      const [x, y] = [x1 + place[0] * (x2 - x1), y1 + place[1] * (y2 - y1)];
      const corner = place[0] !== 0.5 && place[1] !== 0.5;
      // A grip on an edge is as long as the edge, less the corners, so that any part of a line can be pulled.
      const wide = place[0] === 0.5 ? Math.max(0, x2 - x1 - reach) : reach;
      const high = place[1] === 0.5 ? Math.max(0, y2 - y1 - reach) : reach;
      setAll(grip, { x: x - wide / 2, y: y - high / 2, width: wide, height: high });
      const size = (corner ? 11 : 8) * unit;
      setAll(knob, { x: x - size / 2, y: y - size / 2, width: size, height: size });
    }
  };
}

/** Four number fields for a box: an exact way to set it, and the way of a reader who doesn't see the photo. */
function boxFields(parent, scene, { get, set, label }) {
  const names = ["left", "top", "right", "bottom"];
  const letters = ["l", "t", "r", "b"];
  const least = Math.max(2, Math.round(Math.min(scene.width, scene.height) / 20));
  const inputs = names.map((name, side) => {
    const change = (event) => {
      if (event.target.value === "") return draw();
      const delta = Number(event.target.value) - get()[side];
      set(dragEdges(get(), letters[side], delta, delta, scene.width, scene.height, least));
      draw();
    };
    const most = side % 2 ? scene.height : scene.width;
    return make("input", { type: "number", min: 0, max: most, step: 1, "data-name": name, onchange: change });
  });
  const fields = inputs.map((input, side) => make("label", {}, names[side], input));
  parent.append(make("div", { class: "cropnb-fields", role: "group", "aria-label": `${label}, in pixels` }, ...fields));
  const draw = () => get().forEach((value, side) => (inputs[side].value = value));
  return draw;
}

/** A list of named numbers. `entries`: name → [text of the label, title]. Returns a function that shows values. */
function readouts(parent, entries) {
  const list = make("dl", { class: "cropnb-readouts" });
  const cells = {};
  for (const [name, [label, title]] of Object.entries(entries)) {
    cells[name] = make("output", { "data-name": name });
    const note = make("small", {});
    cells[name].note = note;
    list.append(make("div", { title }, make("dt", {}, label), make("dd", {}, cells[name], note)));
  }
  parent.append(list);
  return (name, value, text, note = "") => {
    // The full precision goes beside the rounded text, for whoever wants to check it.
    setAll(cells[name], { "data-value": value });
    cells[name].textContent = text;
    cells[name].note.textContent = note;
  };
}

/** A labelled slider. `onmove` is told the number; returns the input and the element for its value's text. */
function slider(parent, { name, label, min, max, step, value, onmove, color }) {
  const shown = make("b", {}); // no <output>: a label would take that for the field it names
  const input = make("input", { type: "range", min, max, step, "data-name": name, oninput: () => onmove(Number(input.value)) });
  input.value = value;
  const chip = color ? [make("span", { class: "cropnb-chip", style: `background: ${color}` })] : [];
  parent.append(make("label", { class: "cropnb-slider" }, make("span", {}, ...chip, label, " ", shown), input));
  return { input, shown };
}

/** One entry of a legend: a piece of line and what it stands for. */
function swatch(color, pattern, text, thick = true) {
  const line = `border-top: ${thick ? 3 : 1.5}px ${pattern} ${color}`;
  // Yellow needs a dark edge on a light page, black a light one on a dark page.
  const edge = [YELLOW, "black"].includes(color) ? `; background: ${casing(color)}; box-shadow: 0 0 0 1px ${casing(color)}` : "";
  return make("span", {}, make("i", { style: line + edge }), text);
}

function choice(parent, { name, label, options, value, onchoose }) {
  const select = make("select", { "data-name": name, onchange: () => onchoose(select.value) });
  select.append(...options.map(([key, text]) => make("option", { value: key, selected: String(key) === String(value) }, text)));
  // With one option there is nothing to choose.
  parent.append(make("label", { class: "cropnb-choice", hidden: options.length < 2 }, make("span", {}, label), select));
  return select;
}

/**
 * A ranking to walk through: a list of rows with bars. `rows`: {index, rank, bars: [share, color][], text, note}.
 * Hovering, clicking and the arrow keys choose a row; `onchoose` is told the index of its box, or null.
 */
function rankingList(parent, onchoose) {
  const list = make("ol", { class: "cropnb-ranking", role: "listbox", tabindex: 0 });
  const caption = make("p", { class: "cropnb-caption" });
  parent.append(make("div", {}, caption, list));
  let [items, chosen, pointer] = [[], null, ""];
  const id = `cropnb-${crypto.randomUUID ? crypto.randomUUID() : Math.random().toString(36).slice(2)}`;
  const choose = (index, scroll) => {
    chosen = index;
    for (const item of items) {
      const active = item.index === index;
      item.node.setAttribute("aria-selected", active);
      if (!active) continue;
      list.setAttribute("aria-activedescendant", item.node.id);
      // Only the list may scroll here: scrollIntoView would move the whole page.
      if (scroll) list.scrollTop = item.node.offsetTop - list.clientHeight / 2;
    }
    onchoose(index);
  };
  list.addEventListener("keydown", (event) => {
    const at = items.findIndex((item) => item.index === chosen);
    const last = items.length - 1;
    const next = { ArrowDown: at + 1, ArrowUp: at < 0 ? 0 : at - 1, Home: 0, End: last }[event.key];
    if (next === undefined || !items.length) return;
    event.preventDefault();
    choose(items[Math.min(Math.max(next, 0), last)].index, true);
  });
  list.addEventListener("pointermove", (event) => (pointer = `${event.clientX} ${event.clientY}`));
  list.addEventListener("pointerleave", () => document.activeElement !== list && choose(null));
  return (text, rows) => {
    caption.textContent = text;
    list.setAttribute("aria-label", text);
    list.style.setProperty("--text", `${Math.max(...rows.map((row) => row.text.length))}ch`);
    list.style.setProperty("--note", `${Math.max(...rows.map((row) => row.note.length))}ch`);
    items = rows.map((row) => {
      const bars = row.bars.map(([share, color]) => make("span", { style: `width: ${100 * share}%; background: ${color}` }));
      const cells = [make("b", {}, row.rank), make("span", { class: "cropnb-track" }, ...bars)];
      const node = make("li", { role: "option", id: `${id}-${row.index}`, "data-index": row.index }, ...cells);
      node.append(make("span", {}, row.text), make("small", {}, row.note));
      node.addEventListener("pointerenter", (event) => {
        // Where the arrow keys scroll the list below a resting mouse, the keys count.
        const place = `${event.clientX} ${event.clientY}`;
        if (event.pointerType !== "touch" && place !== pointer) choose(row.index);
        pointer = place;
      });
      node.addEventListener("click", () => choose(row.index));
      node.setAttribute("aria-selected", row.index === chosen);
      return { index: row.index, node };
    });
    list.replaceChildren(...items.map((item) => item.node));
  };
}
