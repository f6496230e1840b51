"use strict";
// The class page: a click on a heading sorts the table by it, the box filters its rows.
const table = document.querySelector("table.class");
const rows = [...table.tBodies[0].rows];
const headings = [...table.tHead.rows[0].cells];
const [tools, box, state] = ["tools", "filter", "state"].map((id) => document.getElementById(id));

const keyOf = (row, column) => row.cells[column].dataset.key;

function compare(a, b, numeric) {
  return numeric ? a - b : a.localeCompare(b, undefined, { numeric: true, sensitivity: "base" });
}

function sortBy(heading) {
  const column = headings.indexOf(heading);
  const numeric = heading.classList.contains("number");
  const before = heading.getAttribute("aria-sort");
  // A name is looked for from A on, points from the highest on.
  const down = before === "none" ? numeric : before === "ascending";
  for (const other of headings) if (other.hasAttribute("aria-sort")) other.setAttribute("aria-sort", "none");
  heading.setAttribute("aria-sort", down ? "descending" : "ascending");
  rows.sort((one, two) => {
    const [a, b] = [keyOf(one, column), keyOf(two, column)];
    if (!a || !b) return (a ? 0 : 1) - (b ? 0 : 1); // what has no points stays below
    return compare(a, b, numeric) * (down ? -1 : 1);
  });
  table.tBodies[0].append(...rows);
}

function filter() {
  const words = box.value.toLowerCase().split(/\s+/);
  for (const row of rows) {
    const text = row.textContent.toLowerCase();
    row.hidden = !words.every((word) => text.includes(word));
  }
  const shown = rows.filter((row) => !row.hidden).length;
  state.textContent = shown === rows.length ? `all ${rows.length}` : `${shown} of ${rows.length}`;
}

table.tHead.addEventListener("click", (event) => {
  const button = event.target.closest("button");
  if (button) sortBy(button.closest("th"));
});
box.addEventListener("input", filter);
tools.hidden = false;
filter();
