"""The types hold every field of the API, say what each is for, and are values."""

import ast
import importlib
import inspect
import json
import os
import pkgutil
import tokenize
import types
import typing
from enum import Enum
from pathlib import Path

import msgspec
import pytest

import mizzen.config.types
from mizzen.config.kinds import ISTIO, KINDS
from mizzen.config.support import NO_EFFECT, UNSUPPORTED
from mizzen.config.types import mesh, proxy
from mizzen.config.types.message import LenientMessage, Message
from mizzen.frozen import FrozenMap

CORPUS = Path(os.environ.get("MIZZEN_CONFORMANCE", "../shared/conformance"))

SPECS = {kind.key_kind: kind.spec for kind in KINDS.values()}
MESH_ROOTS = {
    "meshConfig": mesh.MeshConfig,
    "proxyConfig": proxy.ProxyConfig,
    "meshNetworks": mesh.MeshNetworks,
}


def paths(hint, path):
    """Every path of a type, in the notation of the corpus and of config/support.py."""
    return (found for found, _ in typed_paths(hint, path))


def typed_paths(hint, path):
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin in (typing.Union, types.UnionType):
        for argument in arguments:
            if argument is not type(None):
                yield from typed_paths(argument, path)
        return
    if origin is typing.Annotated:
        yield from typed_paths(arguments[0], path)
        return
    yield path, hint
    if origin is tuple:
        yield from typed_paths(arguments[0], f"{path}[]")
    elif origin is FrozenMap:
        yield from typed_paths(arguments[1], f"{path}.*")
    elif isinstance(hint, type) and issubclass(hint, msgspec.Struct):
        hints = typing.get_type_hints(hint, include_extras=True)
        for field in msgspec.structs.fields(hint):
            yield from typed_paths(hints[field.name], f"{path}.{field.encode_name}")


@pytest.fixture(scope="module")
def corpus():
    if CORPUS.is_dir():
        return CORPUS
    if os.environ.get("CI"):
        pytest.fail("no conformance corpora: MIZZEN_CONFORMANCE must name their folder")
    pytest.skip("no conformance corpora beside the repository; MIZZEN_CONFORMANCE may name them")


def test_every_field_of_istios_crds_is_there_and_no_other(corpus):
    crds = json.loads((corpus / "api-fields.json").read_text())["crds"]
    wanted = {crd["kind"]: {field["path"] for field in crd["fields"]} for crd in crds}
    ours = {kind.name: set(paths(kind.spec, "spec")) for kind in ISTIO}
    assert ours.keys() == wanted.keys()
    for kind, fields in wanted.items():
        assert (fields - ours[kind], ours[kind] - fields) == (set(), set()), f"{kind}: (missing, surplus)"


def test_every_setting_of_the_mesh_is_there_and_no_other(corpus):
    fields = json.loads((corpus / "mesh-config-fields.json").read_text())["fields"]
    wanted = {field["path"] for field in fields}
    roots = MESH_ROOTS
    found = {path for name, root in roots.items() for path in paths(root, name)}
    # The list names a list or a map by its items alone.
    ours = {path for path in found if not found & {f"{path}[]", f"{path}.*"} and path not in roots}
    ours -= {
        path for path in ours if path.endswith(".image.imageType")
    }  # the list does not open other groups' messages
    assert (wanted - ours, ours - wanted) == (set(), set()), "(missing, surplus)"


def test_enums_of_the_mesh_have_the_apis_words(corpus):
    fields = json.loads((corpus / "mesh-config-fields.json").read_text())["fields"]
    enums = {field["path"].replace("[]", ""): field["enum"] for field in fields if "enum" in field}
    assert len(enums) > 15
    roots = MESH_ROOTS
    ours = {}
    for name, root in roots.items():
        for path, hint in typed_paths(root, name):
            if isinstance(hint, type) and issubclass(hint, Enum):
                ours[path.replace("[]", "")] = [member.value for member in hint]
    assert {path: words for path, words in ours.items() if path in enums} == enums


def messages():
    """Every message class of the types, by the module that defines it."""
    for info in pkgutil.iter_modules(mizzen.config.types.__path__):
        if info.name == "metadata":
            continue  # what only an API server uses is let through, and needs no words
        module = importlib.import_module(f"mizzen.config.types.{info.name}")
        classes = [
            each for each in vars(module).values() if isinstance(each, type) and issubclass(each, Message)
        ]
        yield module, {each.__name__ for each in classes if each.__module__ == module.__name__}


def undocumented(module, names):
    """Fields without a comment on the lines that declare them."""
    path = Path(inspect.getsourcefile(module))
    with path.open("rb") as source:
        comments = {
            token.start[0] for token in tokenize.tokenize(source.readline) if token.type == tokenize.COMMENT
        }
    for node in ast.parse(path.read_text()).body:
        if not isinstance(node, ast.ClassDef) or node.name not in names:
            continue
        for field in node.body:
            is_field = isinstance(field, ast.AnnAssign) and not field.target.id.isupper()
            if is_field and comments.isdisjoint(range(field.lineno, field.end_lineno + 1)):
                yield f"{path.name}:{field.lineno} {node.name}.{field.target.id}"


@pytest.mark.parametrize(("module", "names"), [*messages()], ids=lambda value: getattr(value, "__name__", ""))
def test_every_field_says_what_it_means(module, names):
    assert list(undocumented(module, names)) == []


def test_unsupported_paths_exist():
    for kind, entries in UNSUPPORTED.items():
        typed = dict(typed_paths(SPECS[kind], "spec"))
        for entry in entries:
            path = entry.partition("=")[0]
            # What a lenient message lets through unread has no type, and is told all the same.
            assert path in typed or is_lenient(typed[path.rpartition(".")[0]]), f"{kind} has no {entry}"


def is_lenient(hint) -> bool:
    return isinstance(hint, type) and issubclass(hint, LenientMessage)


def test_kinds_without_effect_exist_and_are_told_once():
    assert SPECS.keys() >= NO_EFFECT
    assert NO_EFFECT.isdisjoint(UNSUPPORTED)


def test_kinds_have_keys_of_their_own():
    assert len(SPECS) == len(KINDS)
    assert SPECS["Gateway"].__module__.endswith("networking")
    assert SPECS["KubernetesGateway"].__module__.endswith("gateway_api")


def test_defaults_are_hashable_and_shared_by_nobody_who_could_change_them():
    for kind in KINDS.values():
        required = {field.name for field in msgspec.structs.fields(kind.spec) if field.required}
        if not required:
            assert hash(kind.spec()) == hash(kind.spec())
