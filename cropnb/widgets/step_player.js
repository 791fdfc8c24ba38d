const YOU = "you"; // the reader is the agent
const ARROW_SIDES = { ArrowLeft: 0, ArrowUp: 1, ArrowRight: 2, ArrowDown: 3 };
const INWARD = [1, 1, -1, -1]; // the sign that moves left, top, right, bottom into the photo
const PLACES = ["left", "top", "right", "bottom"];

/** The side and direction of a move of one edge; null for stop and for moves of several edges. */
function singleEdge(move) {
  const sides = [...move.keys()].filter((side) => move[side] !== 0);
  return sides.length === 1 ? { side: sides[0], inward: Math.sign(move[sides[0]]) === INWARD[sides[0]] } : null;
}

/** IoU step by step as a line, with a mark for the reward of each step: up, down, or none. */
function stepChart(parent, label) {
  const [width, height, left, bottom] = [330, 170, 34, 24];
  const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": label, class: "cropnb-chart" });
  parent.append(svg);
  const text = (x, y, content, anchor = "middle") =>
    make("text", { x, y, "text-anchor": anchor, "font-size": 11.5, fill: "currentColor", class: "cropnb-tick" }, content);
  return ({ lines, at, low, high, steps }) => {
    const x = (step) => left + ((width - left - 10) * step) / Math.max(1, steps);
    const y = (value) => 8 + (height - bottom - 8) * (1 - (value - low) / (high - low));
    const shapes = [];
    for (let tenth = Math.round(low * 10); tenth <= Math.round(high * 10); tenth += high - low > 0.5 ? 2 : 1) {
      shapes.push(make("line", { x1: left, x2: width - 10, y1: y(tenth / 10), y2: y(tenth / 10), class: "cropnb-grid" }));
      shapes.push(text(left - 5, y(tenth / 10) + 4, (tenth / 10).toFixed(1), "end"));
    }
    const every = Math.ceil(steps / 8);
    for (let step = 0; step <= steps; step += every) shapes.push(text(x(step), height - 9, step));
    for (const { values, rewards, color } of lines) {
      const d = values.map((value, step) => `${step ? "L" : "M"}${x(step)} ${y(value)}`).join("");
      shapes.push(make("path", { d, fill: "none", stroke: color, "stroke-width": rewards ? 2 : 1.5, "stroke-dasharray": rewards ? "none" : "4 3" }));
      (rewards ?? []).forEach((reward, step) => {
        const [u, v, sign] = [x(step + 1), y(values[step + 1]), Math.sign(reward)];
        const point = sign ? `M${u - 5} ${v + 4 * sign}L${u + 5} ${v + 4 * sign}L${u} ${v - 5 * sign}Z` : `M${u - 3} ${v}a3 3 0 1 0 6 0a3 3 0 1 0 -6 0Z`;
        shapes.push(make("path", { d: point, fill: { 1: GREEN, "-1": VERMILION, 0: GREY }[sign], class: "cropnb-mark" }));
      });
    }
    const current = lines[0].values[Math.min(at, lines[0].values.length - 1)];
    shapes.push(make("circle", { cx: x(at), cy: y(current), r: 7, fill: "none", stroke: "currentColor", "stroke-width": 2 }));
    svg.replaceChildren(...shapes);
  };
}

function render({ model, el }) {
  const parts = frame(el, model);
  const read = (...names) => names.map((name) => model.get(name));
  const [names, episodes, actions, moves, truths] = read("names", "episodes", "actions", "moves", "truths");
  const [width, height, rules] = read("width", "height", "rules");
  parts.panel.parentElement.classList.add("cropnb-player");
  const scene = stage(parts.picture, model, () => draw());
  const picture = layer(scene);
  const mine = () => playOut(model.get("taken"), moves, truths, width, height, rules);
  const recorded = () => episodes[names.indexOf(model.get("shown"))];
  const playing = () => model.get("shown") === YOU;
  const put = (changes) => {
    for (const [name, value] of Object.entries(changes)) model.set(name, value);
    model.save_changes();
  };

  // On the photo and its numbers: who acts, what the agent sees, what it gets.
  const options = [...names.map((name) => [name, name]), [YOU, "you are the agent"]];
  const choose = (shown) => put({ step: 0, shown });
  const chooser = choice(parts.panel, { name: "shown", label: "Who acts", options, value: model.get("shown"), onchoose: choose });
  const crop = make("svg", { width: 112, height: 112, viewBox: "0 0 1 1", preserveAspectRatio: "none", role: "img", class: "cropnb-seen" });
  crop.append(make("image", { href: model.get("photo"), width, height, preserveAspectRatio: "none" }));
  parts.panel.append(make("figure", { class: "cropnb-observation" }, crop, make("figcaption", {}, "What the agent sees: the crop, squeezed into a square")));
  const show = readouts(parts.panel, {
    iou: ["IoU of the crop", "Intersection over union with the true box; of several true boxes as the environment counts it"],
    reward: ["Reward of the last action", "Plus the new IoU when the IoU rose, minus the new IoU when it fell, 0 otherwise"],
    return: ["Return so far", "Sum of the rewards, each later one multiplied by γ once more"],
    ...(names.length && { value: ["Value, the agent's guess", "The return that the agent expects from here on"] }),
  });

  // Below: steps, curve, and the bars or the keys.
  const first = make("button", { type: "button", class: "cropnb-button", "data-name": "first", title: "Back to the first step", onclick: () => { halt(); put({ step: 0 }); } }, "First");
  const play = make("button", { type: "button", class: "cropnb-button", "data-name": "play", onclick: () => (timer ? halt() : run()) }, "▶ Play");
  const steps = make("div", { class: "cropnb-steps" }, first, play);
  const stepper = slider(steps, { name: "step", label: "Step", min: 0, max: 1, step: 1, value: 0, onmove: (step) => { halt(); put({ step }); } });
  const undo = make("button", { type: "button", class: "cropnb-button", "data-name": "undo", onclick: () => put({ taken: model.get("taken").slice(0, -1) }) }, "↶ Undo");
  const again = make("button", { type: "button", class: "cropnb-button", "data-name": "again", onclick: () => put({ taken: [] }) }, "Start over");
  const verdict = make("span", { class: "cropnb-verdict" });
  const mineBar = make("div", { class: "cropnb-steps" }, undo, again, verdict);
  const chartBox = make("div", {}, make("p", { class: "cropnb-caption" }, "IoU after each step; ▲ rewarded, ▼ punished, ● neither"));
  const chart = stepChart(chartBox, "IoU after each step");
  const barsTitle = make("p", { class: "cropnb-caption" });
  const bars = make("div", { class: "cropnb-bars" });
  const rows = actions.map((name) => {
    const [fill, percent] = [make("span", {}), make("b", {})];
    const row = make("div", { class: "cropnb-bar" }, make("span", {}, name), make("span", { class: "cropnb-track" }, fill), percent);
    bars.append(row);
    return { row, fill, percent };
  });
  const pad = make("div", { class: "cropnb-pad", role: "group", "aria-label": "Actions", onkeydown: (event) => press(event) });
  const keys = actions.map((name, action) => {
    const edge = singleEdge(moves[action]);
    const arrow = edge && ["◀", "▲", "▶", "▼"][edge.inward ? (edge.side + 2) % 4 : edge.side];
    const area = edge ? `${PLACES[edge.side]}-${edge.inward ? "in" : "out"}` : moves[action].some(Boolean) ? "" : "stop";
    const face = edge ? [arrow, make("small", {}, edge.inward ? "in" : "out")] : [name];
    const key = make("button", { type: "button", class: "cropnb-button", "data-action": action, "aria-label": name, title: name, style: area && `grid-area: ${area}`, onclick: () => act(action) }, ...face);
    pad.append(key);
    return key;
  });
  pad.classList.toggle("cropnb-cross", moves.every((move) => singleEdge(move) || !move.some(Boolean)));
  const gamma = slider(parts.below, { name: "gamma", label: "γ, what a reward is worth one step later", min: 0.5, max: 1, step: 0.01, value: model.get("gamma"), onmove: (value) => put({ gamma: value }) });
  const truthBox = make("input", { type: "checkbox", "data-name": "truth", checked: true, onchange: () => draw() });
  const legend = make("p", { class: "cropnb-legend" }, swatch(BLUE, "solid", "crop"), make("label", {}, truthBox, " show ", swatch("black", "dashed", truths.length > 1 ? "true boxes" : "true box")));
  const hint = make("p", { class: "cropnb-hint" });
  const columns = make("div", { class: "cropnb-columns" }, make("div", {}, barsTitle, bars, pad), chartBox);
  parts.below.prepend(steps, mineBar, columns);
  parts.below.append(legend, hint);

  let timer = null;
  function halt() {
    clearInterval(timer);
    timer = null;
    play.textContent = "▶ Play";
  }
  function run() {
    const last = recorded().actions.length;
    if (model.get("step") >= last) put({ step: 0 });
    play.textContent = "⏸ Pause";
    timer = setInterval(() => {
      put({ step: model.get("step") + 1 });
      if (model.get("step") >= last) halt();
    }, 700);
  }
  function act(action) {
    if (!mine().over) put({ taken: [...model.get("taken"), action] });
  }
  function press(event) {
    const side = ARROW_SIDES[event.key];
    if (side === undefined || event.ctrlKey || event.metaKey || event.altKey) return;
    const wanted = moves.findIndex((move) => {
      const edge = singleEdge(move);
      return edge && edge.side === side && edge.inward !== event.shiftKey;
    });
    if (wanted < 0) return;
    event.preventDefault();
    act(wanted);
  }

  function draw() {
    const episode = playing() ? mine() : recorded();
    const at = playing() ? episode.actions.length : Math.min(model.get("step"), episode.actions.length);
    const box = episode.boxes[at];
    const shapes = [shade(scene, box)];
    if (truthBox.checked) shapes.push(...truths.map((truth) => outline(scene, truth, { color: "black", dashed: true, label: truths.length > 1 ? "" : "true box" })));
    shapes.push(outline(scene, box, { color: BLUE, thick: true }));
    picture.replaceChildren(...shapes);
    setAll(crop, { viewBox: `${box[0]} ${box[1]} ${box[2] - box[0]} ${box[3] - box[1]}`, "aria-label": `The crop at step ${at}` });

    const discount = model.get("gamma");
    const last = at ? actions[episode.actions[at - 1]] : "nothing done yet";
    const [iou, reward] = [episode.ious[at], at ? episode.rewards[at - 1] : 0];
    const total = discountedReturn(episode.rewards.slice(0, at), discount);
    show("iou", iou, iou.toFixed(3), at ? `before: ${episode.ious[at - 1].toFixed(3)}` : "the whole photo");
    show("reward", reward, `${reward < 0 ? "−" : ""}${Math.abs(reward).toFixed(3)}`, last);
    show("return", total, `${total < 0 ? "−" : ""}${Math.abs(total).toFixed(3)}`, `γ = ${discount.toFixed(2)}`);
    const guess = playing() ? null : episode.values[at];
    const came = discountedReturn(episode.rewards.slice(at), discount);
    if (names.length) {
      if (guess === null || guess === undefined) show("value", "", "–", playing() ? "what is your guess?" : "the episode is over");
      else show("value", guess, `${guess < 0 ? "−" : ""}${Math.abs(guess).toFixed(3)}`, `what came: ${came.toFixed(3)}`);
    }

    const others = playing() ? episodes.slice(-1) : episodes.filter((other) => other !== episode);
    const lengths = [episode, ...others].map((one) => one.actions.length);
    const every = [episode, ...others].flatMap((one) => one.ious);
    const low = Math.max(0, Math.floor(Math.min(...every) * 10 - 0.2) / 10);
    const high = Math.min(1, Math.max(low + 0.2, Math.ceil(Math.max(...every) * 10 + 0.2) / 10));
    const lines = [{ values: episode.ious, rewards: episode.rewards, color: BLUE }];
    lines.push(...others.map((other) => ({ values: other.ious, color: GREY })));
    chart({ lines, at, low, high, steps: Math.max(playing() ? 10 : 1, ...lengths) });

    const acting = playing() || at < episode.actions.length;
    barsTitle.textContent = playing() ? "Your move" : acting ? "The policy: how likely each action is here" : "The episode is over";
    [steps.hidden, bars.hidden] = [playing(), playing()];
    [mineBar.hidden, pad.hidden] = [!playing(), !playing()];
    keys.forEach((key) => (key.disabled = playing() && episode.over));
    undo.disabled = again.disabled = !episode.actions.length;
    if (playing()) {
      const best = episodes.length ? `; the agent «${names[names.length - 1]}» ended at ${episodes[episodes.length - 1].ious.slice(-1)[0].toFixed(3)}` : "";
      verdict.textContent = episode.over ? `Over after ${at} steps with IoU ${iou.toFixed(3)}${best}.` : `Step ${at} of at most ${rules.limit}`;
    } else {
      const chances = acting ? episode.probabilities[at] : actions.map(() => 0);
      rows.forEach(({ row, fill, percent }, action) => {
        row.classList.toggle("cropnb-chosen", acting && episode.actions[at] === action);
        fill.style.cssText = `width: ${100 * chances[action]}%; background: ${BLUE}`;
        percent.textContent = acting ? `${(100 * chances[action]).toFixed(1)} %` : "";
      });
    }
    hint.textContent = playing()
      ? "Press a key of the pad. With the keyboard, an arrow moves the edge of that side inwards, Shift + arrow outwards; Tab leads to stop."
      : "Move the slider, or press play. The bold row is the action that was taken. Dashed and grey: the other recorded episodes.";
    setAll(stepper.input, { max: episode.actions.length });
    stepper.input.value = at;
    stepper.shown.textContent = `${at} of ${episode.actions.length}`;
    stepper.input.setAttribute("aria-valuetext", `step ${at} of ${episode.actions.length}`);
    gamma.shown.textContent = discount.toFixed(2);
    if (document.activeElement !== gamma.input) gamma.input.value = discount;
    if (chooser.value !== model.get("shown")) chooser.value = model.get("shown");
    if (playing()) halt();
    parts.say(`Step ${at}: ${last}. IoU ${iou.toFixed(3)}, reward ${reward.toFixed(3)}, return so far ${total.toFixed(3)}${episode.over ? ". The episode is over" : ""}`);
  }
  const events = "change:shown change:step change:taken change:gamma";
  model.on(events, draw);
  draw();
  return () => {
    halt();
    model.off(events, draw);
    scene.stop();
  };
}

export default { render };
