"""AuthorizationPolicy. A mistake here opens or closes a door, so what cannot be meant is refused."""

import re
from collections.abc import Callable
from typing import Final

from mizzen.config.resource import Path
from mizzen.config.types.security import Action, AuthorizationPolicy, Condition, Operation, Rule, Source
from mizzen.config.validation import rules
from mizzen.config.validation.peer_authentication import selector
from mizzen.config.validation.rules import Findings, invalid

_LISTS: Final = [
    "principals",
    "request_principals",
    "namespaces",
    "ip_blocks",
    "remote_ip_blocks",
    "service_accounts",
    "trust_domains",
]
_OPERATIONS: Final = ["hosts", "ports", "methods", "paths"]
_SUBNETS: Final = ("ip_blocks", "not_ip_blocks", "remote_ip_blocks", "not_remote_ip_blocks")

_KEYS: Final = frozenset(
    [
        "source.ip",
        "remote.ip",
        "source.namespace",
        "source.principal",
        "source.serviceAccount",
        "source.trustDomain",
        "request.auth.principal",
        "request.auth.audiences",
        "request.auth.presenter",
        "destination.ip",
        "destination.port",
        "connection.sni",
    ]
)
_KEYS_WITH_NAMES = re.compile(
    r"request\.headers\[[^\]]+\]|request\.auth\.claims(\[[^\]]+\])+|experimental\.envoy\.filters\.[^\[]+(\[[^\]]+\])?"
)


def validate(spec: AuthorizationPolicy) -> Findings:
    yield from rules.at_most_one(spec, ("selector", "target_ref", "target_refs"), ("spec",))
    yield from selector(spec.selector, ("spec", "selector"))
    if spec.action is Action.CUSTOM and not (spec.provider and spec.provider.name):
        yield invalid(("spec",), "CUSTOM needs a provider", "add provider.name")
    if spec.action is not Action.CUSTOM and spec.provider:
        yield invalid(
            ("spec", "provider"), f"{spec.action.value} has no provider", "remove it, or use action CUSTOM"
        )
    if spec.action in (Action.DENY, Action.CUSTOM) and not spec.rules:
        message = f"{spec.action.value} without rules never matches anything"
        yield invalid(("spec",), message, 'add rules; "rules: [{}]" matches everything')
    for index, rule in enumerate(spec.rules):
        yield from _rule(rule, ("spec", "rules", index))


def _rule(rule: Rule, path: Path) -> Findings:
    for index, origin in enumerate(rule.from_):
        here = (*path, "from", index)
        if origin.source is None:
            yield invalid(here, "there is no source", "add source")
        else:
            yield from _source(origin.source, (*here, "source"))
    for index, target in enumerate(rule.to):
        here = (*path, "to", index)
        if target.operation is None:
            yield invalid(here, "there is no operation", "add operation")
        else:
            yield from _operation(target.operation, (*here, "operation"))
    for index, condition in enumerate(rule.when):
        yield from _condition(condition, (*path, "when", index))


def _source(source: Source, path: Path) -> Findings:
    yield from _not_empty(source, _LISTS, path)
    for name in _SUBNETS:
        yield from rules.subnets(getattr(source, name), (*path, rules.camel(name)))
    if source.service_accounts or source.not_service_accounts:
        others = ("principals", "not_principals", "namespaces", "not_namespaces")
        given = [name for name in others if getattr(source, name)]
        if given:
            message = f"serviceAccounts cannot be set with {', '.join(map(rules.camel, given))}"
            yield invalid(path, message, "a service account says its namespace already")
    for name in ("service_accounts", "not_service_accounts"):
        for index, account in enumerate(getattr(source, name)):
            if "*" in account or not all(map(rules.is_host, account.split("/", 1))):
                hint = 'write "name" or "namespace/name", without "*"'
                yield invalid((*path, rules.camel(name), index), f'"{account}" is no service account', hint)


def _operation(operation: Operation, path: Path) -> Findings:
    yield from _not_empty(operation, _OPERATIONS, path)
    for name in ("ports", "not_ports"):
        for index, port in enumerate(getattr(operation, name)):
            if not rules.is_port(port):
                yield invalid((*path, rules.camel(name), index), f'"{port}" is no port: ports are 1 to 65535')
    for name in ("paths", "not_paths"):
        for index, text in enumerate(getattr(operation, name)):
            yield from _path_template(text, (*path, rules.camel(name), index))


def _path_template(text: str, path: Path) -> Findings:
    """A segment of a template is literal, {*} (one segment) or {**} (any number, last)."""
    if "{" not in text and "}" not in text:
        return
    for index, segment in enumerate(segments := text.split("/")):
        is_wild = segment in ("{*}", "{**}")
        if not is_wild and any(character in segment for character in "{}*"):
            yield invalid(
                path, f'"{segment}" is no segment of a path template', "use {*} or {**} as whole segments"
            )
        if segment == "{**}" and "{**}" in segments[:index]:
            yield invalid(path, "{**} can be there once", "use {*} for single segments")


def _not_empty(message: Source | Operation, lists: list[str], path: Path) -> Findings:
    """Empty strings and a message that says nothing are mistakes: they would match all or nothing."""
    names = [prefix + name for name in lists for prefix in ("", "not_")]
    if not any(getattr(message, name) for name in names):
        yield invalid(path, "it names nothing", f"add one of {', '.join(map(rules.camel, lists))}")
    for name in names:
        for index, text in enumerate(getattr(message, name)):
            if not text:
                yield invalid((*path, rules.camel(name), index), "an empty text matches nothing", "remove it")


_VALUE_CHECKS: Final[dict[str, Callable[[str], bool]]] = {
    "source.ip": rules.is_subnet,
    "remote.ip": rules.is_subnet,
    "destination.ip": rules.is_subnet,
    "destination.port": rules.is_port,
}


def _condition(condition: Condition, path: Path) -> Findings:
    if condition.key not in _KEYS and _KEYS_WITH_NAMES.fullmatch(condition.key) is None:
        hint = f"use one of {', '.join(sorted(_KEYS))}, request.headers[name], request.auth.claims[name]"
        yield invalid((*path, "key"), f'"{condition.key}" is no key of a condition', hint)
    if not condition.values and not condition.not_values:
        yield invalid(path, "there are no values", "add values or notValues")
    is_valid = _VALUE_CHECKS.get(condition.key, bool)
    for name, values in (("values", condition.values), ("notValues", condition.not_values)):
        for index, text in enumerate(values):
            if not is_valid(text):
                yield invalid((*path, name, index), f'"{text}" is no value of {condition.key}')
