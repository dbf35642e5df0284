"""A running lab as the live view asks for it: its control socket, and its daemon's admin API."""

from collections.abc import Mapping
from typing import Any
from urllib.request import ProxyHandler, build_opener

import msgspec

from mizzen.lab.client import ask
from mizzen.lab.protocol import LabStatus, StatusRequest
from mizzen.lab.state import LabFile

# The view waits for each answer; a late one is as good as none.
_TIMEOUT_SECONDS = 2.0


class RunningLab:
    """Implements `mizzen.cli.view.Lab`."""

    def __init__(self, lab: LabFile) -> None:
        self._lab = lab
        # The user's own proxy settings lead away from this machine.
        self._opener = build_opener(ProxyHandler({}))

    @property
    def name(self) -> str:
        return self._lab.name

    @property
    def mode(self) -> str:
        return str(self._lab.mode)

    @property
    def urls(self) -> Mapping[str, str]:
        urls = {"page": self._lab.ingress_url, "console": self._lab.admin_url}
        return {name: url for name, url in urls.items() if url}

    def admin_get(self, path: str) -> Any:
        with self._opener.open(f"{self._lab.admin_url}{path}", timeout=_TIMEOUT_SECONDS) as answer:
            try:
                return msgspec.json.decode(answer.read())
            except msgspec.DecodeError as error:
                raise OSError(f"{self._lab.admin_url} is not a daemon of Mizzen") from error

    def status(self) -> Any:
        return msgspec.to_builtins(ask(self._lab.control, StatusRequest(), LabStatus, _TIMEOUT_SECONDS))
