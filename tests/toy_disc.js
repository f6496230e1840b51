function height() {
  return 220;
}

function draw(g, result, view) {
  const { points } = result;
  g.fillStyle = view.theme.colours[2];
  g.beginPath();
  for (let i = 0; i < points.shape[0]; i += 1) {
    g.lineTo(view.width / 2 + points[2 * i], 110 + points[2 * i + 1]);
  }
  g.fill();
  lm.text(g, view, result.summary, view.width / 2, 110, { align: "center" });
}
