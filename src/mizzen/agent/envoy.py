"""Runs Envoy: as a user of its own where there is one, from a binary that this user may not even reach by its path."""

import os
from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from mizzen.agent.dns_upstream import RESOLVER_FILE
from mizzen.agent.settings import Interception, Settings
from mizzen.errors import UserError
from mizzen.processes import CAP_NET_ADMIN, Command, Restart, Supervised, ToLines

_RESTART: Final = Restart(first_seconds=0.1, max_seconds=5.0)
_LAST_WORDS: Final = 5


def envoy_uid(settings: Settings, own_uid: int, uid_map: str) -> int | None:
    """The user that Envoy runs as, None for the agent's own. `uid_map` is the content of /proc/self/uid_map.

    Raises UserError where capture needs to know Envoy by its user, and there is only one.
    """
    if not settings.captures or settings.mark:
        return None
    if own_uid != 0 or not _is_mapped(settings.envoy_uid, uid_map):
        raise UserError(
            f"Envoy cannot run as user {settings.envoy_uid} here, so its traffic cannot be told from the application's",
            "run as root, or tell it by a mark: --mark 1337",
        )
    return settings.envoy_uid


def _is_mapped(uid: int, uid_map: str) -> bool:
    ranges = (map(int, line.split()) for line in uid_map.splitlines())
    return any(first <= uid < first + count for first, _, count in ranges)


def search_domain(namespace: str, resolver: Path) -> dict[str, str]:
    """What lets Envoy resolve a Service's short name, as an endpoint of a ServiceEntry may be written: a Pod's resolver
    searches its namespace, so the environment says so where the machine's resolver searches nothing.
    """
    try:
        lines = resolver.read_text(errors="replace").splitlines()
    except OSError:
        lines = []
    if any(line.split()[:1] in (["search"], ["domain"]) for line in lines):
        return {}
    return {"LOCALDOMAIN": f"{namespace}.svc.cluster.local"}  # c-ares reads one domain


class Envoy:
    """The Envoy of this workload, kept running. Its access log goes to this process's output."""

    def __init__(
        self,
        settings: Settings,
        bootstrap: str,
        binary: Path,
        uid: int | None,
        *,
        on_line: Callable[[str], None],
        on_exit: Callable[[str, float], None],
    ) -> None:
        """`on_line` gets Envoy's own log; `on_exit` the reason why it ended and the seconds until it starts again."""
        self._last_words: deque[str] = deque(maxlen=_LAST_WORDS)
        self._on_line = on_line
        self._on_exit = on_exit
        # A descriptor: Envoy's user may be unable to pass the folders above the binary.
        self._descriptor = _open(binary)
        self._supervised = Supervised(self._command(settings, bootstrap, uid), _RESTART, on_exit=self._ended)

    @property
    def pid(self) -> int | None:
        return self._supervised.pid

    @property
    def restarts(self) -> int:
        return self._supervised.restarts

    def start(self) -> None:
        """Raises StartError."""
        self._supervised.start()

    async def stop(self) -> None:
        await self._supervised.stop()
        if self._descriptor != -1:
            os.close(self._descriptor)
            self._descriptor = -1

    def _command(self, settings: Settings, bootstrap: str, uid: int | None) -> Command:
        tproxy = settings.interception is Interception.TPROXY
        return Command(
            name="Envoy",
            argv=(
                f"/proc/self/fd/{self._descriptor}",
                # Not the file: Envoy resolves its path, and may be unable to pass the folders above.
                *("--config-yaml", bootstrap),
                *("--concurrency", str(settings.concurrency or os.cpu_count() or 1)),
                *("--log-level", "info" if settings.debug else "warning"),
                *("--drain-time-s", str(int(settings.listener_drain_seconds))),
                *("--drain-strategy", "immediate"),
                "--disable-hot-restart",
            ),
            # And nothing of ours.
            env={**search_domain(settings.namespace, RESOLVER_FILE), **settings.envoy_environment},
            cwd=settings.state_dir,
            uid=uid,
            gid=uid,
            # A transparent socket has an address of somebody else. As the agent's own user Envoy keeps the agent's rights.
            capabilities=(CAP_NET_ADMIN,) if tproxy and uid is not None else (),
            pass_fds=(self._descriptor,),
            stderr=ToLines(self._heard),
        )

    def _heard(self, line: str) -> None:
        self._last_words.append(line)
        self._on_line(line)

    def _ended(self, why: str, delay_seconds: float | None) -> None:
        said = f" ({self._last_words[-1]})" if self._last_words else ""
        self._last_words.clear()
        self._on_exit(f"{why}{said}", delay_seconds or 0.0)


def _open(binary: Path) -> int:
    try:
        return os.open(binary, os.O_RDONLY | os.O_CLOEXEC)
    except OSError as error:
        raise UserError(
            f"cannot read Envoy at {binary}: {error.strerror}", "name another with --envoy"
        ) from None
