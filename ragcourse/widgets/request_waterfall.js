// The stages of one request. Linear: a waterfall, when each stage runs, before in grey behind now in colour.
// Logarithmic: how long each stage takes, a grey dot before and a coloured one now; bars would have no zero.
const ROW_HEIGHT = 25, AXIS_HEIGHT = 52, NOTE_WIDTH = 110, BEFORE = "#9e9e9e", NOW = "#0072b2", WORST = "#d55e00";

function height(result) {
  return result.rows.length * ROW_HEIGHT + AXIS_HEIGHT;
}

function draw(g, result, view) {
  const log = result.axis === "logarithmic";
  const bottom = result.rows.length * ROW_HEIGHT + 4;
  g.font = `600 13px ${view.theme.font}`;
  const left = 12 + Math.max(...result.rows.map((row) => g.measureText(row.stage).width));
  const width = Math.max(80, view.width - left - NOTE_WIDTH - 14);
  const [low, high] = result.decades;
  const at = log
    ? (seconds) => left + width * (Math.log10(seconds) - low) / (high - low)
    : (seconds) => left + width * seconds / result.end;

  if (log) decades(g, view, { low, high, at, bottom, every: Math.ceil((high - low) * 62 / width) });
  else lm.axis(g, view, { x: left, y: bottom, width, end: result.end, unit: "s" });
  const label = log ? "time that the stage takes" : "time since the request came";
  lm.text(g, view, label, left + width / 2, bottom + 36, { align: "center", size: 12, colour: view.theme.dim });

  result.rows.forEach((row, i) => {
    const y = 4 + (i + 0.5) * ROW_HEIGHT, colour = row.worst ? WORST : NOW, gone = row.after === null;
    lm.text(g, view, row.stage, 0, y, { bold: i === 0 || row.worst, colour: gone ? view.theme.dim : view.theme.text });
    lm.text(g, view, gone ? "–" : row.note, view.width - 2, y, {
      align: "right", size: 12, bold: row.worst, colour: gone ? view.theme.dim : view.theme.text,
    });
    g.save();
    g.beginPath();
    g.rect(left - 7, y - ROW_HEIGHT / 2, width + 14, ROW_HEIGHT);
    g.clip(); // a zoomed axis ends before the grey bars do
    (log ? dots : bars)(g, row, y, at, colour);
    g.restore();
  });
}

function bars(g, row, y, at, colour) {
  const bar = (began, seconds, thickness, fill, alpha) => {
    if (seconds === null) return;
    const x = at(began);
    g.fillStyle = fill;
    g.globalAlpha = alpha;
    g.fillRect(x, y - thickness / 2, Math.max(1.5, at(began + seconds) - x), thickness);
    g.globalAlpha = 1;
  };
  bar(row.began_before, row.before, 18, BEFORE, 0.45);
  bar(row.began, row.after, 10, colour, 1);
}

function dots(g, row, y, at, colour) {
  if (row.before !== null && row.after !== null) {
    g.strokeStyle = BEFORE;
    g.globalAlpha = 0.6;
    g.lineWidth = 2;
    g.beginPath();
    g.moveTo(at(row.before), y);
    g.lineTo(at(row.after), y);
    g.stroke();
    g.lineWidth = 1;
  }
  [[row.before, BEFORE, 6.5, 0.6], [row.after, colour, 4.5, 1]].forEach(([seconds, fill, radius, alpha]) => {
    if (seconds === null) return;
    g.fillStyle = fill;
    g.globalAlpha = alpha;
    g.beginPath();
    g.arc(at(seconds), y, radius, 0, 2 * Math.PI);
    g.fill();
  });
  g.globalAlpha = 1;
}

function decades(g, view, { low, high, at, bottom, every }) {
  for (let power = low; power <= high; power += 1) {
    const x = Math.round(at(10 ** power)) + 0.5;
    g.strokeStyle = view.theme.line;
    g.globalAlpha = 0.6;
    g.beginPath();
    g.moveTo(x, 4);
    g.lineTo(x, bottom);
    g.stroke();
    g.globalAlpha = 1;
    if ((power - low) % every) continue;
    const [unit, shift] = power < -6 ? ["ns", 9] : power < -3 ? ["µs", 6] : power < 0 ? ["ms", 3] : ["s", 0];
    lm.text(g, view, `${10 ** (power + shift)} ${unit}`, x, bottom + 14, { align: "center", size: 12, colour: view.theme.dim });
  }
}
