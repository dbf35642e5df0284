"""AuthorizationPolicy. A mistake here opens or closes a door, so what cannot be meant is refused."""

import re
from collections.abc import Callable
from typing import Final

from mizzen.config.resource import Path, Resource
from mizzen.config.types.security import Action, AuthorizationPolicy, Condition, Operation, Rule, Source
from mizzen.config.validation import hosts, references, rules
from mizzen.config.validation.rules import Findings, invalid, questionable

_SOURCES: Final = [
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
        "source.trustDomain",
        "source.serviceAccount",
        "request.auth.principal",
        "request.auth.audiences",
        "request.auth.presenter",
        "destination.ip",
        "destination.port",
        "connection.sni",
    ]
)
_KEYS_WITH_NAMES = re.compile(
    r"request\.headers\[[^\]]+\]|request\.auth\.claims(\[[^\]]+\])+|experimental\.envoy\.filters\.[^\[]+\[[^\]]+\]"
)


_DRY_RUN: Final = "istio.io/dry-run"
# Of these only identities that Envoy's external authorization cannot wait for: they are known after it ran.
_NOT_WITH_CUSTOM: Final = ("principals", "request_principals", "namespaces")
_KEYS_NOT_WITH_CUSTOM: Final = ("source.namespace", "source.principal", "request.auth.")


def validate(resource: Resource[AuthorizationPolicy]) -> Findings:
    spec = resource.spec
    yield from references.attachment(spec)
    yield from _dry_run(resource)
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
        path = ("spec", "rules", index)
        yield from _rule(rule, path)
        if spec.action is Action.CUSTOM:
            yield from _custom(rule, path)
        if spec.action is Action.DENY:
            yield from _denies_tcp(rule, path)


def _dry_run(resource: Resource[AuthorizationPolicy]) -> Findings:
    value = resource.annotations.get(_DRY_RUN)
    if value is None:
        return
    path = ("metadata", "annotations", _DRY_RUN)
    if value.lower() not in ("true", "false", "t", "f", "1", "0"):
        yield invalid(path, f'"{value}" is neither true nor false', 'write "true" or "false"')
    if resource.spec.action not in (Action.ALLOW, Action.DENY):
        yield invalid(path, f"{resource.spec.action.value} cannot be tried without effect", "remove it")


def _custom(rule: Rule, path: Path) -> Findings:
    for index, origin in enumerate(rule.from_):
        names = [prefix + name for name in _NOT_WITH_CUSTOM for prefix in ("", "not_")]
        for name in rules.given(origin.source, names) if origin.source else ():
            here = (*path, "from", index, "source", rules.camel(name))
            yield invalid(here, f"{rules.camel(name)} cannot be used with CUSTOM", "remove it")
    for index, condition in enumerate(rule.when):
        if condition.key.startswith(_KEYS_NOT_WITH_CUSTOM):
            yield invalid(
                (*path, "when", index, "key"), f"{condition.key} cannot be used with CUSTOM", "remove it"
            )


def _denies_tcp(rule: Rule, path: Path) -> Findings:
    """What only HTTP has is left out where a rule is applied to plain TCP; what is left denies more."""
    sources = [origin.source for origin in rule.from_ if origin.source]
    operations = [target.operation for target in rule.to if target.operation]
    known_of_tcp = [name for name in _SOURCES if name != "request_principals"]
    only_http_from = sources and not operations and not any(map(_asks_one_of(known_of_tcp), sources))
    only_http_to = operations and not any(map(_asks_one_of(["ports"]), operations))
    if only_http_from or only_http_to:
        message = "it denies all traffic to TCP ports: what it asks for exists in HTTP only"
        yield questionable(path, message, "add the ports that you mean to each operation")


def _asks_one_of(lists: list[str]) -> Callable[[object], bool]:
    names = [prefix + name for name in lists for prefix in ("", "not_")]
    return lambda message: any(getattr(message, name) for name in names)


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
    yield from _not_empty(source, _SOURCES, path)
    for name in _SUBNETS:
        yield from hosts.subnets(getattr(source, name), (*path, rules.camel(name)))
    if source.service_accounts or source.not_service_accounts:
        others = ("principals", "not_principals", "namespaces", "not_namespaces")
        given = [name for name in others if getattr(source, name)]
        if given:
            message = f"serviceAccounts cannot be set with {', '.join(map(rules.camel, given))}"
            yield invalid(path, message, "a service account says its namespace already")
    for name in ("service_accounts", "not_service_accounts"):
        for index, account in enumerate(getattr(source, name)):
            if "*" in account or not all(map(hosts.is_subdomain, account.split("/", 1))):
                hint = 'write "name" or "namespace/name", without "*"'
                yield invalid((*path, rules.camel(name), index), f'"{account}" is no service account', hint)


def _operation(operation: Operation, path: Path) -> Findings:
    yield from _not_empty(operation, _OPERATIONS, path)
    for name in ("ports", "not_ports"):
        for index, port in enumerate(getattr(operation, name)):
            if not hosts.is_port(port):
                yield invalid((*path, rules.camel(name), index), f'"{port}" is no port: ports are 1 to 65535')
    for name in ("paths", "not_paths"):
        for index, text in enumerate(getattr(operation, name)):
            yield from _path_template(text, (*path, rules.camel(name), index))


_LONGEST_TEMPLATE: Final = 256
_LITERAL = re.compile(r"[-A-Za-z0-9._~%!$&'()+,;:=@]+")


def _path_template(text: str, path: Path) -> Findings:
    """A segment of a template is literal, {*} (one segment) or {**} (any number, and the last of these).

    What Envoy cannot parse takes the whole proxy down (Envoy 1.40, in RBAC), so this must be as strict as Envoy is.
    """
    if "{*}" not in text and "{**}" not in text:
        return  # a literal path
    first, *segments = text.split("/")
    if first or not segments:
        yield invalid(path, f'"{text}": a path template begins with /', "begin it with /")
    if len(text) > _LONGEST_TEMPLATE:
        yield invalid(path, f"the path template is longer than {_LONGEST_TEMPLATE} characters", "shorten it")
    wild = [segment for segment in segments if segment in ("{*}", "{**}")]
    if "{**}" in wild[:-1]:
        yield invalid(path, f'"{text}": after {{**}} there can be no other wildcard', "use {*} before it")
    for index, segment in enumerate(segments):
        ends = index == len(segments) - 1 and not segment
        if segment not in ("{*}", "{**}") and not ends and _LITERAL.fullmatch(segment) is None:
            hint = "use {*} or {**} as whole segments, and %XX for special characters"
            yield invalid(path, f'"{segment}" is no segment of a path template', hint)


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
    "source.ip": hosts.is_subnet,
    "remote.ip": hosts.is_subnet,
    "destination.ip": hosts.is_subnet,
    "destination.port": hosts.is_port,
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
