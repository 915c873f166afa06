"""Every error Stepkeel raises, as one tree. The base class says whose fault it is, the code is stable.

StepkeelError
├── CallerError           the call is wrong: change it, do not repeat it
│   ├── DefinitionError     definition_invalid    the workflow class has problems; all are listed
│   ├── DataInvalid         data_invalid          data or payload does not fit its declared type
│   ├── UnknownSignal       unknown_signal        the definition has no signal of that name
│   ├── UnknownWorkflow     unknown_workflow      the engine was not given that definition or version
│   ├── ServiceMissing      service_missing       a parameter of an activity has no service
│   ├── BadRequest          bad_request           an argument makes no sense (filter, URL, name)
│   ├── NotFound            not_found             there is no such instance or task
│   ├── NotAuthenticated    not_authenticated     nobody knows who asks: no credential, or one that does not hold
│   ├── TooManyRequests     too_many_requests     more than is allowed in this time; `details` say when to try again
│   └── NotAllowed          not_allowed           who asks may not: another's, another role, four eyes, no permission
├── ConflictError         the call was right, the instance is not in a condition for it
│   ├── InvalidTransition   invalid_transition    not possible in this status
│   ├── RevisionChanged     revision_changed      it was meant for an earlier revision of the instance
│   ├── InstanceEnded       instance_ended        the instance has ended, nothing reaches it
│   ├── InboxFull           inbox_full            too many unread signals
│   ├── TaskClosed          task_closed           the task was completed or withdrawn before; it says by whom
│   ├── DefinitionChanged   definition_changed    same version, other shape, and instances live on it
│   └── NotFinished         not_finished          run inline, but the workflow has to wait
├── EngineError           neither: the surroundings are at fault, repeating may help
│   ├── Unavailable         unavailable           the database does not answer
│   ├── DatabaseInvalid     database_invalid      the URL leads to no Stepkeel database
│   ├── SchemaTooNew        schema_too_new        the database was made by a newer release
│   └── InstanceFault       instance_fault        this instance cannot be decided; it was set aside
└── what authors raise in activities
    ├── TransientError      transient             try again
    ├── PermanentError      permanent             never try again
    │   └── SecretMissing       secret_missing    there is no value for a reference to a secret
    ├── ResourceExhausted   resource_exhausted    put back, later; burns no attempt
    └── ExternalServiceError external_service     a named service is at fault; tried again like a transient error
"""

from __future__ import annotations

from typing import Any, ClassVar

__all__ = [
    "BadRequest",
    "CallerError",
    "ConflictError",
    "DataInvalid",
    "DatabaseInvalid",
    "DefinitionChanged",
    "DefinitionError",
    "EngineError",
    "ExternalServiceError",
    "InboxFull",
    "InstanceEnded",
    "InstanceFault",
    "InvalidTransition",
    "NotAllowed",
    "NotAuthenticated",
    "NotFinished",
    "NotFound",
    "PermanentError",
    "ResourceExhausted",
    "RevisionChanged",
    "SchemaTooNew",
    "SecretMissing",
    "ServiceMissing",
    "StepkeelError",
    "TaskClosed",
    "TooManyRequests",
    "TransientError",
    "Unavailable",
    "UnknownSignal",
    "UnknownWorkflow",
]


class StepkeelError(Exception):
    """Base of all. `code` is stable and for programs; `str(error)` is for people; `remedy` says what to do."""

    code: ClassVar[str] = "stepkeel_error"

    def __init__(self, message: str, *, remedy: str = "", **details: Any) -> None:
        super().__init__(message)
        self.message = message
        self.remedy = remedy
        self.details = details

    def __str__(self) -> str:
        return f"{self.message} ({self.remedy})" if self.remedy else self.message


class CallerError(StepkeelError):
    code = "caller_error"


class DefinitionError(CallerError):
    """A workflow class has problems. `problems` lists all of them: code, place, message, remedy."""

    code = "definition_invalid"

    def __init__(self, message: str, problems: tuple[Any, ...] = (), *, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy)
        self.problems = problems


class DataInvalid(CallerError):
    code = "data_invalid"


class UnknownSignal(CallerError):
    code = "unknown_signal"


class UnknownWorkflow(CallerError):
    code = "unknown_workflow"


class ServiceMissing(CallerError):
    code = "service_missing"


class BadRequest(CallerError):
    code = "bad_request"


class NotFound(CallerError):
    code = "not_found"


class NotAuthenticated(CallerError):
    """Nobody knows who asks: there is no credential, or one that is forged, over, or not for here."""

    code = "not_authenticated"


class TooManyRequests(CallerError):
    """More than is allowed in this time. `details`: `retry_after` in seconds."""

    code = "too_many_requests"


class NotAllowed(CallerError):
    """Who asks may not: the task is somebody else's, for another role, asks for four eyes; or they lack the permission."""

    code = "not_allowed"


class ConflictError(StepkeelError):
    code = "conflict"


class InvalidTransition(ConflictError):
    code = "invalid_transition"


class RevisionChanged(ConflictError):
    """It was meant for an instance at a revision that it is not at any more."""

    code = "revision_changed"


class InstanceEnded(ConflictError):
    code = "instance_ended"


class InboxFull(ConflictError):
    code = "inbox_full"


class TaskClosed(ConflictError):
    """The task was completed or withdrawn before. `details` say `by` whom, and `at` what time."""

    code = "task_closed"


class DefinitionChanged(ConflictError):
    code = "definition_changed"


class NotFinished(ConflictError):
    """`engine.run` met a workflow that has to wait. The instance goes on; `instance_id` names it."""

    code = "not_finished"

    def __init__(self, message: str, *, instance_id: str, remedy: str = "") -> None:
        super().__init__(message, remedy=remedy, instance_id=instance_id)
        self.instance_id = instance_id


class EngineError(StepkeelError):
    code = "engine_error"


class Unavailable(EngineError):
    code = "unavailable"


class DatabaseInvalid(EngineError):
    code = "database_invalid"


class SchemaTooNew(EngineError):
    code = "schema_too_new"


class InstanceFault(EngineError):
    code = "instance_fault"


class TransientError(StepkeelError):
    """Raise it in an activity when trying again may help. Without a policy of its own the engine's default retries it."""

    code = "transient"


class PermanentError(StepkeelError):
    """Raise it in an activity when trying again cannot help: no policy retries it."""

    code = "permanent"


class SecretMissing(PermanentError):
    """A reference to a secret that there is no value for."""

    code = "secret_missing"


class ResourceExhausted(StepkeelError):
    """Raise it in an activity that cannot start for want of something. The attempt is put back and burns none.

    `retry_after` is in seconds, 1 by default.
    """

    code = "resource_exhausted"

    def __init__(self, resource: str, *, retry_after: float = 1.0) -> None:
        super().__init__(f"{resource} is exhausted", resource=resource)
        self.resource = resource
        self.retry_after = retry_after


class ExternalServiceError(TransientError):
    """A named service is at fault. Retried like a transient error."""

    code = "external_service"

    def __init__(self, service: str, message: str = "") -> None:
        super().__init__(message or f"{service} failed", service=service)
        self.service = service
