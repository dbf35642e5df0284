"""What a change costs: analysis of one changed file among ten thousand objects, by the engine's log."""

from collections import Counter
from pathlib import Path

import pytest

from mizzen.analysis.live import LiveAnalysis
from mizzen.analysis.registry import ANALYZERS
from mizzen.config import decode as decoding
from mizzen.sources import files
from mizzen.sources.files import FileSource

NAMESPACES, SERVICES = 50, 100  # with as many VirtualServices: 10,000 objects

SERVICE = """\
apiVersion: v1
kind: Service
metadata: {{name: s{number}, namespace: n{namespace}}}
spec: {{selector: {{app: s{number}}}, ports: [{{name: http, port: 80}}]}}
---
"""
ROUTE = """\
apiVersion: networking.istio.io/v1
kind: VirtualService
metadata: {{name: s{number}, namespace: n{namespace}}}
spec: {{hosts: [s{number}], http: [{{route: [{{destination: {{host: {host}, port: {{number: 80}}}}}}]}}]}}
---
"""
NAMES = {analyzer.name for analyzer in ANALYZERS}


def text(namespace: int, *, last_host: str = "s0") -> str:
    services = (SERVICE.format(namespace=namespace, number=number) for number in range(SERVICES))
    routes = (
        ROUTE.format(
            namespace=namespace, number=number, host=f"s{number}" if number < SERVICES - 1 else last_host
        )
        for number in range(SERVICES)
    )
    return "".join((*services, *routes))


class Work:
    """Counts what reading costs, where it is done."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.decoded: list[str] = []
        self.validated = 0
        decode, validate = files.decode, decoding.validate
        monkeypatch.setattr(
            files, "decode", lambda data, file: self.decoded.append(file) or decode(data, file)
        )

        def counting(resource):
            self.validated += 1
            return validate(resource)

        monkeypatch.setattr(decoding, "validate", counting)


def write_mesh(folder: Path, namespaces: int) -> Path:
    for namespace in range(namespaces):
        (folder / f"n{namespace}.yaml").write_text(text(namespace))
    return folder


@pytest.fixture
def small_mesh(tmp_path: Path) -> Path:
    return write_mesh(tmp_path, 5)


def test_one_changed_file_among_ten_thousand_objects(tmp_path, monkeypatch):
    mesh = write_mesh(tmp_path, NAMESPACES)
    source, analysis = FileSource([mesh]), LiveAnalysis()
    analysis.apply(source.load())
    analysis.take_in(analysis.db.refresh())
    assert len(source.located) == 2 * NAMESPACES * SERVICES
    assert analysis.diagnostics(source.located) == ()

    work = Work(monkeypatch)
    changed = mesh / "n7.yaml"
    changed.write_text(text(7, last_host="nobody"))
    change = source.load()
    analysis.apply(change)
    with analysis.db.recording() as log:
        analysis.take_in(analysis.db.refresh())

    assert work.decoded == [str(changed)]
    assert work.validated == 2 * SERVICES  # the objects of that file, and of no other
    assert [str(each.resource.key) for each in change.upserts] == ["VirtualService n7/s99"]
    of_analyzers = {key for name, key in log.ran if name in NAMES}
    assert {str(key) for (key,) in of_analyzers} == {"VirtualService n7/s99"}
    lists = Counter(name for name, _ in log.ran if name in {"findings", "findings_in", "findings_of"})
    assert lists == {"findings": 1, "findings_in": 1, "findings_of": 1}
    (found,) = analysis.diagnostics(source.located)
    assert (found.code, str(found.resource)) == ("IST0101", "VirtualService n7/s99")
    assert found.location.file == str(changed)


def test_a_service_concerns_only_who_names_its_host(small_mesh):
    source, analysis = FileSource([small_mesh]), LiveAnalysis()
    analysis.apply(source.load())
    analysis.take_in(analysis.db.refresh())

    changed = small_mesh / "n3.yaml"
    changed.write_text(text(3).replace("name: s5, namespace: n3", "name: renamed, namespace: n3", 1))
    analysis.apply(source.load())
    with analysis.db.recording() as log:
        analysis.take_in(analysis.db.refresh())

    assert {str(key[0]) for name, key in log.ran if name in NAMES} == {
        "Service n3/renamed",
        "VirtualService n3/s5",
    }
    assert [str(found.resource) for found in analysis.diagnostics(source.located)] == ["VirtualService n3/s5"]


def test_a_moved_object_is_not_analysed_again(small_mesh):
    source, analysis = FileSource([small_mesh]), LiveAnalysis()
    analysis.apply(source.load())
    analysis.take_in(analysis.db.refresh())

    changed = small_mesh / "n3.yaml"
    changed.write_text("# a comment\n" + text(3))
    analysis.apply(source.load())
    with analysis.db.recording() as log:
        analysis.take_in(analysis.db.refresh())
    assert log.ran == []
