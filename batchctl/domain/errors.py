"""The problems that end a command, as a person meets them: a message, a hint what to do next, and an exit status.

BatchctlError
├── UsageProblem            2  the command makes no sense: no such job, an option out of range
├── InputProblem            5  the input has faults, or is not the file it was; nothing was sent
├── Refused                 6  a limit, a duplicate or a missing yes
├── AccountProblem          4  key, permission, billing, credit: the job pauses
│   └── CertificateProblem  4  the server cannot prove that it is the API
├── UnconfirmedProblem      7  a batch may or may not exist at the API
├── TimedOut                8  the time that a person allowed is over; the job goes on
├── ServiceProblem          1  the API, or the connection to it
├── DiskProblem             1  a file cannot be read or written
└── LedgerProblem           1  the ledger cannot be used

`cli/exit_status.py` has the numbers; a test compares both tables. Two exceptions stand beside the tree: `Stopped` ends a
command at a person's wish, and `ApiFailure` holds the facts of a failed request, which `domain.api_failures` judges.
"""


class BatchctlError(Exception):
    """A problem that a person or a server caused, never a bug.

    Attributes:
        code: The kind of problem, as `--json` names it. It never changes.
        message: What happened, and where.
        hint: What to do next, empty where there is nothing to say.
    """

    code = "error"

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class UsageProblem(BatchctlError):
    """The command makes no sense as it was typed, or names something that is not there."""

    code = "usage"


class InputProblem(BatchctlError):
    """The input has faults, or is no longer the file that was checked. Nothing was sent."""

    code = "input"


class Refused(BatchctlError):
    """The command would exceed a limit, send a job twice, or needs a yes. Nothing was sent."""

    code = "refused"


class AccountProblem(BatchctlError):
    """The key, its permission or the billing of the account must be fixed first."""

    code = "account"


class CertificateProblem(AccountProblem):
    """The server's certificate is not trusted, so that no key was sent."""

    code = "certificate"


class UnconfirmedProblem(BatchctlError):
    """A batch may or may not exist at the API, and only a person can decide."""

    code = "in_doubt"


class TimedOut(BatchctlError):
    """The time that `--timeout` allows is over. The job goes on at the API."""

    code = "timeout"


class ServiceProblem(BatchctlError):
    """The API, or the connection to it, did not work."""

    code = "service"


class DiskProblem(BatchctlError):
    """A file cannot be read or written."""

    code = "disk"


class LedgerProblem(BatchctlError):
    """The ledger cannot be read or written."""

    code = "ledger"


class Stopped(BaseException):
    """Ctrl-C, SIGTERM or the end of a --timeout. No new step is taken, nothing is lost and nothing is canceled.

    Attributes:
        command: The command that continues from here, empty where it is the one that was stopped.
    """

    def __init__(self, command: str = "") -> None:
        super().__init__(command)
        self.command = command


class ApiFailure(Exception):
    """The facts of a request to the API that did not bring the expected answer. `domain.api_failures` decides what follows.

    Attributes:
        message: What the API or the connection said, without secrets.
        status: The HTTP status, None where no answer came.
        error_type: `error.type` of the API's error body, empty without one.
        error_code: `error.details.error_code` of it, empty without one.
        retry_after: Seconds that the API asks to wait, None where it does not say.
        has_envelope: The body has the form of the API's errors; a page of a proxy has not.
        is_from_api: The body has that form and names the request, so that the API itself answered.
        sent_whole: The last byte of the request body was handed to the socket.
        request_id: The API's id of the request, empty where it is not known.
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
        """Return what the API or the connection said, on one line."""
        parts = (f"HTTP {self.status}" if self.status else "", self.error_type, self.message)
        text = " ".join(" ".join(part for part in parts if part).split())
        return f"{text} ({self.request_id})" if self.request_id else text
