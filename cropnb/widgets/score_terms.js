function render({ model, el }) {
  const parts = frame(el, model);
  const [boxes, names, terms, given] = ["boxes", "names", "terms", "given"].map((name) => model.get(name));
  const scene = stage(parts.picture, model, () => draw());
  const picture = layer(scene);
  const start = ranking(weightedTotals(terms, given));
  let hovered = null;

  const show = readouts(parts.panel, {
    total: ["Total of the best box", "Sum of weight times value over the terms"],
    same: ["Order kept", "Spearman's rank correlation with the ranking under the given weights"],
  });
  const largest = Math.max(...given.map(Math.abs)) || 1;
  const scale = 10 ** Math.floor(Math.log10(largest));
  const max = scale * Math.ceil((2 * largest) / scale);
  const min = Math.min(...given) < 0 ? -max : 0;
  const group = make("div", { class: "cropnb-weights", role: "group", "aria-label": "Weights of the terms" });
  const sliders = names.map((name, term) =>
    slider(group, {
      name, label: name, min, max, step: scale / 20, value: given[term], color: PALETTE[term % PALETTE.length],
      onmove: (value) => {
        const weights = [...model.get("weights")];
        weights[term] = value;
        model.set("weights", weights);
        model.save_changes();
      },
    }),
  );
  const reset = () => {
    model.set("weights", [...given]);
    model.save_changes();
  };
  const button = make("button", { type: "button", "data-name": "reset", onclick: reset }, "Back to the given weights");
  parts.below.append(group, button);
  const fill = rankingList(parts.below, "Boxes, highest total first", (index) => {
    hovered = index;
    draw();
  });
  const swatch = (color, style, text) =>
    make("span", {}, make("i", { style: `border-top-color: ${color}; border-top-style: ${style}` }), text);
  const legend = make("p", { class: "cropnb-legend" }, swatch(GREEN, "solid", "best box now"));
  legend.append(swatch(VERMILION, "dashed", "best under the given weights"), swatch(BLUE, "solid", "chosen row"));
  parts.below.append(legend);

  const state = () => {
    const totals = weightedTotals(terms, model.get("weights"));
    return { totals, order: ranking(totals) };
  };

  function draw() {
    const { order } = state();
    const shown = hovered ?? order[0];
    const shapes = [shade(scene, boxes[shown])];
    if (start[0] !== order[0]) shapes.push(outline(scene, boxes[start[0]], { color: VERMILION, dashed: true, label: "before" }));
    shapes.push(outline(scene, boxes[order[0]], { color: GREEN, thick: true, label: "best" }));
    if (hovered !== null && hovered !== order[0]) {
      shapes.push(outline(scene, boxes[hovered], { color: BLUE, thick: true, label: `rank ${order.indexOf(hovered) + 1}` }));
    }
    picture.replaceChildren(...shapes);
  }

  function update() {
    const [{ totals, order }, weights] = [state(), model.get("weights")];
    const changes = rankChanges(start, order);
    const [low, high] = [totals[order[order.length - 1]], totals[order[0]]];
    fill(
      order.map((index, place) => ({
        index,
        rank: place + 1,
        share: high > low ? 0.03 + (0.97 * (totals[index] - low)) / (high - low) : 1,
        text: totals[index].toFixed(3),
        note: changes[index] ? `${changes[index] > 0 ? "▲" : "▼"} ${Math.abs(changes[index])}` : "=",
        color: place === 0 ? GREEN : index === start[0] ? VERMILION : "#8C8C8C",
      })),
    );
    sliders.forEach(({ input, shown }, term) => {
      const part = weights[term] * terms[term][order[0]];
      if (Number(input.value) !== weights[term] && document.activeElement !== input) input.value = weights[term];
      shown.textContent = `${Number(weights[term].toFixed(3))} × ${terms[term][order[0]].toFixed(2)} = ${part.toFixed(2)}`;
      input.setAttribute("aria-valuetext", `weight ${Number(weights[term].toFixed(3))}`);
    });
    const correlation = srcc(totals, weightedTotals(terms, given));
    const moved = start[0] === order[0] ? "the same box as before" : `it rose ${changes[order[0]]} places`;
    show("total", high, high.toFixed(3), moved);
    show("same", correlation, Number.isNaN(correlation) ? "undefined" : correlation.toFixed(3), "rank correlation");
    button.disabled = weights.every((weight, term) => weight === given[term]);
    draw();
    parts.say(`Best total ${high.toFixed(3)}, ${moved}`);
  }
  model.on("change:weights", update);
  update();
  return () => {
    model.off("change:weights", update);
    scene.stop();
  };
}

export default { render };
