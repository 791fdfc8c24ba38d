const RULES = {
  thirds: ["Rule of thirds", SKY, "nearest crossing of the thirds"],
  golden: ["Golden ratio", ORANGE, "nearest crossing of the golden lines"],
  diagonals: ["Diagonals", PURPLE, "nearer diagonal"],
  centre: ["Centre", GREEN, "centre"],
};

function render({ model, el }) {
  const parts = frame(el, model);
  const scene = stage(parts.picture, model, () => draw());
  const picture = layer(scene);
  const put = (name, value) => {
    model.set(name, value);
    model.save_changes();
  };
  const get = () => model.get("box");
  const set = (box) => put("box", box);
  const label = "The crop";
  const drawBox = movableBox(scene, { get, set, label, color: YOURS });
  const hasSubject = model.get("subject").length === 2;
  const drawPoint = hasSubject ? movablePoint(scene, () => model.get("subject"), (point) => put("subject", point)) : () => {};

  const checks = make("fieldset", { class: "cropnb-checks", "aria-label": "Rules drawn in the crop" });
  const boxesOf = Object.entries(RULES).map(([rule, [text, color]]) => {
    const change = (event) => {
      const others = model.get("rules").filter((other) => other !== rule);
      put("rules", event.target.checked ? [...others, rule] : others);
    };
    const input = make("input", { type: "checkbox", "data-name": rule, onchange: change });
    checks.append(make("label", {}, input, make("span", { class: "cropnb-chip", style: `background: ${color}` }), text));
    return [rule, input];
  });
  parts.panel.append(checks);
  const show = readouts(parts.panel, {
    aspect: ["Aspect ratio", "Width divided by height"],
    share: ["Share of the photo kept", "Area of the crop divided by the area of the photo"],
    ...(hasSubject && { distance: ["Subject off the rule", "Distance from what the rule asks for, as a share of the crop's diagonal; 0 is perfect"] }),
  });
  const drawFields = boxFields(parts.below, scene, { get, set, label });
  const dot = hasSubject ? "Drag the crop, its edges or the dot on the subject." : "Drag the crop or its edges.";
  parts.below.append(
    make("p", { class: "cropnb-hint" }, `${dot} With the keyboard: arrows move, Shift + arrows resize, + and − scale.`),
  );

  function draw() {
    const [x1, y1, x2, y2] = get();
    const rules = Object.keys(RULES).filter((rule) => model.get("rules").includes(rule));
    const shapes = [shade(scene, get())];
    for (const rule of rules) {
      for (const [u1, v1, u2, v2] of ruleLines(rule, get())) {
        const at = { x1: u1, y1: v1, x2: u2, y2: v2, class: "cropnb-rule" };
        shapes.push(make("line", { ...at, stroke: "black", opacity: 0.45, style: "stroke-width: 3.4" }));
        shapes.push(make("line", { ...at, stroke: RULES[rule][1] }));
      }
    }
    picture.replaceChildren(...shapes);
    drawBox();
    drawPoint();
    drawFields();
    for (const [rule, input] of boxesOf) input.checked = rules.includes(rule);
    const aspect = (x2 - x1) / (y2 - y1);
    const share = area(get()) / (scene.width * scene.height);
    show("aspect", aspect, aspect.toFixed(3), nearRatio(aspect));
    show("share", share, share.toFixed(3));
    let summary = `Aspect ratio ${aspect.toFixed(3)}, share of the photo kept ${share.toFixed(3)}`;
    if (hasSubject) {
      const found = rules.map((rule) => [ruleDistance(rule, get(), model.get("subject")), rule]);
      const [distance, rule] = found.sort((a, b) => a[0] - b[0])[0] ?? [NaN, null];
      const note = rule ? `from the ${RULES[rule][2]}` : "choose a rule";
      show("distance", distance, rule ? distance.toFixed(3) : "–", note);
      if (rule) summary += `, subject ${distance.toFixed(3)} ${note}`;
    }
    parts.say(summary);
  }
  const events = "change:box change:rules change:subject";
  model.on(events, draw);
  draw();
  return () => {
    model.off(events, draw);
    scene.stop();
  };
}

function nearRatio(aspect) {
  const common = [[1, 1], [5, 4], [4, 3], [3, 2], [16, 10], [16, 9], [2, 1]];
  for (const [long, short] of common) {
    if (Math.abs(aspect / (long / short) - 1) < 0.01) return `about ${long}:${short}`;
    if (Math.abs(aspect / (short / long) - 1) < 0.01) return `about ${short}:${long}`;
  }
  return "";
}

/** A dot that is dragged, or moved with the arrow keys. */
function movablePoint(scene, get, set) {
  const step = Math.max(1, Math.round(Math.min(scene.width, scene.height) / 100));
  const inside = ([x, y]) => [
    Math.min(Math.max(Math.round(x), 0), scene.width),
    Math.min(Math.max(Math.round(y), 0), scene.height),
  ];
  const group = make("g", { tabindex: 0, role: "application", class: "cropnb-point", "aria-roledescription": "movable point" });
  const dot = make("circle", { fill: VERMILION, stroke: "white", "stroke-width": 2, "vector-effect": "non-scaling-stroke" });
  const grip = make("circle", { fill: "transparent", class: "cropnb-grip", style: "cursor: move" });
  group.append(dot, grip);
  followPointer(grip, scene, ([x, y]) => {
    group.focus({ preventScroll: true });
    const [fromX, fromY] = get();
    return ([u, v]) => set(inside([fromX + u - x, fromY + v - y]));
  });
  group.addEventListener("keydown", (event) => {
    const arrow = ARROWS[event.key];
    if (!arrow || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    const [x, y] = get();
    set(inside([x + arrow[0] * step, y + arrow[1] * step]));
  });
  scene.svg.append(group);
  return () => {
    const [unit, [cx, cy]] = [scene.unit(), get()];
    group.setAttribute("aria-label", `Subject: ${cx} from the left, ${cy} from the top`);
    setAll(dot, { cx, cy, r: 7 * unit });
    setAll(grip, { cx, cy, r: 16 * unit });
  };
}

export default { render };
