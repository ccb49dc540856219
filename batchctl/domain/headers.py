"""The headers of a job: how a person changes them for what is still to be sent, and which one the API refuses.

A job has the headers of what is still to be sent; a batch keeps those that it was sent with.
"""

import re
import shlex
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from batchctl.domain.errors import UsageProblem
from batchctl.domain.model import Batch, Headers, Job, State

# How the API's error texts speak of a header.
_HEADER = re.compile(
    r"^`?anthropic-[a-z-]+`?:|`?anthropic-[a-z-]+`? headers?\b|\bheaders?:? `?anthropic-|^`?[a-z-]+`?: header is required"
)
_BETA_HEADER = "anthropic-beta"
# What stands before the API's text where a failure was kept: `HTTP 400 invalid_request_error `.
_KEPT = re.compile(r"^HTTP \d{3} (?:[a-z_]+_error )?")
_QUOTED = re.compile(r"[`'\"]([^`'\"]+)[`'\"]")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderChange:
    """How a person changes the headers of a job.

    Attributes:
        add: Betas to add.
        drop: Betas to leave out.
        api_version: The new anthropic-version, None to keep it.
    """

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    api_version: str | None = None

    def problem(self) -> str:
        """Return why the change contradicts itself or cannot be sent, empty where it can."""
        both = next((beta for beta in self.drop if beta in self.add), None)
        if both is not None:
            return f"--beta {both} and --no-beta {both} exclude each other"
        return beta_problem(self.add)

    def options(self) -> str:
        """Return the change as options of the command line."""
        version = [f"--api-version {self.api_version}"] if self.api_version else []
        return " ".join((*(f"--beta {b}" for b in self.add), *(f"--no-beta {b}" for b in self.drop), *version))


NO_CHANGE = HeaderChange()


def changed_headers(job: Job, change: HeaderChange, sent: Iterable[Headers | None] = ()) -> Headers:
    """Return the headers of a job after a change.

    `sent`: the headers that its batches were sent with. A beta may be left out that an earlier command left out already. Raises
    UsageProblem for a beta that the job never had.
    """
    if problem := change.problem():
        raise UsageProblem(problem)
    betas = job.settings.betas
    had = {*betas, *(beta for headers in sent if headers for beta in headers.betas)}
    never = next((beta for beta in change.drop if beta not in had), None)
    if never is not None:
        raise UsageProblem(
            f"--no-beta {never}: {job.name} does not send it",
            hint=f"it sends {shown_betas(betas)}",
        )
    kept = [beta for beta in betas if beta not in change.drop]
    return Headers(
        api_version=change.api_version or job.settings.api_version, betas=tuple(dict.fromkeys((*kept, *change.add)))
    )


def shown_betas(betas: Collection[str]) -> str:
    """Return betas as a person reads them."""
    return f"--beta {', '.join(betas)}" if betas else "no --beta"


def headers_of(job: Job, batch: Batch) -> Headers | None:
    """Return the headers that a batch was or will be sent with, None where that is not known."""
    return job.settings.headers if batch.state is State.PLANNED else batch.headers


def is_about_header(text: str) -> bool:
    """Return whether an error text of the API refuses a header, so that no line can be at fault."""
    return _HEADER.search(text.strip().lower()) is not None


def no_beta_options(text: str, betas: Collection[str]) -> str:
    """Return the options that leave out the betas which the API refuses, empty where it refuses none of `betas`.

    `text`: the API's error text, with or without the status and type before it. Where it names no value and there is one beta,
    it is that one.
    """
    text = _KEPT.sub("", text)
    if not is_about_header(text) or _BETA_HEADER not in text.lower():
        return ""
    refused = [beta for beta in betas if re.search(rf"(?<![\w.-]){re.escape(beta)}(?![\w-]|\.\w)", text)]
    names_others = any(name.lower() != _BETA_HEADER for name in _QUOTED.findall(text))
    if not refused and len(betas) == 1 and not names_others:
        refused = list(betas)
    return " ".join(f"--no-beta {shlex.quote(beta)}" for beta in refused)


def command_for_rest(job: Job, text: str, betas: Collection[str]) -> str:
    """Return the command that sends the rest of a job, without the betas that `text` refuses (see `no_beta_options`)."""
    options = no_beta_options(text, betas)
    return f"batchctl submit {job.name} {options}" if options else f"batchctl submit {job.name}"


def beta_problem(betas: Collection[str]) -> str:
    """Return why a value cannot stand in the anthropic-beta header, empty where all can."""
    wrong = next((beta for beta in betas if not re.fullmatch(r"[A-Za-z0-9._-]{1,128}", beta)), None)
    return "" if wrong is None else f"--beta {wrong!r}: use letters, digits, '.', '_' and '-'"
