"""The OUs tell the facts apart, and no value can pass for another fact."""

import re

from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st

from mizzen.ca.subject import subject_name
from mizzen.model.subject import Subject, facts_of, pattern_of

FIELDS = ("workload", "namespace", "canonical_name", "canonical_revision", "cluster")


def read_back(subject: Subject) -> dict[str, str]:
    """As Envoy does: the patterns on the RFC 2253 text of the subject."""
    text = x509.Name(subject_name(subject)).rfc4514_string()
    assert subject.text == text
    found = {field: re.fullmatch(pattern_of(field.replace("_", "-")), text) for field in FIELDS}
    assert facts_of(text) == {field.replace("_", "-"): match[1] for field, match in found.items() if match}
    return {field: match.group(1) for field, match in found.items() if match}


def test_the_scheme():
    subject = Subject("reviews-v1", "bookinfo", "reviews", "v1", "Kubernetes")
    assert subject_name(subject).rfc4514_string() == (
        "OU=cluster=Kubernetes,OU=canonical-revision=v1,OU=canonical-name=reviews,OU=namespace=bookinfo,"
        "OU=workload=reviews-v1"
    )


names = st.from_regex(r"[A-Za-z0-9]([A-Za-z0-9._-]{0,60}[A-Za-z0-9])?", fullmatch=True)


@given(st.builds(Subject, *(names for _ in FIELDS)))
def test_every_fact_is_read_back(subject):
    assert read_back(subject) == {field: getattr(subject, field) for field in FIELDS}


@given(st.builds(Subject, *(st.text(max_size=70) | names for _ in FIELDS)))
def test_what_is_no_name_is_left_out_and_disturbs_nothing(subject):
    for field, value in read_back(subject).items():
        assert value == getattr(subject, field)


def test_a_value_cannot_forge_another_fact():
    assert read_back(Subject(workload="a,OU=namespace=admin", cluster="c=d", canonical_name="ok")) == {
        "canonical_name": "ok"
    }


def test_names_as_long_as_kubernetes_allows_are_kept_whole():
    assert read_back(Subject(workload="w" * 253)) == {"workload": "w" * 253}
