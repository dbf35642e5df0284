// Where the workloads stand in the picture: in columns by the direction of the calls. Pure; knows no elements.

const NODE = { width: 176, height: 52 };
const GAP = { column: 116, row: 36 };
const MARGIN = { x: 10, y: 16 };
const SWEEPS = 4;

/**
 * Places nodes [{ name, first }] joined by edges [{ key, source, destination, weight }]; edges without weight shape
 * nothing. Gives { width, height, places, ways }: places: Map(name -> { x, y, width, height, column }), and for each
 * edge that leads past a column a way: Map(key -> [{ x, y }]), the gaps between nodes that it runs through.
 */
export function place(nodes, edges) {
  const columnOf = intoColumns(nodes, edges);
  const { columns, links, gaps } = withGaps(nodes, edges, columnOf);
  const neighbours = neighbourhood(links);
  for (let sweep = 0; sweep < SWEEPS; sweep += 1) columns.forEach((_, at) => settle(columns, at, neighbours));
  const tallest = Math.max(1, ...columns.map((column) => column.length));
  const height = 2 * MARGIN.y + tallest * (NODE.height + GAP.row) - GAP.row;
  const places = new Map();
  columns.forEach((column, at) => {
    const step = (height - 2 * MARGIN.y + GAP.row) / column.length;
    column.forEach((name, row) => places.set(name, {
      ...NODE,
      column: at,
      x: MARGIN.x + at * (NODE.width + GAP.column),
      y: MARGIN.y - GAP.row / 2 + step * (row + 0.5) - NODE.height / 2,
    }));
  });
  const ways = new Map([...gaps].map(([key, names]) => [key, names.map((name) => middleOf(places.get(name)))]));
  const width = 2 * MARGIN.x + Math.max(1, columns.length) * (NODE.width + GAP.column) - GAP.column;
  return { width, height, places, ways };
}

function middleOf(place) {
  return { x: place.x + place.width / 2, y: place.y + place.height / 2 };
}

/** The longest way from where calls come from gives the column; calls that lead back do not count. */
function intoColumns(nodes, edges) {
  const forward = withoutCycles(edges.filter((edge) => edge.weight > 0));
  const column = new Map(nodes.map((node) => [node.name, 0]));
  for (let round = 0; round < nodes.length; round += 1) {
    let moved = false;
    for (const { source, destination } of forward) {
      if (column.get(destination) <= column.get(source)) {
        column.set(destination, column.get(source) + 1);
        moved = true;
      }
    }
    if (!moved) break;
  }
  return column;
}

/** Columns of names, gateways on top; an edge that leads past a column gets a gap (a name of its own) in it. */
function withGaps(nodes, edges, columnOf) {
  const columns = [];
  const sorted = [...nodes].sort((a, b) => Number(b.first) - Number(a.first) || a.name.localeCompare(b.name));
  for (const { name } of sorted) (columns[columnOf.get(name)] ??= []).push(name);
  const gaps = new Map();
  const links = [];
  for (const { key, source, destination } of edges) {
    const names = [];
    for (let at = columnOf.get(source) + 1; at < columnOf.get(destination); at += 1) {
      names.push(`${key}@${at}`);
      columns[at].push(names.at(-1));
    }
    gaps.set(key, names);
    const stops = [source, ...names, destination];
    stops.slice(1).forEach((stop, place) => links.push({ source: stops[place], destination: stop }));
  }
  return { columns, links, gaps };
}

/** The edges with the most traffic first, each taken unless it would close a circle. */
function withoutCycles(edges) {
  const taken = [];
  const targets = new Map();
  const reaches = (from, to, seen = new Set()) => {
    if (from === to) return true;
    if (seen.has(from)) return false;
    seen.add(from);
    return (targets.get(from) ?? []).some((next) => reaches(next, to, seen));
  };
  for (const edge of [...edges].sort((a, b) => b.weight - a.weight || a.key.localeCompare(b.key))) {
    if (reaches(edge.destination, edge.source)) continue;
    taken.push(edge);
    targets.set(edge.source, [...(targets.get(edge.source) ?? []), edge.destination]);
  }
  return taken;
}

function neighbourhood(edges) {
  const neighbours = new Map();
  for (const { source, destination } of edges) {
    neighbours.set(source, [...(neighbours.get(source) ?? []), destination]);
    neighbours.set(destination, [...(neighbours.get(destination) ?? []), source]);
  }
  return neighbours;
}

/** Orders one column by where the neighbours in the column before it stand, so that few lines cross. */
function settle(columns, at, neighbours) {
  if (at === 0) return;
  const before = new Map(columns[at - 1].map((name, row) => [name, row]));
  const height = new Map(columns[at].map((name, row) => {
    const rows = (neighbours.get(name) ?? []).filter((other) => before.has(other)).map((other) => before.get(other));
    return [name, rows.length ? rows.reduce((sum, one) => sum + one, 0) / rows.length : row];
  }));
  columns[at].sort((a, b) => height.get(a) - height.get(b) || a.localeCompare(b));
}
