// The picture: workloads as boxes, traffic as lines. Elements are kept and changed in place, so that lines keep
// flowing and the focus stays where it is.

import { html, latency, nothing, percent, rate, svg } from "./dom.js";
import { place } from "./layout.js";

const LOCK = "M3 6V4.2a3 3 0 0 1 6 0V6h.6c.5 0 .9.4.9.9v4.2c0 .5-.4.9-.9.9H2.4c-.5 0-.9-.4-.9-.9V6.9c0-.5.4-.9.9-.9zM4.5 6h3V4.2a1.5 1.5 0 0 0-3 0z";
const OPEN_LOCK = "M3 6V3.7a3 3 0 0 1 5.9-.7l-1.45.4A1.5 1.5 0 0 0 4.5 3.7V6h5.1c.5 0 .9.4.9.9v4.2c0 .5-.4.9-.9.9H2.4c-.5 0-.9-.4-.9-.9V6.9c0-.5.4-.9.9-.9z";
const QUIET = 0.001;
const LABEL = { width: 92, height: 21 };
// The room that a line needs which leads back past a column: around the right side and below everything.
const LEAP = { right: 44, below: 22 };
// As shares of a line's length, the best first: a little nearer to the end, where lines from one box have parted.
const SPOTS = [0.55, 0.42, 0.68, 0.3, 0.8];

export class Topology {
  constructor(host, details) {
    this.details = details;
    this.lines = svg("g");
    this.boxes = svg("g");
    this.labels = svg("g");
    this.picture = svg("svg", { role: "group" }, this.lines, this.boxes, this.labels);
    this.edges = new Map();
    this.nodes = new Map();
    this.shape = "";
    this.shown = null;
    this.empty = nothing("No workload is registered yet: add workloads, and their calls will show here.");
    host.append(this.picture, this.empty);
    host.addEventListener("keydown", (event) => event.key === "Escape" && this.hide());
  }

  update(status) {
    const edges = status.traffic.edges.map((edge) => ({ ...edge, key: JSON.stringify([edge.source, edge.destination, edge.service, edge.protocol]) }));
    const nodes = nodesOf(status.workloads, edges);
    const shape = JSON.stringify([nodes.map((node) => [node.name, node.kind]), edges.map((edge) => edge.key)]);
    if (shape !== this.shape) this.build(nodes, edges, shape);
    for (const node of nodes) this.nodes.get(node.name).update(node);
    for (const edge of edges) this.edges.get(edge.key).update(edge);
    this.picture.setAttribute("aria-label", `${nodes.length} workloads, ${edges.length} connections`);
    this.picture.toggleAttribute("hidden", !nodes.length);
    this.empty.hidden = nodes.length > 0;
    this.shown?.();
  }

  build(nodes, edges, shape) {
    this.shape = shape;
    const weighted = edges.map((edge) => ({ ...edge, weight: weightOf(edge) }));
    const { width, height, places, ways } = place(nodes.map((node) => ({ name: node.name, first: node.kind === "gateway" })), weighted);
    const leap = edges.some((edge) => places.get(edge.destination).column < places.get(edge.source).column - 1);
    this.floor = height + 6;
    this.spots = [];
    const room = leap ? LEAP : { right: 0, below: 0 };
    this.picture.setAttribute("viewBox", `0 0 ${width + room.right} ${height + room.below}`);
    this.picture.style.minWidth = `${width * 0.7}px`;
    this.picture.style.maxWidth = `${width * 1.25}px`;
    this.hide();
    for (const group of [this.lines, this.boxes, this.labels]) group.replaceChildren();
    this.nodes = new Map(nodes.map((node) => [node.name, new Box(places.get(node.name), node, this)]));
    this.edges = new Map(edges.map((edge) => [edge.key, new Line(edge, places, ways.get(edge.key), this)]));
  }

  /** Lets an element show details while the pointer or the focus is on it; `lit` stand out meanwhile. */
  explains(element, describe, lit) {
    const show = () => {
      this.hide();
      this.shown = () => this.details.replaceChildren(...describe());
      this.shown();
      this.details.hidden = false;
      this.details.classList.toggle("right", isLeft(element, this.picture));
      this.picture.classList.add("focused");
      for (const one of lit()) one.classList.add("lit");
    };
    element.addEventListener("pointerenter", show);
    element.addEventListener("focus", show);
    element.addEventListener("pointerleave", () => this.hide());
    element.addEventListener("blur", () => this.hide());
  }

  hide() {
    this.shown = null;
    this.details.hidden = true;
    this.picture.classList.remove("focused");
    for (const one of this.picture.querySelectorAll(".lit")) one.classList.remove("lit");
  }
}

/** The workloads, and whatever else calls or is called: services that nobody answered for, callers without a proxy. */
function nodesOf(workloads, edges) {
  const nodes = new Map(workloads.map((workload) => [workload.name, workload]));
  for (const name of edges.flatMap((edge) => [edge.source, edge.destination])) {
    if (!nodes.has(name)) nodes.set(name, { name, kind: "service", address: "", identity: "", sync: [] });
  }
  return [...nodes.values()];
}

export function stateOf(workload) {
  if (workload.kind === "service") return { kind: "unknown", words: "no workload answered" };
  if (workload.kind === "application") return { kind: "unknown", words: "no sidecar" };
  if (!workload.connected) return { kind: "bad", words: "proxy not connected" };
  if (!workload.healthy) return { kind: "bad", words: workload.healthReason || "not healthy" };
  if (workload.sync.some((one) => one.state === "rejected")) return { kind: "bad", words: "refused an update" };
  if (workload.sync.some((one) => one.state === "pending")) return { kind: "busy", words: "updating" };
  return { kind: "good", words: "in sync" };
}

class Box {
  constructor(at, node, topology) {
    this.dot = svg("circle", { cx: at.x + 16, cy: at.y + 18, r: 4.5 });
    this.second = svg("text", { class: "second", x: at.x + 28, y: at.y + 39 });
    const name = node.name.slice(node.name.indexOf("/") + 1);
    this.element = svg("g", { class: `node ${node.kind}`, tabindex: 0, role: "img" },
      svg("rect", { x: at.x, y: at.y, width: at.width, height: at.height, rx: node.kind === "gateway" ? 26 : 9 }),
      this.dot,
      svg("text", { class: "name", x: at.x + 28, y: at.y + 22 }, short(name, 19)),
      this.second);
    this.node = node;
    topology.boxes.append(this.element);
    topology.explains(this.element, () => this.describe(), () => {
      const touching = [...topology.edges.values()].filter((line) => line.edge.source === node.name || line.edge.destination === node.name);
      const names = touching.flatMap((line) => [line.edge.source, line.edge.destination]);
      return [this.element, ...touching.flatMap((line) => line.parts), ...names.map((one) => topology.nodes.get(one).element)];
    });
  }

  update(node) {
    this.node = node;
    this.state = stateOf(node);
    this.dot.setAttribute("class", `dot ${this.state.kind}`);
    this.second.textContent = short(this.state.kind === "good" ? node.identity.split("/sa/").pop() : this.state.words, 19);
    this.element.setAttribute("aria-label", `${node.kind} ${node.name}, ${this.state.words}`);
  }

  describe() {
    const { name, kind, address, identity, labels = {} } = this.node;
    return [
      html("strong", {}, name),
      html("span", { class: `badge ${this.state.kind}` }, this.state.words),
      facts([
        ["kind", kind],
        ["address", address],
        ["identity", identity],
        ["labels", Object.entries(labels).map(([key, value]) => `${key}=${value}`).join("  ")],
      ]),
    ];
  }
}

class Line {
  constructor(edge, places, way, topology) {
    const { path, tip } = route(places.get(edge.source), places.get(edge.destination), way, topology.floor);
    this.path = svg("path", { d: path, class: "wire" });
    this.flow = svg("path", { d: path, class: "flow" });
    this.hit = svg("path", { d: path, class: "hit" });
    this.tip = svg("path", { d: tip, class: "tip" });
    this.line = svg("g", {}, this.path, this.flow, this.tip, this.hit);
    const spot = spotFor(this.path, topology.spots);
    this.pill = svg("rect", { height: 20, y: -10, rx: 10 });
    this.lock = svg("path", { class: "lock" });
    this.text = svg("text", { y: 4 });
    this.label = svg("g", { transform: `translate(${spot.x} ${spot.y})`, tabindex: 0, role: "img" }, this.pill, this.lock, this.text);
    this.parts = [this.line, this.label];
    this.workload = places.get(edge.destination) && edge.destination.includes("/");
    topology.lines.append(this.line);
    topology.labels.append(this.label);
    const lit = () => [...this.parts, topology.nodes.get(edge.source).element, topology.nodes.get(edge.destination).element];
    topology.explains(this.hit, () => this.describe(), lit);
    topology.explains(this.label, () => this.describe(), lit);
    this.update(edge);
  }

  update(edge) {
    this.edge = edge;
    const kind = kindOf(edge);
    for (const part of this.parts) part.setAttribute("class", `${part === this.label ? "label" : "edge"} ${kind} ${this.tls(edge)}${part.classList.contains("lit") ? " lit" : ""}`);
    const thickness = 1.4 + 1.5 * Math.log10(1 + edge.requestsPerSecond);
    this.path.style.strokeWidth = `${thickness}px`;
    this.flow.style.strokeWidth = `${Math.max(1.2, thickness - 0.8)}px`;
    // A faster service flows faster, in few steps: a changed duration makes the movement jump.
    this.flow.style.animationDuration = `${[2.6, 1.6, 0.9][Math.min(2, Math.floor(Math.log10(1 + edge.requestsPerSecond)))]}s`;
    this.write(edge, kind);
    this.label.setAttribute("aria-label", this.sentence(edge));
  }

  tls(edge) {
    if (!this.workload) return "";
    return edge.mutualTls ? "mutual" : "plain";
  }

  write(edge, kind) {
    const words = kind === "quiet" ? "quiet" : rate(edge.requestsPerSecond);
    const trouble = { failing: ` ${Math.ceil((100 * edge.errorsPerSecond) / edge.requestsPerSecond)}%`, denied: " 403" }[kind] ?? "";
    this.text.replaceChildren(words, svg("tspan", { class: "trouble" }, trouble));
    const icon = this.workload ? 15 : 0;
    const width = icon + (words.length + trouble.length) * 6.3 + 16;
    this.pill.setAttribute("x", -width / 2);
    this.pill.setAttribute("width", width);
    this.text.setAttribute("x", -width / 2 + 8 + icon);
    this.lock.setAttribute("d", this.workload ? (edge.mutualTls ? LOCK : OPEN_LOCK) : "");
    this.lock.setAttribute("transform", `translate(${-width / 2 + 7} -6.5)`);
  }

  sentence(edge) {
    const way = this.workload ? (edge.mutualTls ? "over mutual TLS" : "in plaintext") : "";
    return `${edge.source} calls ${edge.destination} ${way}, ${rate(edge.requestsPerSecond)}, errors ${rate(edge.errorsPerSecond)}, denied ${rate(edge.deniedPerSecond)}${latency(edge) && `, ${latency(edge)} on average`}`;
  }

  describe() {
    const edge = this.edge;
    return [
      html("strong", {}, `${edge.source} → ${edge.destination}`),
      this.workload && html("span", { class: `badge ${edge.mutualTls ? "good" : "warn"}` }, edge.mutualTls ? "mutual TLS" : "plaintext"),
      facts([
        ["caller", edge.sourcePrincipal || "no identity"],
        ["answered by", edge.destinationPrincipal || "no identity"],
        ["service", `${edge.service} (${edge.protocol || "unknown"})`],
        ["requests", `${rate(edge.requestsPerSecond)}, ${edge.requestsTotal.toLocaleString("en")} in all`],
        ["errors", `${rate(edge.errorsPerSecond)} (${percent(edge.errorsPerSecond, edge.requestsPerSecond)})`],
        ["denied", rate(edge.deniedPerSecond)],
        ["latency", latency(edge) && `${latency(edge)} on average`],
      ]),
    ].filter(Boolean);
  }
}

function facts(pairs) {
  return html("dl", {}, pairs.filter(([, value]) => value).map(([name, value]) => [html("dt", {}, name), html("dd", {}, value)]));
}

function kindOf(edge) {
  if (edge.requestsPerSecond < QUIET) return "quiet";
  if (edge.errorsPerSecond >= 0.01 * edge.requestsPerSecond && edge.errorsPerSecond > 0) return "failing";
  if (edge.deniedPerSecond > 0) return "denied";
  return "fine";
}

/** What shapes the picture: requests that were let through; those of a quiet edge count a little. */
function weightOf(edge) {
  if (edge.requestsPerSecond < QUIET) return edge.requestsTotal > 0 ? QUIET : 0;
  return Math.max(0, edge.requestsPerSecond - edge.deniedPerSecond);
}

/** The line from one box to the other, and its tip. Forwards from side to side; what leads back shows it. */
function route(from, to, way, floor) {
  const right = { x: from.x + from.width, y: from.y + from.height / 2 };
  const left = { x: to.x - 7, y: to.y + to.height / 2 };
  const steps = to.column - from.column;
  if (steps > 0) return { path: forward(right, way, left, from.width / 2), tip: `M${left.x + 6} ${left.y}l-8 -4.5v9z` };
  const end = { x: to.x + to.width + 7, y: left.y + 12 };
  const tip = `M${end.x - 6} ${end.y}l8 -4.5v9z`;
  if (steps === -1) return { path: `M${from.x} ${right.y + 12}${curve({ x: from.x, y: right.y + 12 }, end)}`, tip };
  if (steps === 0) return { path: `M${right.x} ${right.y - 12}C${right.x + 60} ${right.y - 12} ${end.x + 54} ${end.y} ${end.x} ${end.y}`, tip };
  const out = { x: right.x, y: right.y + 12 };
  return { path: `M${out.x} ${out.y}C${out.x + LEAP.right} ${out.y} ${out.x + LEAP.right} ${floor} ${out.x} ${floor}H${end.x + 60}C${end.x + 20} ${floor} ${end.x + 40} ${end.y} ${end.x} ${end.y}`, tip };
}

/** From column to column in a curve; past a column straight, between its boxes. */
function forward(start, way, end, half) {
  const stops = [start, ...way.flatMap(({ x, y }) => [{ x: x - half, y }, { x: x + half, y }]), end];
  let path = `M${start.x} ${start.y}`;
  for (let at = 0; at < stops.length; at += 2) path += `L${stops[at].x} ${stops[at].y}${curve(stops[at], stops[at + 1])}`;
  return path;
}

function curve(start, end) {
  const reach = (end.x - start.x) / 2;
  return `C${start.x + reach} ${start.y} ${end.x - reach} ${end.y} ${end.x} ${end.y}`;
}

/** The first place along the line where its label covers no other label. */
function spotFor(path, taken) {
  const length = path.getTotalLength();
  const spots = SPOTS.map((share) => path.getPointAtLength(Math.min(length * share, length - 40)));
  const free = spots.find((spot) => taken.every((other) => Math.abs(other.x - spot.x) > LABEL.width || Math.abs(other.y - spot.y) > LABEL.height)) ?? spots[0];
  taken.push(free);
  return free;
}

/** Whether an element stands in the left half of the picture: its details then stand in the right one. */
function isLeft(element, picture) {
  const [one, whole] = [element.getBoundingClientRect(), picture.getBoundingClientRect()];
  return one.left + one.width / 2 < whole.left + whole.width / 2;
}

function short(words, longest) {
  return words.length <= longest ? words : `${words.slice(0, longest - 1)}…`;
}

