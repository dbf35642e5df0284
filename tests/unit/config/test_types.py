"""The types hold every field of the API, and are values."""

import json
import os
import types
import typing
from pathlib import Path

import msgspec
import pytest

from mizzen.config.kinds import KINDS
from mizzen.config.support import UNSUPPORTED
from mizzen.frozen import FrozenMap

CORPUS = Path(os.environ.get("MIZZEN_CONFORMANCE", "../shared/conformance"))

SPECS = {kind.name: kind.spec for kind in KINDS.values()}


def paths(hint, path):
    """Every path of a type, in the notation of the corpus and of config/support.py."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for argument in arguments:
            if argument is not type(None):
                yield from paths(argument, path)
        return
    if origin is typing.Annotated:
        hint = arguments[0]
    yield path
    if origin is tuple:
        yield from paths(arguments[0], f"{path}[]")
    elif origin is FrozenMap:
        yield from paths(arguments[1], f"{path}.*")
    elif isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        hints = typing.get_type_hints(hint, include_extras=True)
        for field in msgspec.structs.fields(hint):
            yield from paths(hints[field.name], f"{path}.{field.encode_name}")


@pytest.mark.skipif(
    not CORPUS.is_dir(), reason="could not run here: the conformance corpora are not beside the repository"
)
def test_every_field_of_istios_crds_is_there_and_no_other():
    crds = json.loads((CORPUS / "api-fields.json").read_text())["crds"]
    read = {crd["kind"]: {field["path"] for field in crd["fields"]} for crd in crds if crd["kind"] in SPECS}
    assert len(read) == 8
    for kind, wanted in read.items():
        assert set(paths(SPECS[kind], "spec")) == wanted, kind


@pytest.mark.skipif(
    not CORPUS.is_dir(), reason="could not run here: the conformance corpora are not beside the repository"
)
def test_every_setting_of_the_mesh_is_typed_or_named_as_unsupported():
    fields = json.loads((CORPUS / "mesh-config-fields.json").read_text())["fields"]
    typed = set(paths(SPECS["MeshConfig"], "spec"))
    for field in fields:
        path = field["path"].replace("meshConfig", "spec", 1)
        if path.startswith("spec.") and field["path"].startswith("meshConfig."):
            known = any(
                path == name or path.startswith((f"{name}.", f"{name}["))
                for name in UNSUPPORTED["MeshConfig"]
            )
            assert known or path in typed, path


def test_unsupported_paths_exist():
    for kind, entries in UNSUPPORTED.items():
        typed = set(paths(SPECS[kind], "spec"))
        for entry in entries:
            path = entry.partition("=")[0]
            assert path in typed or kind == "MeshConfig", f"{kind} has no {path}"


def test_defaults_are_hashable_and_shared_by_nobody_who_could_change_them():
    for kind in KINDS.values():
        required = {field.name for field in msgspec.structs.fields(kind.spec) if field.required}
        if not required:
            assert hash(kind.spec()) == hash(kind.spec())
