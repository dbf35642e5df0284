"""Whose a secret is, and what RBAC says of secrets."""

import pytest
import yaml

from mizzen.config.resource import ResourceKey
from mizzen.derive.rbac import may_list_secrets
from mizzen.derive.secrets import key_pair, secret_key, trust, trust_key
from tests.support.edge_secrets import leaf, roots, secret, tls_secret
from tests.support.mesh import Mesh


@pytest.mark.parametrize(
    ("credential", "found"),
    [
        ("cert", "cert"),
        ("kubernetes://cert", "cert"),
        ("kubernetes://edge/cert", "cert"),
        ("edge/cert", "cert"),
        ("kubernetes://bank/cert", None),
        ("bank/cert", None),
        ("builtin://", None),
        ("file:///etc/passwd", None),
        ("", None),
        ("../bank/cert", None),
    ],
)
def test_a_credential_name_means_a_secret_of_the_own_namespace(credential, found):
    expected = ResourceKey("Secret", "edge", found) if found else None
    assert secret_key(credential, "edge") == expected


def test_roots_may_stand_apart():
    mesh = Mesh(tls_secret("edge", "cert", "a.example.com", ca_crt=roots("one")))
    key = ResourceKey("Secret", "edge", "cert-cacert")
    assert trust(mesh.db, trust_key(mesh.db, key)).roots == roots("one")
    mesh.apply(secret("edge", "cert-cacert", cacert=roots("two")))
    assert trust(mesh.db, trust_key(mesh.db, key)).roots == roots("two")
    assert key_pair(mesh.db, key) is None


def test_an_unusable_secret_is_none():
    chain, _ = leaf("a.example.com")
    _, key = leaf("b.example.com")
    mesh = Mesh(secret("edge", "cert", cert=chain, key=key))
    assert key_pair(mesh.db, ResourceKey("Secret", "edge", "cert")) is None


READER = {"apiGroups": [""], "resources": ["secrets"], "verbs": ["get", "list"]}


def role(name="reader", *, rules=(READER,), namespace="edge", kind="Role"):
    metadata = {"name": name} | ({"namespace": namespace} if kind == "Role" else {})
    return yaml.dump(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": kind,
            "metadata": metadata,
            "rules": list(rules),
        }
    )


def binding(subject, *, kind="RoleBinding", namespace="edge", of="Role"):
    metadata = {"name": "b"} | ({"namespace": namespace} if kind == "RoleBinding" else {})
    ref = {"apiGroup": "rbac.authorization.k8s.io", "kind": of, "name": "reader"}
    return yaml.dump(
        {
            "apiVersion": "rbac.authorization.k8s.io/v1",
            "kind": kind,
            "metadata": metadata,
            "roleRef": ref,
            "subjects": [subject],
        }
    )


ACCOUNT = {"kind": "ServiceAccount", "name": "api", "namespace": "edge"}


@pytest.mark.parametrize(
    ("texts", "allowed"),
    [
        ([], False),
        ([role(), binding(ACCOUNT)], True),
        ([role()], False),
        ([binding(ACCOUNT)], False),
        ([role(), binding({"kind": "ServiceAccount", "name": "api"})], True),
        ([role(), binding(ACCOUNT | {"namespace": "bank"})], False),
        ([role(), binding(ACCOUNT | {"name": "other"})], False),
        ([role(namespace="bank"), binding(ACCOUNT, namespace="bank")], False),
        ([role(kind="ClusterRole"), binding(ACCOUNT, of="ClusterRole")], True),
        (
            [role(kind="ClusterRole"), binding(ACCOUNT, kind="ClusterRoleBinding", of="ClusterRole")],
            True,
        ),
        ([role(), binding({"kind": "Group", "name": "system:serviceaccounts:edge"})], True),
        ([role(), binding({"kind": "Group", "name": "system:serviceaccounts:bank"})], False),
        ([role(), binding({"kind": "User", "name": "system:serviceaccount:edge:api"})], True),
        ([role(rules=[READER | {"verbs": ["get"]}]), binding(ACCOUNT)], False),
        ([role(rules=[READER | {"resources": ["configmaps"]}]), binding(ACCOUNT)], False),
        ([role(rules=[READER | {"apiGroups": ["apps"]}]), binding(ACCOUNT)], False),
        ([role(rules=[READER | {"resourceNames": ["cert"]}]), binding(ACCOUNT)], False),
        ([role(rules=[{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]), binding(ACCOUNT)], True),
    ],
)
def test_who_may_list_secrets(texts, allowed):
    assert may_list_secrets(Mesh(*texts).db, "edge", "api") is allowed
