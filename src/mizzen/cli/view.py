"""The live view of a running lab: the mesh on one screen, in whatever room the terminal has."""

import sys
import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

import msgspec
from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from mizzen.cli.lines import BAD, BOLD, DIM, cell, clean, fit, rate, spread
from mizzen.cli.sections import build_sections
from mizzen.cli.snapshot import LabState, Snapshot, read_lab, read_mesh
from mizzen.errors import UserError

_INTERVAL_SECONDS = 0.5
# A lab that has been silent for so long has ended.
_PATIENCE_SECONDS = 5.0


class Lab(Protocol):
    """A running lab, as the view sees it."""

    @property
    def name(self) -> str: ...

    @property
    def mode(self) -> str: ...

    @property
    def urls(self) -> Mapping[str, str]:
        """What the user may open in a browser, by what it is: page, console."""
        ...

    def admin_get(self, path: str) -> Any:
        """A document of the daemon's admin API. Raises UserError or OSError where the daemon does not answer."""
        ...

    def status(self) -> Any:
        """The lab's status: `LabState` as plain values. Raises UserError or OSError where the lab does not answer."""
        ...


class LabEndedError(Exception):
    """The lab that was watched is gone."""


class Watch:
    """Asks a lab again and again, and remembers what it said last while it is silent."""

    def __init__(self, lab: Lab, clock: Callable[[], float]) -> None:
        self._lab = lab
        self._clock = clock
        self._last = Snapshot(lab.name, lab.mode, lab.urls, None, LabState())
        self._lab_heard = self._mesh_heard = clock()

    def look(self) -> Snapshot:
        """Raises LabEndedError once the lab itself has not answered for some seconds."""
        last, mesh = self._last, self._last.mesh
        state = last.lab
        try:
            state = read_lab(self._lab.status())
            self._lab_heard = self._clock()
        except (UserError, OSError) as error:
            if self._clock() - self._lab_heard > _PATIENCE_SECONDS:
                raise LabEndedError from error
        try:
            mesh = read_mesh(self._lab.admin_get("/api/v1/status"))
            self._mesh_heard = self._clock()
        except (UserError, OSError, msgspec.ValidationError):
            pass  # the daemon is starting or being restarted; the proxies go on
        self._last = Snapshot(
            last.name, last.mode, self._lab.urls, mesh, state, self._clock() - self._mesh_heard
        )
        return self._last


def run_view(
    lab: Lab,
    console: Console | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
    pause: Callable[[float], None] = time.sleep,
) -> None:
    """Show the lab until it ends, then return. Ctrl-C passes through as KeyboardInterrupt: what it stops is the caller's.

    On the alternate screen, so that what the terminal held before is there again afterwards. Where there is no
    terminal, the lab is shown once.
    """
    console = console or make_console()
    watch = Watch(lab, clock)
    if not console.is_terminal:
        print_lines(render(watch.look(), console.width, None), console)
        return
    with Live(console=console, screen=True, auto_refresh=False, vertical_overflow="crop") as live:
        while True:
            try:
                snapshot = watch.look()
            except LabEndedError:
                return
            live.update(Group(*render(snapshot, console.width, console.height)), refresh=True)
            pause(_INTERVAL_SECONDS)


def print_lines(lines: Sequence[Text], console: Console) -> None:
    """For files and pipes as well: no blanks at the ends of lines, and no line is broken."""
    for line in lines:
        line.rstrip()
        console.print(line, soft_wrap=True)


def make_console() -> Console:
    """Colours only on a terminal, and none where NO_COLOR is set; rich sees to both."""
    # A terminal that cannot show a letter shows "?" for it: better than an error.
    if hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="replace")
    return Console(highlight=False)


def render(snapshot: Snapshot, width: int, height: int | None) -> list[Text]:
    """The screen as lines, each at most `width` wide; at most `height` of them (None: as many as there are)."""
    head = _head(snapshot, width)
    foot = [] if height is None else [_foot(snapshot, width)]
    room = 10_000 if height is None else max(height - len(head) - len(foot), 0)
    body = fit(build_sections(snapshot, width), room)
    if height is not None:
        body += [Text()] * (room - len(body))  # the last line stays where it is
    lines = [*head, *body, *foot]
    for line in lines:
        line.truncate(width)  # columns have a least width; a terminal need not
    return lines


def _head(snapshot: Snapshot, width: int) -> list[Text]:
    mesh = snapshot.mesh
    title = Text.assemble(
        ("mizzen", "bold cyan"), "  ", (clean(snapshot.name), BOLD), (f"  {snapshot.mode}", DIM)
    )
    if snapshot.silent_seconds > 2:
        what = "the last it said is below" if mesh else "it is starting"
        right = Text(f"the daemon has not answered for {snapshot.silent_seconds:.0f} s: {what}", BAD)
    elif mesh is None:
        right = Text("waiting for the daemon", DIM)
    else:
        right = Text.assemble(
            (rate(mesh.traffic.requests_per_second).replace("/s", " requests/s"), BOLD),
            (f"  revision {mesh.revision}", DIM),
        )
    urls = Text("   ").join(
        Text.assemble((f"{clean(name)} ", DIM), (clean(url), "underline"))
        for name, url in snapshot.urls.items()
    )
    return [spread(title, right, width), cell(urls, width)]


def _foot(snapshot: Snapshot, width: int) -> Text:
    folder = clean(snapshot.lab.folder)
    hint = f"Edit the YAML in {folder} and watch" if folder else "mizzen status, logs and curl look closer"
    return spread(Text(hint, DIM), Text.assemble(("Ctrl-C", BOLD), (" stops the mesh", DIM)), width)
