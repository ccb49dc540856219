"""`prices`: what models cost, without a key, a workspace or the network; and --refresh, over loopback."""

import json
from collections.abc import Callable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import Any

import genai_prices
import pytest
from builders import NOW
from loopback import Answer, always, answering, as_json
from program import Cli, Ran

from batchctl.clock import Clock
from batchctl.money import listed

PACKAGE = f"genai-prices {genai_prices.__version__}"


@pytest.fixture
def reader(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cli:
    """Somebody without a key, without an API, with a cache of their own, and on a day of which the prices are known."""
    real, began = Clock.now, Clock().now()
    monkeypatch.setattr(Clock, "now", lambda clock: NOW + (real(clock) - began))
    folder = tmp_path / "here"
    folder.mkdir()
    cli = Cli(folder, "http://127.0.0.1:9")
    cli.variables = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    return cli


def shown(ran: Ran) -> list[str]:
    assert ran.status == 0, ran.err
    return ran.out.splitlines()


def of_model(cli: Cli, model: str = "claude-opus-5-5") -> dict[str, Any]:
    (found,) = cli.run("prices", model, "--json").json["models"]
    return dict(found)


# ---------------------------------------------------------------- the table


def test_an_empty_folder_is_enough_and_stays_empty(reader: Cli) -> None:
    ran = reader.run("prices")
    assert ran.status == 0
    assert ran.err == "next: batchctl estimate INPUT.jsonl\n"
    assert list(reader.folder.parent.iterdir()) == [reader.folder]
    assert list(reader.folder.iterdir()) == []


def test_real_time_stands_beside_batch_beside_cached(reader: Cli) -> None:
    lines = shown(reader.run("prices"))
    assert lines[2].split() == ["real", "time", "batch", "batch", "write", "batch"]
    assert lines[3].split() == ["model", "in", "out", "in", "out", "5", "min", "1", "h", "read"]
    at = next(at for at, line in enumerate(lines) if line.startswith("claude-haiku-5-5"))
    assert lines[at].split()[1:] == ["0.10", "0.50", "0.05", "0.25", "0.0625", "0.10", "0.005"]
    assert lines[at + 1].split()[2:] == ["0.50", "2.50", "0.25", "1.25", "0.3125", "0.50", "0.025"]
    assert lines[at + 1].startswith("  over 100,000 ")
    assert f"prices: {PACKAGE}" in lines


def test_the_points_stand_under_each_other_in_80_columns(reader: Cli) -> None:
    for words in (["prices"], ["prices", "--all"], ["prices", "claude-haiku-5-5"]):
        lines = shown(reader.run(*words))
        table = [line for line in lines[4:] if line.startswith(("claude", "  over", "cache"))]
        assert len({tuple(at for at, c in enumerate(line[24:]) if c == ".") for line in table}) == 1
        assert max(map(len, table)) <= 80


def test_the_newest_stand_first_and_the_retired_only_when_asked(reader: Cli) -> None:
    def models(*words: str) -> list[str]:
        return [line.split()[0] for line in shown(reader.run("prices", *words)) if line.startswith("claude-")]

    served = models()
    assert served[:4] == ["claude-opus-5-5", "claude-sonnet-5-5", "claude-haiku-5-5", "claude-fable-5-2"]
    assert "claude-opus-4-1" not in served
    every = models("--all")
    assert every[: len(served)] == served
    assert {"claude-opus-4-1", "claude-sonnet-4-0", "claude-3-5-haiku-latest"} <= set(every)
    out = reader.run("prices", "--all").out
    assert "! no batch price is listed: half of the real-time price (claude-opus-4-1," in out
    assert "! no price that can be used: claude-2, claude-v1" in out
    assert "11 retired models: batchctl prices --all" in reader.run("prices").out


def test_one_model_is_shown_in_full(reader: Cli) -> None:
    lines = shown(reader.run("prices", "claude-haiku-4-5-20251001"))
    assert lines[0].startswith("claude-haiku-4-5-20251001  US$ per million tokens on 20")
    assert [line.rsplit(maxsplit=2) for line in lines[3:9]] == [
        ["input", "1.00", "0.50"],
        ["cache write, 5 min", "1.25", "0.625"],
        ["cache write, 1 h", "2.00", "1.00"],
        ["cache read", "0.10", "0.05"],
        ["output", "5.00", "2.50"],
        ["1,000 web searches", "10.00", "10.00"],
    ]
    assert "inference_geo us: 1.1 times the price of tokens" in lines


def test_a_program_reads_exact_numbers(reader: Cli) -> None:
    shape = reader.run("prices", "claude-haiku-5-5", "--json").json
    assert shape["type"] == "prices"
    assert shape["schema_version"] == 1
    (model,) = shape["models"]
    assert (model["model"], model["source"], model["note"]) == ("claude-haiku-5-5", PACKAGE, None)
    assert [step["over"] for step in model["steps"]] == [0, 100_000]
    assert model["steps"][1]["batch"] == {
        "input": "0.25",
        "write_5m": "0.3125",
        "write_1h": "0.5",
        "read": "0.025",
        "output": "1.25",
        "web_search": "10",
    }


@pytest.mark.parametrize(
    ("model", "hint"),
    [
        ("claude-haiku-5.5", "similar names: claude-haiku-5-5,"),
        ("claude-opus-4-50", "similar names: claude-opus-4-5"),
        ("gpt\x1b[31m", "list the models: batchctl prices"),
        ("", "list the models: batchctl prices"),
    ],
)
def test_a_model_without_a_price_is_wrong_usage_with_names_that_are_near(reader: Cli, model: str, hint: str) -> None:
    ran = reader.run("prices", model)
    assert ran.status == 2
    assert ran.out == ""
    assert "error: no price is known for" in ran.err
    assert hint in ran.err
    assert "\x1b" not in ran.err


# ---------------------------------------------------------------- private prices


def test_private_prices_are_found_in_the_workspace_and_by_the_variable(reader: Cli) -> None:
    workspace = reader.folder / ".batchctl"
    workspace.mkdir()
    (workspace / "prices.toml").write_text('[models."claude-opus-5-5"]\ninput = 3\noutput = 15\n')
    assert of_model(reader)["source"] == "prices.toml"
    contract = reader.folder / "contract.toml"
    contract.write_text(
        '[models."claude-opus-5-5"]\ninput = 2.5\noutput = 15\n[models.house]\ninput=1\noutput=2\nweb_search=5\n'
    )
    reader.variables["BATCHCTL_PRICES"] = "contract.toml"
    opus = of_model(reader)
    assert opus["source"] == "contract.toml"
    assert opus["steps"][0]["batch"]["input"] == "1.25"
    lines = shown(reader.run("prices"))
    assert "prices: contract.toml (claude-opus-5-5, house)" in [line.replace("house, ", "") for line in lines]
    assert any("5.00 per 1,000 (house)" in line for line in lines)


def test_private_prices_that_are_named_go_before_the_workspace_and_those_before_a_persons_own(
    reader: Cli, tmp_path: Path
) -> None:
    def prices(path: Path, amount: int) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f'[models."claude-opus-5-5"]\ninput = {amount}\noutput = 15\n')
        return path

    def shown(*words: str | Path) -> str:
        (found,) = reader.run("prices", "claude-opus-5-5", "--json", *words).json["models"]
        return str(found["steps"][0]["real_time"]["input"])

    reader.variables["XDG_CONFIG_HOME"] = str(tmp_path / "settings")
    prices(tmp_path / "settings" / "batchctl" / "prices.toml", 1)
    assert shown() == "1"
    prices(reader.folder / ".batchctl" / "prices.toml", 2)
    assert shown() == "2"
    reader.variables["BATCHCTL_PRICES"] = str(prices(tmp_path / "contract.toml", 3))
    assert shown() == "3"
    assert shown("--prices", prices(tmp_path / "other.toml", 4)) == "4"
    ran = reader.run("prices", "--prices", ".")
    assert (ran.status, "directory" in ran.err) == (2, True)


def test_a_slip_in_private_prices_stops_the_command_that_would_use_them(reader: Cli) -> None:
    (reader.folder / "contract.toml").write_text("[models.house]\ninptu = 1\n")
    reader.variables["BATCHCTL_PRICES"] = "contract.toml"
    for words in (["prices"], ["prices", "house"], ["prices", "--refresh"]):
        ran = reader.run(*words)
        assert ran.status == 2
        assert "contract.toml: [models.\"house\"]: unknown key: 'inptu'" in ran.err
        assert "the keys are: input, output," in ran.err


def test_a_prices_file_that_is_not_there_is_wrong_usage(reader: Cli) -> None:
    reader.variables["BATCHCTL_PRICES"] = "nothing.toml"
    ran = reader.run("prices", "--json")
    assert ran.status == 2
    assert json.loads(ran.err)["message"] == "nothing.toml: No such file or directory"


# ---------------------------------------------------------------- --refresh


def a_model(name: str, input_: float, **more: Any) -> dict[str, Any]:
    prices = {
        "input_mtok": input_,
        "cache_write_mtok": input_ * 1.25,
        "cache_write_1h_mtok": input_ * 2,
        "cache_read_mtok": input_ / 10,
        "output_mtok": input_ * 5,
        "web_searches_kcount": 10,
    }
    return {"id": name, "match": {"starts_with": name}, "prices": prices, **more}


def a_list(*more: Mapping[str, Any]) -> list[dict[str, Any]]:
    """As genai-prices publishes it, of other providers as well and with what only they need."""
    known = [a_model(name, 4.1) for name in listed.KNOWN]
    extractors = [{"root": "usage", "mappings": [{"path": "of_tomorrow", "dest": "of_tomorrow"}]}]
    ours = {"id": "anthropic", "name": "Anthropic", "api_pattern": "x", "extractors": extractors, "of_tomorrow": 1}
    return [{"id": "other", "models": "not read"}, {**ours, "models": [*known, *more]}]


@pytest.fixture
def refreshed(reader: Cli) -> Callable[..., Ran]:
    """`prices --refresh`, with an answer to it."""

    def run(answer: Answer, *words: str) -> Ran:
        with answering(always(answer)) as server:
            reader.variables["BATCHCTL_PRICES_URL"] = f"{server.url}/list.json"
            return reader.run("prices", "--refresh", *words)

    return run


def kept(cli: Cli) -> Path:
    return cli.folder.parent / "cache" / "batchctl" / "prices.json"


def test_a_fetched_list_is_used_from_then_on(reader: Cli, refreshed: Callable[..., Ran]) -> None:
    ran = refreshed(as_json(a_list(a_model("claude-opus-6", 5))))
    assert ran.status == 0, ran.err
    assert f"kept as {kept(reader)}; new: claude-opus-6; other prices: claude-" in ran.err
    assert kept(reader).stat().st_mode & 0o777 == 0o600
    assert of_model(reader, "claude-opus-6")["source"].startswith("genai-prices list of 20")
    found = of_model(reader)
    assert found["source"].startswith("genai-prices list of 20")
    assert found["steps"][0]["real_time"] == {
        "input": "4.1",
        "write_5m": "5.125",
        "write_1h": "8.2",
        "read": "0.41",
        "output": "20.5",
        "web_search": "10",
    }
    # It has no batch prices at all: then none of its models is taken for a retired one.
    assert "no longer served" not in reader.run("prices").out


def test_the_same_list_again_changes_nothing(reader: Cli, refreshed: Callable[..., Ran]) -> None:
    assert refreshed(as_json(a_list())).status == 0
    ran = refreshed(as_json(a_list()), "--json")
    assert ran.json["refreshed"]["new"] == ran.json["refreshed"]["changed"] == []
    assert "no price has changed" in refreshed(as_json(a_list())).err


def test_in_a_workspace_the_list_is_kept_with_the_person_all_the_same(
    reader: Cli, refreshed: Callable[..., Ran]
) -> None:
    """So that a limit may rest on it."""
    (reader.folder / ".batchctl").mkdir()
    assert refreshed(as_json(a_list(a_model("claude-opus-6", 5)))).status == 0
    assert kept(reader).exists()
    assert list((reader.folder / ".batchctl").iterdir()) == []


def test_the_newest_list_that_there_is_is_shown(reader: Cli, refreshed: Callable[..., Ran]) -> None:
    workspace = reader.folder / ".batchctl"
    workspace.mkdir()
    assert refreshed(as_json(a_list(a_model("claude-opus-6", 7)))).status == 0
    kept(reader).rename(workspace / "prices.json")
    assert of_model(reader, "claude-opus-6")["steps"][0]["real_time"]["input"] == "7"
    assert refreshed(as_json(a_list(a_model("claude-opus-6", 5)))).status == 0
    assert of_model(reader, "claude-opus-6")["steps"][0]["real_time"]["input"] == "5"


DEEP = b'[{"id":"anthropic","models":' + b"[" * 100_000


@pytest.mark.parametrize(
    ("answer", "said"),
    [
        ((200, {"content-type": "text/html"}, b"\n<!DOCTYPE html><p>Sign in"), "it is an HTML page"),
        ((200, {}, json.dumps(a_list()).encode()[:-40]), "it cannot be read as one"),
        ((200, {}, b""), "it cannot be read as one"),
        ((200, {}, b"\xff\xfe"), "it cannot be read as one"),
        ((200, {}, b"{}"), "it cannot be read as one"),
        ((200, {}, b"[3]"), "it cannot be read as one"),
        ((200, {}, DEEP), "it cannot be read as one"),
        (as_json([]), "it cannot be read as one"),
        (as_json([{"id": "anthropic", "name": "", "api_pattern": "", "models": []}]), "it cannot be read as one"),
        (as_json(a_list({"id": "claude-x", "match": {"of_tomorrow": 1}})), "it cannot be read as one (ValidationError"),
        (
            as_json(a_list(a_model("claude-x", float("nan")))),
            "it cannot be read as one (ValueError: NaN is not a price",
        ),
        (as_json(a_list()[:1]), "it cannot be read as one (LookupError: it has no anthropic)"),
        ((200, {}, json.dumps(a_list()).replace("4.1", "0").encode()), "it has no price for claude-opus-5-5, claude-s"),
        ((200, {}, json.dumps(a_list()).replace("sonnet", "sonata").encode()), "it has no price for claude-sonnet-5-5"),
        ((200, {}, b" " * 20_000_001), "more than 20,000,000 bytes"),
        ((403, {}, b"no"), "HTTP 403"),
    ],
)
def test_what_is_no_list_leaves_the_old_one(
    reader: Cli, refreshed: Callable[..., Ran], answer: Answer, said: str
) -> None:
    assert refreshed(as_json(a_list())).status == 0
    before = kept(reader).read_bytes()
    ran = refreshed(answer)
    assert ran.status == 1
    assert said in ran.err
    assert "  try: " in ran.err
    assert ran.out == ""
    assert kept(reader).read_bytes() == before
    assert [path.name for path in kept(reader).parent.iterdir()] == ["prices.json"]


def test_a_list_is_not_fetched_over_plain_http_from_elsewhere(reader: Cli) -> None:
    reader.variables["BATCHCTL_PRICES_URL"] = "http://example.com/prices.json"
    ran = reader.run("prices", "--refresh")
    assert ran.status == 2
    assert "plain http is refused" in ran.err


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b"3", b'{"at": 3}', b'{"provider": {"models": []}}', b"\xff"])
def test_a_kept_list_that_cannot_be_read_is_said_and_not_used(
    reader: Cli, refreshed: Callable[..., Ran], broken: bytes
) -> None:
    refreshed(as_json(a_list()))
    kept(reader).write_bytes(broken)
    found = of_model(reader)
    assert found["source"] == PACKAGE
    assert (
        found["note"] == f"{kept(reader)} cannot be read and is not used; to write it again: batchctl prices --refresh"
    )
    assert refreshed(as_json(a_list())).status == 0
    assert of_model(reader)["source"].startswith("genai-prices list of")


@pytest.mark.parametrize(("name", "value"), [("at", "yesterday"), ("at", None), ("checked_by", 3), ("provider", {})])
def test_a_kept_list_with_a_part_that_is_wrong_is_not_used(
    reader: Cli, refreshed: Callable[..., Ran], name: str, value: Any
) -> None:
    refreshed(as_json(a_list()))
    shape = json.loads(kept(reader).read_bytes())
    kept(reader).write_text(json.dumps({**shape, name: value}))
    assert of_model(reader)["source"] == PACKAGE
    assert "cannot be read" in of_model(reader)["note"]


def test_a_newer_package_goes_before_a_list_that_an_older_one_has_checked(
    reader: Cli, refreshed: Callable[..., Ran]
) -> None:
    refreshed(as_json(a_list()))
    shape = json.loads(kept(reader).read_bytes())
    kept(reader).write_text(json.dumps({**shape, "checked_by": "0.2.2"}))
    assert of_model(reader)["source"] == PACKAGE
    kept(reader).write_text(json.dumps({**shape, "checked_by": "0.10"}))
    assert of_model(reader)["source"].startswith("genai-prices list of")


def test_without_a_home_there_is_nothing_to_keep_a_list_in(
    reader: Cli, monkeypatch: pytest.MonkeyPatch, refreshed: Callable[..., Ran]
) -> None:
    monkeypatch.delenv("HOME")
    reader.variables["XDG_CACHE_HOME"] = "not/absolute"
    ran = refreshed(as_json(a_list()))
    assert ran.status == 2
    assert "set HOME or XDG_CACHE_HOME" in ran.err
    assert reader.run("prices").status == 0


def test_one_model_is_shown_with_what_it_refuses(reader: Cli) -> None:
    lines = shown(reader.run("prices", "claude-opus-5-5"))
    assert lines.index("refused by this model") > lines.index("prices: " + PACKAGE)
    assert any(line.startswith('  tool_choice.type "any", "tool": ') for line in lines)
    (forced,) = [
        r for r in reader.run("prices", "claude-opus-5-5", "--json").json["rules"] if r["path"] == "tool_choice.type"
    ]
    assert (forced["severity"], forced["is_past"], forced["values"]) == ("error", False, ['"any"', '"tool"'])
    assert reader.run("prices", "--json").json["rules"] is None


def test_a_rule_past_its_date_is_marked(reader: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Clock, "now", lambda _: NOW + timedelta(days=3_650))
    assert any("and may have changed" in line for line in shown(reader.run("prices", "claude-opus-5-5")))
    assert any(rule["is_past"] for rule in reader.run("prices", "claude-opus-5-5", "--json").json["rules"])
