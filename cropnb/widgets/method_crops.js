function render({ model, el }) {
  const parts = frame(el, model);
  const [names, colors, crops] = ["names", "colors", "crops"].map((name) => model.get(name));
  const [steps, least] = [model.get("steps"), model.get("least")];
  const shares = Object.fromEntries(Object.entries(model.get("packed")).map(([name, text]) => [name, bytesOf(text)]));
  const beaten = (name, box) => {
    const value = shares[name] && gridValue(shares[name], box, scene.width, scene.height, steps, least);
    return value === undefined || value === null ? null : value / 2; // half per cents
  };
  const scene = stage(parts.picture, model, () => drawAll());
  const shadeLayer = layer(scene);
  const outlines = layer(scene);
  let pointed = null;
  const get = () => model.get("box");
  const set = (box) => {
    model.set("box", box);
    model.save_changes();
  };
  const label = "Your crop";
  const drawBox = movableBox(scene, { get, set, label, color: YOURS });

  const point = (index) => () => {
    pointed = index;
    drawOutlines();
  };
  const cells = names.map((name) => {
    const overlap = make("output", { "data-name": `overlap_${name}` });
    const beats = shares[name] ? make("output", { "data-name": `beats_${name}` }) : null;
    const bar = make("span", { class: "cropnb-fill" });
    return { overlap, beats, bar };
  });
  const rows = names.map((name, index) => {
    const chip = make("span", { class: "cropnb-chip", style: `background: ${colors[index]}` });
    const toIt = { class: "cropnb-method", type: "button", title: `Put your crop on that of ${name}` };
    const button = make("button", { ...toIt, onclick: () => set(crops[index].map(Math.round)) }, chip, name);
    const { overlap, beats, bar } = cells[index];
    const meter = make("span", { class: "cropnb-track", style: `color: ${colors[index]}` }, bar);
    const events = { onpointerenter: point(index), onpointerleave: point(null), onfocusin: point(index), onfocusout: point(null) };
    return make("tr", events, make("th", { scope: "row" }, button), make("td", {}, overlap, meter), make("td", {}, beats ?? "no score"));
  });
  const heads = ["method", "IoU with its crop", "yours beats"].map((text) => make("th", { scope: "col" }, text));
  const table = make("table", { class: "cropnb-methods" }, make("thead", {}, make("tr", {}, ...heads)), make("tbody", {}, ...rows));
  parts.panel.append(table);
  const ends = "A name puts your crop on that method's. «Yours beats»: the share of the grid's boxes that the method scores lower.";
  parts.panel.append(make("p", { class: "cropnb-hint" }, ends));
  const drawFields = boxFields(parts.below, scene, { get, set, label });
  const hint = "Drag the yellow crop or its edges. With the keyboard: arrows move, Shift + arrows resize, + and − scale.";
  parts.below.append(make("p", { class: "cropnb-hint" }, hint));

  function drawOutlines() {
    const order = [...names.keys()].sort((a, b) => (a === pointed) - (b === pointed));
    const one = (index) => outline(scene, crops[index], { color: colors[index], thick: index === pointed });
    outlines.replaceChildren(...order.map(one));
  }
  function draw() {
    const box = get();
    shadeLayer.replaceChildren(shade(scene, box));
    drawBox();
    drawFields();
    const told = names.map((name, index) => {
      const overlap = iou(box, crops[index]);
      const { overlap: first, beats: second, bar } = cells[index];
      first.dataset.value = overlap;
      first.textContent = overlap.toFixed(2);
      bar.style.width = `${100 * overlap}%`;
      const share = beaten(name, box);
      if (second && share === null) {
        delete second.dataset.value;
        second.textContent = "too small";
      } else if (second) {
        second.dataset.value = share;
        second.textContent = `${share.toFixed(0)} %`;
      }
      return `${name}: IoU ${overlap.toFixed(2)}` + (share === null ? "" : `, beats ${share.toFixed(0)} per cent`);
    });
    parts.say(told.join("; "));
  }
  function drawAll() {
    drawOutlines();
    draw();
  }
  model.on("change:box", draw);
  drawAll();
  return () => {
    model.off("change:box", draw);
    scene.stop();
  };
}

export default { render };
