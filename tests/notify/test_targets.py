"""What may be named with --on-done and --notify, what is shown of it, and where it is kept."""

import stat
from pathlib import Path

import pytest

from batchctl.domain.errors import UsageProblem
from batchctl.domain.notifications import NotifyTarget, TargetKind
from batchctl.notify.targets import Target, TargetFiles, checked_command, checked_url

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
VARIABLE = "BATCHCTL_NOTIFY_SECRET"


@pytest.mark.parametrize(
    ("url", "label"),
    [
        ("https://hooks.example.com/services/T0/B0/XXXX", "https://hooks.example.com"),
        ("https://me:password@example.com:8443/?token=abc", "https://example.com:8443"),
        ("http://127.0.0.1:8000/x", "http://127.0.0.1:8000"),
        ("http://localhost/x", "http://localhost"),
        ("http://[::1]:80/x", "http://[::1]:80"),
    ],
)
def test_a_url_is_shown_without_what_may_be_secret(url: str, label: str) -> None:
    target = checked_url(url, {}, insecure_http=False)
    assert target == Target(kind=TargetKind.URL, text=url)
    assert target.label == label
    assert checked_url(url, {VARIABLE: SECRET}, insecure_http=False).is_signed


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("xoxb-T0KEN", "this is not a URL"),
        ("https://", "this is not a URL"),
        ("://T0KEN", "this is not a URL"),
        ("https://example.com/T0KEN\n", "this is not a URL"),
        ("https://example.com/a T0KEN", "this is not a URL"),
        ("https://exämple.com/T0KEN", "this is not an http or https URL"),
        ("https://example.com:T0KEN/", "this is not an http or https URL"),
        ("https://example.com:0/T0KEN", "this is not an http or https URL"),
        ("http://example.com/T0KEN", "plain http is used only to this machine"),
        ("http://127.0.0.1.example.com/T0KEN", "plain http is used only to this machine"),
        (f"https://example.com/{'T0KEN' * 2000}", "this is not a URL"),
    ],
)
def test_what_cannot_be_told_is_refused_and_not_shown(url: str, said: str) -> None:
    with pytest.raises(UsageProblem) as raised:
        checked_url(url, {}, insecure_http=False)
    assert said in raised.value.message
    assert "T0KEN" not in raised.value.message + raised.value.hint


def test_plain_http_to_another_host_takes_a_yes() -> None:
    assert checked_url("http://example.com/x", {}, insecure_http=True).label == "http://example.com"


def test_a_malformed_secret_is_refused_before_anything_is_sent() -> None:
    with pytest.raises(UsageProblem, match="BATCHCTL_NOTIFY_SECRET") as raised:
        checked_url("https://example.com/x", {VARIABLE: "whsec_T0KEN"}, insecure_http=False)
    assert "T0KEN" not in raised.value.message


def test_every_part_of_a_url_behind_its_host_is_a_secret() -> None:
    url = "https://me:password@example.com/services/T0123456/abc%2Fdefgh?token=tokentoken&a=b"
    secrets = checked_url(url, {}, insecure_http=False).secrets
    assert {url, "password", "T0123456", "abc%2Fdefgh", "abc/defgh", "tokentoken"} <= secrets
    assert not any(secret in "https://example.com" for secret in secrets)


def test_a_command_is_shown_as_no_more_than_that() -> None:
    assert checked_command("curl -H 'Authorization: T0KEN'").label == "the --on-done command"
    with pytest.raises(UsageProblem, match="NUL"):
        checked_command("a\0b")


def test_a_target_is_kept_for_its_owner_and_its_workspace_alone(tmp_path: Path) -> None:
    environment = {"XDG_STATE_HOME": str(tmp_path / "state")}
    mine, others = TargetFiles(environment, "w1"), TargetFiles(environment, "w2")
    target = Target(kind=TargetKind.URL, text="https://example.com/T0KEN", is_signed=True)
    kept = mine.new(target)
    mine.keep(kept, target)
    assert mine.read(kept) == target
    assert others.read(kept) is None
    assert TargetFiles({"XDG_STATE_HOME": str(tmp_path / "elsewhere")}, "w1").read(kept) is None
    (file,) = (path for path in (tmp_path / "state").rglob("*") if path.is_file())
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    mine.forget(kept)
    assert mine.read(kept) is None


@pytest.mark.parametrize("name", ["../../../etc/passwd", "", "/etc/passwd", "a.part"])
def test_an_id_of_a_ledger_that_somebody_else_made_leads_nowhere(tmp_path: Path, name: str) -> None:
    files = TargetFiles({"XDG_STATE_HOME": str(tmp_path)}, "w1")
    stranger = NotifyTarget(id=name, kind=TargetKind.COMMAND, label="")
    assert files.read(stranger) is None
    files.forget(stranger)


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"null", b'{"workspace_id": "w1"}', b'{"workspace_id": "w1", "kind": "x"}']
)
def test_a_file_that_cannot_be_read_is_no_target(tmp_path: Path, content: bytes) -> None:
    files = TargetFiles({"XDG_STATE_HOME": str(tmp_path)}, "w1")
    kept = files.new(Target(kind=TargetKind.COMMAND, text="true"))
    files.keep(kept, Target(kind=TargetKind.COMMAND, text="true"))
    (file,) = (path for path in tmp_path.rglob(kept.id))
    file.write_bytes(content)
    assert files.read(kept) is None
