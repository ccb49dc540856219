"""The headers of a job: what a person changes of them for what is still to be sent, and which one the API does not take."""

import re
import shlex
from collections.abc import Collection, Iterable
from dataclasses import dataclass

from batchctl.domain.errors import UsageProblem
from batchctl.domain.model import Batch, Headers, Job, State
from batchctl.domain.names import beta_problem

_HEADER = re.compile(
    r"^`?anthropic-[a-z-]+`?:|`?anthropic-[a-z-]+`? headers?\b|\bheaders?:? `?anthropic-|^`?[a-z-]+`?: header is required"
)
_BETA_HEADER = "anthropic-beta"
_KEPT = re.compile(r"^HTTP \d{3} (?:[a-z_]+_error )?")
_QUOTED = re.compile(r"[`'\"]([^`'\"]+)[`'\"]")


@dataclass(frozen=True, slots=True, kw_only=True)
class HeaderChange:
    """What a person says about the headers of a job; empty, and None, for nothing."""

    add: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    api_version: str | None = None

    def problem(self) -> str:
        """Why it cannot be meant; empty where it can."""
        both = next((beta for beta in self.drop if beta in self.add), None)
        if both is not None:
            return f"--beta {both} and --no-beta {both}: one of them"
        return beta_problem(self.add)

    def options(self) -> str:
        """As it was typed."""
        version = [f"--api-version {self.api_version}"] if self.api_version else []
        return " ".join((*(f"--beta {b}" for b in self.add), *(f"--no-beta {b}" for b in self.drop), *version))


NO_CHANGE = HeaderChange()


def changed_headers(job: Job, change: HeaderChange, sent: Iterable[Headers | None] = ()) -> Headers:
    """The headers that a job has after a change. Raises UsageProblem for a beta that it has not, and never had.

    `sent`: what its batches were sent with. The same command again takes off what is off already, and that is fine.
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
    return f"--beta {', '.join(betas)}" if betas else "no --beta"


def headers_of(job: Job, batch: Batch) -> Headers | None:
    """What a batch was sent with, or will be; None where that is not known."""
    return job.settings.headers if batch.state is State.PLANNED else batch.headers


def is_about_header(text: str) -> bool:
    """Whether the API speaks of a header that it does not take: no line can be at fault."""
    return _HEADER.search(text.strip().lower()) is not None


def no_beta_options(text: str, betas: Collection[str]) -> str:
    """The options that take off the betas which the API does not take; empty where it is none of the job's.

    `text`: what the API said, also as it is kept, behind its status and type. Where it names no value, and the job has one
    alone, it is that.
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
    """What sends the rest of a job, without the betas which the API does not take; `text` and `betas` as for `no_beta_options`."""
    options = no_beta_options(text, betas)
    return f"batchctl submit {job.name} {options}" if options else f"batchctl submit {job.name}"
