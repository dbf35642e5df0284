"""Names of the mesh, as applications write them."""

import pytest

from mizzen.agent.dns_names import AliasError, Found, NameTable, is_of_mesh
from mizzen.model.name import Name

TABLE = NameTable(
    "bookinfo",
    {
        "reviews.bookinfo.svc.cluster.local": Name(("10.0.0.1", "10.0.0.2")),
        "ratings.other.svc.cluster.local": Name(("10.0.0.3",)),
        "db-0.db.bookinfo.svc.cluster.local": Name(("10.0.0.7",)),
        "api.example.com": Name(("10.0.0.4",)),
        "*.example.com": Name(("10.0.0.5",)),
        "*.wild.example.com": Name(("10.0.0.6",)),
        "old.bookinfo.svc.cluster.local": Name(external_name="reviews.bookinfo.svc.cluster.local"),
        "older.bookinfo.svc.cluster.local": Name(external_name="old.bookinfo.svc.cluster.local"),
        "out.bookinfo.svc.cluster.local": Name(external_name="example.com"),
        "round.bookinfo.svc.cluster.local": Name(external_name="round.bookinfo.svc.cluster.local"),
    },
)


@pytest.mark.parametrize(
    ("name", "addresses"),
    [
        ("reviews.bookinfo.svc.cluster.local", ("10.0.0.1", "10.0.0.2")),
        ("reviews", ("10.0.0.1", "10.0.0.2")),
        ("reviews.bookinfo", ("10.0.0.1", "10.0.0.2")),
        ("reviews.bookinfo.svc", ("10.0.0.1", "10.0.0.2")),
        ("ratings", None),
        ("ratings.other", ("10.0.0.3",)),
        ("db-0.db", ("10.0.0.7",)),
        ("api.example.com", ("10.0.0.4",)),
        ("api.example.com.bookinfo.svc.cluster.local", None),
        ("www.example.com", ("10.0.0.5",)),
        ("a.b.example.com", ("10.0.0.5",)),
        ("a.b.wild.example.com", ("10.0.0.6",)),
        ("wild.example.com", ("10.0.0.5",)),
        ("example.com", None),
    ],
)
def test_look_up(name, addresses):
    found = TABLE.find(name)
    assert (found.addresses if found else None) == addresses
    assert found is None or (found.aliases, found.target) == ((), name)


def test_aliases_are_followed_within_the_mesh_and_named_where_they_leave_it():
    old, reviews = "old.bookinfo.svc.cluster.local", "reviews.bookinfo.svc.cluster.local"
    assert TABLE.find("older") == Found((("older", old), (old, reviews)), reviews, ("10.0.0.1", "10.0.0.2"))
    assert TABLE.find("out") == Found((("out", "example.com"),), "example.com", None)
    with pytest.raises(AliasError):
        TABLE.find("round")


@pytest.mark.parametrize(
    ("name", "owned"),
    [
        ("x.svc.cluster.local", True),
        ("cluster.local", True),
        ("notcluster.local", False),
        ("example.com", False),
    ],
)
def test_which_names_are_the_meshs_own(name, owned):
    assert is_of_mesh(name) is owned
