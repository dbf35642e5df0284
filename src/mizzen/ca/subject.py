"""The subject of the certificates that the CA signs."""

from cryptography import x509
from cryptography.x509.oid import NameOID

from mizzen.model.subject import Subject


def subject_name(subject: Subject) -> x509.Name:
    """One OU for each fact."""
    unit = NameOID.ORGANIZATIONAL_UNIT_NAME
    return x509.Name(x509.NameAttribute(unit, value) for value in subject.units())
