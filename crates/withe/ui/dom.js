// Elements, made and changed without a framework. Text is always text: nothing that a component or a host says is read as HTML.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, properties, children) {
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "dataset") Object.assign(element.dataset, value);
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An element with attributes, listeners (`onclick`) and children. */
export function el(tag, properties, ...children) {
  return fill(document.createElement(tag), properties, children);
}

/** The same of SVG. */
export function svg(tag, properties, ...children) {
  return fill(document.createElementNS(SVG, tag), properties, children);
}

/** Sets an element's text if it is another one. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/**
 * A table whose rows are kept from one update to the next, so that focus and selection stay where they are.
 * Columns: `{name, of: row => text or node, by: row => sort key, number, narrow, why}`.
 */
export class Table {
  constructor({ caption, columns, key, pick, sort, none }) {
    Object.assign(this, { columns, key, pick, none });
    this.sort = sort;
    this.rows = new Map();
    this.body = el("tbody");
    this.heads = columns.map((column, at) =>
      el("th", { scope: "col", class: classes(column) },
        column.by ? el("button", { type: "button", onclick: () => this.sortBy(at) }, column.name) : column.name));
    this.empty = el("p", { class: "none" }, none ?? "Nothing yet.");
    this.table = el("table", {}, el("caption", {}, caption), el("thead", {}, el("tr", {}, this.heads)), this.body);
    this.root = el("div", { class: "scroll" }, this.table, this.empty);
  }

  sortBy(at) {
    const [was, up] = this.sort;
    this.sort = [at, was === at ? !up : !this.columns[at].number];
    this.show(this.all, this.picked);
  }

  show(all, picked) {
    this.all = all;
    this.picked = picked;
    const [at, up] = this.sort;
    const by = this.columns[at].by;
    const sorted = by ? [...all].sort((a, b) => compare(by(a), by(b)) * (up ? 1 : -1)) : all;
    this.heads.forEach((head, i) => {
      if (i === at && by) head.setAttribute("aria-sort", up ? "ascending" : "descending");
      else head.removeAttribute("aria-sort");
    });
    const keep = new Set();
    let before = null;
    for (const row of sorted) {
      const key = this.key(row);
      keep.add(key);
      let known = this.rows.get(key);
      if (!known) {
        known = { cells: this.columns.map((column) => el("td", { class: classes(column) })) };
        known.element = el("tr", {}, known.cells);
        if (this.pick) {
          known.element.classList.add("pick");
          known.element.tabIndex = 0;
          known.element.addEventListener("click", (event) => {
            if (!event.target.closest("a, button")) this.pick(known.row);
          });
          known.element.addEventListener("keydown", (event) => {
            if (event.key === "Enter" && event.target === known.element) this.pick(known.row);
          });
        }
        this.rows.set(key, known);
      }
      known.row = row;
      known.element.classList.toggle("picked", picked !== undefined && key === picked);
      this.columns.forEach((column, i) => {
        const value = column.of(row);
        const cell = known.cells[i];
        if (value instanceof Node || Array.isArray(value)) {
          // Rebuilt only if it says something else.
          const now = el("td", {}, value);
          if (now.textContent !== cell.textContent || now.childElementCount !== cell.childElementCount) {
            cell.replaceChildren(...now.childNodes);
          }
        } else say(cell, value ?? "");
      });
      const next = before ? before.nextSibling : this.body.firstChild;
      if (next !== known.element) this.body.insertBefore(known.element, next);
      before = known.element;
    }
    for (const [key, known] of this.rows) {
      if (!keep.has(key)) {
        known.element.remove();
        this.rows.delete(key);
      }
    }
    this.table.hidden = all.length === 0;
    this.empty.hidden = all.length > 0;
  }
}

function classes({ number, narrow, why }) {
  return [number && "number", narrow === false && "narrow-off", why && "why"].filter(Boolean).join(" ") || undefined;
}

function compare(a, b) {
  if (typeof a === "number" && typeof b === "number") return a - b;
  return String(a).localeCompare(String(b), undefined, { numeric: true });
}
