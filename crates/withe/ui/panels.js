// The views besides the graph, and what is shown of a part or link that was picked.

import { el, say, svg, Table } from "./dom.js";
import { bytes, duration, number, rate, share, shortDigest, since, time } from "./format.js";

const status = (text) => el("span", { class: `chip ${{ runs: "good", failing: "bad", lost: "bad" }[text] ?? ""}` }, text);
const nothing = { calls: 0, errors: 0, rate: 0, error_rate: 0, p50: null, p99: null };

/** All links, by how often they are called. */
export class LinksView {
  constructor({ pick }) {
    const of = (value) => (link) => value(link.figures);
    this.table = new Table({
      caption: "Links", key: (link) => link.key, pick: (link) => pick(link.key), sort: [4, false], none: "No links.",
      columns: [
        { name: "From", of: (l) => l.source, by: (l) => l.source },
        { name: "To", of: (l) => (l.name === "default" ? l.target : `${l.target} (${l.name})`), by: (l) => l.target },
        { name: "Application", of: (l) => l.application, by: (l) => l.application, narrow: false },
        { name: "Binding", of: (l) => l.bindings, by: (l) => l.bindings },
        { name: "Calls/s", of: of((f) => (f.calls ? number(f.rate) : "–")), by: of((f) => f.rate + f.calls / 1e12), number: true },
        { name: "p50", of: of((f) => duration(f.p50)), by: of((f) => f.p50 ?? -1), number: true },
        { name: "p99", of: of((f) => duration(f.p99)), by: of((f) => f.p99 ?? -1), number: true },
        { name: "Failing", of: of((f) => share(f.error_rate, f.rate) || (f.errors ? `${number(f.errors)} ever` : "")), by: of((f) => f.error_rate + f.errors / 1e12), number: true },
        { name: "Why so bound", of: (l) => l.on[0]?.why ?? "", narrow: false, why: true },
      ],
    });
    this.root = this.table.root;
  }

  show({ links, linkRates, picked }) {
    this.table.show(links.map((link) => ({ ...link, figures: linkRates.get(link.key) ?? nothing })), picked);
  }
}

/** All parts. */
export class PartsView {
  constructor({ pick }) {
    this.table = new Table({
      caption: "Parts", key: (part) => part.key, pick: (part) => pick(part.key), sort: [0, true], none: "No part runs.",
      columns: [
        { name: "Part", of: (p) => p.name, by: (p) => p.name },
        { name: "Application", of: (p) => p.application, by: (p) => p.application, narrow: false },
        { name: "Kind", of: (p) => p.kind, by: (p) => p.kind },
        { name: "Instances", of: (p) => (p.figures ? String(p.figures.instances) : "–"), by: (p) => p.figures?.instances ?? -1, number: true },
        { name: "Memory", of: (p) => (p.figures?.memory ? bytes(p.figures.memory) : "–"), by: (p) => p.figures?.memory ?? -1, number: true },
        { name: "HTTP/s", of: (p) => (p.figures?.requests.calls ? number(p.figures.requests.rate) : "–"), by: (p) => p.figures?.requests.rate ?? -1, number: true },
        { name: "Hosts", of: (p) => p.hosts.join(", "), by: (p) => p.hosts.join(), narrow: false },
        { name: "Digest", of: (p) => el("code", {}, shortDigest(p.digest)), narrow: false },
      ],
    });
    this.root = this.table.root;
  }

  show({ parts, partRates, picked }) {
    this.table.show(parts.map((part) => ({ ...part, figures: partRates.get(part.key) })), picked);
  }
}

/** The applications and the hosts. */
export class HostsView {
  constructor() {
    const link = (url) => (url.startsWith("http") ? el("a", { href: url, target: "_blank", rel: "noreferrer" }, url) : url);
    this.applications = new Table({
      caption: "Applications", key: (app) => app.name, sort: [0, true], none: "No application is on this lattice.",
      columns: [
        { name: "Application", of: (a) => a.name, by: (a) => a.name },
        { name: "Status", of: (a) => status(a.status), by: (a) => a.status },
        { name: "Plan", of: (a) => String(a.number), by: (a) => a.number, number: true, narrow: false },
        { name: "Reached at", of: (a) => a.endpoints.flatMap((url) => [link(url), " "]) },
        { name: "Hosts", of: (a) => a.hosts.join(", "), narrow: false },
        { name: "Problems", of: (a) => el("span", { class: "bad" }, a.problems.join("; ")) },
      ],
    });
    this.hosts = new Table({
      caption: "Hosts", key: (host) => host.id, sort: [0, true], none: "No host is on this lattice.",
      columns: [
        { name: "Host", of: (h) => h.name, by: (h) => h.name },
        { name: "Parts", of: (h) => String(h.parts), by: (h) => h.parts, number: true },
        { name: "Up for", of: (h) => since(h.started), by: (h) => -h.started, number: true },
        { name: "Labels", of: (h) => Object.entries(h.labels).map(([k, v]) => `${k}=${v}`).join(", "), narrow: false },
        { name: "Address", of: (h) => h.addresses.join(", "), narrow: false },
        { name: "Version", of: (h) => h.version, narrow: false },
        { name: "", of: (h) => el("span", { class: "warn" }, h.leaving ? "is leaving" : h.silent ? `no figures: ${h.silent}` : "") },
      ],
    });
    this.root = el("div", {}, el("h2", {}, "Applications"), this.applications.root, el("h2", {}, "Hosts"), this.hosts.root);
  }

  show({ applications, hosts }) {
    this.applications.show(applications);
    this.hosts.show(hosts);
  }
}

const LEVELS = ["error", "warn", "info", "out", "debug", "trace"];
const SHOWN_LINES = 500;

/** The last lines of the log. */
export class LogView {
  constructor() {
    this.full = "log-view";
    this.part = el("select", { onchange: () => this.again() }, el("option", { value: "" }, "all parts"));
    this.level = el("select", { onchange: () => this.again() },
      [["", "all levels"], ["warn", "warnings and errors"], ["out", "what is printed"]].map(([value, text]) => el("option", { value }, text)));
    this.follow = el("input", { type: "checkbox" });
    this.follow.checked = true;
    this.list = el("ol", { class: "log" });
    this.none = el("p", { class: "none" }, "No lines yet. What parts print and log stands here, and what hosts log; those of components in processes of their own are on their hosts' standard error.");
    this.scroller = el("div", { class: "log-scroll", tabindex: 0, "aria-label": "Lines of the log" }, this.list, this.none);
    this.scroller.addEventListener("scroll", () => {
      const { scrollTop, scrollHeight, clientHeight } = this.scroller;
      this.follow.checked = scrollHeight - scrollTop - clientHeight < 40;
    });
    this.root = el("div", { class: "tools" },
      el("label", {}, "Part ", this.part), el("label", {}, "Level ", this.level), el("label", {}, this.follow, " follow"));
    this.roots = [this.root, this.scroller];
  }

  only(part) {
    this.wanted = part;
  }

  again() {
    this.shown = undefined;
    if (this.model) this.show(this.model);
  }

  show(model) {
    this.model = model;
    const names = [...new Set(model.lines.map((line) => line.part).filter(Boolean))].sort();
    if (this.wanted && !names.includes(this.wanted)) names.push(this.wanted);
    const known = [...this.part.options].map((option) => option.value).join();
    if (known !== ["", ...names, "·"].join()) {
      const value = this.part.value;
      this.part.replaceChildren(el("option", { value: "" }, "all parts"), ...names.map((name) => el("option", { value: name }, name)), el("option", { value: "·" }, "hosts"));
      this.part.value = value;
    }
    if (this.wanted) {
      this.part.value = this.wanted;
      this.wanted = undefined;
      this.shown = undefined;
    }
    const [part, level, find] = [this.part.value, this.level.value, model.find];
    const rank = (name) => LEVELS.indexOf(name);
    const lines = model.lines.filter((line) =>
      (!part || (part === "·" ? !line.part : line.part === part))
      && (!level || (level === "out" ? line.level === "out" : rank(line.level) <= rank(level)))
      && (!find || line.text.toLowerCase().includes(find) || (line.part ?? "").toLowerCase().includes(find)))
      .slice(-SHOWN_LINES);
    const hosts = model.hosts.length > 1;
    const kept = new Set(lines);
    if (!this.shown) this.list.replaceChildren();
    else for (const [line, item] of this.shown) if (!kept.has(line)) item.remove();
    const shown = new Map();
    let before = null;
    for (const line of lines) {
      const item = this.shown?.get(line) ?? el("li", { class: line.level },
        el("time", {}, time(line.time)),
        el("span", { class: "who" }, [line.part ?? "host", hosts && `@${line.host}`].filter(Boolean).join(" ")),
        el("span", { class: "text" }, line.text));
      shown.set(line, item);
      // Lines that are found again stand between others.
      const next = before ? before.nextSibling : this.list.firstChild;
      if (next !== item) this.list.insertBefore(item, next);
      before = item;
    }
    this.shown = shown;
    this.none.hidden = lines.length > 0;
    if (this.follow.checked) this.scroller.scrollTop = this.scroller.scrollHeight;
  }
}

/** The last traces, and one as a waterfall. */
export class TracesView {
  constructor({ load }) {
    this.load = load;
    this.pause = el("button", { type: "button", "aria-pressed": "false", onclick: () => this.toggle() }, "Pause");
    this.table = new Table({
      caption: "Traces", key: (trace) => trace.id, pick: (trace) => this.choose(trace.id), sort: [0, false],
      none: "No traces yet. Send a request: while this page is open, up to twenty traces a second are recorded on each host.",
      columns: [
        { name: "Began", of: (t) => time(t.start / 1000), by: (t) => t.start },
        { name: "What", of: (t) => t.name, by: (t) => t.name },
        { name: "Took", of: (t) => duration(t.nanos), by: (t) => t.nanos, number: true },
        { name: "Spans", of: (t) => String(t.spans), by: (t) => t.spans, number: true },
        { name: "", of: (t) => (t.errors ? el("span", { class: "chip bad" }, `${t.errors} failed`) : "") },
      ],
    });
    this.waterfall = el("section", { class: "waterfall", "aria-label": "The trace" }, el("p", { class: "none" }, "Pick a trace."));
    this.root = el("div", {}, el("div", { class: "tools" }, this.pause), el("div", { class: "split" }, this.table.root, this.waterfall));
  }

  toggle() {
    this.frozen = this.frozen ? undefined : this.model.traces;
    this.pause.setAttribute("aria-pressed", String(Boolean(this.frozen)));
    say(this.pause, this.frozen ? "Go on" : "Pause");
    this.show(this.model);
  }

  async choose(id) {
    this.chosen = id;
    this.spans = this.model.traces.find((trace) => trace.id === id)?.spans;
    this.table.show(this.table.all, id);
    try {
      const spans = await this.load(id);
      if (this.chosen === id) this.draw(id, spans);
    } catch (error) {
      this.waterfall.replaceChildren(el("p", { class: "bad" }, error.message));
    }
  }

  show(model) {
    this.model = model;
    const find = model.find;
    const all = (this.frozen ?? model.traces).filter((trace) => !find || trace.name.toLowerCase().includes(find));
    this.table.show(all, this.chosen);
    const now = model.traces.find((trace) => trace.id === this.chosen);
    if (now && now.spans !== this.spans) this.choose(this.chosen);
  }

  draw(id, spans) {
    const byId = new Map(spans.map((span) => [span.id, { span, children: [] }]));
    const roots = [];
    for (const one of byId.values()) (byId.get(one.span.parent)?.children ?? roots).push(one);
    const start = Math.min(...spans.map((span) => span.start));
    const whole = Math.max(1, ...spans.map((span) => (span.start - start) * 1000 + span.nanos));
    const list = el("ol", { class: "spans" });
    const hosts = new Set(spans.map((span) => span.host)).size;
    const add = ({ span, children }, depth) => {
      const bar = el("i", { class: [span.kind === "client" && "client", span.error && "bad"].filter(Boolean).join(" ") });
      bar.style.left = `${Math.min(99.5, (100 * (span.start - start) * 1000) / whole)}%`;
      bar.style.width = `${Math.min(100, (100 * span.nanos) / whole)}%`;
      const name = el("span", { class: `name ${span.error ? "bad" : ""}`, title: span.name }, span.name);
      name.style.paddingLeft = `${Math.min(depth, 12) * 12}px`;
      const facts = { host: span.host, kind: span.kind, "begins after": duration((span.start - start) * 1000), error: span.error, ...span.attributes };
      list.append(el("li", {}, el("details", {},
        el("summary", {}, name, el("span", { class: "bar" }, bar), el("span", { class: "number" }, duration(span.nanos))),
        el("dl", { class: "facts" }, Object.entries(facts).filter(([, value]) => value).map(([key, value]) => [el("dt", {}, key), el("dd", {}, value)])))));
      children.sort((a, b) => a.span.start - b.span.start);
      for (const child of children) add(child, depth + 1);
    };
    for (const root of roots) add(root, 0);
    this.waterfall.replaceChildren(
      el("h2", {}, `${spans.length} ${spans.length === 1 ? "span" : "spans"}, ${duration(whole)}${hosts > 1 ? `, ${hosts} hosts` : ""}`),
      list, el("p", { class: "soft" }, "Trace ", el("code", {}, id)));
  }
}

/** What happened on the lattice. */
export class EventsView {
  constructor() {
    this.table = new Table({
      caption: "Events", key: (event) => event.number, sort: [0, false], none: "Nothing happened since this page's server started: events that are told before are not kept.",
      columns: [
        { name: "When", of: (e) => time(e.time), by: (e) => e.number },
        { name: "Host", of: (e) => e.host, by: (e) => e.host },
        { name: "What", of: (e) => el("span", { class: e.event === "failed" || e.event === "host-gone" ? "bad" : "" }, e.text) },
      ],
    });
    this.root = this.table.root;
  }

  show({ events, find }) {
    this.table.show(events.filter((event) => !find || event.text.toLowerCase().includes(find)));
  }
}

/** Calls an export by its WIT. */
export class CallView {
  constructor({ functions, call }) {
    this.functions = functions;
    this.call = call;
    this.component = el("select", { onchange: () => this.loadFunctions() });
    this.function = el("select", { onchange: () => this.ask() });
    this.wit = el("pre", {});
    this.fields = el("div", {});
    this.fields.style.display = "grid";
    this.fields.style.gap = "12px";
    this.button = el("button", { class: "primary", type: "submit" }, "Call");
    this.result = el("pre", { "aria-live": "polite" });
    this.result.hidden = true;
    this.took = el("p", { class: "soft" });
    this.root = el("form", { class: "call", onsubmit: (event) => this.make(event) },
      el("label", {}, "Component", this.component), el("label", {}, "Function", this.function), this.wit, this.fields,
      el("div", {}, this.button), this.result, this.took);
  }

  show({ parts }) {
    const components = parts.filter((part) => part.kind === "component");
    const keys = components.map((part) => part.key).join();
    if (keys === this.keys) return;
    this.keys = keys;
    const value = this.wanted ?? this.component.value;
    this.wanted = undefined;
    this.parts = new Map(components.map((part) => [part.key, part]));
    this.component.replaceChildren(...components.map((part) => el("option", { value: part.key }, part.name)));
    if (this.parts.has(value)) this.component.value = value;
    this.loadFunctions();
  }

  only(key) {
    this.wanted = key;
    this.keys = undefined;
  }

  async loadFunctions() {
    const part = this.parts.get(this.component.value);
    if (!part) return;
    const asked = {};
    this.asked = asked;
    let found = [];
    let failed = "";
    try {
      found = await this.functions(part.application, part.name);
    } catch (error) {
      failed = error.message;
    }
    // Another component was chosen meanwhile.
    if (this.asked !== asked) return;
    this.found = found;
    say(this.wit, failed || (found.length ? "" : "It exports no functions."));
    this.function.replaceChildren(...this.found.map((f, i) => el("option", { value: i }, f.interface ? `${f.interface}#${f.name}` : f.name)));
    this.button.disabled = this.found.length === 0;
    this.ask();
  }

  ask() {
    const chosen = this.found?.[this.function.value];
    this.fields.replaceChildren();
    if (!chosen) return;
    say(this.wit, chosen.wit);
    this.fields.append(...chosen.params.map((param) =>
      el("label", {}, el("span", {}, param.name, " ", el("code", {}, param.type)),
        el("input", { type: "text", placeholder: "WAVE or JSON", autocomplete: "off", spellcheck: "false" }))));
  }

  async make(event) {
    event.preventDefault();
    const part = this.parts.get(this.component.value);
    const chosen = this.found?.[this.function.value];
    if (!part || !chosen) return;
    const given = [...this.fields.querySelectorAll("input")].map((input) => input.value.trim());
    this.button.disabled = true;
    this.result.hidden = false;
    say(this.result, "…");
    say(this.took, "");
    try {
      const { result, nanos } = await this.call({
        application: part.application, component: part.name, interface: chosen.interface, function: chosen.name, arguments: given.join(", "),
      });
      this.result.classList.remove("bad");
      say(this.result, result || "It returned nothing.");
      say(this.took, `took ${duration(nanos)}`);
    } catch (error) {
      this.result.classList.add("bad");
      say(this.result, error.message);
    }
    this.button.disabled = false;
  }
}

/** What is known of a part or link that was picked. */
export class Details {
  constructor({ close, pick, log, call }) {
    Object.assign(this, { pick, log, call });
    this.body = el("div", {});
    this.root = el("aside", { "aria-label": "What was picked" },
      el("button", { type: "button", class: "close", "aria-label": "Close", onclick: close }, "✕"), this.body);
  }

  show(model) {
    const link = model.links.find((one) => one.key === model.picked);
    const part = model.parts.find((one) => one.key === model.picked);
    this.root.hidden = !link && !part;
    if (this.root.hidden) return;
    // Nothing that has the focus may go.
    const focused = this.body.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
    this.body.replaceChildren(...(link ? this.link(model, link) : this.part(model, part)));
    if (focused) this.body.querySelector(`[data-key="${CSS.escape(focused)}"]`)?.focus();
  }

  link(model, link) {
    const figures = model.linkRates.get(link.key) ?? nothing;
    const to = (name) => this.name(model, link.application, name);
    const kinds = Object.entries(figures.kinds ?? {}).filter(([, count]) => count).map(([kind, count]) => `${count} ${kind}`);
    return [
      el("h2", {}, to(link.source), " → ", to(link.target)),
      el("p", { class: "soft" }, `link ${link.name} of ${link.application}`),
      spark(model.history.get(link.key)),
      facts([
        ["calls", figures.calls ? `${rate(figures.rate)}, ${number(figures.calls)} in all` : link.bindings === "fused" ? "not counted: fused" : "none yet"],
        ["took", figures.calls ? `${duration(figures.p50)} median, ${duration(figures.p99)} p99` : null],
        ["failed", figures.errors ? `${rate(figures.error_rate)}, ${kinds.join(", ")}` : figures.calls ? "none" : null],
        ["bytes", figures.sent_rate || figures.received_rate ? `${bytes(figures.sent_rate)}/s there, ${bytes(figures.received_rate)}/s back` : null],
      ]),
      el("h3", {}, "Interfaces"),
      ...link.interfaces.map((name) => el("div", {}, el("code", {}, name))),
      el("h3", {}, "Bound"),
      ...link.on.map((on) => el("p", {}, el("span", { class: "chip" }, on.binding), ` on ${on.host}: `, el("span", { class: "soft" }, on.why))),
      ...(figures.by?.length > 1 ? [el("h3", {}, "By host and interface"),
        el("table", {}, el("tbody", {}, figures.by.map((by) => el("tr", {},
          el("td", {}, `${by.host} · ${by.interface.split("/").pop()} · ${by.binding}`),
          el("td", { class: "number" }, rate(by.rate)), el("td", { class: "number" }, duration(by.p99))))))] : []),
    ];
  }

  part(model, part) {
    const figures = model.partRates.get(part.key);
    const requests = figures?.requests;
    const linked = (title, links, other) => (links.length === 0 ? [] : [el("h3", {}, title),
      ...links.map((link) => el("div", {},
        el("button", { type: "button", class: "plain", "data-key": link.key, onclick: () => this.pick(link.key) }, link[other]),
        " ", el("span", { class: "soft" }, `${link.bindings}${model.linkRates.get(link.key) ? `, ${rate(model.linkRates.get(link.key).rate)}` : ""}`)))]);
    return [
      el("h2", {}, part.name),
      el("p", { class: "soft" }, `${part.kind} of ${part.application}`),
      facts([
        ["hosts", part.hosts.join(", ")],
        ["instances", figures ? String(figures.instances) : null],
        ["memory", figures?.memory ? bytes(figures.memory) : null],
        ["HTTP", requests?.calls ? `${rate(requests.rate)}, ${number(requests.calls)} in all` : null],
        ["took", requests?.calls ? `${duration(requests.p50)} median, ${duration(requests.p99)} p99` : null],
        ["failed", requests?.errors ? String(requests.errors) : null],
        ["digest", part.digest ? shortDigest(part.digest) : null],
        ["id", part.id],
      ]),
      el("div", { class: "tools" },
        el("button", { type: "button", "data-key": "log", onclick: () => this.log(part) }, "Log"),
        model.calls && part.kind === "component" && el("button", { type: "button", "data-key": "call", onclick: () => this.call(part) }, "Call")),
      ...linked("Calls", model.links.filter((l) => l.application === part.application && l.source === part.name), "target"),
      ...linked("Called by", model.links.filter((l) => l.application === part.application && l.target === part.name), "source"),
    ];
  }

  name(model, application, name) {
    const part = model.parts.find((one) => one.application === application && one.name === name);
    return part ? el("button", { type: "button", class: "plain", "data-key": part.key, onclick: () => this.pick(part.key) }, name) : name;
  }
}

const facts = (all) => el("dl", {}, all.filter(([, value]) => value).map(([key, value]) => [el("dt", {}, key), el("dd", {}, value)]));

/** The rates of the last minute as a line. */
function spark(values) {
  if (!values || values.length < 2 || !values.some((value) => value > 0)) return null;
  const most = Math.max(...values);
  const points = values.map((value, i) => `${(300 * i) / (values.length - 1)},${38 - (34 * value) / most}`).join(" ");
  return svg("svg", { class: "spark", viewBox: "0 0 300 42", preserveAspectRatio: "none", role: "img", "aria-label": `at most ${rate(most)} in the last minute` },
    svg("polyline", { points, fill: "none", stroke: "currentColor", "stroke-width": 1.5, "vector-effect": "non-scaling-stroke" }));
}
