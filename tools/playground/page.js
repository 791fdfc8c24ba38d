// The page: a photo, one method or two, a shape; their crops, the reader's own box, and files to take away.

const SHAPES = [["", "any ratio"], ["1:1", "1:1"], ["4:5", "4:5"], ["3:4", "3:4"], ["2:3", "2:3"], ["9:16", "9:16"], ["5:4", "5:4"], ["4:3", "4:3"], ["3:2", "3:2"], ["16:9", "16:9"], ["other", "another ratio or size …"]];
const OWN = YELLOW; // the reader's box, as in the figures of the chapters
const CROPS = 5;
const SCENES_ONLY = "Its weights learned from drawn scenes only and never saw a photograph.";

function button(label, onclick, attributes = {}) {
  return make("button", { type: "button", class: "cropnb-button", onclick, ...attributes }, label);
}

/** A file of the photo as the page shows it: no side above 1200 pixels. */
function shownPicture(photo) {
  const scale = Math.min(1, 1200 / Math.max(photo.width, photo.height));
  const shown = new OffscreenCanvas(Math.max(1, Math.round(photo.width * scale)), Math.max(1, Math.round(photo.height * scale)));
  shown.getContext("2d").drawImage(photo.bitmap, 0, 0, shown.width, shown.height);
  return shown.convertToBlob();
}

class Playground {
  constructor(root) {
    this.models = pack.manifest.models;
    this.names = Object.keys(this.models);
    this.photo = null;
    this.methods = { first: pack.manifest.default in this.models ? pack.manifest.default : this.names[0], second: "" };
    this.results = {};
    this.shape = { ratio: null, size: null, text: "" };
    this.chosen = { first: 0, second: 0 };
    this.turn = 0; // counts requests, so that a late answer to an earlier one is dropped
    this.taken = 0; // counts photos, for the same reason
    this.build(root);
  }

  build(root) {
    const pick = (attributes) => make("input", { type: "file", accept: "image/*", hidden: true, tabindex: -1, onchange: ({ target }) => (this.take(target.files[0]), (target.value = "")), ...attributes });
    const [chooser, camera] = [pick({ "data-name": "file" }), pick({ capture: "environment" })];
    const open = make("div", { class: "playground-open" }, chooser, camera);
    open.append(button("Choose a photo …", () => chooser.click()), button("Take a photo …", () => camera.click()));
    if (pack.manifest.example) open.append(button("Use the example", () => this.example()));
    open.append(make("p", {}, "or drop one here, or paste it. The photo stays on this page: nothing is sent anywhere."));
    const choices = make("div", { class: "playground-choices" });
    const listed = this.names.map((name) => [name, name]);
    choice(choices, { name: "first", label: "Method", options: listed, value: this.methods.first, onchoose: (name) => this.choose("first", name) });
    choice(choices, { name: "second", label: "Compare with", options: [["", "no other"], ...listed], value: "", onchoose: (name) => this.choose("second", name) });
    this.shapes = choice(choices, { name: "shape", label: "Ratio or size", options: SHAPES, value: "", onchoose: (text) => this.reshape(text) });
    this.other = make("input", { type: "text", "data-name": "other", placeholder: "16:9 or 1080x1350", onchange: () => this.ask(this.other.value) });
    this.otherLabel = make("label", { hidden: true }, make("span", {}, "Written as 16:9, 1.5 or 1080x1350"), this.other);
    choices.append(this.otherLabel);
    this.kind = "runtime";
    const card = make("label", { class: "cropnb-checks", hidden: true }, make("input", { type: "checkbox", "data-name": "gpu", onchange: (event) => this.computeOn(event.target.checked ? "gpu" : "runtime") }));
    if (pack.manifest.gpu) {
      const letters = Object.values(pack.manifest.gpu.files).reduce((sum, file) => sum + file.text, 0);
      card.append(`compute on the graphics card (WebGPU): loads ${(letters / 1e6).toFixed(0)} MB more`);
      navigator.gpu?.requestAdapter().then((adapter) => (card.hidden = !adapter), () => {});
    }
    this.purpose = make("p", { class: "cropnb-hint playground-purpose" });
    this.problem = make("p", { class: "playground-problem", role: "alert", hidden: true });
    this.bar = make("progress", { max: 1, value: 0, "aria-label": "loading" });
    this.status = make("p", { class: "playground-status", role: "status" });
    this.loading = make("div", { class: "playground-loading", hidden: true }, this.bar);
    this.body = make("div", { class: "cropnb-body", hidden: true });
    root.replaceChildren(make("div", { class: "cropnb playground", role: "group", "aria-label": "Crop a photo" }, open, choices, card, this.purpose, this.loading, this.status, this.problem, this.body));
    this.root = root;
    this.tellPurpose();
    this.say("Choose a photo to begin.");
    const zone = root.firstChild;
    zone.addEventListener("dragover", (event) => (event.preventDefault(), zone.classList.add("playground-over")));
    zone.addEventListener("dragleave", () => zone.classList.remove("playground-over"));
    zone.addEventListener("drop", (event) => {
      event.preventDefault();
      zone.classList.remove("playground-over");
      const file = event.dataTransfer.files[0];
      if (file) this.take(file);
      else this.fail(new PhotoError("what was dropped is no file: save the picture first, then drop it"));
    });
    document.addEventListener("paste", (event) => {
      const file = [...(event.clipboardData?.files ?? [])].find((one) => one.type.startsWith("image/"));
      if (file) this.take(file);
    });
  }

  say(text) {
    this.status.textContent = text;
  }

  fail(error) {
    const known = error instanceof PhotoError || error instanceof RangeError;
    this.problem.textContent = known ? `${error.message}.` : `This didn't work (${error.message}). Another photo or method may.`;
    this.problem.hidden = false;
    this.loading.hidden = true;
    this.say("");
    if (!known) console.warn(error);
  }

  tellPurpose() {
    const parts = ["first", "second"].map((place) => this.methods[place]).filter(Boolean);
    const texts = parts.map((name) => {
      const { purpose, card } = this.models[name];
      return `${name}: ${purpose}. ${card.dataset === "scenes" ? SCENES_ONLY : ""}`;
    });
    this.purpose.textContent = texts.join(" ");
  }

  async example() {
    try {
      await addScript("models/example.js");
      const bytes = Uint8Array.from(atob(pack.example.text), (letter) => letter.charCodeAt(0));
      this.take(new File([bytes], pack.example.name, { type: "image/jpeg" }));
    } catch (error) {
      this.fail(error);
    }
  }

  async take(file) {
    if (!file) return;
    this.problem.hidden = true;
    this.say(`Reading ${file.name || "the photo"} …`);
    const taken = (this.taken += 1);
    try {
      const photo = await openPhoto(file);
      const picture = await shownPicture(photo);
      if (taken !== this.taken) return photo.bitmap.close(); // a later photo was quicker
      this.replace(photo, picture);
      await this.ask(); // at once: its turn drops answers about the photo before
    } catch (error) {
      if (taken === this.taken) this.fail(error);
    }
  }

  /** A new photo takes the place of the one before, in one go: the page may be drawn anew at any moment. */
  replace(photo, picture) {
    this.photo?.bitmap.close();
    this.photo = photo;
    this.results = {};
    this.chosen = { first: 0, second: 0 };
    this.own = wholePixels([0.15 * photo.width, 0.15 * photo.height, 0.85 * photo.width, 0.85 * photo.height], photo.width, photo.height);
    if (this.address) URL.revokeObjectURL(this.address);
    this.address = URL.createObjectURL(picture);
    this.draw();
  }

  choose(place, name) {
    this.methods[place] = name;
    this.chosen[place] = 0;
    delete this.results[place];
    this.tellPurpose();
    return this.ask();
  }

  computeOn(kind) {
    this.kind = kind;
    return this.ask();
  }

  reshape(text) {
    this.otherLabel.hidden = text !== "other";
    if (text === "other") this.other.focus();
    else this.ask(text);
  }

  /** Ask the chosen methods for crops of the chosen shape, and show them. */
  async ask(text = this.shape.text) {
    const turn = (this.turn += 1);
    try {
      this.problem.hidden = true;
      this.shape = { ...parseShape(text), text };
      if (!this.photo) return;
      const { photo, shape } = this;
      const results = {};
      for (const place of ["first", "second"]) {
        const name = this.methods[place];
        if (!name) continue;
        const method = await this.loaded(name);
        if (turn !== this.turn) return;
        if (!photo.looks?.[method.key]) this.say(`${name} looks at the photo …`);
        await new Promise((resolve) => setTimeout(resolve)); // so that the page shows what it says
        const started = performance.now();
        const crops = await bestCrops(method, photo, shape.ratio, CROPS);
        if (turn !== this.turn) return;
        results[place] = { name, method, crops, time: performance.now() - started };
        this.chosen[place] = 0;
      }
      this.results = results;
      this.show();
    } catch (error) {
      if (turn === this.turn) this.fail(error);
    }
  }

  async loaded(name) {
    const size = `${(lettersOf(name, this.kind) / 1e6).toFixed(0)} MB`;
    const method = await loadMethod(name, (share) => {
      this.loading.hidden = false;
      this.bar.value = share;
      this.bar.setAttribute("aria-label", `loading ${name}`);
      this.say(`Loading ${name}, ${size}: ${Math.round(100 * share)} %`);
    }, this.kind);
    this.loading.hidden = true;
    return method;
  }

  /** The photo and what stands beside it, once a photo. */
  draw() {
    const { photo } = this;
    const picture = make("div", { class: "cropnb-picture" });
    const panel = make("div", { class: "cropnb-panel" });
    const below = make("div", { class: "cropnb-below" });
    this.body.replaceChildren(picture, panel, below);
    this.body.hidden = false;
    this.scene?.stop();
    clearInterval(this.playing);
    const facts = new Map(Object.entries({ width: photo.width, height: photo.height, photo: this.address, alt: `Your photo ${photo.name}`, label: "The photo with its crops" }));
    this.scene = stage(picture, facts, () => this.redraw());
    this.heat = layer(this.scene);
    this.lines = layer(this.scene);
    this.drawOwn = movableBox(this.scene, { get: () => this.own, set: (box) => this.move(box), label: "Your box", color: OWN });
    this.legend = make("p", { class: "cropnb-legend" });
    this.mapChoice = make("input", { type: "checkbox", checked: true, "data-name": "map", onchange: () => this.redraw() });
    this.mapLabel = make("label", { class: "cropnb-checks", hidden: true }, this.mapChoice, "show its map");
    this.lists = make("div", { class: "playground-lists" });
    this.say2 = readouts(panel, { own: ["Your box", "what the methods say of the box that you drag"] });
    panel.append(this.lists, this.mapLabel);
    this.slider = slider(below, { name: "ratio", label: "Ratio for mars, width over height", min: -1, max: 1, step: 0.02, value: 0, onmove: (power) => this.slide(2 ** power) });
    this.film = make("div", { class: "cropnb-steps", hidden: true });
    this.previews = make("div", { class: "playground-previews" });
    const files = make("div", { class: "playground-files" });
    files.append(
      button("Download the crop", () => this.save("first"), { "data-name": "save-first" }),
      button("Download the other's", () => this.save("second"), { "data-name": "save-second" }),
      button("Download your box", () => this.save("own"), { "data-name": "save-own" }),
      button("Boxes as JSON", () => this.saveBoxes(), { "data-name": "save-boxes" }),
    );
    this.files = files;
    below.append(this.legend, this.film, this.previews, files);
    const fields = make("div", { class: "playground-fields" }, make("p", { class: "cropnb-caption" }, "Your box in pixels"));
    this.drawFields = boxFields(fields, this.scene, { get: () => this.own, set: (box) => this.move(box), label: "Your box" });
    below.append(fields);
    this.redraw();
  }

  /** What the methods answered. */
  show() {
    const places = Object.keys(this.results);
    const words = places.map((place) => {
      const { name, crops, time } = this.results[place];
      const [left, top, right, bottom] = crops[0].pixels;
      return `${name}: ${right - left} × ${bottom - top} pixels from ${left}, ${top} (${Math.round(time)} ms)`;
    });
    this.say(`Best crops. ${words.join("; ")}.`);
    this.lists.replaceChildren();
    for (const place of places) this.list(place);
    this.files.children[1].hidden = !this.results.second;
    const kinds = places.map((place) => this.results[place].method.facts.kind);
    this.slider.input.parentNode.hidden = !kinds.includes("map");
    const aspect = this.shape.ratio ? number(this.shape.ratio) : this.photo.width / this.photo.height;
    this.slider.input.value = Math.log2(aspect);
    this.slider.shown.textContent = aspect.toFixed(2);
    this.mapLabel.hidden = !kinds.some((kind) => kind.includes("map"));
    this.showFilm();
    this.redraw();
    this.score();
  }

  list(place) {
    const { name, crops } = this.results[place];
    const scores = crops.map((crop) => crop.score);
    const [most, least] = [Math.max(...scores), Math.min(...scores)];
    const write = rankingList(this.lists, (index) => {
      if (index === null || index === this.chosen[place]) return;
      this.chosen[place] = index;
      this.redraw();
    });
    const share = (score) => (score === null ? 0 : most > least ? 0.15 + (0.85 * (score - least)) / (most - least) : 1);
    const rows = crops.map(({ score, pixels }, index) => ({
      index,
      rank: index + 1,
      bars: [[share(score), this.models[name].color]],
      text: score === null ? "no score" : score.toFixed(3),
      note: `${pixels[2] - pixels[0]} × ${pixels[3] - pixels[1]}`,
    }));
    const order = this.results[place].method.facts.sharpness ? "by the overlap with people's crops that its scores let expect" : "by its scores";
    write(crops[0].score === null ? `${name}: its one crop` : `${name}: best first, ${order}`, rows);
  }

  redraw() {
    if (!this.scene || !this.lines) return;
    this.lines.replaceChildren();
    this.heat.replaceChildren();
    const legend = [];
    let mapped = null;
    const places = Object.keys(this.results);
    for (const place of places) {
      const { name, crops, method } = this.results[place];
      const crop = crops[this.chosen[place]];
      const box = place === this.filmPlace && this.frame ? this.frame : crop.pixels;
      if (place === "first") this.lines.append(shade(this.scene, box));
      this.lines.append(outline(this.scene, box, { color: this.models[name].color, thick: true, dashed: place === "second", label: name }));
      legend.push(swatch(this.models[name].color, place === "second" ? "dashed" : "solid", name));
      if (method.facts.kind.includes("map")) mapped ??= this.results[place];
    }
    if (mapped && this.mapChoice.checked) this.drawMap(mapped);
    if (places.length) this.legend.replaceChildren(...legend, swatch(OWN, "solid", "your box: drag it, or use the arrow keys"));
    this.drawOwn?.();
    this.drawFields?.();
    this.preview();
  }

  async drawMap({ name, method, crops }) {
    const color = [1, 3, 5].map((at) => parseInt(this.models[name].color.slice(at, at + 2), 16));
    const kind = KINDS[method.facts.kind];
    const { photo } = this;
    const look = await lookAt(method, photo);
    if (photo !== this.photo) return;
    const { values, rows, columns } = crops[0].map ?? kind.map(method, look);
    const [low, high] = crops[0].map ? [0, 1] : [Math.min(...values), Math.max(...values)];
    const canvas = make("canvas", { width: columns, height: rows });
    const context = canvas.getContext("2d");
    const pixels = context.createImageData(columns, rows);
    values.forEach((value, at) => pixels.data.set([...color, Math.round((170 * (value - low)) / (high - low || 1))], 4 * at));
    context.putImageData(pixels, 0, 0);
    this.heat.replaceChildren(make("image", { href: canvas.toDataURL(), width: photo.width, height: photo.height, preserveAspectRatio: "none", class: "playground-map" }));
  }

  preview() {
    const boxes = Object.entries(this.results).map(([place, { name, crops }]) => [name, crops[this.chosen[place]].pixels, this.models[name].color]);
    this.previews?.replaceChildren(
      ...boxes.map(([name, [left, top, right, bottom], color]) => {
        const scale = Math.min(1, 400 / Math.max(right - left, bottom - top));
        const canvas = make("canvas", { width: Math.max(1, Math.round((right - left) * scale)), height: Math.max(1, Math.round((bottom - top) * scale)), role: "img", "aria-label": `The crop of ${name}`, style: `border-color: ${color}` });
        const context = canvas.getContext("2d");
        context.imageSmoothingQuality = "high";
        context.drawImage(this.photo.bitmap, left, top, right - left, bottom - top, 0, 0, canvas.width, canvas.height);
        return make("figure", {}, canvas, make("figcaption", {}, `${name}: ${right - left} × ${bottom - top}`));
      }),
    );
  }

  slide(aspect) {
    const text = aspect.toFixed(3);
    this.slider.shown.textContent = aspect.toFixed(2);
    this.shapes.value = "other";
    this.otherLabel.hidden = false;
    this.other.value = text;
    this.wanted = text;
    if (this.sliding) return;
    this.sliding = true;
    (async () => {
      while (this.wanted !== null) {
        const next = this.wanted;
        this.wanted = null;
        await this.ask(next);
      }
      this.sliding = false;
    })();
  }

  /** LA2C's steps: a slider over them, and a button that plays them. */
  showFilm() {
    clearInterval(this.playing);
    this.frame = null;
    this.filmPlace = ["first", "second"].find((place) => this.results[place]?.crops[0].film);
    this.film.hidden = !this.filmPlace;
    this.film.replaceChildren();
    if (!this.filmPlace) return;
    const { name, crops } = this.results[this.filmPlace];
    const { film } = crops[0];
    const caption = make("span", {});
    const to = (step) => {
      this.frame = wholePixels(film[step].box, this.photo.width, this.photo.height);
      const chance = film[step].chance === null ? "" : ` (probability ${film[step].chance.toFixed(2)})`;
      caption.textContent = `${film[step].name}${chance}`;
      parts.shown.textContent = `${step} of ${film.length - 1}`;
      parts.input.value = step;
      this.redraw();
    };
    const play = button("Play its steps", () => {
      clearInterval(this.playing);
      let step = 0;
      to(0);
      this.playing = setInterval(() => ((step += 1), step < film.length ? to(step) : clearInterval(this.playing)), 350);
    });
    const parts = slider(this.film, { name: "step", label: `Step of ${name}`, min: 0, max: film.length - 1, step: 1, value: film.length - 1, onmove: (step) => (clearInterval(this.playing), to(step)) });
    parts.shown.textContent = `${film.length - 1} of ${film.length - 1}`;
    this.film.prepend(play);
    this.film.append(caption);
  }

  move(box) {
    this.own = box;
    this.drawOwn();
    this.drawFields();
    this.score();
  }

  /** Score the reader's box; while one score is under way, only the last of the boxes that follow is asked for. */
  async score() {
    if (this.scoring) {
      this.again = true;
      return;
    }
    this.scoring = true;
    do {
      this.again = false;
      const { own, photo } = this;
      const texts = [];
      for (const { name, method, crops } of Object.values(this.results)) {
        const scores = await scoresOf(method, photo, [own]).catch(() => null);
        texts.push(scores ? `${name} ${scores[0].toFixed(3)} (its best crop ${crops[0].score.toFixed(3)})` : `${name} scores no boxes`);
      }
      const value = texts.length ? `${own[2] - own[0]} × ${own[3] - own[1]}` : "";
      if (texts.length) this.say2("own", own.join(" "), value, texts.join("; "));
    } while (this.again);
    this.scoring = false;
  }

  async save(place) {
    try {
      const own = place === "own";
      const pixels = own ? this.own : this.results[place]?.crops[this.chosen[place]].pixels;
      if (!pixels) return;
      const file = await cropFile(this.photo, pixels, own ? "own" : this.methods[place], own ? null : this.shape.size);
      download(file);
      this.say(`Saved as ${file.name}${file.note ? `; ${file.note}` : ""}.`);
    } catch (error) {
      this.fail(error);
    }
  }

  saveBoxes() {
    const results = Object.fromEntries(Object.values(this.results).map(({ name, crops }) => [name, crops]));
    download(boxesFile(this.photo, results, this.own, this.shape.text));
  }
}

Object.assign(pack, { openPhoto, loadMethod, bestCrops, scoresOf, parseShape });

function begin() {
  const root = document.getElementById("playground");
  if (!root) return;
  if (pack.manifest.runtime && Object.keys(pack.manifest.models).length) pack.playground = new Playground(root);
  else root.replaceChildren(make("p", { class: "playground-missing" }, "The networks are not part of this copy of the book: it was rendered without them. “make book” exports them and puts them here."));
}

if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", begin);
else begin();
