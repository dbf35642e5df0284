"""By which addresses services are called, above all those that the mesh allocates."""

from ipaddress import IPv4Network, ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st

from mizzen.config.resource import ResourceKey
from mizzen.derive.addresses import allocate, allocated_addresses, virtual_addresses
from mizzen.model.name import IPV4_POOL, IPV6_POOL
from mizzen.model.service import ServiceRef
from tests.support.mesh import Mesh

SERVICE = """
apiVersion: v1
kind: Service
metadata: {{name: s, namespace: shop}}
spec: {{{spec}, ports: [{{name: http, port: 80}}]}}
"""
ENTRY = """
apiVersion: networking.istio.io/v1
kind: ServiceEntry
metadata: {{name: {name}, namespace: {namespace}, labels: {{{labels}}}}}
spec: {{hosts: ["{host}"], {spec}, ports: [{{name: tcp, number: 5432, protocol: TCP}}]}}
"""
SMALL_POOL = IPv4Network("240.240.0.0/28")  # 14 addresses: nearly every key meets another
KEYS = st.lists(st.tuples(st.sampled_from("ab"), st.text("xyz", min_size=1, max_size=3)), unique=True)


def entry(host="db.example.com", spec="resolution: DNS", *, name="e", namespace="shop", labels="") -> str:
    return ENTRY.format(host=host, spec=spec, name=name, namespace=namespace, labels=labels)


def families(addresses: tuple[str, ...]) -> list[int]:
    return [ip_address(address).version for address in addresses]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ("selector: {app: s}", [4]),
        ("ipFamilies: [IPv6]", [6]),
        ("ipFamilies: [IPv6, IPv4]", [6]),
        ("ipFamilyPolicy: PreferDualStack", [4, 6]),
        ("ipFamilies: [IPv6], ipFamilyPolicy: RequireDualStack", [4, 6]),
        ("clusterIP: None", []),
        ("type: ExternalName, externalName: example.com", []),
    ],
)
def test_a_service_without_a_cluster_gets_the_families_that_a_cluster_would_give(spec, expected):
    mesh = Mesh(SERVICE.format(spec=spec))
    ref = ServiceRef("s.shop.svc.cluster.local", "shop", ResourceKey("Service", "shop", "s"))
    assert families(virtual_addresses(mesh.db, ref)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (entry(), [4, 6]),
        (entry(spec="resolution: STATIC"), [4, 6]),
        (entry(spec="resolution: NONE"), []),
        (entry(host="*.example.com", spec="resolution: STATIC"), []),
        (entry(labels='networking.istio.io/enable-autoallocate-ip: "False"'), []),
        (entry(spec="resolution: DNS, addresses: [10.5.5.5]"), [4]),
        (entry(spec="resolution: STATIC, addresses: [10.5.0.0/16]"), []),
    ],
)
def test_which_service_entries_get_an_address_allocated(text, expected):
    mesh = Mesh(text)
    (host,) = mesh.object("ServiceEntry", "shop", "e").spec.hosts
    ref = ServiceRef(host, "shop", ResourceKey("ServiceEntry", "shop", "e"))
    assert families(virtual_addresses(mesh.db, ref)) == expected


def test_a_host_has_one_address_in_a_namespace_and_another_in_another():
    mesh = Mesh(entry(name="e"), entry(name="f"), entry(namespace="bank"))
    shop, bank = (allocated_addresses(mesh.db)[namespace, "db.example.com"] for namespace in ("shop", "bank"))
    assert not set(shop) & set(bank)
    one, other = (
        virtual_addresses(
            mesh.db, ServiceRef("db.example.com", "shop", ResourceKey("ServiceEntry", "shop", name))
        )
        for name in ("e", "f")
    )
    assert one == other == shop


def test_a_changed_port_allocates_nothing_anew():
    mesh = Mesh(entry(), entry(host="other.example.com", name="f"))
    mesh.db.observe(allocated_addresses)
    mesh.db.refresh()
    mesh.apply(entry(spec="resolution: STATIC"))
    with mesh.db.recording() as log:
        mesh.db.refresh()
    assert "allocated_addresses" not in {name for name, _ in log.ran}


@given(KEYS, st.randoms(use_true_random=False))
def test_addresses_are_unique_in_the_pool_and_the_same_in_any_order(keys, random):
    found = allocate(keys, SMALL_POOL)
    assert len(set(found.values())) == len(found) == min(len(keys), 14)
    assert all(ip_address(address) in list(SMALL_POOL.hosts()) for address in found.values())
    random.shuffle(keys)
    assert allocate(keys, SMALL_POOL) == found


@given(KEYS.filter(lambda keys: len(keys) <= 13), st.data())
def test_a_new_host_moves_nobody_but_who_has_its_own_place(keys, data):
    """Who met nobody keeps its address while nobody else of the same place comes, whatever else does."""
    newcomer = data.draw(st.tuples(st.sampled_from("ab"), st.text("xyz", min_size=1, max_size=3)))
    before, after = allocate(keys, SMALL_POOL), allocate({*keys, newcomer}, SMALL_POOL)
    place = {key: allocate([key], SMALL_POOL)[key] for key in (*keys, newcomer)}
    met = {key for key in keys if before[key] != place[key] or place[key] == place[newcomer]}
    assert {key: after[key] for key in keys if key not in met} == {
        key: before[key] for key in keys if key not in met
    }


def test_hosts_of_a_real_mesh_rarely_meet():
    hosts = [("shop", f"db-{number}.example.com") for number in range(250)]
    for pool, most in ((IPV4_POOL, 2), (IPV6_POOL, 0)):
        found = allocate(hosts, pool)
        alone = {host: allocate([host], pool)[host] for host in hosts}
        assert sum(found[host] != alone[host] for host in hosts) <= most
