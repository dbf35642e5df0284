"""The mesh's metrics as Prometheus gets them: Envoy's own exposition under Istio's names, with all labels written out."""

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from mizzen.agent.settings import Settings
from mizzen.model import short_labels
from mizzen.model.identity import CLUSTER_ID
from mizzen.model.subject import Subject, facts_of

# Envoy puts envoy_ before every name; Istio's names have no such prefix.
_PREFIXED: Final = re.compile(rb"^(# TYPE )?envoy_(?=(?:istio|mizzen)_)", re.MULTILINE)
_EMPTY_SOMEWHERE: Final = re.compile(rb'^(?:istio|mizzen)_[^\n]*=""[^\n]*', re.MULTILINE)
_SHORT: Final = re.compile(rf'(?<=[{{,]){short_labels.SHORT}="((?:[^"\\]|\\.)*)"'.encode())
# What an empty label means: nothing went wrong, no gRPC; of all others, that nobody knows.
_EMPTY: Final = {b"response_flags": b"-", b"grpc_response_status": b""}
_EMPTY_LABEL: Final = re.compile(rb'(\w+)=""')


def own_facts(settings: Settings) -> Mapping[str, str]:
    """What a proxy's metrics say of its own workload, as certificates do."""
    name, revision = settings.canonical_name, settings.canonical_revision
    return facts_of(Subject(settings.name, settings.namespace, name, revision, CLUSTER_ID).text)


def with_mesh_names(exposition: bytes, own: Mapping[str, str]) -> bytes:
    """Envoy's own output with the mesh's metrics as Istio has them: without Envoy's prefix, with all labels (what is in short, and
    the `own` facts), and a value in each.

    Envoy copies into labels what callers sent; what is no UTF-8 there becomes U+FFFD: Prometheus would take none of it all.
    """
    own_side = {side: _workload_labels(side, own) for side in _SIDES}

    @cache
    def in_full(short: bytes) -> bytes:
        values = short.split(short_labels.BETWEEN.encode(), len(short_labels.FIELDS) - 1)
        fields = dict(zip(short_labels.FIELDS, values, strict=False))
        return b",".join(_labels(fields, own_side))

    full = _PREFIXED.sub(rb"\1", exposition)
    full = _SHORT.sub(lambda found: in_full(found[1]), full)
    full = _EMPTY_SOMEWHERE.sub(_with_values, full)
    return full if full.isascii() else full.decode(errors="replace").encode()


_SIDES: Final = (b"source", b"destination")
_ONLY_GRPC, _ONLY_REQUESTS = "grpc_response_status", "response_code"


def _labels(fields: Mapping[str, bytes], own: Mapping[bytes, bytes]) -> Iterator[bytes]:
    """All labels of a series. Those that its protocol has not are left out."""
    reporter = fields["reporter"] if fields["reporter"] in _SIDES else _SIDES[0]
    source, destination = _SIDES
    peer = facts_of(fields.get("peer", b"").decode(errors="replace"))
    yield b'reporter="%b"' % reporter
    yield own[reporter]
    yield _workload_labels(destination if reporter == source else source, peer)
    # What is none of the mesh has no names.
    names = fields.get("service", b"").removeprefix(b"-").split(b"|")
    for index, label in enumerate(short_labels.OF_SERVICE):
        yield _label(label, names[index] if index < len(names) else b"")
    protocol = fields.get("request_protocol")
    for label in short_labels.FIELDS[1:]:
        if label in {"service", "peer"}:
            continue
        if (label == _ONLY_GRPC and protocol != b"grpc") or (label == _ONLY_REQUESTS and protocol == b"tcp"):
            continue
        yield _label(label, fields.get(label, b"").removeprefix(b"-"))


def _workload_labels(side: bytes, facts: Mapping[str, str]) -> bytes:
    pairs = ((label, facts.get(fact, "")) for label, fact in short_labels.OF_WORKLOAD.items())
    return b",".join(_label(f"{side.decode()}_{label}", value.encode()) for label, value in pairs)


def _label(name: str, value: bytes) -> bytes:
    return b'%b="%b"' % (name.encode(), value or _meant(name.encode()))


def _meant(empty: bytes) -> bytes:
    """What a label of the mesh means that is empty."""
    return _EMPTY.get(empty, b"unknown")


def _with_values(line: re.Match[bytes]) -> bytes:
    return _EMPTY_LABEL.sub(lambda label: b'%b="%b"' % (label[1], _meant(label[1])), line.group())
