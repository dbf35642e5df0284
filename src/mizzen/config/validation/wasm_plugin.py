"""WasmPlugin, and the WebAssembly modules of TrafficExtension."""

from typing import Final

from mizzen.config.resource import Path, Resource
from mizzen.config.types.extensions import EnvValueSource, WasmConfig, WasmPlugin
from mizzen.config.types.targets import TrafficSelector
from mizzen.config.validation import ports, references, urls
from mizzen.config.validation.rules import Findings, invalid

_SCHEMES: Final = ("http", "https", "oci", "file")


def validate(resource: Resource[WasmPlugin]) -> Findings:
    yield from references.attachment(resource.spec)
    yield from module(resource.spec, ("spec",))
    yield from traffic(resource.spec.match, ("spec", "match"))


def module(spec: WasmPlugin | WasmConfig, path: Path) -> Findings:
    known = urls.scheme(spec.url) if "://" in spec.url else urls.scheme(f"http://{spec.url}")
    if known not in _SCHEMES:
        hint = f"write it with one of {', '.join(_SCHEMES)}, or without a scheme for an image"
        yield invalid((*path, "url"), f'"{spec.url}" is no URL of a module', hint)
    if spec.vm_config is None:
        return
    here = (*path, "vmConfig", "env")
    for index, variable in enumerate(spec.vm_config.env):
        if variable.value_from is EnvValueSource.HOST and variable.value:
            message = f"{variable.name} is taken from the proxy's environment, so it has no value here"
            yield invalid((*here, index, "value"), message, "remove value, or use valueFrom: INLINE")


def traffic(selectors: tuple[TrafficSelector, ...], path: Path) -> Findings:
    for index, selector in enumerate(selectors):
        here = (*path, index, "ports")
        for position, port in enumerate(selector.ports):
            yield from ports.port(port.number, (*here, position, "number"))
