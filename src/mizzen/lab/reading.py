"""Reads lab.yaml strictly: every mistake with file:line, in plain words."""

import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from mizzen.config.documents import Document, DocumentError, split
from mizzen.config.resource import Path as FieldPath
from mizzen.errors import UserError
from mizzen.lab.application_metrics import wrong_metrics_annotations
from mizzen.lab.capture import wrong_annotations
from mizzen.lab.definition import (
    INGRESS,
    MAX_CHECKS,
    MAX_REPLICAS,
    MAX_TRAFFIC,
    MAX_WORKLOADS,
    OUTSIDE,
    Ingress,
    LabDefinition,
    Workload,
)

FILE = "lab.yaml"
_NAME = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?")
_HIGHEST_PORT = 65535
_MAX_RPS = 200
_FIELD = re.compile(r"\.([A-Za-z_]\w*)|\[(\d+)\]|\[(\.\.\.)\]")

Problem = tuple[FieldPath, str]


def read_definition(path: Path) -> LabDefinition:
    """Raises UserError with the first mistake of the file."""
    try:
        text = path.read_text()
    except FileNotFoundError:
        raise UserError(
            f"{path.parent} has no {FILE}", "write one, or name a workload with --workload NAME=COMMAND:PORT"
        ) from None
    except (OSError, UnicodeDecodeError) as error:
        raise UserError(f"cannot read {path}: {error}") from None
    documents = [document for document in split(text, str(path)) if document.text.strip()]
    if len(documents) != 1:
        raise UserError(f"{path}: one document is expected, there are {len(documents)}")
    return _checked(documents[0])


def check_extra(definition: LabDefinition, extra: tuple[Workload, ...]) -> None:
    """The workloads of the command line, which have no place in a file. Raises UserError."""
    workloads = (*definition.workloads, *extra)
    for _, message in check(msgspec.structs.replace(definition, workloads=workloads)):
        raise UserError(f"--workload: {message}")


def check(definition: LabDefinition) -> Iterator[Problem]:
    """What is wrong though every field has the right form."""
    names = [workload.name for workload in definition.workloads]
    if len(names) > MAX_WORKLOADS:
        yield ("workloads",), f"{len(names)} workloads are more than a lab takes ({MAX_WORKLOADS})"
    for number, workload in enumerate(definition.workloads):
        place: FieldPath = ("workloads", number)
        if workload.name in names[:number]:
            yield (*place, "name"), f"there are two workloads named {workload.name}"
        yield from _check_workload(place, workload)
        of_capture = wrong_annotations(workload.annotations)
        for name, message in (*of_capture, *wrong_metrics_annotations(workload.annotations)):
            yield (*place, "annotations", name), message
    yield from _check_callers(definition, set(names))


def _check_workload(place: FieldPath, workload: Workload) -> Iterator[Problem]:
    for field in ("name", "namespace"):
        if not _NAME.fullmatch(getattr(workload, field)):
            yield (
                (*place, field),
                f"{getattr(workload, field)!r} is no name: small letters, digits and dashes make one",
            )
    if not 1 <= workload.replicas <= MAX_REPLICAS:
        yield (*place, "replicas"), f"1 to {MAX_REPLICAS} replicas are possible"
    for number, port in enumerate(workload.declared_ports()):
        if not 1 <= port.number <= _HIGHEST_PORT:
            yield (*place, "ports", number), f"{port.number} is no port"
    if workload.gateway and not workload.sidecar:
        yield (*place, "sidecar"), "a gateway is a proxy: it cannot be without one"
    if workload.gateway == bool(workload.command):
        which = "a gateway runs no command" if workload.gateway else "a command is missing"
        yield (*place, "command"), which
    elif not workload.gateway:
        try:
            workload.argv()
        except ValueError as error:
            yield (*place, "command"), f"the command cannot be split into words: {error}"


def _check_callers(definition: LabDefinition, names: set[str]) -> Iterator[Problem]:
    ingress = definition.ingress
    if ingress is not None and ingress.workload not in names:
        yield ("ingress", "workload"), f"there is no workload named {ingress.workload}"
    if len(definition.traffic) > MAX_TRAFFIC:
        yield ("traffic",), f"{len(definition.traffic)} callers are more than a lab takes ({MAX_TRAFFIC})"
    for number, traffic in enumerate(definition.traffic):
        yield from _check_source(("traffic", number, "from"), traffic.source, {INGRESS, *names}, ingress)
        if not 0 < traffic.rps <= _MAX_RPS:
            yield ("traffic", number, "rps"), f"requests per second are more than 0 and at most {_MAX_RPS}"

    if len(definition.checks) > MAX_CHECKS:
        yield ("checks",), f"{len(definition.checks)} checks are more than a lab takes ({MAX_CHECKS})"
    for number, expected in enumerate(definition.checks):
        yield from _check_source(
            ("checks", number, "from"), expected.source, {INGRESS, OUTSIDE, *names}, ingress
        )
        if bool(expected.shares) != bool(expected.share_of):
            yield ("checks", number), "shares and shareOf belong together"


def _check_source(
    place: FieldPath, source: str, known: set[str], ingress: Ingress | None
) -> Iterator[Problem]:
    if source == INGRESS and ingress is None:
        yield place, "the lab has no ingress"
    elif source not in known:
        yield place, f"there is no workload named {source}"


def _checked(document: Document) -> LabDefinition:
    try:
        value = document.value()
        definition = msgspec.convert(value, LabDefinition)
    except DocumentError as error:
        raise UserError(f"{document.location(error.line, error.column)}: {error}", error.hint) from None
    except msgspec.ValidationError as error:
        raise _wrong_form(document, str(error)) from None
    for path, message in check(definition):
        raise UserError(f"{document.locate(path)}: {message}")
    return definition


def _wrong_form(document: Document, message: str) -> UserError:
    """Msgspec says "Expected `int`, got `str` - at `$.workloads[0].replicas`"; people want the line."""
    what, _, where = message.partition(" - at ")
    path: FieldPath = tuple(
        int(index) if index else name or "" for name, index, _ in _FIELD.findall(where) if name or index
    )
    unknown = re.fullmatch(r"Object contains unknown field `(.*)`", what)
    if unknown:
        return UserError(
            f"{document.locate((*path, unknown[1]))}: unknown field {unknown[1]!r}",
            "see the docs of lab.yaml",
        )
    missing = re.fullmatch(r"Object missing required field `(.*)`", what)
    if missing:
        return UserError(f"{document.locate(path)}: the field {missing[1]!r} is missing")
    return UserError(
        f"{document.places().locate(path, value=True)}: {what[:1].lower()}{what[1:].replace('`', '')}"
    )
