"use strict";
// Without this script a page is complete; it adds sorting and one button for all code.
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
const all = document.getElementById("all-code");
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
