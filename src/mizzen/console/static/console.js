// The page: asks the daemon for its status every second and shows it. Read-only.

import { count, duration, html, latency, nothing, percent, rate, shortIdentity, table, tick, when } from "./dom.js";
import { Topology, stateOf } from "./topology.js";

const STATUS = "/api/v1/status";
const INTERVAL_MS = 1000;
const TIMEOUT_MS = 3000;
const TYPES = ["clusters", "endpoints", "listeners", "routes", "secrets"];

const at = (id) => document.getElementById(id);
const topology = new Topology(at("topology"), at("details"));

/** What each part of the page shows. A part is drawn again only when its data has changed. */
const PARTS = [
  ["facts", (status) => [status.version, status.revision, status.trustDomain, status.started, status.workloads.map(stateOf), rate(status.traffic.requestsPerSecond)], facts],
  ["edges", (status) => status.traffic.edges, edges],
  ["splits", (status) => status.traffic.splits, splits],
  ["denials", (status) => status.traffic.denials, denials],
  ["rejections", (status) => status.rejections, rejections],
  ["proxies", (status) => status.workloads, proxies],
  ["changes", (status) => status.changes, changes],
  ["diagnostics", (status) => status.diagnostics, diagnostics],
];

const drawn = new Map();

function draw(status) {
  topology.update(status);
  for (const [id, pick, build] of PARTS) {
    const data = pick(status);
    const key = JSON.stringify(data);
    if (drawn.get(id) === key) continue;
    drawn.set(id, key);
    at(id).replaceChildren(...[build(data, status)].flat());
  }
  at("rejections-card").hidden = !status.rejections.length;
  tick(document, status.now);
}

function facts(_, status) {
  const good = status.workloads.filter((workload) => stateOf(workload).kind === "good").length;
  return [
    ["trust domain", status.trustDomain],
    ["workloads in sync", `${good} of ${status.workloads.length}`],
    ["requests", rate(status.traffic.requestsPerSecond)],
    ["revision", String(status.revision)],
    ["started", when(status.started)],
    ["version", status.version],
  ].map(([name, value]) => html("div", {}, html("dt", {}, name), html("dd", {}, value)));
}

function edges(list) {
  if (!list.length) return nothing("No request was seen yet.");
  return table("Traffic", ["From", "To", "Service", "Requests", "Errors", "Denied", "Latency", "TLS", "Caller's identity", "Answering identity"],
    list.map((edge) => [
      edge.source, edge.destination, edge.service, rate(edge.requestsPerSecond), rate(edge.errorsPerSecond),
      rate(edge.deniedPerSecond), latency(edge), edge.mutualTls ? "mutual" : "none", edge.sourcePrincipal, edge.destinationPrincipal,
    ]));
}

function splits(list, status) {
  if (!list.length) return nothing("No service is answered by more than one version yet.");
  return list.map((split) => {
    const versions = Object.entries(split.requestsByVersion);
    const whole = versions.reduce((sum, [, requests]) => sum + requests, 0);
    return html("div", { class: "split" },
      html("h3", {}, split.service),
      versions.map(([version, requests], place) => {
        const bar = html("span", { class: `bar v${place % 6}` });
        bar.style.width = `${whole ? (100 * requests) / whole : 0}%`;
        return html("div", { class: "share" },
          html("span", { class: "version" }, version),
          html("span", { class: "track", "aria-hidden": "true" }, bar),
          html("span", { class: "number" }, percent(requests, whole)));
      }),
      html("p", { class: "small" }, `${count(whole, "request")} in the last ${duration(status.traffic.windowSeconds)}`));
  });
}

function denials(list) {
  if (!list.length) return nothing("No request was denied.");
  const latest = [...list].sort((a, b) => b.lastSeen - a.lastSeen);
  return html("ul", { class: "list" }, latest.map((denial) => html("li", {},
    html("p", {},
      html("span", { class: "badge bad" }, "403"), " ",
      html("span", { title: denial.sourcePrincipal }, denial.sourcePrincipal ? shortIdentity(denial.sourcePrincipal) : "a caller without identity"),
      " → ", html("strong", {}, denial.destination)),
    html("p", { class: "policy" }, denial.policy),
    html("p", { class: "small" }, `${count(denial.requestsTotal, "request")}, the last `, denial.lastSeen ? when(denial.lastSeen) : "before the daemon started"))));
}

function rejections(list) {
  return html("ul", { class: "list" }, list.map((one) => html("li", {},
    html("p", {}, html("span", { class: "badge bad" }, "NACK"), " ", html("strong", {}, one.proxy), ` refused ${one.typeName} `, html("code", {}, one.resource), " ", html("span", { class: "small" }, when(one.since))),
    html("p", {}, html("code", { class: "words" }, one.error)),
    one.origins.map((origin) => html("p", { class: "small" }, "made from ", origin)))));
}

function proxies(list) {
  if (!list.length) return nothing("No workload is registered.");
  return table("Workloads and their proxies", ["Workload", "State", "Address", "Identity", ...TYPES, "Certificate"],
    list.map((workload) => {
      const { kind, words } = stateOf(workload);
      const sync = new Map(workload.sync.map((one) => [one.typeName, one]));
      return [
        [workload.name, workload.kind === "gateway" && html("span", { class: "badge plainly" }, "gateway")],
        html("span", { class: `state ${kind}` }, words),
        html("code", {}, workload.address),
        html("span", { title: workload.identity, class: "identity" }, workload.identity.replace("spiffe://", "")),
        ...TYPES.map((type) => syncCell(sync.get(type))),
        workload.certificateExpires ? when(workload.certificateExpires) : "none seen",
      ];
    }));
}

function syncCell(sync) {
  if (!sync) return html("span", { class: "small" }, "–");
  const mark = { synced: "✓", pending: "…", rejected: "✕" }[sync.state] ?? "?";
  return html("span", { class: `sync ${sync.state}`, title: `${sync.state}, version ${sync.version || "unknown"}` },
    html("span", { "aria-hidden": "true" }, mark), ` ${sync.resources}`, html("span", { class: "spoken" }, ` ${sync.state}`));
}

function changes(list) {
  if (!list.length) return nothing("Nothing has changed since the start.");
  return html("ul", { class: "list" }, list.map((change) => {
    const names = { acked: [], pending: [], rejected: [] };
    for (const [proxy, state] of Object.entries(change.proxies)) (names[state] ?? names.pending).push(proxy);
    const all = Object.keys(change.proxies).length;
    const kind = names.rejected.length ? "bad" : names.pending.length ? "busy" : "good";
    return html("li", {},
      html("p", {},
        html("span", { class: "revision" }, `#${change.revision}`), " ",
        html("strong", {}, change.objects.join(", ") || "workloads"), " ",
        html("span", { class: "small" }, when(change.time))),
      html("p", {},
        html("span", { class: `badge ${kind}` }, all ? `${names.acked.length} of ${count(all, "proxy", "proxies")}` : "no proxy concerned"), " ",
        names.pending.length > 0 && html("span", { class: "small" }, `waiting for ${names.pending.join(", ")} `),
        names.rejected.length > 0 && html("span", { class: "small error" }, `refused by ${names.rejected.join(", ")}`)));
  }));
}

function diagnostics(list) {
  if (!list.length) return nothing("The configuration is sound.");
  const kind = { error: "bad", warning: "warn", info: "plainly" };
  return html("ul", { class: "list" }, list.map((one) => html("li", {},
    html("p", {}, html("span", { class: `badge ${kind[one.severity] ?? "plainly"}` }, `${one.severity} ${one.code}`), " ", html("strong", {}, one.resource)),
    html("p", {}, one.message),
    one.location && html("p", {}, html("code", {}, one.location)),
    one.hint && html("p", { class: "small" }, one.hint))));
}

/** Whether the daemon answers: said at the top, and the picture pales while it does not. */
const link = {
  since: null,

  up() {
    this.since = null;
    this.show("live", "live");
    at("gone").hidden = true;
  },

  down(reason) {
    this.since ??= Date.now();
    this.show("lost", "no answer");
    at("gone").textContent = `The daemon has not answered for ${duration((Date.now() - this.since) / 1000)} (${reason}). `
      + (drawn.size ? "Below is what it said last; the proxies go on with what they have." : "Is it running?");
    at("gone").hidden = false;
  },

  show(kind, words) {
    at("link").className = `link ${kind}`;
    if (at("link").textContent !== words) at("link").textContent = words;
    document.body.classList.toggle("stale", kind === "lost");
  },
};

async function poll() {
  try {
    const response = await fetch(STATUS, { signal: AbortSignal.timeout(TIMEOUT_MS), cache: "no-store" });
    if (!response.ok) throw new Error(`status ${response.status}`);
    draw(await response.json());
    link.up();
  } catch (error) {
    if (!(error instanceof TypeError) && error.name !== "TimeoutError") console.error(error);
    link.down({ TimeoutError: "timeout", TypeError: "no connection" }[error.name] ?? error.message);
  }
  setTimeout(poll, INTERVAL_MS);
}

poll();
