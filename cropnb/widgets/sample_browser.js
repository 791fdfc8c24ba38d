function render({ model, el }) {
  const parts = frame(el, model);
  const samples = model.get("samples");
  const names = [...new Set(samples.map((sample) => sample.dataset))];
  let scene = null;
  let picture = null;
  let drawn = -1;
  const put = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const go = (index) => put("index", (index + samples.length) % samples.length);

  const bar = make("div", { class: "cropnb-checks", role: "group", "aria-label": "Which sample" });
  const button = (text, label, step) =>
    make("button", { type: "button", class: "cropnb-button", "aria-label": label, onclick: () => go(model.get("index") + step) }, text);
  bar.append(button("← previous", "Previous sample", -1), button("next →", "Next sample", 1));
  const dataset = choice(parts.panel, {
    name: "dataset",
    label: "Dataset",
    options: names.map((name) => [name, name]),
    value: samples[model.get("index")].dataset,
    onchoose: (name) => put("index", samples.findIndex((sample) => sample.dataset === name)),
  });
  parts.panel.append(bar);
  const best = slider(parts.panel, {
    name: "shown",
    label: "Best candidates drawn",
    min: 1,
    max: 12,
    step: 1,
    value: model.get("shown"),
    onmove: (value) => put("shown", value),
  });
  const show = readouts(parts.panel, {
    boxes: ["Boxes", "True boxes, or candidates with a score"],
    share: ["Share of the photo kept", "Of the best candidate, or of the true boxes in the mean"],
    aspect: ["Aspect ratio", "Width divided by height, of the same"],
    score: ["Best score", "The highest mean opinion score among the candidates"],
  });
  const note = make("p", { class: "cropnb-hint" });
  const legend = make("p", { class: "cropnb-legend" });
  parts.below.append(legend, note);

  function change() {
    const sample = samples[model.get("index")];
    scene?.stop();
    parts.picture.replaceChildren();
    scene = stage(parts.picture, { get: (name) => sample[name] ?? model.get(name) }, draw);
    picture = layer(scene);
    drawn = model.get("index");
  }

  function draw() {
    if (drawn !== model.get("index")) return;
    const sample = samples[drawn];
    const values = sampleValues(sample);
    const scored = sample.scores.length > 0;
    const order = scored ? values.order.slice(0, model.get("shown")) : sample.boxes.map((_, index) => index);
    const shapes = order.map((index, place) => {
      const ratio = sample.aspects.length ? ` ${sample.aspects[index]}` : "";
      const text = scored ? sample.scores[index].toFixed(2) : `${index + 1}${ratio && ` for${ratio}`}`;
      return outline(scene, sample.boxes[index], { color: scored && place ? GREY : TRUTH, thick: scored && !place, label: place < 4 ? text : "" });
    });
    picture.replaceChildren(...shapes.reverse());
    show("boxes", values.boxes, String(values.boxes), scored ? "candidates with a score" : "drawn by people");
    show("share", values.share, values.share.toFixed(3), scored ? "by the best one" : "in the mean");
    show("aspect", values.aspect, values.aspect.toFixed(2), scored ? "of the best one" : "in the mean");
    if (scored) show("score", values.score, values.score.toFixed(2));
    else show("score", NaN, "–", "no scores in this dataset");
    best.shown.textContent = scored ? model.get("shown") : "";
    best.input.value = model.get("shown");
    best.input.disabled = !scored;
    dataset.value = sample.dataset;
    const others = scored && order.length > 1 ? [swatch(GREY, "solid", "the next best")] : [];
    legend.replaceChildren(swatch(TRUTH, "solid", scored ? "best score" : "a box that a person drew"), ...others);
    const among = samples.filter((other) => other.dataset === sample.dataset);
    note.textContent = `${sample.dataset}: sample ${among.indexOf(sample) + 1} of ${among.length} here, ${sample.name}, ${sample.width} × ${sample.height} pixels.`;
    parts.say(`${note.textContent} ${values.boxes} boxes, ${values.share.toFixed(2)} of the photo kept`);
  }

  const turn = () => {
    change();
    draw();
  };
  model.on("change:index", turn);
  model.on("change:shown", draw);
  turn();
  return () => {
    model.off("change:index", turn);
    model.off("change:shown", draw);
    scene.stop();
  };
}

/** What the figure prints of a sample: its best candidate, or the mean of its true boxes. */
function sampleValues({ boxes, scores, width, height }) {
  const order = boxes.map((_, index) => index).sort((a, b) => scores[b] - scores[a] || a - b);
  const kept = scores.length ? [boxes[order[0]]] : boxes;
  const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
  return {
    order,
    boxes: boxes.length,
    share: mean(kept.map((box) => area(box) / (width * height))),
    aspect: mean(kept.map(([x1, y1, x2, y2]) => (x2 - x1) / (y2 - y1))),
    score: scores.length ? scores[order[0]] : null,
  };
}

export default { render };
