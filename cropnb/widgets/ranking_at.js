// ACC 1/N at one ε, read from counts of photos, and the rows in the order that follows.

/** The 95 % interval of a share, in per cent: Wilson's, which stays within 0 … 100. */
export function wilson(hits, photos) {
  const z = 1.959963984540054;
  const share = hits / photos;
  const middle = (share + (z * z) / (2 * photos)) / (1 + (z * z) / photos);
  const half = (z * Math.sqrt((share * (1 - share)) / photos + (z * z) / (4 * photos * photos))) / (1 + (z * z) / photos);
  return [100 * Math.max(0, middle - half), 100 * Math.min(1, middle + half)];
}

/** Tables of numbers come as text, rows divided by semicolons: what Python's `pack` wrote. */
export function unpackPanel(panel) {
  const table = (text) => (text ? text.split(";").map((row) => row.split(",").map(Number)) : null);
  const curves = panel.curves.map((curve) => {
    const [first, any, worst, acc] = ["first", "any", "worst", "acc"].map((key) => table(curve[key]));
    return { ...curve, first, any, worst, acc };
  });
  return { ...panel, curves };
}

/**
 * The rows of an unpacked panel at the threshold with index `at`, for the first `n` crops, best first; of equal rows the first
 * listed comes first. Each: {name, kind, color, value, interval, acc}, in per cent. A printed row stands only where a paper
 * prints it, and neither chance nor an oracle has an interval: one is computed, the other right by definition.
 */
export function rankingAt(panel, at, n, among, epsilon) {
  const rows = panel.curves.map((curve) => {
    const hits = curve[among][at][n - 1];
    const acc = curve.acc && curve.acc[Math.min(at, curve.acc.length - 1)][n - 1];
    return {
      name: curve.name,
      kind: curve.kind,
      color: curve.color,
      note: curve.note,
      value: (100 * hits) / panel.photos,
      interval: ["chance", "oracle"].includes(curve.kind) ? null : wilson(hits, panel.photos),
      acc: acc === null ? null : (100 * acc) / panel.photos,
    };
  });
  for (const one of panel.printed) {
    if (one.n !== n || Math.abs(one.epsilon - epsilon) > 1e-9) continue;
    rows.push({ name: one.name, kind: "printed", color: one.color, note: "", value: one.value, interval: null, acc: null });
  }
  return rows.map((row, place) => [row, place]).sort((a, b) => b[0].value - a[0].value || a[1] - b[1]).map(([row]) => row);
}
