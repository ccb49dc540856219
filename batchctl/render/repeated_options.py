"""The options that a named command must repeat: those that say which workspace and which API are meant."""

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
ASKING = ("submit", "estimate", "status", "fetch", "retry", "run", "cancel", "delete", "resolve", "doctor", "attach")
READING = ("verify", "cost", "prices", "convert")
_COMMAND = re.compile(
    rf"(?<![\w./-])batchctl ({'|'.join((*ASKING, *READING))})\b(?! --(?:workspace|base-url|insecure-http)\b)"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class RepeatedOptions:
    """What a command line gave for all commands; empty where it did not.

    `workspace` is absolute, so that what is printed means the same in every folder.
    """

    workspace: str = ""
    base_url: str = ""
    insecure_http: bool = False

    def in_full(self, text: str) -> str:
        """Return the text with these options in each command of ours that it names."""
        return _COMMAND.sub(self._with_options, text) if self.workspace or self.base_url or self.insecure_http else text

    def _with_options(self, command: re.Match[str]) -> str:
        base_url = self.base_url if command[1] in ASKING else ""
        options = (("--workspace", self.workspace), ("--base-url", base_url))
        words = [f"{name} {shlex.quote(value)}" for name, value in options if value]
        if self.insecure_http and command[1] in ASKING:
            words.append("--insecure-http")
        return " ".join((command[0], *words))

    def path(self, path: str | Path) -> str:
        """Return a file as it stands in a command, with its folder where the command names its workspace, too."""
        is_file = bool(self.workspace) and str(path) != "-"
        return shlex.quote(str(Path(path).absolute() if is_file else path))

    def in_report(self, report: "JobReport") -> "JobReport":
        """Return the report with these options in the commands that it names."""
        return replace(
            report,
            next_command=self.in_full(report.next_command),
            warnings=tuple(self.in_full(text) for text in report.warnings),
        )

    def in_proof(self, proof: "Proof") -> "Proof":
        """Return the proof with these options in the commands that it names."""
        return replace(
            proof, next_command=self.in_full(proof.next_command), fetch_command=self.in_full(proof.fetch_command)
        )

    def in_checkup(self, checkup: "Checkup") -> "Checkup":
        """Return the check-up with these options in the commands that it names."""
        findings = tuple(replace(finding, advice=self.in_full(finding.advice)) for finding in checkup.findings)
        return replace(checkup, findings=findings, next_command=self.in_full(checkup.next_command))
