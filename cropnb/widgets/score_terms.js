function render({ model, el }) {
  const parts = frame(el, model);
  const [boxes, names, terms, given] = ["boxes", "names", "terms", "given"].map((name) => model.get(name));
  const scene = stage(parts.picture, model, () => draw());
  const picture = layer(scene);
  const start = ranking(weightedTotals(terms, given));
  let hovered = null;

  const show = readouts(parts.panel, {
    total: ["Score of the best box", "Sum of weight times value, divided by the sum of the weights"],
    same: ["Order kept", "Spearman's rank correlation with the ranking under the given weights"],
  });
  const largest = Math.max(...given) || 1;
  const scale = 10 ** Math.floor(Math.log10(largest));
  const max = scale * Math.ceil((2 * largest) / scale);
  const group = make("div", { class: "cropnb-weights", role: "group", "aria-label": "Weights of the terms" });
  const sliders = names.map((name, term) =>
    slider(group, {
      name, label: name, min: 0, max, step: scale / 20, value: given[term], color: PALETTE[term % PALETTE.length],
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
  const button = make("button", { type: "button", class: "cropnb-button", "data-name": "reset", onclick: reset }, "Back to the given weights");
  const fill = rankingList(parts.panel, (index) => {
    hovered = index;
    draw();
  });
  const legend = make("p", { class: "cropnb-legend" }, swatch(YOURS, "solid", "best box under your weights"));
  legend.append(swatch(TRUTH, "dashed", "best under the given weights"), swatch(GREY, "solid", "chosen row"));
  const hint =
    "Beside each slider stand its weight and the term's value for the best box. " +
    "Point at a row of the ranking, or walk through it with the arrow keys, to see its box.";
  parts.below.append(legend, group, button, make("p", { class: "cropnb-hint" }, hint));

  const state = () => {
    const totals = weightedTotals(terms, model.get("weights"));
    return { totals, order: ranking(totals) };
  };

  function draw() {
    const { order } = state();
    const shown = hovered ?? order[0];
    const shapes = [shade(scene, boxes[shown])];
    if (start[0] !== order[0]) shapes.push(outline(scene, boxes[start[0]], { color: TRUTH, dashed: true, label: "before" }));
    shapes.push(outline(scene, boxes[order[0]], { color: YOURS, thick: true, label: "best" }));
    if (hovered !== null && hovered !== order[0]) {
      shapes.push(outline(scene, boxes[hovered], { color: GREY, thick: true, label: `rank ${order.indexOf(hovered) + 1}` }));
    }
    picture.replaceChildren(...shapes);
  }

  function update() {
    const [{ totals, order }, weights] = [state(), model.get("weights")];
    const changes = rankChanges(start, order);
    const [low, high] = [totals[order[order.length - 1]], totals[order[0]]];
    const whole = weights.reduce((sum, weight) => sum + weight, 0) || 1;
    const pieces = (index) => terms.map((values, term) => (weights[term] * values[index]) / whole);
    const stacked = high > 0 && order.every((index) => pieces(index).every((piece) => piece >= 0));
    // Negative pieces can't be stacked; then one bar spans from the lowest to the highest total.
    const bars = (index) =>
      stacked
        ? pieces(index).map((piece, term) => [piece / high, PALETTE[term % PALETTE.length]])
        : [[high > low ? 0.03 + (0.97 * (totals[index] - low)) / (high - low) : 1, GREY]];
    fill(
      "Rank, score and places won or lost",
      order.map((index, place) => ({
        index,
        rank: place + 1,
        bars: bars(index),
        text: totals[index].toFixed(3),
        note: changes[index] ? `${changes[index] > 0 ? "▲" : "▼"} ${Math.abs(changes[index])}` : "=",
      })),
    );
    sliders.forEach(({ input, shown }, term) => {
      if (Number(input.value) !== weights[term] && document.activeElement !== input) input.value = weights[term];
      shown.textContent = `${Number(weights[term].toFixed(3))} × ${terms[term][order[0]].toFixed(2)}`;
      input.setAttribute("aria-valuetext", `weight ${Number(weights[term].toFixed(3))}`);
    });
    const correlation = srcc(totals, weightedTotals(terms, given));
    const moved = start[0] === order[0] ? "the same box as before" : `it rose from rank ${start.indexOf(order[0]) + 1}`;
    show("total", high, high.toFixed(3), moved);
    show("same", correlation, correlation.toFixed(3), "rank correlation");
    button.disabled = weights.every((weight, term) => weight === given[term]);
    draw();
    parts.say(`Best score ${high.toFixed(3)}, ${moved}`);
  }
  model.on("change:weights", update);
  update();
  return () => {
    model.off("change:weights", update);
    scene.stop();
  };
}

export default { render };
