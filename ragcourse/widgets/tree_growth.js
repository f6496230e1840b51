// Frames of boxes and lines, see moving_picture.py. A thing glides from its place in the frame before;
// its own row of buttons, since a moment here is a step, not a time in seconds.
const CELL = 40, GLIDE = 650, REST = 750; // pixels at most; milliseconds of a movement, and between two
const FILLS = {
  plain: [null, null, 1.2], none: [null, "none", 0],
  path: ["rgba(0,114,178,.16)", "#2a8fc9", 2], new: ["rgba(230,159,0,.30)", "#e69f00", 2],
  full: ["rgba(213,94,0,.22)", "#d55e00", 2.4], word: ["rgba(0,158,115,.20)", "#12a67c", 2],
};
const STROKES = { plain: [null, 1.3], path: ["#2a8fc9", 2.8], link: ["#12a67c", 1.8], wait: [null, 0.9] };

function height(result, view) {
  return cellOf(result, view) * (result.height + 0.5);
}

function cellOf(result, view) {
  return Math.min(CELL, view.width / (result.width + 0.3));
}

function draw(g, result, view) {
  const show = view.show;
  if (show.number !== result.number) show.adopt(result);
  show.paper = paperOf(view.canvas);
  const cell = cellOf(result, view), left = Math.max(0, (view.width - cell * result.width) / 2);
  const t = ease(show.moved), now = result.frames[show.at];
  const before = result.frames[Math.max(0, show.at - 1)];
  const place = (x, y) => [left + cell * x, cell * (y + 0.25)];
  blend(before.lines, now.lines, t, 4, 7).forEach(([item, alpha]) => line(g, view, item, alpha, place, cell));
  blend(before.boxes, now.boxes, t, 4, 9).forEach(([item, alpha]) => box(g, view, item, alpha, place, cell));
  g.globalAlpha = 1;
}

function paperOf(node) { // the colour of the page
  const jupyter = getComputedStyle(node).getPropertyValue("--jp-layout-color0").trim();
  return jupyter || getComputedStyle(document.body).backgroundColor;
}

const ease = (t) => (t < 0.5 ? 2 * t * t : 1 - 2 * (1 - t) ** 2);

function blend(before, now, t, numbers, since) { // [item with its numbers in between, alpha]
  const old = new Map(before.map((item) => [item[0], item])), here = new Set(now.map((item) => item[0]));
  const gone = before.filter((item) => !here.has(item[0])).map((item) => [item, 1 - 2 * t]);
  const shown = now.map((item) => {
    const from = old.get(item[0]) || old.get(item[since]);
    const start = from || [null, item[1], item[2] - (item[6] === "new" ? 1.2 : 0), item[3], item[4]];
    const mixed = item.slice();
    for (let i = 1; i <= numbers; i += 1) mixed[i] = start[i] + (item[i] - start[i]) * t;
    return [mixed, from ? 1 : t];
  });
  return [...gone, ...shown].filter(([, alpha]) => alpha > 0);
}

function line(g, view, [, x, y, toX, toY, look, head], alpha, place, cell) {
  const [colour, width] = STROKES[look], [x0, y0] = place(x, y), [x1, y1] = place(toX, toY);
  g.globalAlpha = alpha * (look === "wait" ? 0.55 : 1);
  g.strokeStyle = g.fillStyle = colour || view.theme.dim;
  g.lineWidth = width;
  g.beginPath();
  g.moveTo(x0, y0);
  g.lineTo(x1, y1);
  g.stroke();
  if (!head || Math.hypot(x1 - x0, y1 - y0) < 4) return;
  const angle = Math.atan2(y1 - y0, x1 - x0), size = Math.max(5.5, 0.2 * cell);
  g.beginPath();
  g.moveTo(x1, y1);
  for (const turn of [2.65, -2.65]) g.lineTo(x1 + size * Math.cos(angle + turn), y1 + size * Math.sin(angle + turn));
  g.fill();
}

function box(g, view, [, x, y, width, height, text, look, bold, round], alpha, place, cell) {
  const [fill, stroke, thick] = FILLS[look], [cx, cy] = place(x, y), w = width * cell, h = height * cell;
  g.beginPath();
  g.roundRect(cx - w / 2, cy - h / 2, w, h, round ? Math.min(w, h) / 2 : 0.16 * cell);
  if (look !== "none") { // the page's own colour below, so that lines end at the box
    g.globalAlpha = alpha;
    g.fillStyle = view.show.paper;
    g.fill();
  }
  g.globalAlpha = alpha;
  if (fill) {
    g.fillStyle = fill;
    g.fill();
  }
  if (stroke !== "none") {
    g.strokeStyle = stroke || view.theme.dim;
    g.lineWidth = thick;
    g.stroke();
  }
  const size = 0.42 * cell * Math.min(1, 2.6 / Math.max(1, text.length));
  if (text) lm.text(g, view, text, cx, cy + 0.02 * cell, { align: "center", size, bold });
}

// ---- the steps, and keys of one's own -------------------------------------------------------------------------

function setup(view, body) {
  let frame = 0, last = 0, rested = 0, keys = [];
  const still = () => matchMedia("(prefers-reduced-motion: reduce)").matches;
  const count = () => view.result.frames?.length || 1;
  const order = body.querySelectorAll(".lm-controls label")[1];
  const caption = lm.element("p", { className: "lm-caption", ariaLive: "polite" });
  caption.style.cssText = "min-height: 2.9em; margin: 10px 0 0; font-size: 14px; line-height: 1.45";
  const slider = lm.element("input", { type: "range", min: 1, step: 1, ariaLabel: "step" });
  const place = lm.element("output");
  const speed = lm.element("select", { ariaLabel: "speed" }, [0.5, 1, 2, 4].map((value) =>
    lm.element("option", { value, textContent: `speed × ${value}`, selected: value === 1 })));

  const show = view.show = {
    number: -1, at: 0, moved: 1,
    adopt(result) { // more keys than before: play what is new; anything else: show the end
      const more = result.kind === show.kind && result.order === show.order && keys.length < result.keys.length
        && keys.every((key, i) => key === result.keys[i]);
      const from = more && show.length ? show.length - 1 : result.frames.length - 1;
      keys = result.keys;
      order.style.visibility = result.kind.startsWith("B") ? "" : "hidden"; // the others have none
      const { number, kind, frames } = result;
      Object.assign(show, { number, kind, order: result.order, length: frames.length });
      pause();
      go(Math.min(from, result.frames.length - 1), 1);
      if (more) start();
    },
  };

  function go(at, moved) {
    show.at = Math.min(Math.max(at, 0), count() - 1);
    show.moved = still() ? 1 : moved;
    const now = view.result.frames[show.at];
    caption.textContent = now.caption;
    slider.max = count();
    slider.value = show.at + 1;
    slider.setAttribute("aria-valuetext", now.caption);
    place.textContent = `step ${show.at + 1} of ${count()}`;
    view.redraw();
  }
  function pause() {
    cancelAnimationFrame(frame);
    frame = 0;
    play.textContent = "Play";
  }
  function run(whole) { // to the end of all steps, or of this movement
    pause();
    if (whole) play.textContent = "Pause";
    last = performance.now();
    rested = 0;
    const tick = (time) => {
      const passed = (time - last) * Number(speed.value);
      last = time;
      if (show.moved < 1) {
        show.moved = Math.min(1, show.moved + passed / GLIDE);
        view.redraw();
      } else if ((rested += passed) > REST) {
        rested = 0;
        go(show.at + 1, 0);
      }
      const over = show.moved >= 1 && (!whole || show.at >= count() - 1);
      if (over || !body.isConnected) pause();
      else frame = requestAnimationFrame(tick);
    };
    frame = requestAnimationFrame(tick);
  }
  function start() {
    if (show.at >= count() - 1) go(0, 1);
    run(true);
  }
  function step(by) {
    pause();
    if (show.at + by < 0 || show.at + by >= count()) return;
    go(show.at + by, by > 0 ? 0 : 1);
    if (by > 0) run(false);
  }

  const play = lm.button("Play", () => (frame && play.textContent === "Pause" ? pause() : start()));
  slider.oninput = () => (pause(), go(Number(slider.value) - 1, 1));
  const buttons = [play, lm.button("Back", () => step(-1)), lm.button("Step", () => step(1)), slider, place, speed];
  const player = lm.element("div", { className: "lm-controls lm-player" }, buttons);
  body.insertBefore(caption, view.canvas);
  view.canvas.after(player, ownKeys(view, caption));
}

function ownKeys(view, caption) { // a line to type keys into, sent when Insert or Enter is pressed
  const examples = { numbers: view.model.get("numbers"), words: view.model.get("words") };
  const isTrie = () => view.result.kind === "trie", name = () => (isTrie() ? "words" : "numbers");
  const input = lm.element("input", { type: "text", size: 14, placeholder: "42 or tree", ariaLabel: "your own keys" });
  input.style.cssText = `padding: 3px 8px; border: 1px solid var(--jp-border-color1, #bdbdbd); border-radius: 4px;
    background: var(--jp-layout-color1, transparent); color: inherit; font: inherit`;
  function insert() {
    const found = input.value.toLowerCase().match(isTrie() ? /\p{L}+/gu : /\d+/g) || [];
    const fits = found.filter((key) => (isTrie() ? key.length <= 10 : Number(key) <= 999));
    const there = view.model.get(name()).split(/\s+/).filter(Boolean);
    const all = [...there, ...fits.map((key) => (isTrie() ? key : String(Number(key))))];
    const wanted = isTrie() ? "a word of up to 10 letters" : "a whole number from 0 to 999";
    if (!fits.length) caption.textContent = `Type ${wanted}, or several.`;
    else if (all.length > 32) caption.textContent = "32 keys fill the picture: empty it first.";
    else {
      input.value = "";
      view.set(name(), all.join(" "));
    }
  }
  input.onkeydown = (event) => event.key === "Enter" && insert();
  const buttons = [input, lm.button("Insert", insert), lm.button("Empty", () => view.set(name(), "")),
    lm.button("Example", () => view.set(name(), examples[name()]))];
  const row = lm.element("div", { className: "lm-controls lm-player" }, buttons);
  row.style.marginTop = "8px";
  return row;
}
