"""What can go wrong, as a person meets it: one message, what to type next, one exit status.

BatchctlError
├── UsageProblem      2  the command cannot mean anything: no such job, an option out of range
├── InputProblem      5  the input has faults, or is not the file it was; nothing was sent
├── Refused           6  a limit, a duplicate or a missing yes
├── AccountProblem    4  key, permission, billing, credit: the job pauses
│   └── CertificateProblem  4  whoever answers cannot show that it is the API
├── UnconfirmedProblem      7  a batch may or may not exist
├── TimedOut          8  the time that a person allowed is over; the job goes on
├── ServiceProblem    1  the API or the way to it
├── DiskProblem       1  a file cannot be read or written
└── LedgerProblem     1  the ledger cannot be used

The numbers stand in cli/exit_status.py; a test holds both tables together.
"""


class BatchctlError(Exception):
    """Something a person or a server caused; never a bug."""

    code = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageProblem(BatchctlError):
    code = "usage"


class InputProblem(BatchctlError):
    code = "input"


class Refused(BatchctlError):
    code = "refused"


class AccountProblem(BatchctlError):
    code = "account"


class CertificateProblem(AccountProblem):
    code = "certificate"


class UnconfirmedProblem(BatchctlError):
    code = "in_doubt"


class TimedOut(BatchctlError):
    code = "timeout"


class ServiceProblem(BatchctlError):
    code = "service"


class DiskProblem(BatchctlError):
    code = "disk"


class LedgerProblem(BatchctlError):
    code = "ledger"


class Stopped(BaseException):
    """Ctrl-C, SIGTERM or the end of a --timeout: no new step is taken. Nothing is lost and nothing is canceled.

    `command`: what goes on from there; empty where the command that was stopped does.
    """

    def __init__(self, command: str = "") -> None:
        super().__init__(command)
        self.command = command


class ApiFailure(Exception):
    """A request to the API that did not bring the expected answer, in facts; what follows from it is decided in `answers`.

    `status` is None when no answer came. `has_envelope`: it has the form of the API's errors. `is_from_api`: it names the
    request, too, so that the API itself answered. `sent_whole` says whether the last byte of the request body had left us.
    """

    def __init__(  # noqa: PLR0913 - the facts of one answer
        self,
        message: str,
        *,
        status: int | None = None,
        error_type: str = "",
        error_code: str = "",
        retry_after: float | None = None,
        has_envelope: bool = False,
        is_from_api: bool = False,
        sent_whole: bool = True,
        request_id: str = "",
    ) -> None:
        super().__init__(message)
        self.message = message
        self.status = status
        self.error_type = error_type
        self.error_code = error_code
        self.retry_after = retry_after
        self.has_envelope = has_envelope
        self.is_from_api = is_from_api
        self.sent_whole = sent_whole
        self.request_id = request_id

    def __str__(self) -> str:
        """What the API or the wire said, on one line."""
        parts = (f"HTTP {self.status}" if self.status else "", self.error_type, self.message)
        said = " ".join(" ".join(part for part in parts if part).split())
        return f"{said} ({self.request_id})" if self.request_id else said
