"""Does exactly one of Istio's injectors take each Pod, and is it there?"""

from collections.abc import Iterator
from itertools import product
from typing import Any

from mizzen.analysis.analyzer import Findings, analyzer
from mizzen.analysis.objects import exists, resources
from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Resource
from mizzen.derive.selectors import selects
from mizzen.frozen import EMPTY, FrozenMap
from mizzen.incremental import Database, query

KIND = "MutatingWebhookConfiguration"
_REVISION = "istio.io/rev"
_MOST_REVISIONS = 16  # that are tried with one another

Name = tuple[str, str]
"""Of a webhook: its configuration's name, its own."""


@analyzer(KIND, codes="IST0139")
def webhooks(db: Database, resource: Resource[Any]) -> Findings:
    if not _is_istio(resource):
        return
    clashes = overlaps(db)
    for index, webhook in enumerate(resource.spec.webhooks):
        path = ("webhooks", index)
        for others in clashes.get((resource.key.name, webhook.name), ()):
            rivals = ", ".join(f"{configuration}/{name}" for configuration, name in others)
            message = f"other webhooks take the same Pods, which are then injected twice: {rivals}"
            yield Finding("IST0139", path, message, "remove one, or make the selectors exclude each other")
        service = webhook.client_config.service
        if service is not None and not exists(db, "Service", service.namespace, service.name):
            message = f"it calls a Service that is not there: {service.namespace}/{service.name}"
            yield Finding(
                "IST0139", (*path, "clientConfig", "service"), message, "install it, or remove the webhook"
            )


def _is_istio(resource: Resource[Any]) -> bool:
    return bool(_revisions(resource)) or any(
        hook.name.endswith("istio.io") for hook in resource.spec.webhooks
    )


def _revisions(resource: Resource[Any]) -> set[str]:
    found = {resource.labels[_REVISION]} if _REVISION in resource.labels else set()
    for webhook in resource.spec.webhooks:
        for selector in (webhook.namespace_selector, webhook.object_selector):
            if selector is not None:
                found.update(value for name, value in selector.match_labels.items() if name == _REVISION)
                found.update(
                    value
                    for requirement in selector.match_expressions
                    if requirement.key == _REVISION
                    for value in requirement.values
                )
    return found


@query
def overlaps(db: Database) -> FrozenMap[Name, tuple[tuple[Name, ...], ...]]:
    """Webhook -> the sets of others that take a Pod as well, under some way to label the Pod and its namespace."""
    configurations = [resource for resource in resources(db, KIND) if _is_istio(resource)]
    revisions = sorted({revision for resource in configurations for revision in _revisions(resource)})[
        :_MOST_REVISIONS
    ]
    hooks = [
        ((resource.key.name, hook.name), hook)
        for resource in configurations
        for hook in resource.spec.webhooks
    ]
    clashes: dict[Name, dict[tuple[Name, ...], None]] = {}
    namespaces = _labellings("istio-injection", ("enabled", "disabled"), revisions)
    pods = _labellings("sidecar.istio.io/inject", ("true", "false"), revisions)
    for of_namespace, of_pod in product(list(namespaces), list(pods)):
        taking = {
            name
            for name, hook in hooks
            if selects(hook.namespace_selector, of_namespace) and selects(hook.object_selector, of_pod)
        }
        for name in taking if len(taking) > 1 else ():
            clashes.setdefault(name, {})[tuple(sorted(taking - {name}))] = None
    return FrozenMap({name: tuple(others) for name, others in clashes.items()})


def _labellings(label: str, values: tuple[str, str], revisions: list[str]) -> Iterator[FrozenMap[str, str]]:
    """Every way to set or leave out the label of injection and that of the revision."""
    for switch in (EMPTY, *(FrozenMap({label: value}) for value in values)):
        yield switch
        yield from (FrozenMap({**switch, _REVISION: revision}) for revision in revisions)
