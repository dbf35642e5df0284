"""Envoy's FileDescriptorProtos: read from the artefact made at set-up, or found in the Envoy binary itself."""

import mmap
import re
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorProto
from google.protobuf.descriptor_pool import DescriptorPool

from mizzen.envoy_binary import envoy_path

ARTEFACT = Path(__file__).with_name("descriptors.binpb")

# A serialised FileDescriptorProto begins with field 1, the name (0x0A, its length, a path that ends in .proto),
# and field 2 (package) or 3 (dependency).
_HEAD = re.compile(rb"\x0a([\x08-\x7f])([a-z0-9_]+/[A-Za-z0-9_/.\-]+\.proto)[\x12\x1a]", re.DOTALL)
_LENGTH_DELIMITED_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 12})
_VARINT_FIELDS = frozenset({10, 11, 14})
_PACKAGE_TAG = 0x12


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


def _varint(data: mmap.mmap | bytes, position: int) -> tuple[int, int]:
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
    return {_head(file)[0]: file for file in _entries(ARTEFACT.read_bytes())}


def _entries(file_set: bytes) -> Iterator[bytes]:
    """The files in a serialised FileDescriptorSet, as bytes: parsing all 532 would cost 8 MB that never come back."""
    position = 0
    while position < len(file_set):
        length, start = _varint(file_set, position + 1)
        position = start + length
        yield file_set[start:position]


def _head(file: bytes) -> tuple[str, str]:
    """Name and package of a serialised FileDescriptorProto: its first two fields."""
    length, start = _varint(file, 1)
    name, rest = file[start : start + length].decode(), start + length
    if file[rest] != _PACKAGE_TAG:
        return name, ""
    length, start = _varint(file, rest + 1)
    return name, file[start : start + length].decode()


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


class _Database:
    """The files as a pool asks for them, so that it holds those alone that are needed: an agent needs a tenth.

    The methods' names are protobuf's (google.protobuf.descriptor_database).
    """

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self._by_package: dict[str, list[str]] = {}
        for file in files.values():
            name, package = _head(file)
            self._by_package.setdefault(package, []).append(name)

    def FindFileByName(self, name: str) -> FileDescriptorProto:  # noqa: N802  # protobuf's
        return FileDescriptorProto.FromString(self._files[name])

    def FindFileContainingSymbol(self, symbol: str) -> FileDescriptorProto:  # noqa: N802  # protobuf's
        package = symbol
        while package:
            package = package.rpartition(".")[0]
            top = symbol[len(package) :].lstrip(".").partition(".")[0]
            for name in self._by_package.get(package, ()):
                file = self.FindFileByName(name)
                if top in _top_level_names(file):
                    return file
        raise KeyError(symbol)


def _top_level_names(file: FileDescriptorProto) -> set[str]:
    return (
        {message.name for message in file.message_type}
        | {enum.name for enum in file.enum_type}
        | {service.name for service in file.service}
    )


@cache
def pool() -> DescriptorPool:
    """The private pool: apart from protobuf's default one, so that no other package's Envoy API can collide."""
    from mizzen.proto.own import own_files

    own = {file.name: file.SerializeToString() for file in own_files()}
    return DescriptorPool(_Database({**load(), **own}))
