"""Rules that several kinds share. Each yields a finding for what it rejects, and nothing for what is right."""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from datetime import timedelta
from ipaddress import ip_address, ip_network
from typing import Final, Protocol

import re2

from mizzen.config.diagnostics import Finding
from mizzen.config.resource import Path
from mizzen.config.types.networking import Destination, Percent, StringMatch

Findings = Iterator[Finding]

MAX_REGEX_CHARACTERS: Final = 4096
MAX_REGEX_MEMORY_BYTES: Final = 1 << 20

_LABEL = re.compile(r"[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.IGNORECASE)
_WILDCARD_LABEL = re.compile(r"\*|(\*|\*-)?[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?", re.IGNORECASE)
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, 5.6.2
_LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]{0,61}[A-Za-z0-9])?)?")
_ENVOY_FORMAT = re.compile(r"([^%]|%%|%[A-Z][A-Z0-9_]*(\([^)]*\))?(:[0-9]+)?%)*")
_NEVER_IN_A_HEADER = re.compile(r"[\0\r\n]")


def invalid(path: Path, message: str, hint: str = "") -> Finding:
    return Finding("IST0106", path, message, hint, at_value=True)


def questionable(path: Path, message: str, hint: str = "") -> Finding:
    return Finding("IST0133", path, message, hint, at_value=True)


# --- numbers, durations ---------------------------------------------------------------------------------------


def port(number: int, path: Path) -> Findings:
    if not 1 <= number <= 65535:
        yield invalid(path, f"{number} is no port: ports are 1 to 65535")


def is_port(text: str) -> bool:
    """A port in decimals, as authorization policies write it."""
    return len(text) <= 5 and text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535


def at_least(minimum: float, number: float | None, path: Path) -> Findings:
    if number is not None and number < minimum:
        yield invalid(path, f"{number} is less than {minimum}")


def percent(number: float | None, path: Path) -> Findings:
    if number is not None and not 0 <= number <= 100:
        yield invalid(path, f"{number} is no percentage: those are 0 to 100")


def percentage(value: Percent | None, path: Path) -> Findings:
    return percent(value.value if value else None, (*path, "value"))


def at_least_1ms(duration: timedelta | None, path: Path) -> Findings:
    """What Istio asks of most durations: Envoy's timers are milliseconds, and 0 would mean "off"."""
    if duration is not None and duration < timedelta(milliseconds=1):
        yield invalid(
            path, f"{duration.total_seconds():g}s is too short: at least 1ms", "remove it to have no limit"
        )


def not_negative(duration: timedelta | None, path: Path) -> Findings:
    if duration is not None and duration < timedelta():
        yield invalid(path, "a duration here cannot be negative")


# --- names ----------------------------------------------------------------------------------------------------


def is_label(text: str) -> bool:
    """A DNS label (RFC 1123)."""
    return _LABEL.fullmatch(text) is not None


def is_host(text: str) -> bool:
    """A DNS name (RFC 1123), maybe with a dot at its end."""
    return len(text) <= 255 and all(map(is_label, text.removesuffix(".").split(".")))


def is_wildcard_host(text: str) -> bool:
    """A DNS name whose first label may be "*", or begin with it."""
    first, _, rest = text.partition(".")
    return _WILDCARD_LABEL.fullmatch(first) is not None and (not rest or is_host(rest)) and len(text) <= 255


def is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_subnet(text: str) -> bool:
    """An address, or a subnet in CIDR notation."""
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    return "/" not in text or text.partition("/")[2].isdecimal()


def host(text: str, path: Path) -> Findings:
    if not is_host(text) and not is_address(text):
        yield invalid(
            path, f'"{text}" is no host name', "use letters, digits and '-', in parts separated by dots"
        )


def wildcard_host(text: str, path: Path) -> Findings:
    if not is_wildcard_host(text) and not is_address(text):
        yield invalid(
            path, f'"{text}" is no host name', 'write a DNS name; a "*" only as or in its first part'
        )


def subnets(texts: Iterable[str], path: Path) -> Findings:
    for index, text in enumerate(texts):
        if not is_subnet(text):
            yield invalid(
                (*path, index), f'"{text}" is neither an address nor a subnet', 'write it as "10.0.0.0/8"'
            )


def export_to(namespaces: tuple[str, ...], path: Path) -> Findings:
    for index, namespace in enumerate(namespaces):
        if namespace not in (".", "*", "~") and not is_label(namespace):
            yield invalid(
                (*path, index), f'"{namespace}" is no namespace', 'use ".", "*" or the name of a namespace'
            )
    if len(set(namespaces)) != len(namespaces):
        yield invalid(path, "a namespace is there twice")
    if "~" in namespaces and len(namespaces) > 1:
        yield invalid(path, 'with "~" (nobody sees it) no other namespace can be there')


def labels(given: Mapping[str, str], path: Path) -> Findings:
    for key, value in given.items():
        prefix, slash, name = key.rpartition("/")
        if not name or _LABEL_VALUE.fullmatch(name) is None or (slash and not is_host(prefix)):
            yield invalid(
                (*path, key), f'"{key}" is no label name', "use letters, digits, '-', '_' and '.'; 63 at most"
            )
        if _LABEL_VALUE.fullmatch(value) is None:
            hint = "use letters, digits, '-', '_' and '.'; 63 at most"
            yield invalid((*path, key), f'"{value}" is no label value', hint)


def unique(names: Iterable[object], path: Path, what: str) -> Findings:
    seen: set[object] = set()
    for index, name in enumerate(names):
        if name in seen:
            yield invalid((*path, index), f"{what} {name} is there twice")
        seen.add(name)


# --- references ---------------------------------------------------------------------------------------------


def gateway_name(name: str, path: Path) -> Findings:
    """Written as "mesh", "name" or "namespace/name"."""
    namespace, slash, gateway = name.rpartition("/")
    if not is_host(gateway) or (slash and not is_label(namespace)):
        yield invalid(path, f'"{name}" names no gateway', 'write "name", "namespace/name" or "mesh"')


def destination(given: Destination, path: Path) -> Findings:
    yield from wildcard_host(given.host, (*path, "host"))
    if given.subset and not is_label(given.subset):
        yield invalid((*path, "subset"), f'"{given.subset}" is no name of a subset')
    if given.port:
        yield from port(given.port.number, (*path, "port", "number"))


# --- HTTP -----------------------------------------------------------------------------------------------------


def header_name(name: str, path: Path) -> Findings:
    if _TOKEN.fullmatch(name.removeprefix(":")) is None:
        yield invalid(path, f"{name!r} is no header name", "use letters, digits and '-'")


def header_value(value: str, path: Path) -> Findings:
    if _NEVER_IN_A_HEADER.search(value):
        yield invalid(path, "a header's value cannot hold NUL or line breaks")
    elif "%" in value and _ENVOY_FORMAT.fullmatch(value) is None:
        yield invalid(
            path, "Envoy reads % as the start of a command such as %REQ(name)%", "write %% for a percent sign"
        )


def regex(pattern: str, path: Path) -> Findings:
    """Envoy runs RE2: what it cannot compile, or only at great cost, must not reach a proxy."""
    if not pattern:
        yield invalid(path, "Envoy refuses an empty regular expression")
    if len(pattern) > MAX_REGEX_CHARACTERS:
        yield invalid(path, f"the regular expression is longer than {MAX_REGEX_CHARACTERS} characters")
        return
    options = re2.Options()
    options.log_errors = False
    options.max_mem = MAX_REGEX_MEMORY_BYTES
    try:
        re2.compile(pattern, options)
    except re2.error as error:
        reason = (
            error.args[0].decode(errors="replace")
            if error.args and isinstance(error.args[0], bytes)
            else error
        )
        hint = "write it in RE2's syntax, which has no look-around and no back-references"
        yield invalid(path, f"the regular expression does not compile: {reason}", hint)


def string_match(match: StringMatch | None, path: Path, *, prefix_may_be_empty: bool = False) -> Findings:
    if match is None:
        return
    if match.prefix == "" and not prefix_may_be_empty:
        yield invalid((*path, "prefix"), "Envoy refuses an empty prefix", "write {} to ask for presence only")
    given = [name for name in ("exact", "prefix", "regex") if getattr(match, name) is not None]
    if len(given) > 1:
        yield invalid(path, f"only one of {', '.join(given)} can be set")
    if match.regex is not None:
        yield from regex(match.regex, (*path, "regex"))


# --- structure ------------------------------------------------------------------------------------------------


def at_most_one(message: object, members: Collection[str], path: Path) -> Findings:
    """Of members that exclude each other. Names are the attributes'."""
    given = [name for name in members if getattr(message, name) not in (None, ())]
    if len(given) > 1:
        yield invalid(path, f"only one of {', '.join(map(camel, given))} can be set", "keep one of them")


def camel(attribute: str) -> str:
    first, *rest = attribute.split("_")
    return first + "".join(word.capitalize() for word in rest)


class _Weighted(Protocol):
    @property
    def weight(self) -> int: ...


def weights(destinations: Collection[_Weighted], path: Path) -> Findings:
    total = 0
    for index, destination in enumerate(destinations):
        total += destination.weight
        if destination.weight < 0:
            yield invalid((*path, index, "weight"), f"{destination.weight} is less than 0")
    if len(destinations) > 1 and total == 0:
        yield invalid(
            path, "the weights sum to 0, so nothing would get traffic", "give at least one a weight above 0"
        )
    if total > 2**32 - 1:
        yield invalid(path, f"the weights sum to {total}, more than {2**32 - 1}")
