"""The live view in terminals of every size: what is shown, what is cut, and what a silent daemon looks like."""

import io

import msgspec
import pytest
from msgspec.structs import replace
from rich.console import Console

from mizzen.admin.schema import Denial, Rejection
from mizzen.cli.lines import bar, cell, duration, fit, rate, row, short_identity
from mizzen.cli.snapshot import read_lab
from mizzen.cli.tables import Check, CheckState, print_checks, print_status
from mizzen.cli.view import LabEndedError, Snapshot, Watch, render, run_view
from mizzen.errors import UserError
from tests.support.mesh_status import bookinfo_status, empty_status

LAB = {
    "folder": "samples/bookinfo",
    "mode": "rooted",
    "instances": [
        {
            "name": "ratings-0",
            "namespace": "bookinfo",
            "agent": {"pid": 7},
            "application": {"pid": 0, "ended": "exit 1"},
        },
        {
            "name": "reviews-v2-0",
            "namespace": "bookinfo",
            "agent": {"pid": 9, "restarts": 2},
            "application": {"pid": 8},
        },
        {"name": "ingress-0", "namespace": "istio-system", "agent": {"pid": 3}, "application": None},
    ],
}
URLS = {"page": "http://localhost:8080/productpage", "console": "http://127.0.0.1:15014/"}


def snapshot(mesh=None, lab=LAB, silent=0.0):
    return Snapshot("bookinfo", "rooted", URLS, mesh, read_lab(lab), silent)


def screen(width, height, **more):
    more.setdefault("mesh", bookinfo_status())
    return [line.plain for line in render(snapshot(**more), width, height)]


def find(lines, word):
    return next(line for line in lines if word in line)


@pytest.mark.parametrize(
    ("width", "height"), [(80, 24), (120, 40), (200, 60), (60, 12), (40, 8), (80, 4), (80, 1)]
)
def test_the_screen_fits(width, height):
    lines = render(snapshot(bookinfo_status()), width, height)
    assert len(lines) <= max(height, 3)
    assert all(line.cell_len <= width for line in lines)


def test_a_small_screen_shows_something_of_everything():
    lines = screen(80, 24)
    text = "\n".join(lines)
    assert URLS["page"] in text
    assert URLS["console"] in text
    for heading in ("WORKLOADS", "PROBLEMS", "SPLIT", "TRAFFIC", "DENIED", "CHANGES"):
        assert heading in text
    assert "no ALLOW policy matched (bookinfo/reviews-viewer)" in text
    assert "Ctrl-C" in lines[-1]
    assert "requests/s" in lines[0]


def test_what_is_cut_is_counted_and_what_needs_attention_is_not_cut():
    lines = screen(80, 24)
    assert "more" in find(lines, "WORKLOADS")
    assert find(lines, "bookinfo/ratings-0")
    assert find(lines, "bookinfo/productpage-0")


def test_a_large_screen_shows_all():
    text = "\n".join(screen(120, 60))
    status = bookinfo_status()
    for name in [one.name for one in status.workloads] + [one.code for one in status.diagnostics]:
        assert name in text
    assert text.count("mTLS") == sum(edge.mutual_tls for edge in status.traffic.edges)
    assert "more" not in text
    assert "bookinfo/productpage → bookinfo/reviews" in text


def test_a_workload_shows_its_processes_and_its_proxy():
    lines = screen(120, 60)
    assert find(lines, "● bookinfo/ratings-0").split()[2:6] == ["10.77.0.13", "✗", "✓", "proxy"]
    assert find(lines, "● bookinfo/reviews-v2-0").split()[2:7] == ["10.77.0.15", "✓", "✓", "↻2", "in"]
    assert find(lines, "● istio-system/ingress-0").split()[2:5] == ["10.77.0.10", "-", "✓"]
    assert "refused listeners" in find(lines, "● bookinfo/productpage-0")
    assert "updating routes" in find(lines, "● bookinfo/reviews-v3-0")


def test_the_split_is_measured_in_percent():
    lines = screen(80, 40)
    shares = [line.split() for line in lines if line.rstrip().endswith(("114", "15", "13")) and "%" in line]
    assert [one[-2] for one in shares] == ["80.3%", "10.6%", "9.2%"]
    assert lines.index(find(lines, "80.3%")) == lines.index(find(lines, "10.6%")) - 1


def test_plaintext_stands_out_and_errors_are_counted():
    lines = screen(120, 60)
    assert "plain" in find(lines, "→ bookinfo/details-0")
    assert "no identity" in find(lines, "→ bookinfo/details-0")
    assert "%" in find(lines, "bookinfo/reviews-v3-0  → bookinfo/ratings-0")


def test_changes_say_who_is_missing():
    lines = screen(120, 60)
    assert "waiting for reviews-v3-0" in find(lines, "2/3 proxies")
    assert "refused by productpage-0" in find(lines, "6/7 proxies")


def test_columns_stand_under_each_other():
    lines = screen(120, 60)
    heading = find(lines, "WORKLOADS")
    for word, first in (("address", "10.77.0.13"), ("proxy", "proxy not connected")):
        assert heading.index(word) == find(lines, "● bookinfo/ratings-0").index(first)


def test_before_the_daemon_answers_and_while_it_is_silent():
    assert "waiting for the daemon" in screen(80, 24, mesh=None)[0]
    assert "has not answered for 7 s: it is starting" in screen(80, 24, mesh=None, silent=7.0)[0]
    assert "has not answered for 7 s: the last it said is below" in screen(80, 24, silent=7.0)[0]


def test_an_empty_mesh_is_shown_too():
    lines = screen(80, 24, mesh=empty_status())
    assert len(lines) == 24
    assert "0.0 requests/s" in lines[0]


def test_what_this_mode_cannot_show_is_said():
    lines = screen(80, 60, lab=LAB | {"limits": ["capture: applications find the proxy by http_proxy"]})
    assert find(lines, "NOT SHOWN IN THIS MODE")
    assert find(lines, "capture: applications")


def test_words_from_outside_cannot_drive_the_terminal():
    evil = "\x1b]0;owned\x07\x1b[2J\r\nx\u202e"
    status = bookinfo_status()
    status = replace(
        status,
        rejections=(Rejection(proxy=evil, type_name=evil, resource=evil, error=evil, origins=(evil,)),),
        workloads=(replace(status.workloads[0], name=evil, address=evil, health_reason=evil, healthy=False),),
        changes=(replace(status.changes[0], objects=(evil,), proxies={evil: "pending"}),),
        traffic=replace(
            status.traffic,
            denials=(
                Denial(source_principal=evil, destination=evil, policy=evil, requests_total=1, last_seen=1.0),
            ),
            edges=(replace(status.traffic.edges[0], source=evil, destination=evil, source_principal=evil),),
            splits=(replace(status.traffic.splits[0], service=evil, requests_by_version={evil: 3, "v2": 1}),),
        ),
    )
    for width in (80, 120):
        for line in screen(width, 60, mesh=status, lab=LAB | {"folder": evil}):
            assert line.isprintable()


class FakeLab:
    """A lab whose daemon and whose own control can fall silent."""

    name, mode, urls = "bookinfo", "rooted", URLS

    def __init__(self):
        self.daemon = self.control = True

    def admin_get(self, path):
        assert path == "/api/v1/status"
        if not self.daemon:
            raise ConnectionRefusedError
        return msgspec.to_builtins(bookinfo_status())

    def status(self):
        if not self.control:
            raise UserError("the lab does not answer")
        return LAB


class Clock:
    seconds = 100.0

    def __call__(self):
        return self.seconds


def test_the_last_picture_stays_while_the_daemon_is_silent():
    lab, clock = FakeLab(), Clock()
    watch = Watch(lab, clock)
    assert watch.look().silent_seconds == 0
    lab.daemon = False
    clock.seconds += 30
    look = watch.look()
    assert (look.silent_seconds, look.mesh.revision) == (30.0, 42)
    lab.daemon = True
    assert watch.look().silent_seconds == 0


def test_a_lab_that_has_ended_ends_the_view():
    lab, clock = FakeLab(), Clock()
    watch = Watch(lab, clock)
    lab.control = False
    watch.look()
    clock.seconds += 6
    with pytest.raises(LabEndedError):
        watch.look()


def test_the_view_returns_when_the_lab_ends():
    lab, clock, console = FakeLab(), Clock(), terminal()

    def pause(seconds):
        lab.control = False
        clock.seconds += seconds

    run_view(lab, console, clock=clock, pause=pause)
    assert console.file.getvalue().count("\x1b[?1049l") == 1


def terminal(environment=None, **more):
    return Console(
        file=io.StringIO(),
        width=80,
        height=24,
        force_terminal=True,
        highlight=False,
        _environ={"TERM": "xterm-256color"} | (environment or {}),
        **more,
    )


def run_until(console, looks):
    """Run the view until the user has seen it so often, then press Ctrl-C."""
    clock, left = Clock(), iter(range(looks))

    def pause(seconds):
        clock.seconds += seconds
        assert seconds >= 0.25, "4 Hz at most"
        if next(left, None) is None:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_view(FakeLab(), console, clock=clock, pause=pause)
    return console.file.getvalue()


def test_the_view_leaves_the_terminal_as_it_was():
    written = run_until(terminal(), 3)
    assert written.count("\x1b[?1049h") == written.count("\x1b[?1049l") == 1
    assert written.rindex("\x1b[?25h") > written.rindex("\x1b[?25l")
    assert "bookinfo/ratings-0" in written


def test_no_color_is_honoured():
    red = "\x1b[31m"
    assert red in run_until(terminal(), 1)
    plain = run_until(terminal({"NO_COLOR": "1"}), 1)
    assert red not in plain
    assert "bookinfo/ratings-0" in plain


def test_without_a_terminal_the_lab_is_shown_once_without_escapes():
    console = Console(file=io.StringIO(), width=100, highlight=False, _environ={})
    run_view(FakeLab(), console, clock=Clock(), pause=pytest.fail)
    written = console.file.getvalue()
    assert "\x1b" not in written
    assert "bookinfo/ratings-0" in written


def test_status_is_the_whole_picture():
    console = Console(file=io.StringIO(), width=80, _environ={})
    print_status(snapshot(bookinfo_status()), console)
    written = console.file.getvalue()
    assert "more" not in written
    assert "Ctrl-C" not in written
    assert not [line for line in written.splitlines() if line != line.rstrip()]


def checks():
    return [
        Check("Six workloads run", CheckState.PROVED, "7 of 7 ready"),
        Check("Traffic is captured", CheckState.NOT_SHOWN, "loopback mode has no network namespaces"),
    ]


def test_checks_have_three_states():
    console = Console(file=io.StringIO(), width=60, _environ={})
    assert print_checks(checks(), mode="loopback", console=console)
    lines = console.file.getvalue().splitlines()
    assert lines[0].split() == ["✓", "proved", "Six", "workloads", "run"]
    assert lines[2].split()[:3] == ["-", "not", "shown"]
    assert lines[-1] == "1 proved, 0 failed, 1 not shown in this mode (loopback)"


def test_a_failed_check_fails_and_its_evidence_is_whole():
    console = Console(file=io.StringIO(), width=50, _environ={})
    evidence = "ratings got 200 where 403 was expected, " * 4
    assert not print_checks(
        [*checks(), Check("Only productpage calls", CheckState.FAILED, evidence)], console=console
    )
    written = console.file.getvalue()
    assert " ".join(written.split()).count("where 403 was expected,") == 4
    assert all(len(line) <= 50 for line in written.splitlines())


def test_sections_are_dropped_by_rank_not_by_place():
    from mizzen.cli.lines import Section

    def section(name, rank, lines, least):
        made = [cell(f"{name}{number}", 10) for number in range(lines)]
        return Section(name, 16, cell("", 5), made, rank, least)

    sections = [section("late", 2, 3, 2), section("first", 0, 4, 1), section("none", 1, 0, 1)]

    def shown(height):
        return [line.plain.strip() for line in fit(sections, height)]

    assert shown(20) == [
        "",
        "late",
        "late0",
        "late1",
        "late2",
        "",
        "first",
        "first0",
        "first1",
        "first2",
        "first3",
    ]
    assert shown(8) == ["late  +1 more", "late0", "late1", "first", "first0", "first1", "first2", "first3"]
    assert shown(5) == ["late  +1 more", "late0", "late1", "first  +3 more", "first0"]
    assert shown(4) == ["first  +1 more", "first0", "first1", "first2"]
    assert shown(1) == []


def test_words_for_numbers():
    assert [rate(0), rate(0.01), rate(3.14159), rate(12345)] == ["0.0/s", "<0.1/s", "3.1/s", "12,345/s"]
    assert [duration(seconds) for seconds in (-1, 59, 61, 7200, 200_000)] == [
        "0 s",
        "59 s",
        "1 min",
        "2 h",
        "2 days",
    ]
    assert [bar(share, 4) for share in (0, 0.5, 1, 7)] == ["", "██", "████", "████"]
    assert bar(1 / 32, 4) == "▏"
    assert short_identity("spiffe://td/ns/a/sa/b") == "a/b"
    assert short_identity("spiffe://td/other") == "spiffe://td/other"
    assert row(cell("abcdef", 4), cell("x", 3, right=True)).plain == "abc…   x"
