"use strict";
// Without this script a page is complete; it adds sorting, one button for all code, CSV, and the figures' values.
const part = (id) => document.getElementById(id);
// A cell's text; an interval in it stays in one piece, in smaller type.
const fill = (cell, text) => {
  const [value, bounds] = text.split(/ (?=\[[^[\]]*\]$)/);
  cell.textContent = bounds ? `${value} ` : text;
  if (bounds) cell.append(Object.assign(document.createElement("span"), { className: "ci", textContent: bounds }));
};
for (const table of document.querySelectorAll("table.sortable")) {
  const heads = [...table.tHead.rows[0].cells];
  const value = (row, column) => {
    const cell = row.cells[column];
    return "value" in cell.dataset ? (cell.dataset.value === "" ? null : Number(cell.dataset.value)) : cell.textContent.trim();
  };
  const sort = (column) => {
    const rows = [...table.tBodies[0].rows];
    const before = heads[column].getAttribute("aria-sort");
    const numeric = typeof value(rows[0], column) !== "string";
    const ascending = before ? before === "descending" : !numeric; // the largest figure first, and A before Z
    rows.sort((one, other) => {
      const a = value(one, column), b = value(other, column);
      if (a === null || b === null) return (a === null) - (b === null); // what is not known stays last
      const order = numeric ? a - b : a.localeCompare(b);
      return ascending ? order : -order;
    });
    table.tBodies[0].append(...rows);
    heads.forEach((head) => head.removeAttribute("aria-sort"));
    heads[column].setAttribute("aria-sort", ascending ? "ascending" : "descending");
  };
  heads.forEach((head, column) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    button.addEventListener("click", () => sort(column));
    head.append(button);
  });
}
const all = part("all-code");
const folds = [...document.querySelectorAll("details.code")];
if (all && folds.length) {
  const show = () => { all.textContent = folds.every((fold) => fold.open) ? "Hide all code" : "Show all code"; };
  all.addEventListener("click", () => {
    const open = !folds.every((fold) => fold.open);
    folds.forEach((fold) => { fold.open = open; });
    show();
  });
  folds.forEach((fold) => fold.addEventListener("toggle", show));
  all.hidden = false;
}
// Every table and figure as CSV, from what is in the page.
const save = (name, rows) => {
  // Text that a spreadsheet would take for a formula gets an apostrophe; numbers with a sign stay numbers.
  const safe = (value) => (typeof value === "string" && /^[=+\-@\t]/.test(value) && Number.isNaN(Number(value)) ? `'${value}` : String(value ?? ""));
  const cell = (value) => (/[",\n]/.test(value) ? `"${value.replaceAll('"', '""')}"` : value);
  const text = rows.map((row) => row.map((value) => cell(safe(value))).join(",")).join("\r\n");
  const link = document.createElement("a");
  link.href = `data:text/csv;charset=utf-8,\ufeff${encodeURIComponent(text)}`;
  link.download = `${name}.csv`;
  link.click();
};
const csvButton = (what, name, rows) => {
  const button = document.createElement("button");
  button.type = "button";
  button.className = "csv";
  button.textContent = "CSV";
  button.setAttribute("aria-label", `${what} as CSV`);
  button.addEventListener("click", () => save(name, rows()));
  return button;
};
const figureOf = (text) => {
  const number = text.replace(/^\u2212/, "-").replace(/(?<=\d),(?=\d{3})/g, "").replace(/\u00a0%$/, "%");
  return number === "\u2013" ? "" : /^-?[\d.]+%?$/.test(number) ? number : text;
};
// A cell "value [low, high]" becomes three; a head that spans columns stands above each of them.
const cellsOf = (table) => {
  const grid = [...table.rows].map((row) => [...row.cells].flatMap((each) => Array(each.colSpan).fill(each.textContent.trim().replace(/\s+/g, " "))));
  const bounds = / \[(.+), (.+)\]$/;
  const split = grid.reduce((found, row) => row.reduce((set, text, place) => (bounds.test(text) ? set.add(place) : set), found), new Set());
  const heads = table.tHead?.rows.length ?? 0;
  return grid.map((row, line) => row.flatMap((text, place) => {
    if (!split.has(place)) return [figureOf(text)];
    if (line < heads) return [text, `${text}, low`, `${text}, high`];
    const [, low, high] = text.match(bounds) ?? [null, "", ""];
    return [text.replace(bounds, ""), low, high].map(figureOf);
  }));
};
document.querySelectorAll("table").forEach((table, place) => {
  const box = table.closest(".wide, .jp-RenderedHTML") ?? table;
  const what = box.getAttribute("aria-label") ?? part(box.getAttribute("aria-labelledby"))?.textContent ?? `Table ${place + 1}`;
  const name = what.replace(/^Table: /, "").toLowerCase().replace(/[^a-z0-9]+/g, "-").replace(/^-|-$/g, "").slice(0, 60);
  const line = Object.assign(document.createElement("p"), { className: "tools no-print" });
  line.append(csvButton(`${what}, table ${place + 1}`, name, () => cellsOf(table)));
  box.after(line);
});
// The numbers of a figure, where its marks are pointed at or stepped through with the arrow keys.
document.querySelectorAll("figure[data-name]").forEach((figure) => {
  const source = figure.querySelector("script");
  if (!source) return;
  const { columns, rows, starts, wide, narrow } = JSON.parse(source.textContent);
  const box = figure.querySelector(".figure"), image = figure.querySelector("img"), phone = figure.querySelector("source");
  const mark = Object.assign(document.createElement("span"), { className: "mark", hidden: true });
  const tip = Object.assign(document.createElement("output"), { className: "tip", hidden: true });
  tip.setAttribute("aria-live", "polite");
  box.append(mark, tip);
  box.tabIndex = 0;
  box.setAttribute("role", "application");
  box.setAttribute("aria-label", `Figure ${figure.dataset.name.replaceAll("_", " ")}: arrow keys read its values`);
  const places = () => ((phone && matchMedia(phone.media).matches ? narrow : wide).map(([x, y]) => [x / 1e4 * image.clientWidth, y / 1e4 * image.clientHeight]));
  let now = null;
  const show = (row) => {
    now = row;
    mark.hidden = tip.hidden = row === null;
    if (row === null) return;
    const [x, y] = places()[row];
    const lines = columns.flatMap((column, place) => {
      const value = rows[row][place];
      return value === null ? [] : [`${column.replaceAll("_", " ")} ${value}`];
    });
    tip.textContent = lines.join("\n");
    mark.style.translate = `${x}px ${y}px`;
    const left = x > image.clientWidth / 2, above = y > image.clientHeight / 2;
    tip.style.inset = `${above ? "auto" : `${y + 10}px`} ${left ? `${image.clientWidth - x + 10}px` : "auto"} ${above ? `${image.clientHeight - y + 10}px` : "auto"} ${left ? "auto" : `${x + 10}px`}`;
  };
  const point = (event) => {
    const { left, top } = image.getBoundingClientRect();
    const far = places().map(([x, y]) => Math.hypot(x - event.clientX + left, y - event.clientY + top));
    const nearest = far.indexOf(Math.min(...far));
    show(far[nearest] < 40 ? nearest : null);
  };
  box.addEventListener("pointermove", point);
  box.addEventListener("pointerdown", point);
  box.addEventListener("pointerleave", () => show(null));
  box.addEventListener("blur", () => show(null));
  box.addEventListener("keydown", (event) => {
    const series = starts.findLastIndex((start) => start <= (now ?? 0));
    const to = { ArrowRight: (now ?? -1) + 1, ArrowLeft: (now ?? 1) - 1, Home: 0, End: rows.length - 1,
      ArrowDown: starts[series + 1] ?? 0, ArrowUp: starts[series - 1] ?? 0 }[event.key];
    if (event.key === "Escape") show(null);
    if (to === undefined) return;
    event.preventDefault();
    show(Math.min(Math.max(to, 0), rows.length - 1));
  });
  figure.querySelector("figcaption").append(" ", csvButton(`Figure ${figure.dataset.name.replaceAll("_", " ")}`, figure.dataset.name, () => [columns, ...rows]));
});
