// The ledger's rows, filtered in the page. A chosen row shows the command that repeats it.

const HEADS = ["Ledger", "Table and row", "Number", "Paper", "Ours [95 %]", "Photos", "Verdict"];
const FILTERS = [["paper", "Ledger"], ["data", "Measured on"], ["verdict", "Verdict"]];

function element(name, properties = {}, ...children) {
  const node = document.createElement(name);
  for (const [key, value] of Object.entries(properties)) {
    if (key in node) node[key] = value;
    else node.setAttribute(key, value);
  }
  node.append(...children);
  return node;
}

// Rows as objects, from their values in the order of `fields`, where [n] is the n-th text.
export function unpackRows(fields, texts, packed) {
  const value = (each) => (Array.isArray(each) ? texts[each[0]] : each);
  return JSON.parse(packed).map((values) => Object.fromEntries(fields.map((field, place) => [field, value(values[place])])));
}

function measured(row) {
  if (row.ours === null) return "";
  if (Number.isInteger(row.ours) && row.low === null) return String(row.ours);
  const digits = Math.abs(row.ours) < 10 ? 3 : 1;
  const ends = row.low === null ? "" : ` [${row.low.toFixed(digits)}, ${row.high.toFixed(digits)}]`;
  return row.ours.toFixed(digits) + ends;
}

function render({ model, el }) {
  const rows = unpackRows(model.get("fields"), model.get("texts"), model.get("packed"));
  const chosen = {};
  const status = element("p", { className: "ledger-status", role: "status" });
  const body = element("tbody");
  const detail = element("p", { className: "ledger-detail" }, "Choose a row to see the command that repeats it.");

  function show(row, line) {
    for (const other of body.children) other.setAttribute("aria-selected", String(other === line));
    const made = row.command ? element("code", {}, row.command) : "not measured yet";
    detail.replaceChildren(made, row.note ? ` ${row.note}` : "");
  }

  function draw() {
    const kept = rows.filter((row) => FILTERS.every(([key]) => !chosen[key] || row[key] === chosen[key]));
    const lines = kept.map((row) => {
      const paper = row.paper_value === null ? "" : String(row.paper_value);
      const images = row.images === null ? "" : String(row.images);
      const place = `${row.table}: ${row.row}`;
      const cells = [row.paper, place, row.column, paper, measured(row), images, row.verdict_text];
      const line = element("tr", { tabIndex: 0 }, ...cells.map((text) => element("td", {}, text)));
      line.addEventListener("click", () => show(row, line));
      line.addEventListener("focus", () => show(row, line));
      return line;
    });
    body.replaceChildren(...lines);
    status.textContent = `${kept.length} of ${rows.length} rows`;
  }

  const controls = FILTERS.map(([key, title]) => {
    const values = [...new Set(rows.map((row) => row[key]))];
    const options = values.map((value) => element("option", { value }, value.replace("_", " ")));
    const select = element("select", {}, element("option", { value: "" }, "all"), ...options);
    select.addEventListener("change", () => {
      chosen[key] = select.value;
      draw();
    });
    return element("label", {}, title, select);
  });

  const head = element("thead", {}, element("tr", {}, ...HEADS.map((text) => element("th", { scope: "col" }, text))));
  const table = element("table", {}, head, body);
  const window = element("div", { className: "ledger-window", tabIndex: 0, role: "region", "aria-label": "Rows" }, table);
  const frame = { className: "ledger-explorer", role: "group", "aria-label": "The ledger's rows, with filters" };
  el.append(element("div", frame, element("div", { className: "ledger-filters" }, ...controls), status, window, detail));
  draw();
}

export default { render };
