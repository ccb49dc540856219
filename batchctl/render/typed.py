"""Commands as a person has to type them: with the options that say which workspace and which API are meant."""

import re
import shlex
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from batchctl.domain.health import Checkup
    from batchctl.domain.job_report import JobReport
    from batchctl.results.proof import Proof

# The verbs that ask the API, and those that only read what is here.
ASKING = (
    "submit",
    "estimate",
    "status",
    "fetch",
    "retry",
    "run",
    "cancel",
    "delete",
    "resolve",
    "doctor",
    "attach",
)
READING = ("verify", "cost", "prices")
_COMMAND = re.compile(
    rf"(?<![\w./-])batchctl ({'|'.join((*ASKING, *READING))})\b(?! --(?:workspace|base-url|insecure-http)\b)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Given:
    """What a command line named for all of a command; empty where it did not.

    `workspace` is absolute, so that what is printed means the same in every folder.
    """

    workspace: str = ""
    base_url: str = ""
    insecure_http: bool = False

    def in_full(self, text: str) -> str:
        """The text, with these options in each command of ours that it names."""
        return _COMMAND.sub(self._with_options, text) if self.workspace or self.base_url or self.insecure_http else text

    def _with_options(self, named: re.Match[str]) -> str:
        base_url = self.base_url if named[1] in ASKING else ""
        options = (("--workspace", self.workspace), ("--base-url", base_url))
        said = [f"{name} {shlex.quote(value)}" for name, value in options if value]
        if self.insecure_http and named[1] in ASKING:
            said.append("--insecure-http")
        return " ".join((named[0], *said))

    def path(self, path: str | Path) -> str:
        """A file, as it stands in a command: the folder of the command is kept with it where the workspace is."""
        is_file = bool(self.workspace) and str(path) != "-"
        return shlex.quote(str(Path(path).absolute() if is_file else path))

    def report(self, of: "JobReport") -> "JobReport":
        return replace(
            of, next_command=self.in_full(of.next_command), warnings=tuple(self.in_full(one) for one in of.warnings)
        )

    def proof(self, of: "Proof") -> "Proof":
        return replace(of, next_command=self.in_full(of.next_command), fetch_command=self.in_full(of.fetch_command))

    def checkup(self, of: "Checkup") -> "Checkup":
        findings = tuple(replace(one, advice=self.in_full(one.advice)) for one in of.findings)
        return replace(of, findings=findings, next_command=self.in_full(of.next_command))
