"""Names of hosts, and addresses."""

import re
from collections.abc import Iterable
from ipaddress import ip_address, ip_network
from typing import Final

from mizzen.config.resource import Path
from mizzen.config.validation.rules import Findings, invalid

UNIX: Final = "unix://"

_LABEL = re.compile(r"[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_WILDCARD_LABEL = re.compile(r"\*|(\*|\*-)?[A-Za-z0-9]([-A-Za-z0-9]{0,61}[A-Za-z0-9])?")
_LONGEST_NAME = 255
# As proxies of other clusters name a service in SNI: outbound_.<port>_.<subset>_.<host>.
_SNI_OF_CLUSTER = re.compile(r"outbound_\.[0-9]{1,5}_\.([^.]*)_\.(.+)")


def is_label(text: str) -> bool:
    """A DNS label (RFC 1123)."""
    return _LABEL.fullmatch(text) is not None


def is_subdomain(text: str) -> bool:
    """Labels separated by dots, as Kubernetes wants the names of objects."""
    return len(text) <= _LONGEST_NAME and all(map(is_label, text.split(".")))


def is_host(text: str) -> bool:
    """A DNS name (RFC 1123), maybe with a dot at its end. Its last label is no number: that would be an address."""
    if len(text) > _LONGEST_NAME or not text:
        return False
    labels = text.removesuffix(".").split(".")
    return all(map(is_label, labels)) and not labels[-1].isdecimal()


def is_wildcard_host(text: str) -> bool:
    """A DNS name whose first label may be "*", or begin with it."""
    first, dot, rest = text.partition(".")
    if _WILDCARD_LABEL.fullmatch(first) is None or len(text) > _LONGEST_NAME:
        return False
    return not dot or not rest or is_host(rest)


def is_partial_wildcard(text: str) -> bool:
    """Such as "*foo.com": its "*" is less than a whole label, which not everything that matches hosts can do."""
    return "*" in text and text != "*" and not text.startswith("*.")


def is_address(text: str) -> bool:
    try:
        ip_address(text)
    except ValueError:
        return False
    return True


def is_subnet(text: str) -> bool:
    """An address, or a subnet in CIDR notation."""
    if "/" not in text:
        return is_address(text)
    try:
        ip_network(text, strict=False)
    except ValueError:
        return False
    length = text.partition("/")[2]
    return length.isascii() and length.isdecimal()


def host(text: str, path: Path) -> Findings:
    if not is_host(text) and not is_address(text):
        yield invalid(
            path, f'"{text}" is no host name', "use letters, digits and '-', in parts separated by dots"
        )


def wildcard_host(text: str, path: Path) -> Findings:
    if not is_wildcard_host(text):
        yield invalid(
            path, f'"{text}" is no host name', 'write a DNS name; a "*" only as or in its first part'
        )


def gateway_bound_host(text: str, path: Path, *, sni: bool) -> Findings:
    """A host behind a gateway; where SNI is matched, it may also name a cluster as other clusters' proxies do."""
    if sni and text.startswith("outbound_"):
        named = _SNI_OF_CLUSTER.fullmatch(text)
        if named is None or (named[1] and not is_label(named[1])) or not is_host(named[2]):
            hint = "write outbound_.<port>_.<subset>_.<host>"
            yield invalid(path, f'"{text}" names no cluster', hint)
    else:
        yield from wildcard_host(text, path)


def scoped_host(text: str, path: Path, *, namespaces: tuple[str, ...], short: bool) -> Findings:
    """Written as "namespace/host", with `short` also as "host". `namespaces` may stand instead of a namespace's name."""
    namespace, slash, name = text.partition("/")
    if not slash and short:
        namespace, name = "*", text
    elif not slash:
        yield invalid(path, f'"{text}" names no namespace', 'write "namespace/host", "./host" or "*/host"')
        return
    if namespace not in namespaces and not is_label(namespace):
        yield invalid(path, f'"{namespace}" is no namespace', 'write "namespace/host", "./host" or "*/host"')
    if is_address(name):
        yield invalid(path, f'"{name}" is an address', 'hosts are matched by name; use "*"')
    elif name != "*" and "." not in name:
        yield invalid(
            path, f'"{name}" is a short name', 'write it in full: "name.namespace.svc.cluster.local"'
        )
    elif is_partial_wildcard(name):
        yield invalid(path, f'"{name}" is a partial wildcard', 'use "*" as the whole first part')
    else:
        yield from wildcard_host(name, path)


def subnets(texts: Iterable[str], path: Path) -> Findings:
    for index, text in enumerate(texts):
        if not is_subnet(text):
            yield invalid(
                (*path, index), f'"{text}" is neither an address nor a subnet', 'write it as "10.0.0.0/8"'
            )


def unix_socket(text: str, path: Path) -> Findings:
    """`text` begins with unix://. A name that begins with @ is in Linux' abstract namespace."""
    name = text.removeprefix(UNIX)
    if not name.startswith("@") and (not name.startswith("/") or name.endswith("/")):
        yield invalid(path, f'"{text}" is no path of a unix socket', "write unix:///path/to/socket")


def host_and_port(text: str, path: Path) -> Findings:
    """Such as "example.com:80", "10.0.0.1:80" or "[2001:db8::1]:80"."""
    name, colon, port = text.rpartition(":")
    in_brackets = name.startswith("[") and name.endswith("]")
    is_known = is_address(name[1:-1]) if in_brackets else is_host(name) or ("." in name and is_address(name))
    if not colon or not is_known or not is_port(port):
        yield invalid(path, f'"{text}" is no address with port', 'write it as "host:port" or "[IPv6]:port"')


def is_port(text: str) -> bool:
    """A port in decimals."""
    return len(text) <= 5 and text.isascii() and text.isdecimal() and 1 <= int(text) <= 65535


# --- which hosts a host stands for --------------------------------------------------------------------------


def covers(pattern: str, text: str) -> bool:
    """Whether all hosts that `text` stands for are among those of `pattern`."""
    pattern, text = pattern.lower(), text.lower()
    if not pattern.startswith("*"):
        return pattern == text
    return len(text) >= len(pattern) and text.endswith(pattern[1:])


def overlap(one: str, other: str) -> bool:
    """Whether some host is among those of both."""
    return covers(one, other) or covers(other, one)
