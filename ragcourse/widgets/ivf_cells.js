// Left the plane with its cells: k-means while the clock runs, a query when it has ended. Right a curve of
// the same moment: the falling error, or recall against work. The query follows the pointer and the arrow keys.
const FOUND = "#009e73", MISSED = "#d55e00";
const GAP_BETWEEN = 44, CAPTION = 24, UNDER = 46, QUARTERS = [0, 0.25, 0.5, 0.75, 1];

const JOIN = "every point joins its nearest centre", MOVE = "every centre moves to the mean";

function layout(view) {
  const wide = view.width >= 620;
  const side = wide ? Math.min(430, Math.floor(view.width * 0.53)) : Math.min(430, view.width - 4);
  const plane = { x: 1, y: CAPTION, side };
  const left = wide ? side + GAP_BETWEEN + 14 : 34;
  const curve = { x: left, y: wide ? CAPTION : side + 2 * CAPTION + 22, width: view.width - left - 12,
    height: wide ? side - UNDER - 84 : 200 };
  const height = wide ? side + CAPTION + 6 : curve.y + curve.height + UNDER + 90;
  return { plane, curve, height };
}

function height(result, view) {
  return layout(view).height;
}

function draw(g, result, view) {
  const { plane, curve } = layout(view), training = view.t < result.duration - 1e-6;
  const state = training ? at(result, view.t) : at(result, result.duration);
  drawPlane(g, result, view, plane, state, training);
  if (training) errorCurve(g, result, view, curve);
  else recallCurve(g, result, view, curve);
}

function at(result, t) { // first half of an iteration: points choose; second half: centroids move
  const [steps, nlist] = result.centroids.shape, n = result.points.shape[0];
  const step = Math.min(Math.floor(t), steps - 1), next = Math.min(step + 1, steps - 1);
  const moved = Math.max(0, 2 * (t - step) - 1), eased = moved * moved * (3 - 2 * moved);
  const from = result.centroids.subarray(step * nlist * 2, (step + 1) * nlist * 2);
  const to = result.centroids.subarray(next * nlist * 2, (next + 1) * nlist * 2);
  const centroids = from.map((value, i) => value + eased * (to[i] - value));
  return { step, t, nlist, centroids, owners: result.owners.subarray(step * n, (step + 1) * n) };
}

// ---- the plane ----------------------------------------------------------------------------------------------

function drawPlane(g, result, view, plane, state, training) {
  const searched = blue(view);
  const X = (x) => plane.x + x * plane.side, Y = (y) => plane.y + y * plane.side;
  const { centroids, nlist } = state, lit = (list) => !training && result.ranks[list] < result.nprobe;
  const caption = training
    ? `k-means, iteration ${state.step + 1}: ${state.t - state.step < 0.5 ? JOIN : MOVE}`
    : `searched: the ${result.nprobe === 1 ? "nearest" : `${result.nprobe} nearest`} of ${nlist} cells`;
  lm.text(g, view, caption, plane.x, 10, { bold: true });
  g.save();
  g.beginPath();
  g.rect(plane.x, plane.y, plane.side, plane.side);
  g.clip();
  g.lineWidth = 1;
  for (let list = 0; list < nlist; list += 1) {
    g.beginPath();
    cell(centroids, nlist, list).forEach(([x, y]) => g.lineTo(X(x), Y(y)));
    g.closePath();
    if (lit(list)) fill(g, searched, 0.17);
    g.strokeStyle = view.theme.dim;
    g.globalAlpha = 0.55;
    g.stroke();
    g.globalAlpha = 1;
  }
  dots(g, result, view, state, training, X, Y, lit);
  if (training) trails(g, result, view, state, X, Y);
  else search(g, result, view, state, X, Y, lit, plane);
  g.restore();
  g.strokeStyle = view.theme.dim;
  g.lineWidth = 1;
  g.strokeRect(plane.x + 0.5, plane.y + 0.5, plane.side - 1, plane.side - 1);
}

function fill(g, colour, alpha) {
  g.globalAlpha = alpha;
  g.fillStyle = colour;
  g.fill();
  g.globalAlpha = 1;
}

function cell(centroids, nlist, own) { // the unit square, cut along the bisector to every other centroid
  const [ax, ay] = [centroids[2 * own], centroids[2 * own + 1]];
  let corners = [[0, 0], [1, 0], [1, 1], [0, 1]];
  for (let other = 0; other < nlist && corners.length; other += 1) {
    if (other === own) continue;
    const [bx, by] = [centroids[2 * other], centroids[2 * other + 1]];
    const beyond = ([x, y]) => (bx - ax) * (x - (ax + bx) / 2) + (by - ay) * (y - (ay + by) / 2);
    const kept = [];
    corners.forEach((corner, i) => {
      const last = corners[(i || corners.length) - 1], side = beyond(corner), before = beyond(last);
      if (side > 0 !== before > 0) {
        const t = before / (before - side);
        kept.push([last[0] + t * (corner[0] - last[0]), last[1] + t * (corner[1] - last[1])]);
      }
      if (side <= 0) kept.push(corner);
    });
    corners = kept;
  }
  return corners;
}

function dots(g, result, view, state, training, X, Y, lit) {
  const { points } = result, searched = blue(view), size = 1.5;
  const groups = new Map(); // one path a colour: thousands of dots at once
  for (let i = 0; i < points.shape[0]; i += 1) {
    const colour = training ? view.theme.colours[state.owners[i] % 6] : lit(state.owners[i]) ? searched : view.theme.dim;
    if (!groups.has(colour)) groups.set(colour, []);
    groups.get(colour).push(i);
  }
  groups.forEach((members, colour) => {
    g.beginPath();
    members.forEach((i) => {
      const x = X(points[2 * i]), y = Y(points[2 * i + 1]);
      g.moveTo(x + size, y);
      g.arc(x, y, size, 0, 7);
    });
    fill(g, colour, training ? 0.75 : colour === searched ? 0.95 : 0.4);
  });
}

function trails(g, result, view, state, X, Y) { // where every centre has been
  const { nlist, centroids, step } = state;
  for (let list = 0; list < nlist; list += 1) {
    g.beginPath();
    for (let i = 0; i <= step; i += 1) {
      g.lineTo(X(result.centroids[2 * (i * nlist + list)]), Y(result.centroids[2 * (i * nlist + list) + 1]));
    }
    const [x, y] = [X(centroids[2 * list]), Y(centroids[2 * list + 1])];
    g.lineTo(x, y);
    g.strokeStyle = view.theme.text;
    g.lineWidth = 1.3;
    g.stroke();
    disc(g, x, y, 5, view.theme.text);
  }
}

function disc(g, x, y, radius, colour, edge = "#ffffff") {
  g.beginPath();
  g.arc(x, y, radius, 0, 7);
  fill(g, colour, 1);
  g.strokeStyle = edge;
  g.lineWidth = 1.2;
  g.stroke();
}

function search(g, result, view, state, X, Y, lit, plane) {
  const { centroids, nlist } = state, { points } = result, waiting = isWaiting(view), [qx, qy] = place(view);
  for (let list = 0; list < nlist; list += 1) {
    const [x, y] = [X(centroids[2 * list]), Y(centroids[2 * list + 1])];
    if (lit(list) && result.nprobe > 1) badge(g, view, result.ranks[list] + 1, x, y);
    else plus(g, x, y, lit(list) ? view.theme.text : view.theme.dim);
  }
  if (!waiting) {
    g.setLineDash([3, 3]);
    g.strokeStyle = view.theme.text;
    g.lineWidth = 1.2;
    g.beginPath();
    g.arc(X(qx), Y(qy), result.radius * plane.side, 0, 7);
    g.stroke();
    g.setLineDash([]);
    result.neighbours.forEach((id, i) => {
      const [x, y] = [X(points[2 * id]), Y(points[2 * id + 1])];
      if (result.found[i]) disc(g, x, y, 4, FOUND);
      else ring(g, x, y, 5.5, MISSED);
    });
  }
  star(g, view, X(qx), Y(qy), document.activeElement === view.canvas);
}

function badge(g, view, number, x, y) {
  g.font = `600 12px ${view.theme.font}`;
  const width = g.measureText(number).width + 10;
  g.beginPath();
  g.roundRect(x - width / 2, y - 9, width, 18, 9);
  fill(g, blue(view), 0.95);
  const colour = isDark(view) ? "#000000" : "#ffffff";
  lm.text(g, view, `${number}`, x, y + 0.5, { align: "center", size: 12, bold: true, colour });
}

function plus(g, x, y, colour) {
  g.strokeStyle = colour;
  g.lineWidth = 1.6;
  g.beginPath();
  g.moveTo(x - 4, y);
  g.lineTo(x + 4, y);
  g.moveTo(x, y - 4);
  g.lineTo(x, y + 4);
  g.stroke();
}

function ring(g, x, y, radius, colour) {
  g.beginPath();
  g.arc(x, y, radius, 0, 7);
  g.strokeStyle = colour;
  g.lineWidth = 2.6;
  g.stroke();
}

function star(g, view, x, y, focused) { // the query: a cross in black and white, seen on any ground
  for (const [width, colour] of [[6.5, "#ffffff"], [3.4, "#000000"]]) {
    g.strokeStyle = colour;
    g.lineWidth = width;
    g.lineCap = "round";
    g.beginPath();
    g.moveTo(x - 6, y - 6);
    g.lineTo(x + 6, y + 6);
    g.moveTo(x - 6, y + 6);
    g.lineTo(x + 6, y - 6);
    g.stroke();
  }
  g.lineCap = "butt";
  if (focused) ring(g, x, y, 14, view.theme.text);
}

// ---- the curves ---------------------------------------------------------------------------------------------

function frame(g, view, box, { title, label, xs, ys, format }) {
  lm.text(g, view, title, box.x - 30, 10 + box.y - CAPTION, { bold: true });
  g.lineWidth = 1;
  ys.forEach((value) => {
    const y = Math.round(box.y + box.height * (1 - value / ys.at(-1))) + 0.5;
    line(g, view, box.x, y, box.x + box.width, y);
    lm.text(g, view, format(value), box.x - 7, y, { align: "right", size: 12, colour: view.theme.dim });
  });
  xs.forEach(([value, text]) => {
    const x = Math.round(box.x + box.width * value) + 0.5;
    line(g, view, x, box.y, x, box.y + box.height);
    lm.text(g, view, text, x, box.y + box.height + 13, { align: "center", size: 12, colour: view.theme.dim });
  });
  lm.text(g, view, label, box.x + box.width / 2, box.y + box.height + 33, { align: "center", size: 12, colour: view.theme.dim });
}

function line(g, view, x1, y1, x2, y2) {
  g.strokeStyle = view.theme.line;
  g.globalAlpha = 0.6;
  g.beginPath();
  g.moveTo(x1, y1);
  g.lineTo(x2, y2);
  g.stroke();
  g.globalAlpha = 1;
}

function errorCurve(g, result, view, box) { // k-means: it only falls
  const { duration } = result, searched = blue(view), errors = result.errors.map((error) => error / result.errors[0]);
  const X = (i) => box.x + box.width * i / duration, Y = (error) => box.y + box.height * (1 - error);
  frame(g, view, box, {
    title: "mean squared distance to the centre, 1 at the start", label: "iteration",
    xs: [0, 3, 6, 9, 12].map((i) => [i / duration, `${i}`]), ys: QUARTERS, format: (value) => value.toFixed(2),
  });
  const last = Math.floor(view.t), moved = Math.max(0, 2 * (view.t - last) - 1);
  const now = errors[last] + moved * (errors[Math.min(last + 1, errors.length - 1)] - errors[last]);
  g.strokeStyle = searched;
  g.lineWidth = 2.2;
  g.beginPath();
  for (let i = 0; i <= last; i += 1) g.lineTo(X(i), Y(errors[i]));
  g.lineTo(X(last + moved), Y(now));
  g.stroke();
  disc(g, X(last + moved), Y(now), 5, searched);
  const [dx, align] = view.t > 9 ? [-10, "right"] : [12, "left"];
  lm.text(g, view, now.toFixed(3), X(last + moved) + dx, Y(now) - 14, { bold: true, align });
}

function recallCurve(g, result, view, box) {
  const { recall, work } = result, now = result.nprobe - 1, searched = blue(view);
  const X = (share) => box.x + box.width * Math.min(share, 1.04) / 1.04, Y = (value) => box.y + box.height * (1 - value);
  frame(g, view, box, {
    title: "recall@10, mean of 400 queries (grey: this one)", label: "distances computed, of an exact search",
    xs: QUARTERS.map((share) => [share / 1.04, `${100 * share} %`]), ys: QUARTERS, format: (value) => value.toFixed(2),
  });
  g.strokeStyle = view.theme.dim;
  g.lineWidth = 1.2;
  g.beginPath();
  result.own_recall.forEach((value, i) => g.lineTo(X(result.own_work[i]), Y(value)));
  g.stroke();
  g.strokeStyle = searched;
  g.lineWidth = 2.2;
  g.beginPath();
  recall.forEach((value, i) => g.lineTo(X(work[i]), Y(value)));
  g.stroke();
  recall.forEach((value, i) => disc(g, X(work[i]), Y(value), 2.6, searched, searched));
  g.setLineDash([3, 3]);
  g.strokeStyle = view.theme.text;
  g.lineWidth = 1;
  g.beginPath();
  g.moveTo(X(work[now]), box.y + box.height);
  g.lineTo(X(work[now]), Y(recall[now]));
  g.lineTo(box.x, Y(recall[now]));
  g.stroke();
  g.setLineDash([]);
  disc(g, X(work[now]), Y(recall[now]), 6.5, searched);
  star(g, view, X(result.own_work[now]), Y(result.own_recall[now]), false);
  thisQuery(g, result, view, box);
  const y = box.y + box.height + 106, note = `recall ${recall[now].toFixed(3)} for ${(100 * work[now]).toFixed(1)} % of the distances`;
  disc(g, box.x - 22, y, 6.5, searched);
  lm.text(g, view, note, box.x + 6 + lm.text(g, view, "all queries", box.x - 8, y, { bold: true }), y, { size: 12 });
}

function thisQuery(g, result, view, box) { // a pip for each of its true neighbours
  const y = box.y + box.height + 76, found = result.found.reduce((sum, one) => sum + one, 0), now = result.nprobe - 1;
  star(g, view, box.x - 22, y, false);
  let x = box.x + 4 + lm.text(g, view, "this query", box.x - 8, y, { bold: true });
  for (let i = 0; i < result.found.length; i += 1, x += 13) {
    if (i < found) disc(g, x, y, 5, FOUND);
    else ring(g, x, y, 4.6, MISSED);
  }
  const distances = Math.round(result.own_work[now] * result.points.shape[0]);
  lm.text(g, view, `for ${distances.toLocaleString("en")} distances`, x + 4, y, { size: 12 });
}

// ---- pointer and keys ---------------------------------------------------------------------------------------

const isDark = (view) => {
  const g = view.canvas.getContext("2d");
  g.fillStyle = view.theme.text; // whatever the notation, it comes back as #rrggbb or rgba(r, g, b, a)
  return /^(#[89a-f]|rgba\((1[3-9]|2)\d)/.test(g.fillStyle);
};
const blue = (view) => (isDark(view) ? "#56b4e9" : "#0072b2"); // what was searched
const isWaiting = (view) => view.pending?.number === view.result.number; // for the answer to a move
const place = (view) => (isWaiting(view) ? view.pending.to : view.result.query);

function setup(view) {
  const { canvas } = view;
  Object.assign(canvas, { tabIndex: 0 });
  canvas.setAttribute("data-lm-suppress-shortcuts", "true"); // or JupyterLab takes the arrow keys
  canvas.setAttribute("aria-keyshortcuts", "ArrowLeft ArrowRight ArrowUp ArrowDown");
  Object.assign(canvas.style, { touchAction: "none", outline: "none" });
  const clip = (value) => Math.min(1, Math.max(0, value));
  const move = (x, y) => {
    const to = [clip(x), clip(y)], from = place(view);
    if (to[0] === from[0] && to[1] === from[1]) return;
    view.pending = { to, number: view.result.number };
    view.set("query", to);
    view.redraw();
  };
  const pointed = (event) => {
    const frame = canvas.getBoundingClientRect(), { plane } = layout(view);
    return [(event.clientX - frame.left - plane.x) / plane.side, (event.clientY - frame.top - plane.y) / plane.side];
  };
  const inside = ([x, y]) => x >= 0 && x <= 1 && y >= 0 && y <= 1;
  let dragging = false;
  canvas.addEventListener("pointerdown", (event) => {
    if (!inside(pointed(event))) return;
    dragging = true;
    canvas.setPointerCapture(event.pointerId);
    move(...pointed(event));
  });
  canvas.addEventListener("pointermove", (event) => {
    if (dragging) move(...pointed(event));
    else canvas.style.cursor = inside(pointed(event)) ? "crosshair" : "default";
  });
  for (const type of ["pointerup", "pointercancel"]) canvas.addEventListener(type, () => (dragging = false));
  for (const type of ["focus", "blur"]) canvas.addEventListener(type, () => view.redraw());
  canvas.addEventListener("keydown", (event) => {
    const step = event.shiftKey ? 0.004 : 0.02;
    const way = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] }[event.key];
    if (!way) return;
    event.preventDefault();
    const [x, y] = place(view);
    move(x + step * way[0], y + step * way[1]);
  });
}
