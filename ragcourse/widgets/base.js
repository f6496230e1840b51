// Shared by every widget. A widget's own script defines draw(g, result, view) and, where it needs them,
// height(result, view) in pixels and setup(view, body); base.py appends one line that mounts them.
const lm = (() => {
  const COLOURS = ["#0072b2", "#e69f00", "#009e73", "#d55e00", "#56b4e9", "#cc79a7"]; // Okabe and Ito
  const ROW = 28, BAR = 16, AXIS = 34, TOP = 4, GAP = 10;

  // ---- small parts: elements, numbers, arrays ---------------------------------------------------------------

  function element(tag, properties = {}, children = []) {
    const node = Object.assign(document.createElement(tag), properties);
    if (["INPUT", "SELECT", "BUTTON"].includes(node.tagName)) {
      node.setAttribute("data-lm-suppress-shortcuts", "true"); // or JupyterLab takes the arrow keys
    }
    node.append(...children);
    return node;
  }

  function digits(value) {
    if (value === 0) return "0";
    const size = Math.abs(value);
    return size >= 100 ? value.toFixed(0) : size >= 10 ? value.toFixed(1) : value.toPrecision(2);
  }

  function format(value, unit) { // seconds in the unit that reads best; any other unit as it is
    if (unit !== "s") return unit ? `${digits(value)} ${unit}` : digits(value);
    if (value === 0) return "0 s";
    if (value < 1e-3) return `${digits(value * 1e6)} µs`;
    return value < 1 ? `${digits(value * 1e3)} ms` : `${digits(value)} s`;
  }

  function formatTick(value, end, unit) { // all marks of an axis in one unit, without needless zeros
    const [scale, name] = unit !== "s" || end >= 1 ? [1, unit]
      : end >= 1e-3 ? [1e3, "ms"] : end >= 1e-6 ? [1e6, "µs"] : [1e9, "ns"];
    return `${Number((value * scale).toPrecision(6))} ${name}`.trim();
  }

  function ticks(end, count) { // about `count` round numbers from 0 to `end`
    const rough = end / count, power = 10 ** Math.floor(Math.log10(rough));
    const step = [1, 2, 5, 10].map((m) => m * power).find((s) => s >= rough * 0.999);
    return Array.from({ length: Math.floor(end / step * 1.000001) + 1 }, (_, i) => i * step);
  }

  const ARRAYS = { float32: Float32Array, float64: Float64Array, int32: Int32Array, uint8: Uint8Array };

  function unpack(value) { // arrays travel as {dtype, shape, bytes}
    if (Array.isArray(value)) return value.map(unpack);
    if (value === null || typeof value !== "object" || value instanceof DataView) return value;
    if (value.bytes instanceof DataView) {
      const copy = value.bytes.buffer.slice(value.bytes.byteOffset, value.bytes.byteOffset + value.bytes.byteLength);
      return Object.assign(new ARRAYS[value.dtype](copy), { shape: value.shape });
    }
    return Object.fromEntries(Object.entries(value).map(([key, item]) => [key, unpack(item)]));
  }

  function readTheme(node) { // colours as JupyterLab has them now; the fallbacks serve everywhere else
    const style = getComputedStyle(node);
    const get = (name, other) => style.getPropertyValue(name).trim() || other;
    return {
      text: get("--jp-ui-font-color1", style.color),
      dim: get("--jp-ui-font-color2", "#757575"),
      line: get("--jp-border-color2", "#bdbdbd"),
      font: get("--jp-ui-font-family", "system-ui, sans-serif"),
      colours: COLOURS,
    };
  }

  // ---- drawing ----------------------------------------------------------------------------------------------

  function text(g, view, string, x, y, { align = "left", colour = view.theme.text, size = 13, bold = false } = {}) {
    g.font = `${bold ? "600 " : ""}${size}px ${view.theme.font}`;
    g.fillStyle = colour;
    g.textAlign = align;
    g.textBaseline = "middle";
    g.fillText(string, x, y);
    return g.measureText(string).width;
  }

  function axis(g, view, { x, y, width, end, unit, top = TOP }) { // a time or number axis with faint grid lines
    const marks = ticks(end, Math.max(2, Math.min(6, Math.floor(width / 90))));
    marks.forEach((mark) => {
      const at = Math.round(x + width * mark / end) + 0.5;
      g.strokeStyle = view.theme.line;
      g.globalAlpha = 0.6;
      g.beginPath();
      g.moveTo(at, top);
      g.lineTo(at, y);
      g.stroke();
      g.globalAlpha = 1;
      text(g, view, formatTick(mark, end, unit), at, y + 14, { align: "center", colour: view.theme.dim, size: 12 });
    });
  }

  function rowsOf(result) { // bars with the same label share a row
    const rows = new Map();
    result.bars.forEach((bar) => rows.set(bar.label, [...(rows.get(bar.label) || []), bar]));
    return [...rows.values()];
  }

  function bars(g, result, view) { // horizontal bars: labels, bars up to the time view.t, notes, axis
    const rows = rowsOf(result), noteSize = 12;
    g.font = `600 13px ${view.theme.font}`;
    const indent = (bar) => 14 * bar.indent;
    const left = Math.min(view.width * 0.4, GAP + Math.max(...rows.map(([bar]) => g.measureText(bar.label).width + indent(bar))));
    g.font = `${noteSize}px ${view.theme.font}`;
    const right = GAP + Math.max(20, ...result.bars.map((bar) => g.measureText(bar.note).width));
    const width = Math.max(60, view.width - left - right), bottom = TOP + rows.length * ROW;
    axis(g, view, { x: left, y: bottom, width, end: result.end, unit: result.unit });
    rows.forEach((row, i) => {
      const middle = TOP + i * ROW + ROW / 2;
      text(g, view, row[0].label, indent(row[0]), middle, { bold: row[0].heading });
      let noteAt = left, note = "";
      row.filter((bar) => !bar.heading).forEach((bar) => {
        const done = Math.min(bar.length, Math.max(0, view.t - bar.start)); // Infinity unless a clock runs
        const x = left + width * bar.start / result.end, length = Math.max(done > 0 ? 1.5 : 0, width * done / result.end);
        g.fillStyle = COLOURS[bar.colour % COLOURS.length];
        g.globalAlpha = bar.faded ? 0.3 : 1;
        g.beginPath();
        g.roundRect(x, middle - BAR / 2, length, BAR, Math.min(3, length / 2));
        g.fill();
        g.globalAlpha = 1;
        if (done > 0 && (bar.note || !note)) {
          note = done < bar.length ? format(done, result.unit) : bar.note;
        }
        noteAt = Math.max(noteAt, x + length);
      });
      if (note) text(g, view, note, noteAt + 6, middle, { size: noteSize, colour: view.theme.dim });
    });
  }

  const barsHeight = (result) => TOP + rowsOf(result).length * ROW + AXIS;

  // ---- controls ---------------------------------------------------------------------------------------------

  const CONTROLS = {
    checkbox(control, view) {
      const input = element("input", { type: "checkbox" });
      input.onchange = () => view.set(control.name, input.checked);
      return [element("label", { className: "lm-check" }, [input, control.label]), (value) => (input.checked = value)];
    },
    slider(control, view) {
      const { low: min, high: max, step } = control;
      const input = element("input", { type: "range", min, max, step });
      const output = element("output");
      const show = (value) => {
        input.value = value;
        output.textContent = `${value}${control.unit ? ` ${control.unit}` : ""}`;
      };
      input.oninput = () => (show(Number(input.value)), view.set(control.name, Number(input.value)));
      return [element("label", {}, [control.label, input, output]), show];
    },
    choice(control, view) {
      const options = control.options.map((option) => element("option", { value: option, textContent: option }));
      const input = element("select", {}, options);
      input.onchange = () => view.set(control.name, input.value);
      return [element("label", {}, [control.label, input]), (value) => (input.value = value)];
    },
  };

  function button(label, onclick) {
    return element("button", { type: "button", textContent: label, onclick });
  }

  function player(view, options) { // play, step, restart and a time slider; moves view.t from 0 to result.duration
    let frame = 0, last = 0;
    const play = button("Play", () => (frame ? pause() : start()));
    const time = element("input", { type: "range", min: 0, max: 1, step: 0.001, ariaLabel: "time" });
    const clock = element("output");
    const speed = element("select", { ariaLabel: "speed" }, options.speeds.map((value) =>
      element("option", { value, textContent: value === 1 ? "real time" : `speed × ${value}`, selected: value === 1 })));
    const end = () => view.result.duration;

    function show(t) {
      view.t = Math.min(Math.max(t, 0), end());
      time.value = view.t / end();
      time.setAttribute("aria-valuetext", format(view.t, "s"));
      clock.textContent = `${format(view.t, "s")} of ${format(end(), "s")}`;
      view.redraw();
    }
    function pause() {
      cancelAnimationFrame(frame);
      frame = 0;
      play.textContent = "Play";
    }
    function tick(now) {
      show(view.t + (now - last) / 1000 * Number(speed.value));
      last = now;
      if (view.t < end()) frame = requestAnimationFrame(tick);
      else pause();
    }
    function start() {
      if (matchMedia("(prefers-reduced-motion: reduce)").matches) return show(end());
      if (view.t >= end()) show(0);
      play.textContent = "Pause";
      last = performance.now();
      frame = requestAnimationFrame(tick);
    }
    time.oninput = () => (pause(), show(Number(time.value) * end()));
    const step = button("Step", () => (pause(), show((view.t >= end() ? 0 : view.t) + end() / options.steps)));
    const restart = button("Restart", () => (pause(), show(0)));
    const children = options.speeds.length > 1 ? [play, step, restart, time, clock, speed] : [play, step, restart, time, clock];
    const node = element("div", { className: "lm-controls lm-player" }, children);
    const reset = () => (pause(), show(options.opens_at === "end" ? end() : 0));
    return { node, reset, pause };
  }

  // ---- one view of a widget ---------------------------------------------------------------------------------

  function mount({ model, el }, { draw = bars, height = barsHeight, setup }) {
    const canvas = element("canvas", { role: "img" });
    const controls = element("div", { className: "lm-controls" });
    const summary = element("p", { className: "lm-summary", ariaLive: "polite" });
    const body = element("div", { className: "lm-widget", role: "group", ariaLabel: model.get("_title") });
    let queued = 0;

    const view = {
      model, canvas, t: Infinity, width: 0, height: 0, theme: {}, result: {}, params: {},
      set(name, value) {
        model.set(name, value);
        model.save_changes();
      },
      redraw() { // at most once a frame
        queued ||= requestAnimationFrame(paint);
      },
    };

    function paint() {
      queued = 0;
      view.width = Math.floor(body.clientWidth);
      if (!view.width || !view.theme.text) return;
      view.height = Math.ceil(height(view.result, view));
      const ratio = window.devicePixelRatio || 1;
      const size = [Math.round(view.width * ratio), Math.round(view.height * ratio)];
      if (canvas.width !== size[0] || canvas.height !== size[1]) [canvas.width, canvas.height] = size;
      Object.assign(canvas.style, { width: `${view.width}px`, height: `${view.height}px` });
      const g = canvas.getContext("2d");
      g.setTransform(ratio, 0, 0, ratio, 0, 0);
      g.clearRect(0, 0, view.width, view.height);
      draw(g, view.result, view);
      body.dataset.drawn = view.result.number;
    }

    const setters = model.get("_controls").map((control) => {
      const [node, show] = CONTROLS[control.kind](control, view);
      controls.append(node);
      const update = () => show((view.params[control.name] = model.get(control.name)));
      model.on(`change:${control.name}`, update);
      update();
      return [`change:${control.name}`, update];
    });

    const options = model.get("_player");
    const clock = options && player(view, options);
    body.append(...(setters.length ? [controls] : []), canvas, ...(clock ? [clock.node] : []), summary);
    el.append(body);

    function update() {
      view.result = unpack(model.get("_result"));
      const error = model.get("_error");
      summary.textContent = error || view.result.summary || "";
      summary.classList.toggle("lm-error", Boolean(error));
      canvas.setAttribute("aria-label", view.result.summary || model.get("_title"));
      clock?.reset();
      view.redraw();
    }
    function retheme() {
      view.theme = readTheme(body);
      view.redraw();
    }
    setup?.(view, body);
    model.on("change:_result", update);
    model.on("change:_error", update);
    const resized = new ResizeObserver(view.redraw);
    resized.observe(body);
    const themed = new MutationObserver(() => requestAnimationFrame(retheme));
    themed.observe(document.body, { attributes: true, attributeFilter: ["data-jp-theme-name", "data-jp-theme-light", "class"] });
    const scheme = matchMedia("(prefers-color-scheme: dark)");
    scheme.addEventListener("change", retheme);
    window.addEventListener("resize", view.redraw); // also fires when the window moves to a screen of another density
    requestAnimationFrame(retheme);
    update();

    return () => {
      clock?.pause();
      cancelAnimationFrame(queued);
      resized.disconnect();
      themed.disconnect();
      scheme.removeEventListener("change", retheme);
      window.removeEventListener("resize", view.redraw);
      setters.forEach(([event, handler]) => model.off(event, handler));
      model.off("change:_result", update);
      model.off("change:_error", update);
    };
  }

  return { axis, bars, barsHeight, button, COLOURS, element, format, formatTick, mount, text, ticks };
})();
