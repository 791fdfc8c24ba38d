function render({ model, el }) {
  const parts = frame(el, model);
  const [boxes, names, columns] = ["boxes", "names", "columns"].map((name) => model.get(name));
  const reference = columns[0];
  const count = boxes.length;
  const scene = stage(parts.picture, model, () => draw());
  const picture = layer(scene);
  let hovered = null;
  const put = (name) => (value) => {
    model.set(name, name === "column" ? value : Number(value));
    model.save_changes();
  };

  const head = { name: "column", label: "Ranked by", value: model.get("column"), onchoose: put("column") };
  const column = choice(parts.panel, { ...head, options: names.map((name) => [name, name]) });
  const most = Math.min(count, 20);
  const top = slider(parts.panel, { name: "k", label: "Best boxes shown, K", min: 1, max: most, step: 1, value: model.get("k"), onmove: put("k") });
  const sizes = [...new Set([5, 10, model.get("n")])].filter((n) => n <= count).sort((a, b) => a - b);
  const against = columns.length > 1;
  let n = null;
  let show = null;
  if (against) {
    const best = { name: "n", label: `Hits are the N best of ${names[0]}`, value: model.get("n"), onchoose: put("n") };
    n = choice(parts.panel, { ...best, options: sizes.map((size) => [size, `N = ${size}`]) });
    show = readouts(parts.panel, {
      acc: ["Acc K/N", `Share of the K best-ranked boxes that are among the N best of ${names[0]}`],
      srcc: ["SRCC", `Spearman's rank correlation with ${names[0]}`],
    });
  }
  const fill = rankingList(parts.below, (index) => {
    hovered = index;
    draw();
  });
  const legend = make("p", { class: "cropnb-legend" });
  const [hitText, missText] = against ? [`a hit: among the best N of ${names[0]}`, "a miss"] : ["best K", ""];
  legend.append(swatch(GREEN, "solid", hitText));
  if (missText) legend.append(swatch(VERMILION, "dashed", missText));
  legend.append(swatch(YOURS, "solid", "chosen row"));
  const hint = "Point at a row, or walk through the list with the arrow keys, to see its box.";
  parts.below.append(legend, make("p", { class: "cropnb-hint" }, hint));

  const state = () => {
    const scores = columns[names.indexOf(model.get("column"))];
    const threshold = nthLargest(reference, Math.min(model.get("n"), count));
    const hit = (index) => !against || reference[index] >= threshold;
    return { scores, order: ranking(scores), hit, k: Math.min(model.get("k"), count) };
  };

  function draw() {
    const { order, hit, k } = state();
    const chosen = hovered === null ? [] : [hovered];
    const shapes = [shade(scene, boxes[chosen[0] ?? order[0]])];
    // The best box is drawn last, on top of the others.
    for (const index of order.slice(0, k).reverse()) {
      const color = hit(index) ? GREEN : VERMILION;
      shapes.push(outline(scene, boxes[index], { color, dashed: !hit(index), thick: index === order[0] }));
    }
    for (const index of chosen) {
      const label = `rank ${order.indexOf(index) + 1}`;
      shapes.push(outline(scene, boxes[index], { color: YOURS, thick: true, label }));
    }
    picture.replaceChildren(...shapes);
  }

  function update() {
    const { scores, order, hit, k } = state();
    const [low, high] = [scores[order[count - 1]], scores[order[0]]];
    const places = new Array(count);
    ranking(reference).forEach((index, place) => (places[index] = place + 1));
    const tint = (index, place) => (place >= k ? GREY : hit(index) ? GREEN : VERMILION);
    const isReference = model.get("column") === names[0];
    const caption = `All ${count} boxes: rank and score by ${model.get("column")}`;
    const others = against && !isReference;
    fill(
      others ? `${caption}; right: rank by ${names[0]}` : caption,
      order.map((index, place) => ({
        index,
        rank: place + 1,
        bars: [[high > low ? 0.03 + (0.97 * (scores[index] - low)) / (high - low) : 1, tint(index, place)]],
        text: scores[index].toFixed(2),
        note: others ? String(places[index]) : "",
      })),
    );
    column.value = model.get("column");
    top.input.value = k;
    top.shown.textContent = k;
    let summary = `${model.get("column")}: best ${k} of ${count} boxes shown`;
    if (against) {
      n.value = model.get("n");
      const size = Math.min(model.get("n"), count);
      const acc = accKN(scores, reference, k, size);
      const correlation = srcc(scores, reference);
      show("acc", acc, acc.toFixed(3), `Acc ${k}/${size}: ${Number((acc * k).toFixed(2))} of ${k}`);
      show("srcc", correlation, correlation.toFixed(3), `over ${count} boxes`);
      summary += `, Acc ${k}/${size} ${acc.toFixed(3)}, SRCC ${correlation.toFixed(3)}`;
    }
    draw();
    parts.say(summary);
  }
  const events = "change:column change:k change:n";
  model.on(events, update);
  update();
  return () => {
    model.off(events, update);
    scene.stop();
  };
}

export default { render };
