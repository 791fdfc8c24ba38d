// ACC 1/N within a tolerance: two panels of bars that change places as ε and N move.

// The book's language: people's own order is black, a method has its colour (hollow: a paper's number), grey never looks.
const KINDS = {
  oracle: "oracle: has seen the annotations",
  printed: "as printed in the paper",
  method: "methods that we trained, each in its colour",
  blind: "the same for every photo or every position: never looks at a photo",
  chance: "drawn at random: expected",
};

/** How a row's bar is filled; of several colours, each has a part of it. */
function fill(kind, colors) {
  if (kind === "printed") return `box-shadow: inset 0 0 0 2px ${colors[0]}`;
  if (kind === "oracle") return "background: black; box-shadow: inset 0 0 0 1px currentColor";
  if (kind === "chance") return `background: repeating-linear-gradient(135deg, ${colors[0]} 0 3px, transparent 3px 6px)`;
  const part = 100 / colors.length;
  return `background: linear-gradient(to right, ${colors.map((color, at) => `${color} ${at * part}% ${(at + 1) * part}%`).join(", ")})`;
}

/** The colours of a kind's rows in all panels, each once. */
function colorsOf(kind, panels) {
  const rows = panels.flatMap((panel) => (kind === "printed" ? panel.printed : panel.curves.filter((one) => one.kind === kind)));
  return [...new Set(rows.map((row) => row.color))];
}

const AMONG = [["first", "the first in the file"], ["any", "any of them"], ["worst", "all of them"]];

function render({ model, el }) {
  const parts = frame(el, model);
  const [panels, epsilons] = [model.get("panels").map(unpackPanel), model.get("epsilons")];
  const most = panels[0].curves[0].first[0].length;
  const put = (changes) => {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  };
  parts.picture.remove();
  parts.panel.parentNode.classList.add("cropnb-wide");
  const controls = make("div", { class: "cropnb-dials" });
  parts.panel.append(controls);
  const last = epsilons.length - 1;
  const epsilon = slider(controls, { name: "at", label: "Tolerance: IoU at least ε", min: 0, max: last, step: 1, value: model.get("at"), onmove: (at) => put({ at }) });
  const count = slider(controls, { name: "n", label: "Crops that count, N", min: 1, max: most, step: 1, value: model.get("n"), onmove: (n) => put({ n }) });
  const ties = choice(controls, { name: "among", label: "Of several best crops, to be hit", options: AMONG, value: model.get("among"), onchoose: (among) => put({ among }) });
  const boards = make("div", { class: "cropnb-boards" });
  parts.below.append(boards);
  const drawn = panels.map((panel) => {
    const list = make("ol", { class: "cropnb-race", "aria-label": panel.title });
    boards.append(make("section", {}, make("p", { class: "cropnb-title" }, make("b", {}, panel.title)), list));
    return list;
  });
  const legend = make("p", { class: "cropnb-legend" });
  for (const [kind, text] of Object.entries(KINDS)) {
    const colors = colorsOf(kind, panels);
    if (colors.length) legend.append(make("span", {}, make("i", { class: "cropnb-bar", style: fill(kind, colors) }), text));
  }
  const tick = make("span", {}, make("i", { class: "cropnb-tick" }), "Acc 1/N of the same predictions, which knows no ε");
  const line = make("span", {}, make("i", { class: "cropnb-span" }), "95 % interval");
  legend.append(tick, line);
  parts.below.append(legend);

  function item(row, place) {
    const track = make("span", { class: "cropnb-track" }, make("span", { style: `width: ${row.value}%; ${fill(row.kind, [row.color])}` }));
    const lane = make("span", { class: "cropnb-lane", "aria-hidden": "true" }, track);
    if (row.interval) lane.append(make("i", { class: "cropnb-whisker", style: `left: ${row.interval[0]}%; width: ${row.interval[1] - row.interval[0]}%` }));
    if (row.acc !== null) lane.append(make("i", { class: "cropnb-mark", style: `left: ${row.acc}%` }));
    const ends = row.interval ? ` [${row.interval[0].toFixed(0)}, ${row.interval[1].toFixed(0)}]` : "";
    const acc = row.acc === null ? "" : `; Acc 1/${model.get("n")} ${row.acc.toFixed(1)}`;
    const value = make("span", { class: "cropnb-value" }, make("b", {}, row.value.toFixed(1)), make("small", {}, ends));
    const title = `${row.name}: ${row.value.toFixed(1)} %${ends}${acc}${row.note ? `. ${row.note}` : ""}`;
    const name = make("span", { class: "cropnb-name" }, `${place + 1}. ${row.name}`);
    return make("li", { title, "data-name": row.name, "data-value": row.value, "data-kind": row.kind, ...(row.acc === null ? {} : { "data-acc": row.acc }) }, name, value, lane);
  }

  function update() {
    const [at, n, among] = [model.get("at"), model.get("n"), model.get("among")];
    const exact = epsilons[at] === 1;
    epsilon.input.value = at;
    epsilon.shown.textContent = epsilons[at].toFixed(2) + (exact ? ", the very crop" : "");
    epsilon.input.setAttribute("aria-valuetext", epsilon.shown.textContent);
    count.input.value = n;
    count.shown.textContent = String(n);
    ties.value = among;
    const told = panels.map((panel, index) => {
      const rows = rankingAt(panel, at, n, among, epsilons[at]);
      drawn[index].replaceChildren(...rows.map(item));
      return `${panel.title}: ${rows.map((row) => `${row.name} ${row.value.toFixed(1)}`).join(", ")}`;
    });
    parts.say(`Tolerance ${epsilons[at].toFixed(2)}, ${n} crops. ${told.join(". ")}`);
  }
  const events = "change:at change:n change:among";
  model.on(events, update);
  update();
  return () => model.off(events, update);
}

export default { render };
