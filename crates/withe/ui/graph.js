// The live graph: parts as boxes, links as lines between them. It is laid out when parts or links come or go, and only its texts
// and colours change when the rates do.

import { el, say, svg } from "./dom.js";
import { duration, rate, share, short } from "./format.js";
import { layout, path } from "./layout.js";

const FEW = 60;
const SIZES = {
  roomy: { boxWidth: 184, boxHeight: 48, columnGap: 146, rowGap: 26 },
  dense: { boxWidth: 150, boxHeight: 26, columnGap: 90, rowGap: 8 },
};
const BETWEEN = 44;
const MARGIN = 28;
// Below these nobody reads the names.
const LEAST_SCALE = 0.45;
const LEAST_NARROW = 0.75;

export class GraphView {
  constructor({ pick }) {
    this.pick = pick;
    this.nodes = new Map();
    this.edges = new Map();
    this.world = svg("g", {});
    this.svg = svg("svg", { role: "group", "aria-label": "Parts and links" }, this.world);
    this.none = el("p", { class: "none" }, "No part runs.");
    this.none.style.padding = "24px";
    const zoom = (factor) => () => this.zoom(factor);
    this.root = el("div", { class: "canvas" }, this.svg, this.none,
      el("div", { class: "zoom" },
        el("button", { type: "button", "aria-label": "Larger", onclick: zoom(1.3) }, "+"),
        el("button", { type: "button", "aria-label": "Smaller", onclick: zoom(1 / 1.3) }, "−"),
        el("button", { type: "button", onclick: () => this.fit() }, "Fit")),
      el("p", { class: "legend" }, "calls in a second · median · what fails · dotted: fused, not counted"));
    this.box = { x: 0, y: 0, scale: 1 };
    this.listen();
  }

  listen() {
    let moving = null;
    this.svg.addEventListener("pointerdown", (event) => {
      if (event.target.closest(".node, .edge")) return;
      moving = { x: event.clientX, y: event.clientY };
      this.svg.setPointerCapture(event.pointerId);
      this.svg.classList.add("moving");
    });
    this.svg.addEventListener("pointermove", (event) => {
      if (!moving) return;
      this.box.x -= (event.clientX - moving.x) / this.box.scale;
      this.box.y -= (event.clientY - moving.y) / this.box.scale;
      moving = { x: event.clientX, y: event.clientY };
      this.place();
    });
    const end = () => {
      moving = null;
      this.svg.classList.remove("moving");
    };
    this.svg.addEventListener("pointerup", end);
    this.svg.addEventListener("pointercancel", end);
    this.svg.addEventListener("wheel", (event) => {
      event.preventDefault();
      if (event.ctrlKey || event.metaKey) {
        const bounds = this.svg.getBoundingClientRect();
        this.zoom(Math.exp(-event.deltaY / 300), event.clientX - bounds.left, event.clientY - bounds.top);
      } else {
        this.box.x += event.deltaX / this.box.scale;
        this.box.y += event.deltaY / this.box.scale;
        this.place();
      }
    }, { passive: false });
    new ResizeObserver(() => (this.fitted ? this.fit() : this.place())).observe(this.svg);
  }

  zoom(factor, x = this.svg.clientWidth / 2, y = this.svg.clientHeight / 2) {
    const scale = Math.min(3, Math.max(0.1, this.box.scale * factor));
    this.box.x += x / this.box.scale - x / scale;
    this.box.y += y / this.box.scale - y / scale;
    this.box.scale = scale;
    this.fitted = false;
    this.place();
  }

  /** Shows all, or as much as can be read. */
  fit() {
    const { clientWidth: width, clientHeight: height } = this.svg;
    if (!width || !this.size) return;
    const whole = { width: this.size.width + 2 * MARGIN, height: this.size.height + 2 * MARGIN };
    const scale = Math.max(width < 600 ? LEAST_NARROW : LEAST_SCALE, Math.min(1.25, width / whole.width, height / whole.height));
    const beside = (room, need) => (room > need ? (need - room) / 2 : 0);
    this.box = {
      scale,
      x: beside(width / scale, whole.width) - MARGIN,
      y: beside(height / scale, whole.height) - MARGIN,
    };
    this.fitted = true;
    this.place();
  }

  place() {
    const { x, y, scale } = this.box;
    this.world.setAttribute("transform", `scale(${scale}) translate(${-x} ${-y})`);
  }

  /** Shows `parts` and `links`; `rates` are by key, `problems` the applications that have some. */
  show({ parts, links, linkRates, partRates, picked }) {
    const shape = JSON.stringify([parts.map((p) => [p.key, p.kind]), links.map((l) => [l.key, l.bindings])]);
    if (shape !== this.shape) {
      this.shape = shape;
      this.draw(parts, links);
    }
    this.none.hidden = parts.length > 0;
    // What a part that was picked is linked to stands out.
    const near = new Set([picked]);
    for (const { link } of this.edges.values()) {
      const ends = [`p:${link.application}/${link.source}`, `p:${link.application}/${link.target}`];
      if (picked === link.key || ends.includes(picked)) [link.key, ...ends].forEach((key) => near.add(key));
    }
    const fades = (key) => Boolean(picked) && parts.length > 8 && near.size > 1 && !near.has(key);
    for (const [key, node] of this.nodes) {
      const figures = partRates.get(key);
      node.element.classList.toggle("picked", picked === key);
      node.element.classList.toggle("faint", fades(key));
      if (node.below) {
        const texts = [node.part.kind];
        if (figures?.requests.calls) texts.push(rate(figures.requests.rate));
        if (figures?.instances) texts.push(`${figures.instances} inst.`);
        if (node.part.hosts.length > 1) texts.push(`${node.part.hosts.length} hosts`);
        say(node.below, short(texts.join(" · "), 30));
      }
    }
    for (const [key, edge] of this.edges) {
      const figures = linkRates.get(key);
      const failing = figures?.error_rate > 0;
      edge.element.classList.toggle("picked", picked === key);
      edge.element.classList.toggle("faint", fades(key));
      edge.element.classList.toggle("near", Boolean(picked) && near.has(key));
      edge.element.classList.toggle("busy", figures?.rate > 0);
      edge.element.classList.toggle("failing", failing);
      const width = figures?.rate > 0 ? Math.min(5, 1.6 + Math.log10(1 + figures.rate)) : 1.4;
      edge.line.style.strokeWidth = picked === key ? "" : String(width);
      const texts = [];
      if (figures?.calls) texts.push(rate(figures.rate));
      if (figures?.p50 && figures.rate > 0) texts.push(duration(figures.p50));
      const fails = failing ? `${share(figures.error_rate, figures.rate)} fail` : "";
      if (edge.text) edge.text.say(texts.join(" · ") || edge.link.bindings, fails);
      texts.push(fails);
      edge.element.setAttribute("aria-label", `link from ${edge.link.source} to ${edge.link.target}, ${edge.link.bindings}, ${texts.join(", ")}`);
    }
  }

  draw(parts, links) {
    const dense = parts.length > FEW;
    const most = dense ? Math.max(14, Math.ceil(Math.sqrt(parts.length) * 1.5)) : Infinity;
    const sizes = { ...(dense ? SIZES.dense : SIZES.roomy), most };
    this.svg.classList.toggle("dense", dense);
    this.nodes.clear();
    this.edges.clear();
    const lines = svg("g", {});
    const boxes = svg("g", {});
    const names = [...new Set(parts.map((part) => part.application))].sort();
    let top = 0;
    let widest = 0;
    for (const application of names) {
      const own = parts.filter((part) => part.application === application);
      const between = links.filter((link) => link.application === application);
      const laid = layout(own.map((part) => part.name), between, sizes);
      if (names.length > 1) {
        boxes.append(svg("text", { class: "cluster", x: 0, y: top + 12 }, application));
        top += 26;
      }
      between.forEach((link, i) => this.drawEdge(lines, link, laid.ways[i], top, dense));
      for (const part of own) this.drawNode(boxes, part, laid.at.get(part.name), top, sizes, dense);
      top += laid.height + BETWEEN;
      widest = Math.max(widest, laid.width);
    }
    this.world.replaceChildren(lines, boxes);
    this.size = { width: widest, height: Math.max(0, top - BETWEEN) };
    this.fit();
  }

  drawNode(into, part, { x, y }, top, { boxWidth, boxHeight }, dense) {
    const name = svg("text", { class: "name", x: 12, y: dense ? 17 : 20 }, short(part.name, dense ? 19 : 22));
    const below = dense ? null : svg("text", { class: "below", x: 12, y: 37 });
    const element = svg("g", {
      class: `node ${part.kind}`, transform: `translate(${x} ${y + top})`, tabindex: 0, role: "button",
      "aria-label": `${part.kind} ${part.name}`,
    },
      svg("title", {}, part.name),
      svg("rect", { width: boxWidth, height: boxHeight, rx: part.kind === "provider" ? boxHeight / 2 : 7 }), name, below);
    if (part.kind === "provider") {
      for (const text of [name, below]) text?.setAttribute("x", 20);
    }
    this.pickable(element, part.key);
    this.nodes.set(part.key, { element, below, part });
    into.append(element);
  }

  drawEdge(into, link, points, top, dense) {
    if (points.length < 2) return;
    const moved = points.map(({ x, y }) => ({ x, y: y + top }));
    const end = moved[moved.length - 1];
    const before = moved[moved.length - 2];
    const left = before.x > end.x;
    const way = path(moved);
    const line = svg("path", { class: "line", d: way });
    const tip = left ? 7 : -7;
    const head = svg("path", { class: "head", d: `M${end.x} ${end.y}l${tip} -4v8z` });
    const at = moved[Math.floor((moved.length - 1) / 2)];
    const next = moved[Math.floor((moved.length - 1) / 2) + 1];
    const text = dense ? null : label((at.x + next.x) / 2, (at.y + next.y) / 2);
    const element = svg("g", { class: `edge ${link.bindings === "fused" ? "fused" : ""}`, tabindex: 0, role: "button" },
      svg("title", {}, `${link.source} → ${link.target}`), svg("path", { class: "hit", d: way }), line, head, text?.element);
    this.pickable(element, link.key);
    this.edges.set(link.key, { element, line, text, link });
    into.append(element);
  }

  pickable(element, key) {
    element.addEventListener("click", () => this.pick(key));
    element.addEventListener("keydown", (event) => {
      if (event.key === "Enter" || event.key === " ") {
        event.preventDefault();
        this.pick(key);
      }
    });
  }
}

/** A text in the middle of a line, which it interrupts, and one below it. */
function label(x, y) {
  const line = (down) => {
    const back = svg("rect", { class: "back", y: y + down - 8, height: 16, rx: 4 });
    const text = svg("text", { x, y: y + down + 4 });
    return { back, text };
  };
  const lines = [line(0), line(17)];
  return {
    element: svg("g", {}, lines.map(({ back, text }) => [back, text])),
    say(...words) {
      lines.forEach(({ back, text }, i) => {
        if (text.textContent === words[i]) return;
        text.textContent = words[i];
        const width = words[i] ? (text.getComputedTextLength() || words[i].length * 6) + 8 : 0;
        back.setAttribute("width", width);
        back.setAttribute("x", x - width / 2);
      });
    },
  };
}
