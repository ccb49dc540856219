"""Notify the targets of a job that has ended or needs a person, at the end of the command that sees it.

1. remember  the targets that the command names, before anything is sent
2. record    an intent for each target, once for each occasion
3. claim     the next attempt, by its number: of two processes one gets it
4. deliver   to the command or the URL
5. record    what came of it: delivered, failed, or when the next attempt is due
A stop between 2 and 5 leaves an intent that a later command delivers. A stop between 4 and 5 delivers it twice, with the same
webhook-id. Nothing of this changes how the command ends: whatever goes wrong is one line.
"""

import contextlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence

from batchctl.api.scrubber import Scrubber
from batchctl.api.secrets import credentials, scrubbed
from batchctl.domain.errors import BatchctlError, DiskProblem
from batchctl.domain.events import Notified, NotifyFailed
from batchctl.domain.model import Job
from batchctl.domain.notifications import Delivery, Notification, NotifyEvent, NotifyTarget, TargetKind
from batchctl.engine.job_report import read_report
from batchctl.engine.session import Session
from batchctl.notify.attempt import Attempt
from batchctl.notify.message import SECRET_VARIABLE, message_of, text_of, variables_of, without_secrets
from batchctl.notify.rules import (
    ATTEMPT_LIMIT,
    GIVES_UP_AFTER,
    is_due,
    is_waited_for,
    next_attempt,
    occasion_key,
    occasion_of,
)
from batchctl.notify.targets import WEBHOOKS, Target, TargetFiles, checked_command, checked_url, files_of

# By kind, the targets that a command line names: they take the place of those that are remembered. A kind that is missing stays.
WantedTargets = Mapping[TargetKind, Sequence[Target]]
# A command stops trying the notifications of other jobs after this time: their receivers may all be down.
OTHER_JOBS_SECONDS = 30.0
UNKNOWN_HERE = "it was named by another user or on another machine: name it again with --on-done or --notify"


def wanted_targets(on_done: str | None, notify: Sequence[str] | None, *, insecure_http: bool) -> WantedTargets:
    """Return the targets that `--on-done` and `--notify` name; an empty text removes those of its kind.

    Raises UsageProblem for a target that cannot be notified.
    """
    wanted: dict[TargetKind, Sequence[Target]] = {}
    if on_done is not None:
        wanted[TargetKind.COMMAND] = [checked_command(on_done)] if on_done.strip() else []
    if notify:
        urls = dict.fromkeys(url.strip() for url in notify if url.strip())
        wanted[TargetKind.URL] = [checked_url(url, os.environ, insecure_http=insecure_http) for url in urls]
    return wanted


@contextlib.contextmanager
def notifying(
    session: Session, wanted: WantedTargets, in_full: Callable[[str], str], *, waits_for_end: bool
) -> Iterator["Notifier"]:
    """Notify the targets of the job of the block at its end, and try again what is due of other jobs.

    Args:
        session: The session of the verb.
        wanted: The targets that the command line names.
        in_full: Adds the options to a command that it must repeat.
        waits_for_end: Whether the verb waits until the job has ended.
    """
    notifier = Notifier(session, wanted, in_full, waits_for_end=waits_for_end)
    try:
        yield notifier
    except BatchctlError as problem:
        notifier.end(problem)
        raise
    notifier.end(None)


class Notifier:
    """The notifications of one command."""

    def __init__(
        self, session: Session, wanted: WantedTargets, in_full: Callable[[str], str], *, waits_for_end: bool
    ) -> None:
        """Prepare; nothing is read or written. The arguments are those of `notifying`."""
        self._session = session
        self._wanted = wanted
        self._in_full = in_full
        self._waits_for_end = waits_for_end
        self._job: Job | None = None
        # Targets of this command, by their ids: they need not be read again, nor can they be where no file can be written.
        self._targets: dict[str, Target] = {}

    def begin(self, job: Job) -> None:
        """Remember the targets that the command names for a job, which are notified at the end. Raises LedgerProblem."""
        self._job = job
        for kind, targets in self._wanted.items():
            self._remember(job, kind, targets)

    def end(self, problem: BatchctlError | None) -> None:
        """Record and deliver. `problem`: what ended the command, if anything did. Raises Stopped alone."""
        name = "" if self._job is None else self._job.name
        with self._reporting(name):
            if self._job is not None:
                self._record(self._job, problem)
        with self._reporting(name):
            self._deliver_due()

    @contextlib.contextmanager
    def _reporting(self, job: str, label: str = "") -> Iterator[None]:
        """Report whatever goes wrong in the block with one event, and go on."""
        try:
            yield
        except BatchctlError as problem:
            self._emit_failed(job, label, problem.message)
        except OSError as error:
            self._emit_failed(job, label, error.strerror or type(error).__name__)
        except Exception as bug:  # noqa: BLE001 - a notification never changes how the command ends
            self._emit_failed(job, label, f"a bug: {type(bug).__name__}")

    # ---------------------------------------------------------------- 1. remember

    def _remember(self, job: Job, kind: TargetKind, targets: Sequence[Target]) -> None:
        files = self._files()
        known = [kept for kept in self._session.ledger.notify_targets(job) if kept.kind is kind]
        ids = {files.read(kept): kept for kept in known}
        kept_targets = [ids.get(target) or self._keep(files, job, target) for target in targets]
        self._targets |= {kept.id: target for kept, target in zip(kept_targets, targets, strict=True)}
        self._session.ledger.record_notify_targets(job, kind, kept_targets)
        for kept in known:
            if kept not in kept_targets:
                files.forget(kept)

    def _keep(self, files: TargetFiles, job: Job, target: Target) -> NotifyTarget:
        kept = files.new(target)
        try:
            files.keep(kept, target)
        except DiskProblem as problem:
            self._emit_failed(job.name, target.label, f"only this command can notify it: {problem.message}")
        return kept

    # ---------------------------------------------------------------- 2. record

    def _record(self, job: Job, problem: BatchctlError | None) -> None:
        session = self._session
        if not session.ledger.notify_targets(job):
            return
        report = read_report(session, job)
        was_sent = any(b.message_batch_id for b in report.batches)
        occasion = occasion_of(report.stage, problem, was_sent=was_sent, waits_for_end=self._waits_for_end)
        if occasion is None:
            return
        reason = ""
        if occasion.event is NotifyEvent.NEEDS_PERSON:
            reason = problem.message if problem is not None else next(iter(report.warnings), report.stage.shown)
        body = message_of(
            occasion.event,
            report,
            scrubbed(self._in_full(reason)),
            self._in_full(report.next_command),
            str(session.workspace.root.absolute()),
            session.now(),
        )
        key = occasion_key(occasion, len(report.job.rounds), report.batches)
        session.ledger.record_notifications(job, occasion.event, key, body, session.now())

    # ---------------------------------------------------------------- 3 to 5. claim, deliver, record

    def _deliver_due(self) -> None:
        pending = self._session.ledger.pending_notifications()
        if not pending:
            return
        own = "" if self._job is None else self._job.name
        until = self._session.clock.monotonic() + OTHER_JOBS_SECONDS
        for notification in sorted(pending, key=lambda one: one.job != own):
            is_own = notification.job == own
            if is_due(notification, self._session.now()) and (is_own or self._session.clock.monotonic() < until):
                with self._reporting(notification.job, notification.target.label):
                    self._deliver(notification, is_own=is_own)

    def _deliver(self, notification: Notification, *, is_own: bool) -> None:
        session = self._session
        target = self._targets.get(notification.target.id) or self._files().read(notification.target)
        if target is None and session.now() - notification.created_at <= GIVES_UP_AFTER:
            # Whoever named it may still deliver it.
            if is_own:
                self._emit_failed(notification.job, notification.target.label, UNKNOWN_HERE)
            return
        while True:
            now = session.now()
            claimed = session.ledger.claim_notification(notification, now, until=now + ATTEMPT_LIMIT)
            if claimed is None:
                return
            attempt = Attempt(why=UNKNOWN_HERE, is_final=True) if target is None else self._attempt(target, claimed)
            now = session.now()
            due = None
            if not attempt.is_delivered and not attempt.is_final:
                due = next_attempt(claimed.attempts, claimed.created_at, now)
            delivery = Delivery.DELIVERED if attempt.is_delivered else Delivery.PENDING if due else Delivery.FAILED
            session.ledger.record_attempt(claimed, delivery, now, not_before=due, note=attempt.why)
            if attempt.is_delivered:
                session.emit(Notified(claimed.job, claimed.event, claimed.target.label))
                return
            is_soon = due is not None and is_waited_for(due, now)
            if due is None or not is_soon or session.clock.wait_until(due, session.stop):
                session.emit(NotifyFailed(claimed.job, claimed.target.label, attempt.why, due, attempt.output))
                return
            notification = claimed

    def _attempt(self, target: Target, claimed: Notification) -> Attempt:
        attempt = self._attempt_unscrubbed(target, claimed)
        secret = os.environ.get(SECRET_VARIABLE, "")
        scrub = Scrubber({*target.secrets, secret, secret.partition("_")[2]} - {""})
        return Attempt(
            why=scrub(scrubbed(attempt.why)),
            is_final=attempt.is_final,
            output=tuple(scrub(scrubbed(line)) for line in attempt.output),
        )

    def _attempt_unscrubbed(self, target: Target, claimed: Notification) -> Attempt:
        # Each way is imported where it is taken: most commands notify nobody.
        if target.kind is TargetKind.COMMAND:
            from batchctl.notify.command import run_command  # noqa: PLC0415

            environment = {**without_secrets(os.environ, credentials()), **variables_of(claimed.body)}
            return run_command(target.text, claimed.body, environment, self._session.clock)
        if target.scheme in WEBHOOKS:
            from batchctl.notify.webhook import post_signed  # noqa: PLC0415

            secret = os.environ.get(SECRET_VARIABLE, "")
            if target.is_signed and not secret:
                return Attempt(why=f"{SECRET_VARIABLE} is not set here, and this target gets only signed messages")
            timestamp = int(self._session.now().timestamp())
            return post_signed(target.text, claimed.body.encode(), claimed.message_id, timestamp, secret)
        try:
            from batchctl.notify.services import send  # noqa: PLC0415
        except ImportError:
            return Attempt(why="the package apprise is not installed here: pip install 'batchctl[notify]'")
        return send(target.text, *text_of(claimed.body))

    def _files(self) -> TargetFiles:
        return files_of(self._session.ledger.stored_place()[0])

    def _emit_failed(self, job: str, label: str, why: str) -> None:
        self._session.emit(NotifyFailed(job, label, why))
