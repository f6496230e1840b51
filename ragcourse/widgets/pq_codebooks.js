// The plane with its cells, each shaded by the one distance that all its points get; beside it recall against bits.
const GAP_SIDE = 26, STRIP = 13, LEGEND_HEIGHT = 30, FOUND = "#0072b2", MISSED = "#d55e00";
const CURVES = [["#d55e00", "#ff8a3d", "two codebooks"], ["#0072b2", "#56b4e9", "one codebook"]]; // light, dark
const TRUE = 1, RETURNED = 2, SHORTLIST = 4;

function places(view) { // side by side, or one below the other in a narrow window
  const narrow = view.width < 600;
  const side = Math.floor(Math.min(narrow ? view.width - STRIP - 8 : view.width * 0.55 - STRIP, 440));
  const left = STRIP + 4, top = 8, below = top + side + STRIP + 4 + LEGEND_HEIGHT;
  return {
    left, top, side, below,
    chart: narrow ? { x: 40, y: below + 20, width: view.width - 60, height: 180 }
      : { x: left + side + GAP_SIDE + 44, y: top + 26, width: view.width - left - side - GAP_SIDE - 60, height: side - 168 },
    facts: narrow ? { x: 0, y: below + 268, width: view.width }
      : { x: left + side + GAP_SIDE, y: top + side - 46, width: view.width - left - side - GAP_SIDE },
    height: narrow ? below + 340 : below,
  };
}

function height(result, view) {
  return places(view).height;
}

function draw(g, result, view) {
  const at = places(view), state = now(result, view);
  const x = (value) => at.left + at.side * (value + 1) / 2, y = (value) => at.top + at.side * (1 - value) / 2;
  const query = view.wanted || result.query;
  g.save();
  g.beginPath();
  g.rect(at.left, at.top, at.side, at.side);
  g.clip();
  (result.grid ? gridCells : planeCells)(g, view, state, query, x, y);
  points(g, result, view, state, x, y);
  star(g, view, x(query[0]), y(query[1]));
  g.restore();
  g.strokeStyle = view.theme.line;
  g.strokeRect(at.left + 0.5, at.top + 0.5, at.side - 1, at.side - 1);
  if (result.grid) tables(g, view, state, query, at, x, y);
  legend(g, view, result, at, state);
  chart(g, result, view, at.chart);
  facts(g, result, view, at.facts);
  send(view);
}

function now(result, view) { // codewords between two iterations, flags of the earlier one
  const exact = Math.min(view.t / result.seconds, result.iterations);
  const step = Math.min(Math.floor(exact + 1e-6), result.iterations), next = Math.min(step + 1, result.iterations);
  const part = Math.max(0, Math.min(1, (exact - step) * 1.6)), ease = part * part * (3 - 2 * part);
  const books = result.books.map((flat, j) => {
    const width = result.grid ? 1 : 2, one = result.sizes[j] * width;
    return Float32Array.from({ length: one }, (_, i) => flat[step * one + i] * (1 - ease) + flat[next * one + i] * ease);
  });
  return { step, books, flags: result.flags.subarray(step * result.points.shape[0], (step + 1) * result.points.shape[0]) };
}

function shade(g, view, squared) { // nearer is deeper
  const close = Math.max(0, 1 - Math.sqrt(squared) / 1.5);
  g.fillStyle = FOUND;
  g.globalAlpha = (view.dark ? 0.8 : 0.6) * close ** 1.8;
  g.fill();
  g.globalAlpha = 1;
}

function isDark(view) {
  const [r, green, b] = (view.theme.text.match(/[\d.]+/g) || []).map(Number);
  return view.theme.text.startsWith("#") ? parseInt(view.theme.text.slice(1, 3), 16) > 128 : r + green + b > 382;
}

function borders(codewords) { // from left to right: the codewords, and the borders of their cells
  const words = Array.from(codewords).sort((a, b) => a - b);
  return { words, edges: [-1, ...words.slice(1).map((word, i) => (word + words[i]) / 2), 1] };
}

function gridCells(g, view, { books }, query, x, y) {
  view.dark = isDark(view);
  const across = borders(books[0]), up = borders(books[1]);
  across.words.forEach((word, i) => up.words.forEach((other, j) => {
    g.beginPath();
    g.rect(x(across.edges[i]), y(up.edges[j + 1]), x(across.edges[i + 1]) - x(across.edges[i]), y(up.edges[j]) - y(up.edges[j + 1]));
    shade(g, view, (word - query[0]) ** 2 + (other - query[1]) ** 2);
  }));
  g.strokeStyle = view.theme.dim;
  g.globalAlpha = 0.55;
  g.beginPath();
  across.edges.slice(1, -1).forEach((edge) => (g.moveTo(x(edge), y(-1)), g.lineTo(x(edge), y(1))));
  up.edges.slice(1, -1).forEach((edge) => (g.moveTo(x(-1), y(edge)), g.lineTo(x(1), y(edge))));
  g.stroke();
  g.globalAlpha = 1;
  across.words.forEach((word) => up.words.forEach((other) => codeword(g, view, x(word), y(other), 1.6)));
}

function planeCells(g, view, { books }, query, x, y) {
  view.dark = isDark(view);
  const words = books[0], count = words.length / 2;
  for (let i = 0; i < count; i += 1) {
    const cell = voronoi(words, i);
    if (cell.length < 3) continue;
    g.beginPath();
    cell.forEach(([a, b]) => g.lineTo(x(a), y(b)));
    g.closePath();
    shade(g, view, (words[2 * i] - query[0]) ** 2 + (words[2 * i + 1] - query[1]) ** 2);
    g.strokeStyle = view.theme.dim;
    g.globalAlpha = 0.55;
    g.stroke();
    g.globalAlpha = 1;
  }
  for (let i = 0; i < count; i += 1) codeword(g, view, x(words[2 * i]), y(words[2 * i + 1]), 2.2);
}

function voronoi(words, i) { // the square, cut by the bisector with each other codeword, the nearest first
  const a = words[2 * i], b = words[2 * i + 1], others = [];
  for (let j = 0; j < words.length / 2; j += 1) {
    const squared = (words[2 * j] - a) ** 2 + (words[2 * j + 1] - b) ** 2;
    if (j !== i && squared > 0) others.push([squared, words[2 * j], words[2 * j + 1]]);
  }
  others.sort((one, other) => one[0] - other[0]);
  let cell = [[-1, -1], [1, -1], [1, 1], [-1, 1]];
  for (const [squared, c, d] of others) {
    const reach = Math.max(...cell.map(([p, q]) => (p - a) ** 2 + (q - b) ** 2));
    if (squared > 4 * reach) break; // too far to cut
    const side = ([p, q]) => (p - (a + c) / 2) * (c - a) + (q - (b + d) / 2) * (d - b);
    cell = cell.flatMap((from, k) => {
      const to = cell[(k + 1) % cell.length], s = side(from), e = side(to);
      const cut = s / (s - e), kept = s <= 0 ? [from] : [];
      return s * e < 0 ? [...kept, [from[0] + cut * (to[0] - from[0]), from[1] + cut * (to[1] - from[1])]] : kept;
    });
    if (cell.length < 3) break;
  }
  return cell;
}

function codeword(g, view, x, y, size) {
  g.fillStyle = view.theme.text;
  g.fillRect(x - size, y - size, 2 * size, 2 * size);
}

function points(g, result, view, { flags }, x, y) {
  const all = result.points, dot = (i, radius) => {
    g.beginPath();
    g.arc(x(all[2 * i]), y(all[2 * i + 1]), radius, 0, 2 * Math.PI);
  };
  g.fillStyle = view.theme.text;
  flags.forEach((flag, i) => {
    g.globalAlpha = flag & SHORTLIST ? 0.85 : 0.38;
    dot(i, flag & SHORTLIST ? 2.1 : 1.5);
    g.fill();
  });
  g.globalAlpha = 1;
  flags.forEach((flag, i) => mark(g, view, flag, x(all[2 * i]), y(all[2 * i + 1])));
}

function mark(g, view, flag, x, y) { // a true neighbour found or missed, or another point in its place
  const kind = flag & (TRUE | RETURNED);
  g.lineWidth = 2;
  g.beginPath();
  if (kind === RETURNED) {
    g.strokeStyle = view.theme.text;
    g.lineWidth = 1.4;
    for (const side of [-1, 1]) (g.moveTo(x - 3.5, y - 3.5 * side), g.lineTo(x + 3.5, y + 3.5 * side));
    g.stroke();
  } else if (kind) {
    g.arc(x, y, 4.2, 0, 2 * Math.PI);
    g.fillStyle = kind & RETURNED ? FOUND : "#ffffff";
    g.strokeStyle = kind & RETURNED ? "#ffffff" : MISSED;
    g.lineWidth = kind & RETURNED ? 1 : 2;
    g.fill();
    g.stroke();
  }
  g.lineWidth = 1;
}

function star(g, view, x, y) {
  g.beginPath();
  for (let i = 0; i < 10; i += 1) {
    const radius = i % 2 ? 4 : 10, angle = -Math.PI / 2 + i * Math.PI / 5;
    g.lineTo(x + radius * Math.cos(angle), y + radius * Math.sin(angle));
  }
  g.closePath();
  g.fillStyle = view.dark ? "#ffd54f" : "#111111";
  g.strokeStyle = view.dark ? "#111111" : "#ffffff";
  g.lineWidth = 1.5;
  g.fill();
  g.stroke();
  g.lineWidth = 1;
}

function tables(g, view, { books }, query, at, x, y) { // the two tables of the query, along the sides
  const across = borders(books[0]), up = borders(books[1]), below = at.top + at.side + 4;
  const box = (left, top, width, tall, squared) => {
    g.beginPath();
    g.rect(left, top, width, tall);
    shade(g, view, squared);
    g.strokeStyle = view.theme.line;
    g.stroke();
  };
  across.words.forEach((word, i) => {
    box(x(across.edges[i]), below, x(across.edges[i + 1]) - x(across.edges[i]), STRIP - 3, (word - query[0]) ** 2);
  });
  up.words.forEach((word, i) => {
    box(0.5, y(up.edges[i + 1]), STRIP - 3, y(up.edges[i]) - y(up.edges[i + 1]), (word - query[1]) ** 2);
  });
}

function legend(g, view, result, at, { step }) {
  const y = at.below - LEGEND_HEIGHT / 2 + 2;
  let x = at.left + 6;
  for (const [flag, name] of [[TRUE | RETURNED, "found"], [TRUE, "missed"], [RETURNED, "returned instead"]]) {
    mark(g, view, flag, x, y);
    x += 22 + lm.text(g, view, name, x + 9, y, { size: 12 });
  }
  const done = `iteration ${step} of ${result.iterations}, error ${result.errors[step].toPrecision(2)}`;
  lm.text(g, view, done, at.left + at.side, y, { size: 12, align: "right", colour: view.theme.dim });
}

function chart(g, result, view, { x, y, width, height: tall }) {
  const most = result.curves[0].length;
  const px = (bits) => x + width * (bits - 1) / (most - 1), py = (recall) => y + tall * (1 - recall);
  lm.text(g, view, "recall@10 of all queries", x - 36, y - 16, { bold: true });
  for (const mark of [0, 0.25, 0.5, 0.75, 1]) {
    g.strokeStyle = view.theme.line;
    g.globalAlpha = 0.6;
    g.beginPath();
    g.moveTo(x, Math.round(py(mark)) + 0.5);
    g.lineTo(x + width, Math.round(py(mark)) + 0.5);
    g.stroke();
    g.globalAlpha = 1;
    lm.text(g, view, `${mark}`, x - 8, py(mark), { align: "right", size: 12, colour: view.theme.dim });
  }
  for (let bits = 1; bits <= most; bits += 1) {
    lm.text(g, view, `${bits}`, px(bits), y + tall + 14, { align: "center", size: 12, colour: view.theme.dim });
    if (64 % bits === 0) {
      lm.text(g, view, `1/${64 / bits}`, px(bits), y + tall + 30, { align: "center", size: 12, colour: view.theme.dim });
    }
  }
  lm.text(g, view, "bits a point; share of float32", x + width / 2, y + tall + 48, { align: "center", size: 12, colour: view.theme.dim });
  result.curves.forEach((curve, i) => {
    const [light, dark, name] = CURVES[i], colour = view.dark ? dark : light, active = (i === 0) === result.grid;
    g.strokeStyle = colour;
    g.lineWidth = active ? 2.5 : 1.5;
    g.globalAlpha = active ? 1 : 0.7;
    g.beginPath();
    curve.forEach((recall, j) => g.lineTo(px(j + 1), py(recall)));
    g.stroke();
    g.globalAlpha = 1;
    g.lineWidth = 1;
    if (active) {
      g.fillStyle = colour;
      g.beginPath();
      g.arc(px(result.bits), py(curve[result.bits - 1]), 5.5, 0, 2 * Math.PI);
      g.fill();
    }
    g.fillStyle = colour;
    g.fillRect(x + 8, y + 7 + 18 * (1 - i), 14, 3);
    lm.text(g, view, name, x + 27, y + 9 + 18 * (1 - i), { size: 12, bold: active });
  });
}

function facts(g, result, view, { x, y, width }) {
  result.facts.forEach(([name, value], i) => {
    lm.text(g, view, name, x, y + 22 * i, { size: 12, colour: view.theme.dim });
    lm.text(g, view, value, x + width - 2, y + 22 * i, { size: 12, bold: true, align: "right" });
  });
}

function send(view) { // the query that the pointer wants, once the answer to the one before has come
  if (!view.wanted || view.asked === view.result.number) return;
  const [x, y] = view.wanted, params = view.params;
  if (Math.abs(x - params.x) < 1e-6 && Math.abs(y - params.y) < 1e-6) {
    if (!view.dragging) view.wanted = null;
    return;
  }
  view.asked = view.result.number;
  view.model.set("x", x);
  view.model.set("y", y);
  view.model.save_changes();
}

function setup(view) {
  const { canvas } = view, snap = (value) => Math.round(Math.max(-1, Math.min(1, value)) * 50) / 50;
  const want = (event) => {
    const box = canvas.getBoundingClientRect(), at = places(view);
    const x = 2 * (event.clientX - box.left - at.left) / at.side - 1, y = 1 - 2 * (event.clientY - box.top - at.top) / at.side;
    if (!view.dragging && Math.max(Math.abs(x), Math.abs(y)) > 1) return;
    view.dragging = true;
    view.wanted = [snap(x), snap(y)];
    view.redraw();
  };
  canvas.style.touchAction = "none";
  canvas.style.cursor = "crosshair";
  canvas.onpointerdown = (event) => {
    want(event);
    if (view.dragging) canvas.setPointerCapture(event.pointerId);
  };
  canvas.onpointermove = (event) => view.dragging && want(event);
  canvas.onpointerup = canvas.onpointercancel = () => {
    view.dragging = false;
    view.redraw();
  };
}
