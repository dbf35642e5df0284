"""The sections of the live view and of `mizzen status`: each turns one part of a snapshot into aligned lines."""

from collections.abc import Iterable, Iterator

from rich.console import Console
from rich.text import Text

from mizzen.admin.schema import ChangeReport, Denial, Edge, MeshStatus, Split, WorkloadStatus
from mizzen.cli.lines import (
    BAD,
    BOLD,
    BUSY,
    DIM,
    GOOD,
    WARN,
    Section,
    bar,
    cell,
    clean,
    duration,
    milliseconds,
    percent,
    rate,
    row,
    short_identity,
    short_name,
)
from mizzen.cli.snapshot import LabState, ProcessState, Snapshot, state_of

Part = str | tuple[str, str]
"""Words, or words with their style."""

WIDE = 110
_URGENCY = {"error": 0, "warning": 1}
_SPLIT_STYLES = ("green", "blue", "yellow", "magenta", "cyan", "white")


def build_sections(snapshot: Snapshot, width: int) -> list[Section]:
    """All sections in the order in which they are shown; one without lines has nothing to say."""
    mesh = snapshot.mesh
    if mesh is None:
        return [_limits(snapshot.lab, width)]
    return [
        _workloads(mesh, snapshot.lab, width),
        _problems(mesh, width),
        _splits(mesh, width),
        _traffic(mesh, width),
        _denials(mesh, width),
        _changes(mesh, width),
        _limits(snapshot.lab, width),
    ]


def _workloads(mesh: MeshStatus, lab: LabState, width: int) -> Section:
    instances = {f"{one.namespace}/{one.name}": one for one in lab.instances}
    wide = width >= WIDE
    longest = max((len(one.name) for one in mesh.workloads), default=0)
    name_width = min(max(longest, 16), 44 if wide else 28) + 2
    # Side by side: address, app, agent, the proxy's state, and where there is room what the proxy has been given.
    state_width = width - name_width - 29 - (26 if wide else 0)
    columns = [
        cell("address", 15, DIM),
        cell("app", 5, DIM),
        cell("agent", 5, DIM),
        cell("proxy", state_width, DIM),
    ]
    if wide:
        columns += [cell("resources", 9, DIM, right=True), cell("certificate for", 15, DIM, right=True)]

    def line(one: WorkloadStatus) -> Text:
        style, words = state_of(one)
        processes = instances.get(one.name)
        cells = [
            cell(Text.assemble(("● ", style), clean(one.name)), name_width),
            cell(one.address, 15),
            _process(processes.application if processes else None, 5),
            _process(processes.agent if processes else None, 5),
            cell(words, state_width, style),
        ]
        if wide:
            expires = one.certificate_expires
            resources = sum(sync.resources for sync in one.sync)
            cells += [
                cell(str(resources), 9, right=True),
                cell(duration(expires - mesh.now) if expires else "-", 15, right=True),
            ]
        return row(*cells)

    return Section(
        name="WORKLOADS",
        name_width=name_width,
        columns=row(*columns),
        lines=[line(one) for one in _by_urgency(mesh.workloads)],
        rank=0,
        least=3,
    )


def _by_urgency(workloads: tuple[WorkloadStatus, ...]) -> list[WorkloadStatus]:
    """What needs attention first, for the end of the list may be cut off; then gateways, then by name."""
    return sorted(workloads, key=lambda one: (state_of(one)[0] == GOOD, one.kind != "gateway", one.name))


def _process(process: ProcessState | None, width: int) -> Text:
    if process is None:
        return cell("-", width, DIM)
    mark = Text("✓", GOOD) if process.pid else Text("✗", BAD)
    if process.restarts:
        mark.append(f" ↻{process.restarts}", WARN)
    return cell(mark, width)


def _problems(mesh: MeshStatus, width: int) -> Section:
    lines: list[Text] = []
    for one in mesh.rejections:
        refused = f" {one.type_name} {one.resource}: {one.error}"
        lines += _wrapped(width, ("NACK ", BAD), (one.proxy, BOLD), refused)
        lines += [_cut(width, (f"     from {origin}", DIM)) for origin in one.origins]
    for diagnostic in sorted(mesh.diagnostics, key=lambda one: _URGENCY.get(one.severity, 2)):
        style = (BAD, WARN, DIM)[_URGENCY.get(diagnostic.severity, 2)]
        place = diagnostic.location or diagnostic.resource
        lines += _wrapped(width, (f"{diagnostic.code} ", style), (f"{place} ", BOLD), diagnostic.message)
    return Section("PROBLEMS", width, Text(), lines, rank=1, least=1)


def _splits(mesh: MeshStatus, width: int) -> Section:
    lines = [line for split in mesh.traffic.splits for line in _split_lines(split, width)]
    note = f"requests of the last {mesh.traffic.window_seconds:.0f} s, counted by the callers' proxies"
    return Section("SPLIT", 18, cell(note, max(width - 19, 0), DIM), lines, rank=2, least=3)


def _split_lines(split: Split, width: int) -> Iterator[Text]:
    whole = sum(split.requests_by_version.values())
    service = ".".join(split.service.split(".")[:2])
    versions = max(map(len, split.requests_by_version), default=0)
    version_width = min(max(versions, 4), 16)
    bar_width = min(width - 18 - version_width - 18, 60)
    for place, (version, requests) in enumerate(split.requests_by_version.items()):
        share = requests / whole if whole else 0.0
        yield row(
            cell("" if place else service, 18, BOLD),
            cell(version, version_width),
            cell(bar(share, bar_width), bar_width, _SPLIT_STYLES[place % len(_SPLIT_STYLES)]),
            cell(percent(requests, whole), 6, right=True),
            cell(str(requests), 7, DIM, right=True),
        )


def _traffic(mesh: MeshStatus, width: int) -> Section:
    busiest = sorted(
        mesh.traffic.edges, key=lambda edge: (-edge.requests_per_second, edge.source, edge.destination)
    )
    wide = width >= WIDE
    name = str if wide else short_name
    longest = max((len(name(end)) for edge in busiest for end in (edge.source, edge.destination)), default=0)
    side = min(longest, 28 if wide else 17)
    rest = width - 2 * side - (36 if wide else 27)
    heading = f"identities in spiffe://{mesh.trust_domain}" if wide else "caller's identity"
    return Section(
        name="TRAFFIC",
        name_width=2 * side + 3,
        columns=row(
            cell("TLS", 5, DIM),
            cell("requests", 8, DIM, right=True),
            cell("failed", 6, DIM, right=True),
            *((cell("mean", 8, DIM, right=True),) if wide else ()),
            cell(heading, rest, DIM),
        ),
        lines=[_edge_line(edge, side, rest, wide=wide) for edge in busiest],
        rank=4,
        least=2,
    )


def _edge_line(edge: Edge, side: int, rest: int, *, wide: bool) -> Text:
    name = str if wide else short_name
    identities = short_identity(edge.source_principal) or "no identity"
    if wide and edge.mutual_tls:
        identities += f" → {short_identity(edge.destination_principal)}"
    bad = edge.errors_per_second + edge.denied_per_second
    return row(
        cell(
            Text.assemble(cell(name(edge.source), side), (" → ", DIM), cell(name(edge.destination), side)),
            2 * side + 3,
        ),
        cell("mTLS", 5, GOOD) if edge.mutual_tls else cell("plain", 5, WARN),
        cell(rate(edge.requests_per_second), 8, right=True),
        cell(percent(bad, edge.requests_per_second) if bad else "", 6, BAD, right=True),
        *((cell(milliseconds(edge.mean_milliseconds), 8, right=True),) if wide else ()),
        cell(identities, rest, "" if edge.mutual_tls else DIM),
    )


def _denials(mesh: MeshStatus, width: int) -> Section:
    latest = sorted(mesh.traffic.denials, key=lambda denial: -denial.last_seen)
    lines = [line for denial in latest for line in _denial_lines(denial, mesh.now, width)]
    return Section("DENIED", width, Text(), lines, rank=3, least=1 if width >= WIDE else 2)


def _denial_lines(denial: Denial, now: float, width: int) -> list[Text]:
    caller = short_identity(denial.source_principal) or "a caller without identity"
    ago = f"{duration(now - denial.last_seen)} ago" if denial.last_seen else "before the daemon started"
    times = f"  {denial.requests_total:,} times, {ago}"
    who: list[Part] = [("403 ", BAD), (caller, BOLD), " → ", (denial.destination, BOLD)]
    if width >= WIDE:
        return [_cut(width, *who, "  ", (denial.policy, BAD), (times, DIM))]
    return [_cut(width, *who, (times, DIM)), _cut(width, "    ", (denial.policy, BAD))]


def _changes(mesh: MeshStatus, width: int) -> Section:
    lines = [_change_line(change, mesh.now, width) for change in mesh.changes]
    return Section("CHANGES", width, Text(), lines, rank=5, least=1)


def _change_line(change: ChangeReport, now: float, width: int) -> Text:
    states = change.proxies
    waiting = [short_name(proxy) for proxy, state in states.items() if state == "pending"]
    refused = [short_name(proxy) for proxy, state in states.items() if state == "rejected"]
    taken = len(states) - len(waiting) - len(refused)
    progress = f"{taken}/{len(states)} proxies" if states else "no proxy"
    style = BAD if refused else BUSY if waiting else GOOD
    behind = Text.assemble(
        (clean(f"refused by {', '.join(refused)}  ") if refused else "", BAD),
        (clean(f"waiting for {', '.join(waiting)}") if waiting else "", BUSY),
    )
    objects = ", ".join(change.objects) or "workloads"
    rest = width - 27
    objects_width = max(min(len(objects), rest - behind.cell_len - 2), min(rest, 32)) if behind else rest
    return row(
        cell(f"{duration(now - change.time)} ago", 10, DIM, right=True),
        cell(f" {progress}", 14, style),
        cell(objects, objects_width),
        cell(behind, rest - objects_width),
    )


def _limits(lab: LabState, width: int) -> Section:
    return Section(
        "NOT SHOWN IN THIS MODE",
        width,
        Text(),
        [_cut(width, (limit, DIM)) for limit in lab.limits],
        rank=6,
        least=1,
    )


def _cut(width: int, *parts: Part) -> Text:
    """Parts with their styles as one line, cut to the width."""
    return cell(_joined(parts), width)


def _wrapped(width: int, *parts: Part) -> list[Text]:
    """Parts with their styles in as many lines as it takes: an error must not lose its end."""
    first, *rest = _joined(parts).wrap(Console(width=width), max(width - 2, 20))
    return [first, *(Text("  ").append_text(line) for line in rest)]


def _joined(parts: Iterable[Part]) -> Text:
    pairs = [(part, "") if isinstance(part, str) else part for part in parts]
    return Text.assemble(*((clean(words), style) for words, style in pairs))
