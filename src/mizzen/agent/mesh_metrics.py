"""The mesh's metrics as Prometheus gets them: Envoy's own exposition under Istio's names, with all labels written out."""

import re
from collections.abc import Mapping
from functools import cache
from itertools import zip_longest
from typing import Final

from mizzen.agent.settings import Settings
from mizzen.model import short_labels
from mizzen.model.identity import CLUSTER_ID
from mizzen.model.subject import Subject, facts_of

# Envoy puts envoy_ before every name; Istio's names have no such prefix.
_PREFIXED: Final = re.compile(rb"^(# TYPE )?envoy_(?=(?:istio|mizzen)_)", re.MULTILINE)
_OF_THE_MESH: Final = re.compile(rb"^(?:istio|mizzen)_[^\n]*", re.MULTILINE)
_TEXT: Final = r'"((?:[^"\\]|\\.)*)"'
_REPORTER: Final = re.compile(rf'{short_labels.REPORTER}="(\w+)",{short_labels.PEER}={_TEXT}'.encode())
_SERVICE: Final = re.compile(rf"{short_labels.SERVICE}={_TEXT}".encode())
# What an empty label means: nothing went wrong, no gRPC; of all others, that nobody knows.
_EMPTY: Final = {b"response_flags": b'"-"', b"grpc_response_status": b'""'}
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
    def workloads(reporter: bytes, peer: bytes) -> bytes:
        source, destination = _SIDES
        other = destination if reporter == source else source
        facts = facts_of(peer.decode(errors="replace"))
        return b'reporter="%b",%b,%b' % (reporter, own_side[reporter], _workload_labels(other, facts))

    full = _PREFIXED.sub(rb"\1", exposition)
    full = _REPORTER.sub(lambda found: workloads(found[1], found[2]), full)
    full = _SERVICE.sub(_service_labels, full)
    full = _OF_THE_MESH.sub(_with_values, full)
    return full if full.isascii() else full.decode(errors="replace").encode()


_SIDES: Final = (b"source", b"destination")


def _workload_labels(side: bytes, facts: Mapping[str, str]) -> bytes:
    pairs = ((label, facts.get(fact, "")) for label, fact in short_labels.OF_WORKLOAD.items())
    return ",".join(f'{side.decode()}_{label}="{value}"' for label, value in pairs).encode()


def _service_labels(found: re.Match[bytes]) -> bytes:
    # A service that is none of the mesh has no names.
    names = found[1].decode().split("|") if found[1] else []
    pairs = zip_longest(short_labels.OF_SERVICE, names[: len(short_labels.OF_SERVICE)], fillvalue="")
    return ",".join(f'{label}="{name}"' for label, name in pairs).encode()


def _with_values(line: re.Match[bytes]) -> bytes:
    return _EMPTY_LABEL.sub(lambda label: label[1] + b"=" + _EMPTY.get(label[1], b'"unknown"'), line.group())
