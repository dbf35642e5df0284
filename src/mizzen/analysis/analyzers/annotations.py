"""Are Istio's annotations known, on the right kind of object, current, and do their values make sense?"""

from difflib import get_close_matches
from typing import Any

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.istio_annotations import ANNOTATIONS, ANY, VALUES, Annotation, is_istio
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.incremental import Database

KINDS = ("Namespace", "Service", "Pod", "Deployment")
_INJECT = "sidecar.istio.io/inject"
_LONGEST_COMPARED = 80  # characters: comparing takes quadratic time


@analyzer(*KINDS, codes="IST0107 IST0108 IST0125 IST0135")
def annotations(_db: Database, resource: Resource[Any]) -> Findings:
    for name, value in sorted(resource.annotations.items()):
        if not is_istio(name):
            continue
        path = ("metadata", "annotations", name)
        known = ANNOTATIONS.get(name)
        if known is None:
            yield Finding("IST0108", path, f'Istio has no annotation "{name}"', _nearest(name))
            continue
        # Who sets the label as well knows, and keeps the annotation for older versions.
        if known.deprecated and not (name == _INJECT and _INJECT in resource.labels):
            hint = f"use {known.instead}" if known.instead else "remove it"
            yield Finding("IST0135", path, f'the annotation "{name}" is deprecated', hint)
        yield from _placed(known, resource, value)


def _placed(known: Annotation, resource: Resource[Any], value: str) -> Findings:
    path = ("metadata", "annotations", known.name)
    if ANY in known.kinds:
        return
    if resource.key.kind not in known.kinds:
        kinds = " or ".join(known.kinds)
        message = f'"{known.name}" has no effect on a {resource.key.kind}'
        where = "its Pod template: spec.template.metadata" if kinds == "Pod" else f"the {kinds}"
        yield Finding("IST0107", path, message, f"move it to {where}")
    elif problem := VALUES.get(known.name, _anything)(value):
        yield Finding("IST0125", path, f'"{known.name}": {problem}')


def _anything(_value: str) -> str:
    return ""


def _nearest(name: str) -> str:
    near = get_close_matches(name, ANNOTATIONS, n=1, cutoff=0.8) if len(name) <= _LONGEST_COMPARED else []
    return f'write "{near[0]}"' if near else "remove it or correct its name"
