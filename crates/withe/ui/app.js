// The page: what is known, kept up to date by the server's events, and the view that shows it.

import { el, say } from "./dom.js";
import { GraphView } from "./graph.js";
import { CallView, Details, EventsView, HostsView, LinksView, LogView, PartsView, TracesView } from "./panels.js";

const LINES = 1000;
const EVENTS = 200;
const TRACES = 100;
const HISTORY = 60;

const by = (id) => document.getElementById(id);
const partKey = (application, name) => `p:${application}/${name}`;
const linkKey = ({ application, source, target, name }) => `l:${application}/${source}/${target}/${name}`;

const model = {
  parts: [], links: [], hosts: [], applications: [], lines: [], events: [], traces: [],
  linkRates: new Map(), partRates: new Map(), history: new Map(), picked: undefined, find: "", application: "", calls: false,
};
let lattice = { hosts: [], applications: [], parts: [], links: [] };
let numbered = 0;

/** Takes the secret out of the address, where it is not to stand in the window's history. Whether there was one. */
function takeSecret() {
  const given = new URLSearchParams(location.hash.slice(1)).get("token");
  if (!given) return false;
  sessionStorage.setItem("withe-token", given);
  history.replaceState(null, "", "#/graph");
  return true;
}

const secret = () => sessionStorage.getItem("withe-token") ?? "";

async function ask(path, { headers, ...options } = {}) {
  const response = await fetch(path, { ...options, headers: { ...headers, "x-withe-token": secret() } });
  const answer = await response.json();
  if (!response.ok) throw new Error(answer.error ?? response.statusText);
  return answer;
}

const query = (of) => new URLSearchParams(of).toString();

const views = {
  graph: new GraphView({ pick }),
  links: new LinksView({ pick }),
  parts: new PartsView({ pick }),
  hosts: new HostsView(),
  log: new LogView(),
  traces: new TracesView({ load: (id) => ask(`/api/traces/${encodeURIComponent(id)}`) }),
  events: new EventsView(),
  call: new CallView({
    functions: (application, component) => ask(`/api/functions?${query({ application, component })}`),
    call: (wanted) => ask("/api/call", {
      method: "POST",
      headers: { "content-type": "application/json" },
      body: JSON.stringify(wanted),
    }),
  }),
};
const details = new Details({
  close: () => pick(undefined),
  pick,
  log: (part) => {
    views.log.only(part.name);
    location.hash = "#/log";
  },
  call: (part) => {
    views.call.only(part.key);
    location.hash = "#/call";
  },
});
const PICKING = ["graph", "links", "parts"];
let view;

function pick(key) {
  model.picked = model.picked === key ? undefined : key;
  draw();
}

/** What of all is wanted: of one application, and with a text in its name. A part that is found has its neighbours beside it. */
function select() {
  const { application, find } = model;
  const ofApplication = (one) => !application || one.application === application;
  let parts = lattice.parts.filter(ofApplication);
  let links = lattice.links.filter(ofApplication);
  if (find) {
    const has = (...texts) => texts.some((text) => text.toLowerCase().includes(find));
    const found = new Set(parts.filter((part) => has(part.name)).map((part) => part.key));
    links = links.filter((link) => has(link.name, link.bindings, ...link.interfaces)
      || found.has(partKey(link.application, link.source)) || found.has(partKey(link.application, link.target)));
    for (const link of links) {
      found.add(partKey(link.application, link.source));
      found.add(partKey(link.application, link.target));
    }
    parts = parts.filter((part) => found.has(part.key));
  }
  Object.assign(model, { parts, links, hosts: lattice.hosts });
  model.applications = lattice.applications.filter((one) => !application || one.name === application);
}

let due = false;
function draw() {
  if (due) return;
  due = true;
  requestAnimationFrame(() => {
    due = false;
    select();
    if (!document.hidden) {
      views[view].show(shown());
      if (PICKING.includes(view)) details.show(model);
    }
  });
}

/** What the views show: lines, traces and events of the application that was chosen. */
function shown() {
  const { application } = model;
  if (!application) return model;
  return {
    ...model,
    lines: model.lines.filter((line) => !line.application || line.application === application),
    traces: model.traces.filter((trace) => !trace.applications.length || trace.applications.includes(application)),
    events: model.events.filter((event) => !event.application || event.application === application),
  };
}

function route() {
  // The link to the content is one within the page, and no view.
  if (view && location.hash && !location.hash.startsWith("#/")) return;
  const name = location.hash.replace(/^#\//, "");
  view = Object.hasOwn(views, name) && (name !== "call" || model.calls) ? name : "graph";
  for (const link of document.querySelectorAll("nav a")) {
    if (link.hash === `#/${view}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  document.title = `${lattice.lattice ?? "Withe"} · ${view}`;
  const main = by("view");
  const { root, roots, full } = views[view];
  main.className = view === "graph" ? "full" : full ?? (PICKING.includes(view) ? "picks" : "");
  main.replaceChildren(...(roots ?? [root]));
  if (PICKING.includes(view)) {
    details.root.hidden = true;
    main.append(details.root);
  }
  draw();
}

function status(text, kind) {
  say(by("status"), text);
  by("status").dataset.status = kind;
}

const told = {
  lattice(state) {
    lattice = state;
    for (const part of state.parts) part.key = partKey(part.application, part.name);
    for (const link of state.links) {
      link.key = linkKey(link);
      link.bindings = [...new Set(link.on.map((on) => on.binding))].join(", ");
    }
    const there = new Set(state.links.map((link) => link.key));
    for (const key of model.history.keys()) if (!there.has(key)) model.history.delete(key);
    say(by("lattice"), state.lattice === "default" ? "" : state.lattice);
    const chooser = by("application");
    const names = [...new Set([...state.applications, ...state.parts].map((one) => one.application ?? one.name))].sort();
    chooser.replaceChildren(el("option", { value: "" }, "all"), ...names.map((name) => el("option", { value: name }, name)));
    if (!names.includes(model.application)) model.application = "";
    chooser.value = model.application;
    chooser.closest("label").hidden = names.length < 2;
  },
  rates(rates) {
    model.linkRates = new Map(rates.links.map((link) => [linkKey(link), link]));
    model.partRates = new Map(rates.parts.map((part) => [partKey(part.application, part.part), part]));
  },
  lines(lines) {
    model.lines = [...model.lines, ...lines].slice(-LINES);
  },
  traces(traces) {
    const all = new Map(model.traces.map((trace) => [trace.id, trace]));
    for (const trace of traces) all.set(trace.id, trace);
    model.traces = [...all.values()].sort((a, b) => b.start - a.start).slice(0, TRACES);
  },
  events(events) {
    for (const event of events) event.number = numbered++;
    model.events = [...model.events, ...events].slice(-EVENTS);
  },
  trouble(why) {
    trouble(why ? `The lattice cannot be read: ${why}` : "");
  },
  anew() {
    forget();
  },
};

function trouble(text) {
  by("trouble").hidden = !text;
  say(by("trouble"), text);
}

/** What will be told again from its beginning. */
function forget() {
  model.lines = [];
  model.events = [];
  model.traces = [];
}

// Kept each second, whatever comes: what is not called makes no news.
setInterval(() => {
  for (const link of lattice.links) {
    const past = model.history.get(link.key) ?? [];
    past.push(model.linkRates.get(link.key)?.rate ?? 0);
    model.history.set(link.key, past.slice(-HISTORY));
  }
}, 1000);

let source;
let again;

/**
 * Follows what happens, while anybody sees the page: a browser has six connections to a server for all of its tabs, and hosts
 * record traces for whoever follows.
 */
function live() {
  clearTimeout(again);
  if (source || document.hidden) return;
  const opened = new EventSource(`/api/live?${query({ token: secret() })}`);
  source = opened;
  opened.addEventListener("open", () => {
    forget();
    trouble("");
    status("live", "live");
  });
  // The browser asks again by itself, but for an answer that is an error.
  opened.addEventListener("error", () => {
    status("gone: trying again", "gone");
    if (opened.readyState !== EventSource.CLOSED || source !== opened) return;
    source = undefined;
    again = setTimeout(live, 3000);
    refusal();
  });
  for (const [name, take] of Object.entries(told)) {
    opened.addEventListener(name, (event) => {
      take(JSON.parse(event.data));
      draw();
    });
  }
}

function rest() {
  clearTimeout(again);
  source?.close();
  source = undefined;
  status("not followed while nobody sees it", "connecting");
}

/** Says why the server does not let this page follow: an `EventSource` does not tell. */
async function refusal() {
  const stop = new AbortController();
  try {
    const response = await fetch(`/api/live?${query({ token: secret() })}`, { signal: stop.signal });
    if (!response.ok) trouble((await response.json()).error ?? response.statusText);
  } catch {
    // It is gone, which is said already.
  }
  stop.abort();
}

/** What the server allows. */
async function about() {
  try {
    const { calls } = await ask("/api/about");
    model.calls = calls;
    document.querySelector('nav a[href="#/call"]').hidden = !calls;
    if (calls && location.hash === "#/call") route();
  } catch {
    // Whoever cannot be asked is said to be gone.
  }
}

by("find").addEventListener("input", (event) => {
  model.find = event.target.value.trim().toLowerCase();
  draw();
});
by("application").addEventListener("change", (event) => {
  model.application = event.target.value;
  draw();
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && model.picked) pick(undefined);
  if (event.key === "/" && !event.target.closest("input, select, textarea")) {
    event.preventDefault();
    by("find").focus();
  }
});
document.addEventListener("visibilitychange", () => {
  if (document.hidden) rest();
  else live();
  draw();
});
addEventListener("hashchange", () => {
  // The whole address, given to a page that was open without its secret.
  if (takeSecret()) {
    rest();
    live();
    about();
  }
  route();
});

takeSecret();
route();
live();
about();
