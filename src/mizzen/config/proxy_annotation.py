"""One workload's own settings of its proxy: YAML in Istio's annotation `proxy.istio.io/config`."""

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import msgspec

from mizzen.config.conform import conform, members_of
from mizzen.config.diagnostics import Finding
from mizzen.config.documents import DocumentError, split
from mizzen.config.resource import Path
from mizzen.config.support import unsupported_proxy_settings
from mizzen.config.types.proxy import ProxyConfig

ANNOTATION = "proxy.istio.io/config"
_PATH: Path = ("metadata", "annotations", ANNOTATION)


_AS_THE_MESH = ProxyConfig()


@dataclass(frozen=True, slots=True)
class ProxyOverrides:
    """What the annotation says. `given` are the attributes that it sets: all others are as the mesh has them."""

    config: ProxyConfig = _AS_THE_MESH
    given: frozenset[str] = frozenset()
    findings: tuple[Finding, ...] = ()  # paths lead into the text

    def over(self, base: ProxyConfig) -> ProxyConfig:
        """The base with what is given here. Environment variables add up, all else is replaced (Istio's rule)."""
        changed = {name: getattr(self.config, name) for name in self.given}
        if "proxy_metadata" in changed:
            merged = {**base.proxy_metadata, **self.config.proxy_metadata}
            changed["proxy_metadata"] = type(base.proxy_metadata)(merged)
        return msgspec.structs.replace(base, **changed)


NOTHING = ProxyOverrides()


@lru_cache(maxsize=1024)
def read(text: str) -> ProxyOverrides:
    """Never raises on bad input: what cannot be read says nothing, and the findings say why."""
    if not text.strip():
        return NOTHING
    try:
        values = [found.value() for found in split(text, "")]
    except DocumentError as error:
        message = f"line {error.line} of the text: {error.message}"
        return ProxyOverrides(findings=(Finding(error.code, _PATH, message, error.hint),))
    value: Any = next((found for found in values if found is not None), {})
    config = conform(value, ProxyConfig, _PATH)
    if isinstance(config, tuple):
        return ProxyOverrides(findings=config)
    told = tuple(unsupported_proxy_settings(value, _PATH))
    attributes = dict(zip(members_of(ProxyConfig), ProxyConfig.__struct_fields__, strict=True))
    return ProxyOverrides(config, frozenset(attributes[name] for name in value), told)
