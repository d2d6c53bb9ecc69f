"use strict";

// Tables that can be sorted: each head becomes a button. A click sorts, a second one reverses the order, a third undoes
// it. Rows that belong together (Dice and Surface Dice of one version) stay together and are sorted by their first row.
function groupRows(body) {
  const groups = [];
  for (const row of body.rows) {
    if (row.classList.contains("second")) groups[groups.length - 1].push(row);
    else groups.push([row]);
  }
  return groups;
}

// A cell's number, or its text; null for a dash or nothing. data-value has the exact number, where a cell has one.
function sortKey(cell, isNumeric) {
  if (cell.dataset.value !== undefined) return Number(cell.dataset.value);
  const text = cell.textContent.trim();
  if (text === "" || text === "–" || text === "—") return null;
  return isNumeric ? parseFloat(text.replace("−", "-")) : text;
}

function holdsNumbers(rows, column) {
  const texts = rows.map(([row]) => sortKey(row.cells[column], false)).filter((value) => value !== null);
  return texts.length > 0 && texts.every((text) => typeof text === "number" || /^[+−-]?\d/.test(text));
}

function compare(a, b) {
  return typeof a === "number" ? a - b : a.localeCompare(b, "en", { numeric: true });
}

// Rows without a number come last in both orders.
function sortRows(rows, column, isNumeric, direction) {
  const keyed = rows.map((group) => [sortKey(group[0].cells[column], isNumeric), group]);
  const withKey = keyed.filter(([value]) => value !== null);
  withKey.sort(([a], [b]) => direction * compare(a, b));
  return [...withKey, ...keyed.filter(([value]) => value === null)].map(([, group]) => group);
}

for (const table of document.querySelectorAll("table.sortable, table.listing")) {
  const body = table.tBodies[0];
  const original = groupRows(body);
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    if (head.classList.contains("fixed")) return;
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    button.addEventListener("click", () => {
      const numbers = holdsNumbers(original, column);
      const orders = numbers ? ["descending", "ascending", null] : ["ascending", "descending", null];
      const next = orders[(orders.indexOf(head.getAttribute("aria-sort")) + 1) % 3];
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      if (next) head.setAttribute("aria-sort", next);
      const rows = next ? sortRows(original, column, numbers, next === "ascending" ? 1 : -1) : original;
      body.append(...rows.flat());
    });
  });
}

// Served by `coordinator report --serve`, the page links to the viewer; as a file it has none.
if (location.protocol !== "file:") {
  for (const head of document.querySelectorAll("table.cases [data-case]")) {
    const link = document.createElement("a");
    const dataset = head.closest("table").dataset.dataset;
    link.href = `viewer/#${encodeURIComponent(dataset)}/${encodeURIComponent(head.dataset.case)}`;
    link.append(...head.childNodes);
    head.append(link);
  }
  const note = document.querySelector("p.viewer");
  const link = document.createElement("a");
  link.href = "viewer/";
  link.textContent = "Open the viewer";
  note.replaceChildren(link, ": all cases as volumes.");
}

addEventListener("beforeprint", () => document.querySelectorAll("details").forEach((part) => { part.open = true; }));
