function render({ model, el }) {
  const parts = frame(el, model);
  const [truths, candidates, scores] = ["truths", "candidates", "scores"].map((name) => model.get(name));
  const overlaps = candidateOverlaps(candidates, truths);
  const scene = stage(parts.picture, model, () => draw());
  const below = layer(scene);
  const get = () => model.get("box");
  const set = (box) => {
    model.set("box", box);
    model.save_changes();
  };
  const label = "Your crop";
  const drawBox = movableBox(scene, { get, set, label, color: YOURS });

  const show = readouts(parts.panel, {
    iou: ["IoU", "Intersection over union with the true box that overlaps most; 1 is perfect"],
    bde: ["BDE", "Boundary displacement: mean of the four edge errors, as shares of width and height; 0 is perfect"],
    offset: ["Centre offset", "Distance between the two centres, in pixels of the photo"],
    ...(candidates.length && { rank: ["Rank by IoU", "1 + the number of candidates with a higher IoU than yours"] }),
    ...(scores.length && { score: ["Score of the nearest candidate", "The candidate that overlaps most with your crop"] }),
  });
  const drawFields = boxFields(parts.below, scene, { get, set, label });
  const legend = make("p", { class: "cropnb-legend" }, swatch(YOURS, "solid", "your crop"));
  legend.append(swatch(TRUTH, "solid", truths.length > 1 ? "best-matching true box" : "true box"));
  if (truths.length > 1) legend.append(swatch(TRUTH, "dashed", "other true boxes"));
  if (candidates.length) legend.append(swatch(GREY, "dashed", "nearest candidate"));
  const hint = "Drag the crop or its edges. With the keyboard: arrows move, Shift + arrows resize, + and − scale.";
  parts.below.append(legend, make("p", { class: "cropnb-hint" }, hint));

  function draw() {
    const values = explore(get(), truths, scene.width, scene.height, candidates, scores, overlaps);
    const name = truths.length > 1 ? `true box ${values.truth + 1}` : "the true box";
    const shapes = [shade(scene, get())];
    if (candidates.length) shapes.push(outline(scene, candidates[values.nearest], { color: GREY, dashed: true }));
    // The best-matching box comes last, so that no other label covers its own.
    const order = [...truths.keys()].sort((a, b) => (a === values.truth) - (b === values.truth));
    for (const index of order) {
      const best = index === values.truth;
      // More labels than a few hide the photo and each other.
      const text = truths.length === 1 ? "true box" : best || truths.length <= 3 ? `true ${index + 1}` : "";
      shapes.push(outline(scene, truths[index], { color: TRUTH, dashed: !best, thick: best, label: text }));
    }
    below.replaceChildren(...shapes);
    drawBox();
    drawFields();
    const [left, top, right, bottom] = values.edges.map((error) => error.toFixed(3));
    show("iou", values.iou, values.iou.toFixed(3), truths.length > 1 ? `with ${name}` : "");
    show("bde", values.bde, values.bde.toFixed(3), `left ${left}, top ${top}, right ${right}, bottom ${bottom}`);
    show("offset", values.offset, `${values.offset.toFixed(1)} px`);
    const count = candidates.length;
    if (count) show("rank", values.rank, `${values.rank} of ${count + 1}`, `beside ${count} candidates`);
    if (scores.length) {
      const place = `rank ${values.score_rank} of ${scores.length}`;
      show("score", values.score, values.score.toFixed(2), place);
    }
    parts.say(
      `IoU ${values.iou.toFixed(3)} with ${name}, BDE ${values.bde.toFixed(3)}, ` +
        `centre offset ${values.offset.toFixed(1)} pixels` +
        (count ? `, rank ${values.rank} of ${count + 1}` : "") +
        (scores.length ? `, score of the nearest candidate ${values.score.toFixed(2)}` : ""),
    );
  }
  model.on("change:box", draw);
  draw();
  return () => {
    model.off("change:box", draw);
    scene.stop();
  };
}

export default { render };
