"""Objects with errors, as far as they can be read."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from mizzen.config.decode import decode
from mizzen.config.kinds import KINDS
from mizzen.config.salvage import salvage
from mizzen.config.types.core import ServiceSpec
from mizzen.config.types.networking import Gateway, ServiceEntry, VirtualService

ANYTHING: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["spec", "http", "x"]), inner)
    ),
    max_leaves=8,
)


def test_what_does_not_conform_is_left_out_and_the_rest_stays():
    spec = salvage({"hosts": ["a", 1], "http": [{"timeout": "soon", "name": "n"}, 7], "x": 1}, VirtualService)
    assert spec.hosts == ("a", "")
    assert [http.name for http in spec.http] == ["n", ""]
    assert spec.http[0].timeout is None


def test_zeros_stand_in_for_what_is_missing():
    assert salvage(None, ServiceEntry).hosts == ()
    (server,) = salvage({"servers": [{}]}, Gateway).servers
    assert (server.port.number, server.hosts) == (0, ())


def test_a_value_that_the_api_does_not_know_is_the_default():
    (port,) = salvage({"ports": [{"port": 80, "protocol": "HTTP"}]}, ServiceSpec).ports
    assert (port.port, port.protocol.value) == (80, "TCP")


def test_decoding_offers_what_is_broken():
    text = (
        "apiVersion: v1\nkind: Service\nmetadata: {name: web}\nspec: {ports: [{port: 80, protocol: HTTP}]}\n"
    )
    decoded = decode(text, "x.yaml")
    (salvaged,) = decoded.salvaged
    assert decoded.located == ()
    assert decoded.broken == (salvaged.resource.key,)
    assert salvaged.locate(("spec", "ports", 0)).line == 4


@given(st.sampled_from(sorted(KINDS)), ANYTHING)
def test_anything_gives_a_value_of_every_kind(kind, value):
    wanted = KINDS[kind].spec
    assert type(salvage(value, wanted)) is wanted
