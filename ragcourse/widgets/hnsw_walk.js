// One search in a layered graph. Left: the layers as a stack, the way down through them. Middle: the layer that
// is searched, true to scale. Right: the pool. view.step is the hop shown; the query moves by mouse or arrow keys.
const QUERY = "#d55e00", WAITS = "#e69f00", FOUND = "#009e73";
const TOP = 26, FOOT = 46, GAP = 18, ROW = 19;

const isDark = (view) => /^rgba?\(\s*(1[6-9]\d|2\d\d)|^#[c-f]|^(white)/i.test(view.theme.text);
const blue = (view) => (isDark(view) ? "#56b4e9" : "#0072b2");

function places(view) { // the three parts, in pixels
  const stack = Math.min(170, view.width * 0.2), list = Math.min(200, Math.max(150, view.width * 0.23));
  const side = Math.max(180, Math.min(430, view.width - stack - list - 2 * GAP));
  return { stack, list, side, left: stack + GAP, right: stack + side + 2 * GAP };
}

function height(result, view) {
  return TOP + places(view).side + FOOT;
}

function setup(view, body) {
  Object.assign(view, { step: 0, shown: -1, playing: 0, pending: null, moving: false });
  const hops = () => view.result.hops ?? [];
  const last = () => hops().length - 1;
  const go = (step) => {
    view.step = Math.max(0, Math.min(last(), step));
    view.redraw();
  };
  const stop = () => {
    clearInterval(view.playing);
    view.playing = 0;
    play.textContent = "Play";
  };
  const tick = () => (body.isConnected && view.step < last() ? go(view.step + 1) : stop());
  const start = () => {
    if (view.step >= last()) go(0);
    play.textContent = "Pause";
    view.playing = setInterval(tick, 700);
  };
  const play = lm.button("Play", () => (view.playing ? stop() : start()));
  const restart = lm.button("Restart", () => (stop(), go(0)));
  const back = lm.button("Back", () => (stop(), go(view.step - 1)));
  const next = lm.button("Step", () => (stop(), go(view.step >= last() ? 0 : view.step + 1)));
  const place = lm.element("input", { type: "range", min: 0, step: 1, ariaLabel: "hop" });
  place.oninput = () => (stop(), go(Number(place.value)));
  const count = lm.element("output");
  const row = lm.element("div", { className: "lm-controls lm-player" }, [play, restart, back, next, place, count]);
  view.canvas.after(row);
  view.showStep = () => {
    place.max = last();
    place.value = view.step;
    count.textContent = `step ${view.step} of ${last()}`;
  };
  view.stop = stop;

  const { canvas } = view;
  canvas.tabIndex = 0;
  canvas.setAttribute("data-lm-suppress-shortcuts", "true");
  canvas.style.touchAction = "none";
  const inside = (event) => {
    const box = canvas.getBoundingClientRect(), { left, side } = places(view);
    const [x, y] = [(event.clientX - box.left - left) / side, (event.clientY - box.top - TOP) / side];
    return { x, y, on: x >= 0 && x <= 1 && y >= 0 && y <= 1 };
  };
  const move = (x, y) => { // the marker follows at once; the search for it comes when the last one is back
    const round = (value) => Math.round(Math.min(1, Math.max(0, value)) * 100) / 100;
    view.pending = [round(x), round(y)];
    stop();
    view.send();
    view.redraw();
  };
  view.send = () => {
    if (view.moving || !view.pending) return;
    const [x, y] = view.pending;
    if (x === view.params.x && y === view.params.y) return void (view.pending = null);
    view.moving = true;
    view.model.set("x", x);
    view.model.set("y", y);
    view.model.save_changes();
  };
  canvas.addEventListener("pointerdown", (event) => {
    const at = inside(event);
    if (!at.on) return;
    canvas.setPointerCapture(event.pointerId);
    canvas.focus({ preventScroll: true });
    move(at.x, at.y);
    event.preventDefault();
  });
  canvas.addEventListener("pointermove", (event) => {
    const at = inside(event);
    canvas.style.cursor = at.on ? "crosshair" : "default";
    if (event.buttons && canvas.hasPointerCapture(event.pointerId)) move(at.x, at.y);
  });
  const ARROWS = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  canvas.addEventListener("keydown", (event) => {
    const by = event.shiftKey ? 0.1 : 0.02, [x, y] = view.pending ?? [view.params.x, view.params.y];
    if (ARROWS[event.key]) move(x + by * ARROWS[event.key][0], y + by * ARROWS[event.key][1]);
    else if (event.key === " ") next.click();
    else if (event.key === "Backspace") back.click();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
}

function draw(g, result, view) {
  if (!result.hops) return;
  if (result.number !== view.shown) { // a new search: its end is shown
    Object.assign(view, { shown: result.number, step: result.hops.length - 1, moving: false });
    if (view.playing) view.stop();
    view.send();
    if (!view.moving) view.pending = null;
  }
  view.step = Math.min(view.step, result.hops.length - 1);
  view.showStep();
  const hop = result.hops[view.step], at = places(view);
  stack(g, result, view, at);
  plane(g, result, view, at, hop);
  pool(g, result, view, at, hop);
  const y = TOP + at.side;
  lm.text(g, view, hop.said, at.left, y + 15, { size: 12 });
  const hint = "drag the query, or click here and use the arrow keys; space: next step";
  lm.text(g, view, hint, at.left, y + 34, { size: 11, colour: view.theme.dim });
}

// ---- the plane ----------------------------------------------------------------------------------------------

function plane(g, result, view, { left, side }, hop) {
  const layer = result.layers[hop.layer], colour = blue(view);
  const X = (node) => left + side * result.points[2 * node], Y = (node) => TOP + side * result.points[2 * node + 1];
  lm.text(g, view, `layer ${hop.layer}: ${layer.nodes.length} nodes`, left, 12, { bold: true });
  g.save();
  frame(g, view, left, TOP, side, side);
  g.clip();

  const dots = (nodes, radius, fill, alpha) => {
    g.globalAlpha = alpha;
    g.fillStyle = fill;
    for (const node of nodes) disc(g, X(node), Y(node), radius, true);
    g.globalAlpha = 1;
  };
  const lines = (pairs, stroke, width, dash = []) => {
    g.strokeStyle = stroke;
    g.lineWidth = width;
    g.setLineDash(dash);
    g.beginPath();
    for (const [a, b] of pairs) (g.moveTo(X(a), Y(a)), g.lineTo(X(b), Y(b)));
    g.stroke();
    g.setLineDash([]);
  };
  if (hop.layer) dots(result.layers[0].nodes, 1.5, view.theme.dim, 0.35);
  g.globalAlpha = hop.layer ? 0.9 : 0.6;
  lines(pairsOf(layer.edges), view.theme.line, 1);
  g.globalAlpha = 1;
  dots(layer.nodes, 2.6, view.theme.dim, 0.75);
  bound(g, result, view, left, side, hop);

  const parents = new Map(hop.parents), seen = [...parents.keys()];
  const kept = new Set(hop.pool), waits = new Set(hop.waiting);
  g.globalAlpha = 0.45;
  lines(hop.parents.filter(([node, parent]) => node !== parent), colour, 1.2);
  g.globalAlpha = 1;
  if (hop.node >= 0) {
    lines(hop.refused.map((node) => [hop.node, node]), view.theme.dim, 1.5, [3, 3]);
    lines(hop.entered.map((node) => [hop.node, node]), WAITS, 2);
  }
  lines(wayTo(parents, hop.node >= 0 ? hop.node : hop.pool[0]), colour, 3.2);
  for (const node of seen.filter((node) => !kept.has(node))) {
    g.fillStyle = isDark(view) ? "#222222" : "#ffffff";
    g.strokeStyle = view.theme.dim;
    g.lineWidth = 1.2;
    disc(g, X(node), Y(node), 3.2, true, true);
  }
  for (const node of hop.pool) dots([node], 4.6, waits.has(node) ? WAITS : colour, 1);
  if (hop.node >= 0) ring(g, X(hop.node), Y(hop.node), 8, colour);
  if (hop.node === -2) {
    for (const node of result.truth) ring(g, X(node), Y(node), 8, kept.has(node) ? FOUND : QUERY);
    const missed = result.truth.filter((node) => !kept.has(node));
    if (missed.length) {
      const top = missed.reduce((a, b) => (Y(a) < Y(b) ? a : b));
      lm.text(g, view, `${missed.length} missed`, X(top), Y(top) - 17, { align: "center", size: 12, bold: true, colour: QUERY });
    }
  }
  const [x, y] = view.pending ?? result.query;
  star(g, left + side * x, TOP + side * y);
  g.restore();
}

function bound(g, result, view, left, side, hop) { // outside of it nothing enters the pool any more
  if (hop.layer || hop.pool.length < result.ef) return;
  g.strokeStyle = g.fillStyle = QUERY;
  g.setLineDash([5, 4]);
  g.lineWidth = 1.2;
  g.beginPath();
  const radius = side * result.away[hop.pool[hop.pool.length - 1]];
  g.arc(left + side * result.query[0], TOP + side * result.query[1], radius, 0, 7);
  g.stroke();
  g.globalAlpha = 0.07;
  g.fill();
  g.globalAlpha = 1;
  g.setLineDash([]);
}

function wayTo(parents, node) { // the hops by which this node was found
  const way = [];
  while (parents.has(node) && parents.get(node) !== node) (way.push([parents.get(node), node]), (node = parents.get(node)));
  return way;
}

function pairsOf(edges) {
  return Array.from({ length: edges.length / 2 }, (_, i) => [edges[2 * i], edges[2 * i + 1]]);
}

// ---- the layers as a stack ----------------------------------------------------------------------------------

function stack(g, result, view, { stack: width, side }) {
  lm.text(g, view, "layers", 0, 12, { bold: true });
  const count = result.layers.length, each = (side + 10) / count, colour = blue(view);
  const now = result.hops[view.step].layer, tall = Math.min(each - 30, width * 0.62);
  const top = (layer) => TOP + (count - 1 - layer) * each + 4;
  const spot = (layer, u, v) => [width * (0.26 * (1 - v) + 0.74 * u), top(layer) + tall * v];
  const of = (layer, node) => spot(layer, result.points[2 * node], result.points[2 * node + 1]);
  let above = null;
  for (let layer = count - 1; layer >= 0; layer -= 1) {
    g.beginPath();
    [[0, 0], [1, 0], [1, 1], [0, 1]].forEach(([u, v]) => g.lineTo(...spot(layer, u, v)));
    g.closePath();
    g.fillStyle = layer === now ? colour : view.theme.dim;
    g.globalAlpha = layer === now ? 0.14 : 0.07;
    g.fill();
    g.globalAlpha = 1;
    g.strokeStyle = layer === now ? colour : view.theme.line;
    g.lineWidth = layer === now ? 1.6 : 1;
    g.stroke();
    g.strokeStyle = view.theme.line;
    g.lineWidth = 0.6;
    g.globalAlpha = layer ? 1 : 0.5;
    g.beginPath();
    for (const [a, b] of pairsOf(result.layers[layer].edges)) (g.moveTo(...of(layer, a)), g.lineTo(...of(layer, b)));
    g.stroke();
    g.globalAlpha = 1;
    g.fillStyle = view.theme.dim;
    for (const node of result.layers[layer].nodes) disc(g, ...of(layer, node), layer ? 1.7 : 1.1, true);

    const hop = result.hops.slice(0, view.step + 1).filter((one) => one.layer === layer).pop();
    if (hop) {
      const parents = new Map(hop.parents), end = hop.pool[0];
      if (above !== null) path(g, [of(layer + 1, above), of(layer, above)], colour, 1.4, [3, 3]);
      for (const [a, b] of wayTo(parents, end)) path(g, [of(layer, a), of(layer, b)], colour, 2.2);
      g.fillStyle = colour;
      disc(g, ...of(layer, end), 3.2, true);
      above = end;
    }
    star(g, ...spot(layer, ...(view.pending ?? result.query)), 4);
    const label = `layer ${layer}: ${result.layers[layer].nodes.length} nodes`;
    lm.text(g, view, label, 0, top(layer) + tall + 12, { size: 11, colour: layer === now ? view.theme.text : view.theme.dim });
  }
}

// ---- the pool -----------------------------------------------------------------------------------------------

function pool(g, result, view, { right, list, side }, hop) {
  const limit = hop.layer ? 1 : result.ef, colour = blue(view), fresh = new Set(hop.entered), waits = new Set(hop.waiting);
  lm.text(g, view, `pool of ${limit}`, right, 12, { bold: true });
  lm.text(g, view, "distance", right + list, 12, { align: "right", size: 11, colour: view.theme.dim });
  const longest = Math.max(0.001, ...hop.pool.map((node) => result.away[node]));
  for (let i = 0; i < limit; i += 1) {
    const y = TOP + 10 + i * ROW, node = hop.pool[i];
    if (node === undefined) {
      lm.text(g, view, "free", right + 18, y, { size: 12, colour: view.theme.line });
      continue;
    }
    g.fillStyle = waits.has(node) ? WAITS : colour;
    disc(g, right + 6, y, 4.6, true);
    if (node === hop.node) ring(g, right + 6, y, 7, colour);
    const length = (list - 96) * result.away[node] / longest;
    g.globalAlpha = 0.28;
    g.fillRect(right + 52, y - 6, length, 12);
    g.globalAlpha = 1;
    lm.text(g, view, `${node}`, right + 46, y, { align: "right", size: 12, bold: fresh.has(node) });
    if (fresh.has(node)) lm.text(g, view, "new", right + 56, y, { size: 11, bold: true });
    lm.text(g, view, result.away[node].toFixed(3), right + list, y, { align: "right", size: 12, colour: view.theme.dim });
  }
  const foot = TOP + side - 84;
  if (TOP + limit * ROW > foot) return;
  [[WAITS, "waits to be expanded"], [colour, "expanded"], [null, "measured, not kept"]].forEach(([fill, label], i) => {
    const y = foot + 10 + 18 * i;
    g.strokeStyle = view.theme.dim;
    g.fillStyle = fill ?? "transparent";
    g.lineWidth = 1.2;
    disc(g, right + 6, y, fill ? 4.6 : 3.2, true, !fill);
    lm.text(g, view, label, right + 18, y, { size: 12, colour: view.theme.dim });
  });
  lm.text(g, view, `${hop.distances} of ${result.points.shape[0]} distances`, right, foot + 70, { size: 12, bold: true });
}

// ---- marks --------------------------------------------------------------------------------------------------

function frame(g, view, x, y, width, height) {
  g.beginPath();
  g.roundRect(x, y, width, height, 4);
  g.fillStyle = view.theme.dim;
  g.globalAlpha = 0.05;
  g.fill();
  g.globalAlpha = 1;
  g.strokeStyle = view.theme.line;
  g.lineWidth = 1;
  g.stroke();
}

function disc(g, x, y, radius, fill, stroke = false) {
  g.beginPath();
  g.arc(x, y, radius, 0, 7);
  if (fill) g.fill();
  if (stroke) g.stroke();
}

function ring(g, x, y, radius, colour) {
  g.strokeStyle = colour;
  g.lineWidth = 2;
  disc(g, x, y, radius, false, true);
}

function path(g, points, colour, width, dash = []) {
  g.strokeStyle = colour;
  g.lineWidth = width;
  g.setLineDash(dash);
  g.beginPath();
  points.forEach((point) => g.lineTo(...point));
  g.stroke();
  g.setLineDash([]);
}

function star(g, x, y, size = 8) { // the query
  g.lineCap = "round";
  path(g, [[x - size, y], [x + size, y]], "#ffffff", size * 0.65);
  path(g, [[x, y - size], [x, y + size]], "#ffffff", size * 0.65);
  path(g, [[x - size, y], [x + size, y]], QUERY, size * 0.38);
  path(g, [[x, y - size], [x, y + size]], QUERY, size * 0.38);
  g.lineCap = "butt";
}
