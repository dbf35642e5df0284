"""Findings that nobody wants to see: by Istio's annotation of the object, or by option."""

from dataclasses import dataclass
from fnmatch import fnmatchcase

from mizzen.config.diagnostics import CATALOGUE, Diagnostic
from mizzen.config.resource import ResourceKey
from mizzen.derive.inputs import RESOURCES
from mizzen.errors import UserError
from mizzen.incremental import Database, query

ANNOTATION = "galley.istio.io/analyze-suppress"


@dataclass(frozen=True, slots=True)
class Codes:
    """What an annotation names: codes by comma, or "*" for all."""

    codes: frozenset[str]

    def covers(self, code: str) -> bool:
        return code in self.codes or "*" in self.codes


@query
def suppressed_by_annotation(db: Database, key: ResourceKey) -> Codes | None:
    """None: nothing is suppressed."""
    resource = RESOURCES(db, key)
    value = resource.annotations.get(ANNOTATION, "") if resource is not None else ""
    codes = frozenset(code.strip() for code in value.split(",") if code.strip())
    return Codes(codes) if codes else None


@dataclass(frozen=True, slots=True)
class Suppression:
    """`--suppress CODE=Kind namespace/name`: "*" stands for anything, in every part, as in istioctl."""

    code: str
    resource: str

    @classmethod
    def parse(cls, text: str) -> "Suppression":
        """Raises UserError where the text is of no such form."""
        code, equals, resource = text.partition("=")
        code, resource = code.strip(), " ".join(resource.split())
        form = (
            "write CODE=Kind namespace/name, for example IST0102=Namespace shop or 'IST0101=VirtualService *'"
        )
        if not equals or not code or not resource:
            raise UserError(f'--suppress "{text}" cannot be read', form)
        if "*" not in code and code not in CATALOGUE:
            raise UserError(f'--suppress: there is no code "{code}"', form)
        return cls(code, resource)

    def covers(self, diagnostic: Diagnostic) -> bool:
        subject = "" if diagnostic.resource is None else str(diagnostic.resource)
        return fnmatchcase(diagnostic.code, self.code) and _matches(subject, self.resource)


def _matches(text: str, pattern: str) -> bool:
    # fnmatch knows [] as well, which no name of an object has.
    return fnmatchcase(text, pattern.replace("[", "[[]"))
