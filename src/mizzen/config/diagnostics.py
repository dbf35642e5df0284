"""Everything that Mizzen can say about configuration: one catalogue of codes, and the diagnostic that carries one.

Codes are stable. IST0xxx where the meaning is Istio's, MZ0xxx where it is Mizzen's own.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum
from types import MappingProxyType

from mizzen.config.resource import Location, Path, ResourceKey, path_text


class Severity(Enum):
    """An object with an error is not taken in; its last good version stays in force."""

    ERROR = "error"
    WARNING = "warning"


@dataclass(frozen=True, slots=True)
class Code:
    code: str
    severity: Severity
    title: str
    what_to_do: str


@dataclass(frozen=True, slots=True)
class Diagnostic:
    """One thing to tell the user. `message` says what is wrong, `hint` what to do about it here."""

    code: str
    message: str
    resource: ResourceKey | None = None
    path: Path = ()
    location: Location | None = None
    hint: str = ""

    @property
    def severity(self) -> Severity:
        return CATALOGUE[self.code].severity

    @property
    def advice(self) -> str:
        """What to do: for this case where that is known, else for the code."""
        return self.hint or CATALOGUE[self.code].what_to_do

    def __str__(self) -> str:
        """One line: place, severity, code, object and field, what is wrong, what to do."""
        place = f"{self.location}: " if self.location else ""
        field = path_text(self.path)
        subject = " ".join(part for part in (str(self.resource or ""), field) if part)
        text = f"{subject}: {self.message}" if subject else self.message
        return f"{place}{self.severity.value} {self.code}: {text}; {self.advice}"


@dataclass(frozen=True, slots=True)
class Finding:
    """A diagnostic before its place is looked up. `path` starts at the top of the object: ("spec", "hosts", 0)."""

    code: str
    path: Path
    message: str
    hint: str = ""
    at_value: bool = False  # point to the value rather than to its key


_ERROR, _WARNING = Severity.ERROR, Severity.WARNING

_CODES = (
    # texts and files
    Code("MZ0001", _ERROR, "Not valid YAML", "correct the YAML at this place"),
    Code("MZ0002", _ERROR, "Duplicate key", "keep one of the two"),
    Code("MZ0003", _ERROR, "Too large", "split it into smaller files or documents"),
    Code("MZ0004", _ERROR, "Not text", "save the file as UTF-8"),
    Code("MZ0005", _ERROR, "File cannot be read", "check that it exists and may be read"),
    Code("MZ0006", _WARNING, "Files are polled", "raise fs.inotify.max_user_watches and max_user_instances"),
    Code("MZ0007", _ERROR, "Object is defined twice", "remove or rename one of the two"),
    # objects
    Code("MZ0010", _ERROR, "Not an object", "write a mapping with apiVersion, kind, metadata and spec"),
    Code("MZ0011", _ERROR, "Object is not identified", "give it apiVersion, kind and metadata.name"),
    Code(
        "MZ0012", _WARNING, "Kind is not read", "nothing is to be done: the object has no effect on this mesh"
    ),
    Code("MZ0013", _ERROR, "Unknown version of a kind", "use a version of the API that is served"),
    Code("MZ0014", _ERROR, "Unknown kind", "correct the kind or the apiVersion"),
    # fields
    Code("MZ0020", _ERROR, "Unknown field", "remove it or correct its name"),
    Code("MZ0021", _ERROR, "Wrong type", "write a value of the type that the API wants"),
    Code("MZ0022", _ERROR, "Unknown value", "use one of the values that the API knows"),
    Code("MZ0023", _ERROR, "Not a duration", 'write it as "10s", "1h30m", "0.5s" or "100ms"'),
    Code("MZ0024", _ERROR, "Field is missing", "add it"),
    Code("MZ0025", _ERROR, "Number out of range", "use a number that the API allows"),
    Code("IST0106", _ERROR, "Invalid configuration", "correct it"),
    Code("IST0130", _WARNING, "Rule is never reached", "move it up, or remove it"),
    Code("IST0131", _WARNING, "Match has no effect", "move it up, or remove it"),
    Code("IST0133", _WARNING, "Questionable configuration", "check that this is what you mean"),
    # what the mesh does not do yet
    Code(
        "MZ0101",
        _WARNING,
        "Field has no effect yet",
        "remove it, or expect the mesh to behave as if it were absent",
    ),
    Code(
        "MZ0102",
        _WARNING,
        "Value has no effect yet",
        "use another value, or expect the mesh not to act on it",
    ),
)

CATALOGUE: Mapping[str, Code] = MappingProxyType({code.code: code for code in _CODES})
