"""Every message that Mizzen names exists, with the fields that no older API has, and in the stubs."""

import gc
import re
import weakref
from pathlib import Path

import pytest
from google.protobuf.descriptor_pb2 import FileDescriptorSet

from mizzen.proto import api, descriptors
from mizzen.proto.own import own_files

STUB = Path(api.__file__).with_suffix(".pyi")
STUBS = Path(api.__file__).parents[3] / "build" / "stubs"


@pytest.mark.parametrize(("name", "full_name"), api.MESSAGES.items())
def test_every_message_resolves(name, full_name):
    found = getattr(api, name)
    assert found.DESCRIPTOR.full_name == full_name
    assert found() == found.FromString(b"")
    assert getattr(api, name) is found


def test_no_message_is_named_twice():
    assert len(set(api.MESSAGES.values())) == len(api.MESSAGES)


def test_an_unknown_name_says_what_to_do():
    with pytest.raises(AttributeError, match="names no message 'Clustre': add it to MESSAGES"):
        _ = api.Clustre


def test_any_message_can_be_had_by_its_full_name():
    found = api.message_class("envoy.config.core.v3.SocketAddress")
    assert found(address="10.0.0.1", port_value=80).port_value == 80
    with pytest.raises(KeyError):
        api.message_class("envoy.config.core.v3.Nothing")


def test_classes_of_parts_are_not_made_anew():
    """What is built thousands of times an hour leaves no classes for the collector."""
    message = api.message_class("envoy.config.endpoint.v3.ClusterLoadAssignment")
    part = weakref.ref(type(message(policy={"drop_overloads": [{}]}).policy.drop_overloads[0]))
    gc.collect()
    assert part() is not None


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("StatsAccessLog", {"counters", "gauges", "histograms", "stats_scope"}),
        ("SetFilterState", {"on_new_connection", "on_downstream_tls_handshake"}),
        ("TcpProxy", {"upstream_connect_mode", "max_early_data_bytes"}),
    ],
)
def test_the_fields_for_which_envoys_own_descriptors_were_chosen(name, fields):
    assert fields <= set(getattr(api, name).DESCRIPTOR.fields_by_name)


def test_bytes_do_not_depend_on_the_order_of_insertion():
    def with_labels(*names):
        metadata = api.Metadata()
        for name in names:
            metadata.filter_metadata["mizzen"][name] = name
        return metadata.SerializeToString(deterministic=True)

    assert with_labels("a", "b", "c", "d", "e") == with_labels("e", "c", "a", "d", "b")


def test_messages_nest_in_any():
    packed = api.AnyMessage()
    packed.Pack(api.Router(suppress_envoy_headers=True), deterministic=True)
    assert packed.type_url == "type.googleapis.com/envoy.extensions.filters.http.router.v3.Router"
    unpacked = api.Router()
    assert packed.Unpack(unpacked)
    assert unpacked.suppress_envoy_headers


class TestOwnMessages:
    def test_collide_with_nothing_of_envoys(self):
        envoys = FileDescriptorSet.FromString(
            FileDescriptorSet(file=descriptors.dependency_order(descriptors.load())).SerializeToString()
        ).file
        names = {file.name for file in envoys}
        messages = {f"{file.package}.{message.name}" for file in envoys for message in file.message_type}
        for file in own_files():
            assert file.name not in names
            assert not messages & {f"{file.package}.{message.name}" for message in file.message_type}

    def test_are_istios_on_the_wire(self):
        """Field numbers of security/v1alpha1/ca.proto: an Istio agent can ask Mizzen for a certificate."""
        request, response = api.IstioCertificateRequest, api.IstioCertificateResponse
        numbers = {field.name: field.number for field in request.DESCRIPTOR.fields}
        assert numbers == {"csr": 1, "validity_duration": 3, "metadata": 4}
        assert request(csr="x", validity_duration=5).SerializeToString() == b"\x0a\x01x\x18\x05"
        assert response(cert_chain=["a", "b"]).SerializeToString() == b"\x0a\x01a\x0a\x01b"


class TestStubs:
    """Set-up for development writes them; a user's installation has none."""

    def test_name_exactly_the_messages(self):
        if not STUB.exists():
            pytest.skip(
                "could not run here: no stubs: `python -m mizzen.proto.build --stubs build/stubs` writes them"
            )
        imported = re.findall(r"^from (\S+) import (\w+) as (\w+)$", STUB.read_text(), re.MULTILINE)
        assert {alias for _, _, alias in imported} == api.MESSAGES.keys(), "make the stubs anew"
        for module, message, alias in imported:
            full_name = api.MESSAGES[alias]
            assert full_name.endswith(f".{message}")
            if not module.startswith("google.protobuf."):
                file = descriptors.pool().FindMessageTypeByName(full_name).file.name
                assert module == file.removesuffix(".proto").replace("/", ".").replace("-", "_") + "_pb2"

    def test_declare_each_of_them(self):
        if not STUB.exists() or not STUBS.exists():
            pytest.skip(
                "could not run here: no stubs: `python -m mizzen.proto.build --stubs build/stubs` writes them"
            )
        for full_name in api.MESSAGES.values():
            if full_name.startswith("google.protobuf."):
                continue
            descriptor = descriptors.pool().FindMessageTypeByName(full_name)
            module = descriptor.file.name.removesuffix(".proto").replace("-", "_") + "_pb2.pyi"
            stub = (STUBS / module).read_text()
            body = stub[stub.index(f"class {descriptor.name}(") :]
            for field in descriptor.fields_by_name:
                assert re.search(rf"^    {field}: ", body, re.MULTILINE), f"{full_name}.{field}"
