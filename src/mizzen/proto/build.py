"""Set-up step: write what is derived from the pinned Envoy: descriptors.binpb and, for development, the stubs.

`python -m mizzen.proto.build` writes the descriptors; with `--stubs DIR` also `.pyi` files for mypy (it needs
grpcio-tools, a development dependency).
"""

import argparse
from pathlib import Path

from google.protobuf.descriptor_pb2 import FileDescriptorSet

from mizzen.envoy_binary import envoy_path
from mizzen.proto import descriptors
from mizzen.proto.api import MESSAGES


def write_descriptors() -> None:
    """Write the artefact that spares every start the scan of a 100 MB binary."""
    files = descriptors.scan(envoy_path())
    found = FileDescriptorSet(file=descriptors.dependency_order(files))
    descriptors.ARTEFACT.write_bytes(found.SerializeToString())


def write_stubs(folder: Path) -> None:
    """Write type stubs of the whole API into `folder`, and `api.pyi` beside `api.py`."""
    from grpc_tools import protoc  # type: ignore[import-untyped]  # ships no types

    from mizzen.proto.own import own_files

    folder.mkdir(parents=True, exist_ok=True)
    everything = FileDescriptorSet.FromString(descriptors.ARTEFACT.read_bytes())
    everything.file.extend(own_files())
    descriptor_set = folder / "descriptors.binpb"
    descriptor_set.write_bytes(everything.SerializeToString())
    names = [file.name for file in everything.file if not file.name.startswith("google/protobuf/")]
    status = protoc.main(["protoc", f"--descriptor_set_in={descriptor_set}", f"--pyi_out={folder}", *names])
    if status != 0:
        raise SystemExit(f"protoc failed with status {status}")
    modules = {
        f"{file.package}.{message.name}": file.name.removesuffix(".proto").replace("/", ".").replace("-", "_")
        + "_pb2"
        for file in everything.file
        for message in file.message_type
    }
    lines = ["from google.protobuf.message import Message"]
    lines += [
        f"from {modules[full_name]} import {full_name.rpartition('.')[2]} as {name}"
        for name, full_name in MESSAGES.items()
    ]
    lines += [f"__all__ = {['MESSAGES', 'message_class', *MESSAGES]!r}"]
    lines += ["MESSAGES: dict[str, str]", "def message_class(full_name: str) -> type[Message]: ...", ""]
    Path(__file__).with_name("api.pyi").write_text("\n".join(lines))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--stubs", type=Path)
    arguments = parser.parse_args()
    write_descriptors()
    if arguments.stubs:
        write_stubs(arguments.stubs)


if __name__ == "__main__":
    main()
