"""A workspace that came with somebody else's folder is found from the folders in it, and not obeyed."""

import json
import sqlite3
from contextlib import closing
from decimal import Decimal
from pathlib import Path

import pytest
from builders import request_line
from cases import few
from program import Cli, requests

from batchctl.emulator.running import Running

CREATE = "POST /v1/messages/batches"


@pytest.fixture
def guest(emulator: Running, tmp_path: Path) -> Cli:
    """Somebody in a folder of a repository that has a workspace with a job in it."""
    owner = Cli(tmp_path / "repository", emulator.base_url)
    owner.folder.mkdir()
    owner.submitted("in.jsonl", requests(3))
    assert owner.run("fetch").status == 0
    cli = Cli(owner.folder / "inner", emulator.base_url)
    cli.folder.mkdir()
    return cli


def _workspace(guest: Cli) -> Path:
    return guest.folder.parent / ".batchctl"


@pytest.mark.parametrize("part", ["jobs", "ledger.db"])
def test_a_link_out_of_a_workspace_is_refused_by_every_verb(
    guest: Cli, emulator: Running, tmp_path: Path, part: str
) -> None:
    path, elsewhere = _workspace(guest) / part, tmp_path / "elsewhere"
    path.rename(elsewhere)
    path.symlink_to(elsewhere)
    new = guest.write("new.jsonl", requests(2))
    before, creates = sorted(tmp_path.rglob("*")), emulator.requests()[CREATE]
    for words in (("status",), ("submit", new), ("run", new), ("fetch",), ("retry",), ("prices",), ("cost",)):
        ran = guest.run(*words)
        assert ran.status == 2, (words, ran.err)
        assert f"{path}: the link leads out of the workspace" in ran.err
        assert "--workspace DIR" in ran.err
    assert "leads out of the workspace" in guest.run("doctor", "--offline").out
    assert sorted(tmp_path.rglob("*")) == before
    assert emulator.requests()[CREATE] == creates


def test_a_workspace_that_was_moved_and_linked_as_a_whole_is_used(guest: Cli, tmp_path: Path) -> None:
    _workspace(guest).rename(tmp_path / "large disk")
    _workspace(guest).symlink_to(tmp_path / "large disk")
    assert guest.run("status").status == 0


def test_a_ledger_that_adds_batches_by_itself_is_refused_by_every_verb(guest: Cli, emulator: Running) -> None:
    ledger = _workspace(guest) / "ledger.db"
    with closing(sqlite3.connect(ledger)) as db, db:
        db.execute("CREATE TRIGGER more AFTER UPDATE ON job BEGIN UPDATE batch SET state = 'planned'; END")
    creates = emulator.requests()[CREATE]
    new = guest.write("new.jsonl", requests(2))
    for words in (("status",), ("submit", new, "--yes"), ("retry",), ("run", new, "--yes"), ("cost",)):
        ran = guest.run(*words)
        assert ran.status == 1, (words, ran.err)
        assert "the trigger 'more' on 'job'" in ran.err
        assert "--workspace DIR" in ran.err
    assert "the trigger 'more'" in guest.run("doctor", "--offline").out
    assert emulator.requests()[CREATE] == creates


@pytest.mark.parametrize("name", few(["../../../elsewhere", "/tmp/elsewhere", "..", "", b"../elsewhere"], 0, 4))
def test_a_job_whose_name_is_a_path_is_refused(guest: Cli, tmp_path: Path, name: object) -> None:
    with closing(sqlite3.connect(_workspace(guest) / "ledger.db")) as db, db:
        db.execute("UPDATE job SET name = ?", (name,))
    before = sorted(tmp_path.rglob("*"))
    for verb in ("status", "fetch"):
        ran = guest.run(verb)
        assert ran.status == 1, ran.err
        assert "with the invalid name" in ran.err
    assert [path for path in sorted(tmp_path.rglob("*")) if path not in before] == []


# ---------------------------------------------------------------- prices

TINY = '[models."{0}"]\ninput = 0.000001\noutput = 0.000001\n'
DEAR = '[models."{0}"]\ninput = 1000\noutput = 5000\n'
MODEL = "claude-haiku-4-5"
# Some 100 requests: 64 tokens of an answer each at 2.50 US dollars per million, and a few of a prompt.
LIMIT = ("--max-cost", "0.005")


@pytest.fixture
def shopper(emulator: Running, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Somebody with settings of their own, who has agreed to no price."""
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "settings"))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    cli = Cli(tmp_path / "here", emulator.base_url, agrees=False)
    (cli.folder / ".batchctl").mkdir(parents=True)
    cli.write("in.jsonl", requests(100))
    return cli


def _prices(path: Path, text: str, model: str = MODEL) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text.format(model))
    return path


@pytest.mark.parametrize("verb", few(["submit", "run"], 0))
def test_prices_of_a_workspace_let_nothing_pass_a_limit(shopper: Cli, emulator: Running, verb: str) -> None:
    _prices(shopper.folder / ".batchctl" / "prices.toml", TINY)
    ran = shopper.run(verb, "in.jsonl", *LIMIT)
    assert ran.status == 6, ran.err
    assert "more than the limit of $0.005" in ran.err
    assert shopper.run(verb, "in.jsonl", *LIMIT, "--yes").status == 6
    if verb == "submit":
        assert shopper.run(verb, "in.jsonl", *LIMIT, "--dry-run").status == 6
    assert CREATE not in emulator.requests()


@pytest.mark.slow
def test_they_make_a_limit_tighter(shopper: Cli, emulator: Running) -> None:
    _prices(shopper.folder / ".batchctl" / "prices.toml", DEAR)
    assert shopper.run("submit", "in.jsonl", "--max-cost", "1").status == 6
    (shopper.folder / ".batchctl" / "prices.toml").unlink()
    assert shopper.run("submit", "in.jsonl", "--max-cost", "1").status == 0
    assert emulator.requests()[CREATE] == 1


@pytest.mark.parametrize("where", ["option", "variable", "own"])
def test_prices_that_a_person_named_are_relied_on(
    shopper: Cli, emulator: Running, tmp_path: Path, where: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    workspace = _prices(shopper.folder / ".batchctl" / "prices.toml", TINY)
    options: tuple[str | Path, ...] = ()
    if where == "option":
        options = ("--prices", workspace)
    elif where == "variable":
        monkeypatch.setenv("BATCHCTL_PRICES", str(workspace))
    else:
        _prices(tmp_path / "settings" / "batchctl" / "prices.toml", TINY)
    ran = shopper.run("submit", "in.jsonl", *LIMIT, *options)
    assert ran.status == 0, ran.err
    assert emulator.requests()[CREATE] == 1


def test_a_model_that_only_the_workspace_prices_has_no_price_to_rely_on(shopper: Cli, emulator: Running) -> None:
    path = shopper.write("other.jsonl", [request_line("a", model="claude-mythos-5")])
    workspace = _prices(shopper.folder / ".batchctl" / "prices.toml", TINY, "claude-mythos-5")
    ran = shopper.run("submit", path, *LIMIT)
    assert ran.status == 6
    assert "only the workspace has its own prices of claude-mythos-5: high is not a bound" in " ".join(ran.err.split())
    assert "only the workspace has" in shopper.run("estimate", path, "--offline").out
    assert CREATE not in emulator.requests()
    assert shopper.run("submit", path, *LIMIT, "--prices", workspace).status == 0


def test_a_price_list_in_a_workspace_lets_nothing_pass_either(shopper: Cli, emulator: Running) -> None:
    tiny = {
        "id": MODEL,
        "match": {"starts_with": MODEL},
        "prices": {
            "input_mtok": 0.000001,
            "cache_write_mtok": 0.000001,
            "cache_read_mtok": 0.000001,
            "output_mtok": 0.000001,
        },
    }
    provider = {"id": "anthropic", "name": "Anthropic", "api_pattern": "x", "models": [tiny]}
    kept = {"at": "2999-01-01T00:00:00+00:00", "checked_by": "999", "provider": provider}
    (shopper.folder / ".batchctl" / "prices.json").write_text(json.dumps(kept))
    shown = shopper.run("prices", MODEL, "--json").json["models"][0]
    assert shown["source"] == "genai-prices list of 2999-01-01", "it is shown"
    assert shopper.run("submit", "in.jsonl", *LIMIT, "--yes").status == 6
    assert CREATE not in emulator.requests()


@pytest.mark.slow
def test_what_was_paid_counts_by_the_dearer_prices_too(shopper: Cli, emulator: Running) -> None:
    emulator.set_scenario({"batch_seconds": 0, "outcomes": {"overloaded_error": 0.5}})
    job = shopper.submitted("in.jsonl", requests(100), "--yes")
    _prices(shopper.folder / ".batchctl" / "prices.toml", TINY)
    assert shopper.run("fetch", job).status == 3
    assert Decimal(shopper.run("cost", job, "--json").json["total"]["batch_usd"]) < Decimal("0.0001")
    assert shopper.run("retry", job, "--max-cost", "0.001").status == 6
    assert emulator.requests()[CREATE] == 1
