"""Targets: what a person may name, and where its text is kept.

A URL may hold a token, and a command may hold a password. A ledger travels with its workspace, and whoever made it is not
trusted. So the ledger has only a random id for each target, and the text is in the state folder of the user, in a file that
nobody else can read. A command in a workspace that somebody else made is never run: its id has no file here.
"""

import contextlib
import importlib.util
import json
import os
import secrets
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from urllib.parse import unquote, urlsplit

from batchctl.api.client import host_of, is_loopback
from batchctl.domain.errors import DiskProblem, UsageProblem
from batchctl.domain.notifications import NotifyTarget, TargetKind
from batchctl.ledger.places import state_folder
from batchctl.notify.message import SECRET_VARIABLE
from batchctl.notify.signing import signing_bytes
from batchctl.store.local import LocalStore

COMMAND_LABEL = "the --on-done command"
WEBHOOKS = frozenset({"http", "https"})
MAX_CHARACTERS = 8000
# A shorter part of a URL may be any ordinary word.
LEAST_SECRET = 6


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A target as a person named it.

    Attributes:
        text: The command or the URL.
        is_signed: Whether there was a secret to sign with when it was named. It is never notified without a signature then.
    """

    kind: TargetKind
    text: str
    is_signed: bool = False

    @property
    def scheme(self) -> str:
        """The scheme of a URL, in small letters; empty for a command."""
        return self.text.partition(":")[0].lower() if self.kind is TargetKind.URL else ""

    @property
    def label(self) -> str:
        """What may be shown of it: the path of a URL may be a secret."""
        if self.kind is TargetKind.COMMAND:
            return COMMAND_LABEL
        if self.scheme not in WEBHOOKS:
            return f"{self.scheme}://..."
        parts = urlsplit(self.text)
        return f"{self.scheme}://{parts.netloc.rpartition('@')[2]}"

    @property
    def secrets(self) -> frozenset[str]:
        """What must not be shown: the URL, and every part of it behind the host."""
        if self.kind is TargetKind.COMMAND:
            return frozenset()
        _, _, rest = self.text.partition("://")
        shown = self.label.partition("://")[2]
        parts = {
            self.text,
            rest,
            *rest.replace("?", "/").replace("&", "/").replace("@", "/").replace(":", "/").split("/"),
        }
        values = {part.partition("=")[2] for part in parts}
        return frozenset(
            form
            for part in parts | values
            for form in (part, unquote(part))
            if len(form) >= LEAST_SECRET and form not in shown
        )


def checked_command(text: str) -> Target:
    """Return the target that `--on-done` names. Raises UsageProblem."""
    if "\0" in text or len(text) > MAX_CHARACTERS:
        raise UsageProblem(f"--on-done: a command has at most {MAX_CHARACTERS:,} characters, and no NUL")
    return Target(kind=TargetKind.COMMAND, text=text)


def checked_url(text: str, environment: Mapping[str, str], *, insecure_http: bool) -> Target:
    """Return the target that `--notify` names. Raises UsageProblem for what cannot be notified, before anything is sent."""
    scheme, separator, rest = text.partition("://")
    if not separator or not scheme or not rest or len(text) > MAX_CHARACTERS or not text.isprintable() or " " in text:
        # The text may be a token that was pasted alone: it is not shown.
        raise UsageProblem(
            "--notify: this is not a URL", hint="like https://example.com/hook, or mailto://... with apprise"
        )
    if scheme.lower() in WEBHOOKS:
        return _webhook(text, environment, insecure_http=insecure_http)
    target = Target(kind=TargetKind.URL, text=text)
    if importlib.util.find_spec("apprise") is None:
        raise UsageProblem(
            f"--notify {target.label}: only http and https work without the package apprise",
            hint="pip install 'batchctl[notify]'",
        )
    from batchctl.notify.services import is_known  # noqa: PLC0415 - apprise takes 1.2 s to import

    if not is_known(text):
        raise UsageProblem(
            f"--notify {target.label}: apprise knows no such service, or the URL lacks a part",
            hint="the URLs of all services: https://appriseit.com/services/",
        )
    return target


def _webhook(text: str, environment: Mapping[str, str], *, insecure_http: bool) -> Target:
    host = host_of(text)
    if not host or not text.isascii():
        raise UsageProblem("--notify: this is not an http or https URL", hint="like https://example.com/hook")
    secret = environment.get(SECRET_VARIABLE, "")
    target = Target(kind=TargetKind.URL, text=text, is_signed=bool(secret))
    if target.scheme == "http" and not is_loopback(host) and not insecure_http:
        raise UsageProblem(
            f"--notify {target.label}: plain http is used only to this machine",
            hint="use https; or, where everybody on the way may read it, as inside a cluster: --insecure-http",
        )
    if secret:
        try:
            signing_bytes(secret)
        except ValueError as error:
            raise UsageProblem(
                f"{SECRET_VARIABLE} is not a secret of Standard Webhooks: {error}",
                hint="it is whsec_ followed by 24 to 64 bytes in base64",
            ) from None
    return target


class TargetFiles:
    """The texts of targets, in the state folder of the user. Each file names the workspace that it was written for."""

    def __init__(self, environment: Mapping[str, str], workspace_id: str) -> None:
        """Use the files of one workspace. `environment` says where the state folder is."""
        self._files = LocalStore(state_folder(environment).parent / "notify")
        self._workspace_id = workspace_id

    def new(self, target: Target) -> NotifyTarget:
        """Return what the ledger keeps of a target, with a new id."""
        return NotifyTarget(id=secrets.token_hex(16), kind=target.kind, label=target.label)

    def keep(self, kept: NotifyTarget, target: Target) -> None:
        """Write the text of a target to the disk. Raises DiskProblem."""
        content = {**asdict(target), "workspace_id": self._workspace_id}
        self._files.put(kept.id, json.dumps(content).encode())

    def read(self, kept: NotifyTarget) -> Target | None:
        """Return a target; None where this user did not name it for this workspace on this machine."""
        if not kept.id.isalnum():
            return None
        try:
            stored = json.loads(self._files.read(kept.id))
            target = Target(kind=TargetKind(stored["kind"]), text=stored["text"], is_signed=stored["is_signed"])
            return target if stored["workspace_id"] == self._workspace_id else None
        except (DiskProblem, ValueError, KeyError, TypeError):
            return None

    def forget(self, kept: NotifyTarget) -> None:
        """Remove the file of a target, if there is one."""
        if kept.id.isalnum():
            with contextlib.suppress(DiskProblem):
                self._files.delete(kept.id)


def files_of(workspace_id: str) -> TargetFiles:
    """Return the files of this user for a workspace."""
    return TargetFiles(os.environ, workspace_id)
