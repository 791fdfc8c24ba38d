// Draws the interactive figures of a rendered page from the state that its notebook carries.
//
// Every figure of the book is an anywidget: a module with `render({ model, el })`, its style and its values. That is
// all that is needed to show one, so the pages do without the 4 MB of Jupyter's widget manager. The figures compute in
// the page, and nothing here waits for a kernel.
(function () {
  const KIND = "application/vnd.jupyter.widget";

  /** The values of a figure, and who is told when one of them changes: what a figure asks of anywidget's model. */
  function figureModel(values) {
    const listeners = new Map();
    const each = (names) => names.split(" ").filter(Boolean);
    const tell = (event, ...parameters) => [...(listeners.get(event) || [])].forEach((listener) => listener(...parameters));
    const model = {
      get: (name) => values[name],
      set(name, value) {
        const before = JSON.stringify(values[name]);
        values[name] = value;
        if (JSON.stringify(value) === before) return;
        tell(`change:${name}`, model, value);
        tell("change", model);
      },
      save_changes() {},
      on(names, listener) {
        for (const name of each(names)) listeners.set(name, [...(listeners.get(name) || []), listener]);
      },
      off(names, listener) {
        for (const name of each(names)) {
          listeners.set(name, (listeners.get(name) || []).filter((other) => listener && other !== listener));
        }
      },
    };
    return model;
  }

  const styles = new Set();
  function addStyle(text) {
    if (!text || styles.has(text)) return;
    styles.add(text);
    const style = document.createElement("style");
    style.textContent = text;
    document.head.append(style);
  }

  async function draw(place, { values, model }) {
    const el = document.createElement("div");
    el.className = "jupyter-widgets";
    const area = document.createElement("div");
    area.className = "widget-subarea";
    addStyle(values._css);
    area.append(el);
    place.before(area);
    // A page opened from a file may import a module from a blob, and from nowhere else.
    const address = URL.createObjectURL(new Blob([values._esm], { type: "text/javascript" }));
    const module = await import(address);
    URL.revokeObjectURL(address);
    await module.default.render({ model, el });
  }

  function drawAll() {
    const state = document.querySelector(`script[type="${KIND}-state+json"]`);
    if (!state) return;
    const models = JSON.parse(state.textContent).state;
    const figures = new Map();
    for (const place of document.querySelectorAll(`script[type="${KIND}-view+json"]`)) {
      const id = JSON.parse(place.textContent).model_id;
      const saved = models[id];
      if (!saved || saved.model_module !== "anywidget") {
        console.error(`The figure ${id} is no anywidget, or its state wasn't saved; these pages draw no other kind.`);
        continue;
      }
      // Two views of one figure share its values.
      if (!figures.has(id)) figures.set(id, { values: saved.state, model: figureModel(saved.state) });
      draw(place, figures.get(id)).catch((error) => console.error(error));
    }
  }

  if (document.readyState === "loading") document.addEventListener("DOMContentLoaded", drawAll);
  else drawAll();
})();
