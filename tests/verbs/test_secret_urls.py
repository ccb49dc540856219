"""A key within the base URL is neither shown nor stored."""

from collections.abc import Sequence
from pathlib import Path

import pytest
from cases import few
from gateway import gateway
from program import Cli, requests

from batchctl.emulator.running import Running

SECRET = "wombat-zebra-quagga-99"


def written(folder: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in folder.rglob("*") if path.is_file())


@pytest.mark.parametrize("secret", few([SECRET, "sk-ant-api03-gateway"], 0))
def test_a_key_in_the_path_of_the_url_is_not_stored(cli: Cli, emulator: Running, secret: str) -> None:
    emulator.set_scenario({"batch_seconds": 0})
    with gateway(emulator.base_url, under=f"/{secret}") as there:
        cli.variables |= {"ANTHROPIC_API_KEY": SECRET, "ANTHROPIC_BASE_URL": f"{there}/{secret}"}
        cli.submitted("in.jsonl", requests(2))
        said = [cli.run("fetch"), cli.run("doctor"), cli.run("status", "--json")]
    assert said[0].status == 0, said[0].err
    stored = written(cli.folder / ".batchctl")
    assert f"{there}/..." in stored
    for text in (stored, *(ran.out + ran.err for ran in said)):
        assert secret not in text
        assert SECRET not in text


@pytest.mark.parametrize("more", [f"/{SECRET}", "/?key=of-this-url-alone", "/sk-ant-api03-of-this-url-alone"])
@pytest.mark.parametrize("words", [["doctor"], ["submit", "in.jsonl"], ["submit", "in.jsonl", "--json"]])
def test_no_message_and_no_command_that_is_told_holds_it(
    cli: Cli, emulator: Running, more: str, words: Sequence[str]
) -> None:
    cli.variables["ANTHROPIC_API_KEY"] = SECRET
    cli.write("in.jsonl", requests(1))
    ran = cli.run(*words, "--base-url", f"{emulator.base_url}{more}")
    said = ran.out + ran.err
    assert ran.status in {1, 4}
    assert emulator.base_url in said
    assert not any(part in said for part in (SECRET, "of-this-url-alone", "key="))
    assert not any("--base-url http" in line for line in said.splitlines()), "it would lead elsewhere"


def test_a_url_without_a_secret_is_told_in_full(cli: Cli, emulator: Running) -> None:
    ran = cli.run("doctor", "--base-url", f"{emulator.base_url}/elsewhere")
    assert f"--base-url {emulator.base_url}/elsewhere" in ran.err
