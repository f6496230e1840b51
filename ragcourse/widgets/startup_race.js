// Four lanes on one clock: each store's stages grow with view.t, its answer is marked when it comes.
const LANE = 40, THICK = 24, AXIS_SPACE = 52, LEGEND_LINE = 20;

function height(result, view) {
  return result.rows.length * LANE + AXIS_SPACE + legendPlaces(result, view).lines * LEGEND_LINE;
}

function draw(g, result, view) {
  g.font = `600 13px ${view.theme.font}`;
  const left = 12 + Math.max(...result.rows.map((row) => g.measureText(row.name).width));
  const width = Math.max(80, view.width - left - 118), bottom = 4 + result.rows.length * LANE;
  const at = (seconds) => left + width * seconds / result.end;
  lm.axis(g, view, { x: left, y: bottom, width, end: result.end, unit: "s" });
  const label = result.measured ? "time since the start" : "time since the start, interpolated between measured sizes";
  lm.text(g, view, label, left + width / 2, bottom + 36, { align: "center", size: 12, colour: view.theme.dim });

  result.rows.forEach((row, i) => {
    const y = 4 + (i + 0.5) * LANE, done = view.t >= row.answer_s - 1e-9;
    lm.text(g, view, row.name, 0, y, { bold: true });
    if (row.cold_s !== null) outline(g, view, at(0), y, at(row.cold_s) - at(0), []);
    row.stages.forEach((stage) => {
      const seconds = Math.min(stage.length, view.t - stage.start);
      if (seconds > 0) segment(g, view, stage, at(stage.start), y, width * seconds / result.end);
    });
    if (!result.measured) outline(g, view, at(0), y, at(Math.min(view.t, row.answer_s)) - at(0), [4, 3]);
    if (done) flag(g, view, row, at(row.answer_s), y, at(Math.max(row.answer_s, row.cold_s ?? 0)));
  });
  clockHand(g, view, result, at, bottom);
  legend(g, view, result, bottom + AXIS_SPACE);
}

function legendPlaces(result, view) { // left to right, in as many lines as the width asks for
  const places = [];
  let x = 0, line = 0;
  for (const stage of result.legend) {
    const width = 34 + 7 * stage.name.length;
    if (x > 0 && x + width > view.width) [x, line] = [0, line + 1];
    places.push({ stage, x, line });
    x += width;
  }
  return { places, lines: line + 1 };
}

function legend(g, view, result, top) {
  legendPlaces(result, view).places.forEach(({ stage, x, line }) => {
    const y = top + (line + 0.5) * LEGEND_LINE - 3;
    g.fillStyle = stage.colour;
    g.fillRect(x, y - 6, 12, 12);
    g.strokeStyle = view.theme.line; // black and grey on a dark page
    g.strokeRect(x, y - 6, 12, 12);
    lm.text(g, view, stage.name, x + 18, y, { size: 12 });
  });
}

function segment(g, view, stage, x, y, width) {
  g.fillStyle = stage.colour;
  g.fillRect(x, y - THICK / 2, Math.max(1.5, width), THICK);
  g.font = `12px ${view.theme.font}`;
  if (g.measureText(stage.name).width + 10 < width) {
    lm.text(g, view, stage.name, x + width / 2, y, { align: "center", size: 12, colour: stage.ink });
  }
}

function outline(g, view, x, y, width, dashes) { // a cold start behind a warm one; dashed: interpolated
  g.save();
  g.setLineDash(dashes);
  g.strokeStyle = dashes.length ? view.theme.text : view.theme.dim;
  g.globalAlpha = dashes.length ? 0.9 : 0.55;
  g.strokeRect(x, y - THICK / 2, width, THICK);
  g.restore();
}

function flag(g, view, row, x, y, tip) { // the first answer
  g.fillStyle = row.colour;
  g.fillRect(x - 1, y - LANE / 2 + 3, 2, LANE - 6);
  g.beginPath();
  g.moveTo(x + 1, y - LANE / 2 + 3);
  g.lineTo(x + 9, y - LANE / 2 + 7);
  g.lineTo(x + 1, y - LANE / 2 + 11);
  g.fill();
  lm.text(g, view, row.note, tip + 12, y, { size: 12, bold: row.place === 1 });
}

function clockHand(g, view, result, at, bottom) {
  if (view.t <= 0 || view.t >= result.duration) return;
  g.strokeStyle = view.theme.text;
  g.beginPath();
  g.moveTo(at(view.t), 4);
  g.lineTo(at(view.t), bottom);
  g.stroke();
}
