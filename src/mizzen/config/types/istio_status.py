"""istio.meta and istio.analysis: the status that controllers write on Istio's objects. Nothing in the mesh acts on it."""

from enum import Enum
from typing import Annotated

from mizzen.config.types.constraints import Format
from mizzen.config.types.message import LenientMessage

Timestamp = Annotated[str, Format("date-time")]


class IstioCondition(LenientMessage):
    """What a controller has found out about an object."""

    type: str = ""  # of the condition, such as Reconciled
    status: str = ""  # True, False or Unknown
    last_probe_time: Timestamp = ""  # when it was looked at; RFC 3339
    last_transition_time: Timestamp = ""  # when it became so; RFC 3339
    reason: str = ""  # a word for programs
    message: str = ""  # a text for people
    observed_generation: int | str | None = None  # the object's generation that it is about


class AnalysisMessageType(LenientMessage):
    """The API's AnalysisMessageBase.Type."""

    name: str = ""  # such as SchemaValidationError
    code: str = ""  # such as IST0106


class AnalysisLevel(Enum):
    """The API's AnalysisMessageBase.Level."""

    UNKNOWN = "UNKNOWN"
    ERROR = "ERROR"
    WARNING = "WARNING"
    INFO = "INFO"


class AnalysisMessage(LenientMessage):
    """The API's AnalysisMessageBase."""

    type: AnalysisMessageType | None = None  # what was found
    level: AnalysisLevel = AnalysisLevel.UNKNOWN  # how bad it is
    documentation_url: str = ""  # where it is explained


class IstioStatus(LenientMessage):
    conditions: tuple[IstioCondition, ...] = ()  # one a type
    validation_messages: tuple[AnalysisMessage, ...] = ()  # of analysis
    observed_generation: int | str | None = None  # the object's generation that all of it is about
