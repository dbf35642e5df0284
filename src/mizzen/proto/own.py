"""The few messages that are not Envoy's: Istio's certificate service and name table, what an agent reports and asks.

They are written as descriptors so that one pool holds everything and set-up needs no protoc at run time.
Source of the first: Istio's security/v1alpha1/ca.proto (package istio.v1.auth), so that Istio's own agents can
ask Mizzen for certificates.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from google.protobuf.descriptor_pb2 import FieldDescriptorProto, FileDescriptorProto

_STRING, _INT64, _BOOL, _MESSAGE = (
    FieldDescriptorProto.TYPE_STRING,
    FieldDescriptorProto.TYPE_INT64,
    FieldDescriptorProto.TYPE_BOOL,
    FieldDescriptorProto.TYPE_MESSAGE,
)
_OPTIONAL, _REPEATED = FieldDescriptorProto.LABEL_OPTIONAL, FieldDescriptorProto.LABEL_REPEATED

if TYPE_CHECKING:
    _Field = tuple[str, int, FieldDescriptorProto.Type.ValueType, FieldDescriptorProto.Label.ValueType, str]


def own_files() -> Iterator[FileDescriptorProto]:
    yield _file(
        "mizzen_own/istio_ca.proto",
        "istio.v1.auth",
        {
            "IstioCertificateRequest": [
                ("csr", 1, _STRING, _OPTIONAL, ""),
                ("validity_duration", 3, _INT64, _OPTIONAL, ""),
                ("metadata", 4, _MESSAGE, _OPTIONAL, ".google.protobuf.Struct"),
            ],
            "IstioCertificateResponse": [("cert_chain", 1, _STRING, _REPEATED, "")],
        },
        ["google/protobuf/struct.proto"],
    )
    # Istio's pkg/dns/proto/nds.proto as far as agents here read it. Its map is on the wire what `table` is; field 100 is
    # our own.
    yield _file(
        "mizzen_own/nds.proto",
        "istio.networking.nds.v1",
        {
            "NameInfo": [
                ("ips", 1, _STRING, _REPEATED, ""),
                ("external_name", 100, _STRING, _OPTIONAL, ""),
            ],
            "NameEntry": [
                ("key", 1, _STRING, _OPTIONAL, ""),
                ("value", 2, _MESSAGE, _OPTIONAL, ".istio.networking.nds.v1.NameInfo"),
            ],
            "NameTable": [("table", 1, _MESSAGE, _REPEATED, ".istio.networking.nds.v1.NameEntry")],
        },
        [],
    )
    yield _file(
        "mizzen_own/agent.proto",
        "mizzen.v1",
        {
            "HealthReport": [
                ("node_id", 1, _STRING, _OPTIONAL, ""),
                ("healthy", 2, _BOOL, _OPTIONAL, ""),
                ("reason", 3, _STRING, _OPTIONAL, ""),
            ],
            # `probe`: JSON, as a WorkloadGroup has it; empty: the application is not asked.
            "HealthReportResponse": [("probe", 1, _STRING, _OPTIONAL, "")],
            # A document of the admin API: "workloads" for /api/v1/workloads.
            "DebugRequest": [("path", 1, _STRING, _OPTIONAL, "")],
            "DebugResponse": [("json", 1, _STRING, _OPTIONAL, "")],
        },
        [],
    )


def _file(
    name: str, package: str, messages: dict[str, Sequence[_Field]], dependencies: Sequence[str]
) -> FileDescriptorProto:
    file = FileDescriptorProto(name=name, package=package, syntax="proto3", dependency=dependencies)
    for message, fields in messages.items():
        descriptor = file.message_type.add(name=message)
        for field, number, kind, label, type_name in fields:
            descriptor.field.add(
                name=field, number=number, type=kind, label=label, type_name=type_name or None
            )
    return file
