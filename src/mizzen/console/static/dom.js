// Builders of elements, and words for numbers. Everything that is shown goes in as text, never as markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes)) {
    if (value === undefined || value === false) continue;
    element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(2).filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** An HTML element; children are elements or text. */
export function html(tag, attributes = {}, ...children) {
  return fill(document.createElement(tag), attributes, children);
}

/** An SVG element; children are elements or text. */
export function svg(tag, attributes = {}, ...children) {
  return fill(document.createElementNS(SVG, tag), attributes, children);
}

/** A table; a cell is a text, an element, or a list of these. The first cell of a row is its heading. */
export function table(caption, headings, rows) {
  return html("div", { class: "scroll", tabindex: 0, role: "region", "aria-label": caption },
    html("table", {},
      html("thead", {}, html("tr", {}, headings.map((heading) => html("th", { scope: "col" }, heading)))),
      html("tbody", {}, rows.map((cells) => html("tr", {},
        cells.map((cell, place) => (place ? html("td", {}, cell) : html("th", { scope: "row" }, cell))))))));
}

/** What stands where there is nothing to show. */
export function nothing(words) {
  return html("p", { class: "nothing" }, words);
}

/** How long requests of an edge take on average; "" where there were none. */
export function latency(edge) {
  if (edge.meanMilliseconds === null) return "";
  return edge.meanMilliseconds < 10 ? `${edge.meanMilliseconds.toFixed(1)} ms` : `${Math.round(edge.meanMilliseconds).toLocaleString("en")} ms`;
}

export function rate(perSecond) {
  if (perSecond === 0) return "0/s";
  if (perSecond < 0.1) return "<0.1/s";
  return `${perSecond < 100 ? perSecond.toFixed(1) : Math.round(perSecond).toLocaleString("en")}/s`;
}

export function percent(part, whole) {
  return whole ? `${((100 * part) / whole).toFixed(part === whole ? 0 : 1)}%` : "0%";
}

export function count(number, word, plural = `${word}s`) {
  return `${number.toLocaleString("en")} ${number === 1 ? word : plural}`;
}

export function duration(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 60) return `${whole} s`;
  if (whole < 3600) return `${Math.floor(whole / 60)} min`;
  if (whole < 10 * 3600) return `${Math.floor(whole / 3600)} h ${Math.floor((whole % 3600) / 60)} min`;
  return whole < 2 * 86400 ? `${Math.floor(whole / 3600)} h` : `${Math.floor(whole / 86400)} days`;
}

/** A time that `tick` keeps current: "12 s ago", "in 11 h". */
export function when(epoch) {
  const moment = new Date(epoch * 1000);
  return html("time", { datetime: moment.toISOString(), title: moment.toLocaleString(), "data-epoch": epoch });
}

export function tick(root, now) {
  for (const element of root.querySelectorAll("time[data-epoch]")) {
    const away = now - Number(element.dataset.epoch);
    const words = away >= 0 ? `${duration(away)} ago` : `in ${duration(-away)}`;
    if (element.textContent !== words) element.textContent = words;
  }
}

/** A SPIFFE ID without what all of the mesh's have in common: "bookinfo / reviews". */
export function shortIdentity(uri) {
  const found = /^spiffe:\/\/[^/]+\/ns\/([^/]+)\/sa\/([^/]+)$/.exec(uri);
  return found ? `${found[1]}/${found[2]}` : uri;
}
