"""One lab for all cases of an environment: its configuration is swapped, and awaited by delivery."""

import asyncio
import contextlib
import json
import tempfile
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

import msgspec
import yaml

from mizzen.lab.client import ask
from mizzen.lab.launcher import LabHandle, Options, UnsupportedHereError, launch
from mizzen.lab.modes import Mode
from mizzen.lab.protocol import LabStatus, StatusRequest
from tests.conformance.outcome import CannotRunHereError
from tests.conformance.routing_e2e.echo.wire import MAX_LINE_BYTES, Answer, Question
from tests.conformance.routing_e2e.topology import Place, Topology, write_certificates

Json = Any
A = TypeVar("A")
_READY_SECONDS = 180.0
_DELIVERY_SECONDS = 30.0
_POLL_SECONDS = 0.02
_DONE = frozenset({"acked", "rejected", "gone"})
_MARKER = "WorkloadGroup mizzen-test/marker"


class Mesh:
    """The running lab. `tokens` are JWTs by name. `addresses` are those of its services by host name, and of its workloads by instance."""

    def __init__(self, handle: LabHandle, topology: Topology, folder: Path) -> None:
        self.topology = topology
        self._handle = handle
        self._file = folder / "case.yaml"
        self._swaps = 0
        self.tokens: Json = {}
        status = ask(handle.lab.control, StatusRequest(), LabStatus)
        self._workloads = {one.workload: one.address for one in status.instances}

    def admin(self, path: str) -> Any:
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(self._handle.lab.admin_url + path, timeout=10) as answer:
            return json.load(answer)

    def pod_address(self, place: Place) -> str:
        return self._workloads[place.names()[0].replace(" ", "-")]

    def service_address(self, service: str) -> str:
        namespace, _, name = service.partition("/")
        return str(
            self.admin("/api/v1/names")["names"][f"{name}.{namespace}.svc.cluster.local"]["addresses"][0]
        )

    async def apply(self, objects: Sequence[Json]) -> list[str]:
        """Put these objects in force instead of the last; answers what the mesh says against them."""
        before = self.admin("/api/v1/status")["revision"]
        self._swaps += 1
        unfinished = self._file.with_suffix(".unfinished")
        unfinished.write_text(_text([*objects, _marker(self._swaps)]))
        unfinished.replace(self._file)
        deadline = time.monotonic() + _DELIVERY_SECONDS
        while not self._is_delivered(before):
            if time.monotonic() > deadline:
                return [f"the configuration was not delivered within {_DELIVERY_SECONDS:g} s"]
            await asyncio.sleep(_POLL_SECONDS)
        status = self.admin("/api/v1/status")
        refused = [
            f"{one['proxy']} refused {one['resource']}: {one['error']}" for one in status["rejections"]
        ]
        wrong = [
            f"{one['code']} {one['resource']}: {one['message']}"
            for one in status["diagnostics"]
            if one["severity"] == "error"
        ]
        return [*refused, *wrong]

    def _is_delivered(self, before: int) -> bool:
        changes = [one for one in self.admin("/api/v1/changes")["changes"] if one["revision"] > before]
        if not any(_MARKER in one["objects"] for one in changes):
            return False
        return all(state in _DONE for one in changes for state in one["proxies"].values())

    async def tell(self, place: Place, question: Question, expected: type[A]) -> A:
        """Ask the application of a workload. Raises OSError."""
        control = self.topology.control / place.names()[0]
        reader, writer = await asyncio.open_unix_connection(str(control), limit=MAX_LINE_BYTES)
        try:
            writer.write(msgspec.json.encode(question) + b"\n")
            answer: Answer = msgspec.json.decode(await reader.readline(), type=Answer)
        finally:
            writer.close()
        assert isinstance(answer, expected)
        return answer

    def logs(self) -> Mapping[str, Path]:
        return {path.stem: path for path in (Path(self._handle.lab.state) / "logs").glob("*.log")}


def _marker(number: int) -> Json:
    """Differs in every swap, so that each is a change, also where two configurations are the same to the mesh."""
    return {
        "apiVersion": "networking.istio.io/v1",
        "kind": "WorkloadGroup",
        "metadata": {"name": "marker", "namespace": "mizzen-test"},
        "spec": {"metadata": {"labels": {"swap": str(number)}}, "template": {"serviceAccount": "marker"}},
    }


def _text(objects: Sequence[Json]) -> str:
    return "---\n".join(yaml.dump(one, Dumper=yaml.CSafeDumper, sort_keys=False) for one in objects)


@contextlib.contextmanager
def running_mesh(document: Json, environment: str, cases: Sequence[Json], keys: str = "") -> Iterator[Mesh]:
    """Raises CannotRunHereError where the kernel grants no network namespaces."""
    with tempfile.TemporaryDirectory(prefix="mizzen-e2e-") as scratch:
        folder, control = Path(scratch) / "mesh", Path(scratch) / "control"
        for made in (Path(scratch), folder, control):
            made.mkdir(exist_ok=True)
            made.chmod(0o777)  # the applications are nobody
        topology = Topology(document, environment, cases, control, keys)
        write_certificates(control)
        (folder / "standing.yaml").write_text(_text(list(topology.objects())))
        (folder / "case.yaml").write_text(_text([_marker(0)]))
        with _launched(topology, folder, Path(scratch)) as handle:
            yield Mesh(handle, topology, folder)


def _launched(topology: Topology, folder: Path, state: Path) -> LabHandle:
    refused = []
    for mode in (Mode.ROOTED, Mode.ROOTLESS):
        options = Options(
            definition=topology.definition(),
            folder=folder,
            config=(folder,),
            state_root=state,
            mode=mode,
            ready_seconds=_READY_SECONDS,
        )
        try:
            return launch(options, lambda _text: None)
        except UnsupportedHereError as error:
            refused.append(str(error))
    raise CannotRunHereError("; ".join(refused))
