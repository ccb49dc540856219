"""Plain http to another host, as to a gateway inside a cluster: only where a person says so, and never to the API itself."""

import shlex

import pytest
from program import Cli, requests

from batchctl.api.client import checked_base_url
from batchctl.domain.errors import UsageProblem
from batchctl.emulator.running import Running

VARIABLE = "BATCHCTL_INSECURE_HTTP"


@pytest.fixture
def gateway(emulator: Running) -> str:
    """The same server under an address that is not a loopback one."""
    return f"http://0.0.0.0:{emulator.base_url.rsplit(':', 1)[1]}"


def test_a_gateway_is_asked_over_plain_http_where_that_is_said(cli: Cli, emulator: Running, gateway: str) -> None:
    path = cli.write("in.jsonl", requests(2))
    refused = cli.run("submit", path, "--base-url", gateway)
    assert (refused.status, emulator.batches()) == (2, [])
    assert "--insecure-http" in refused.err
    ran = cli.run("submit", path, "--base-url", gateway, "--insecure-http")
    assert ran.status == 0, ran.err
    assert len(emulator.batches()) == 1


def test_what_is_told_repeats_it(cli: Cli, gateway: str) -> None:
    """What is typed next works as it is printed."""
    ran = cli.run("submit", cli.write("in.jsonl", requests(2)), "--base-url", gateway, "--insecure-http")
    (told,) = [line for line in ran.err.splitlines() if line.startswith("next: ")]
    words = shlex.split(told)
    assert "--insecure-http" in words
    again = cli.run(*words[2:])
    assert again.status == 0, again.err
    assert "--insecure-http" not in cli.run("verify", "--base-url", gateway).err


def test_a_variable_says_it_for_every_command(cli: Cli, gateway: str) -> None:
    cli.variables |= {"ANTHROPIC_BASE_URL": gateway, VARIABLE: "1"}
    assert cli.run("submit", cli.write("in.jsonl", requests(2))).status == 0
    cli.variables[VARIABLE] = "0"
    assert cli.run("fetch").status == 2


@pytest.mark.parametrize("how", ["option", "variable"])
@pytest.mark.parametrize(
    "host",
    [
        "api.anthropic.com",
        "anthropic.com",
        "API.Anthropic.COM",
        "api.anthropic.com.",
        "api.anthropic.com:8080",
        "user:secret@api.anthropic.com",
        "eu.api.anthropic.com",
        "api%2eanthropic.com",
        "api\u3002anthropic\uff0ecom",
        "\uff41pi.anthropic.com",
    ],
)
def test_the_api_itself_is_never_sent_a_key_that_can_be_read(cli: Cli, host: str, how: str) -> None:
    words = ["status", "--watch", "--base-url", f"http://{host}/v1"]
    if how == "option":
        words.append("--insecure-http")
    else:
        cli.variables[VARIABLE] = "1"
    ran = cli.run(*words)
    assert ran.status == 2
    assert "never sent to the API over plain http" in ran.err
    assert "secret" not in ran.err
    assert "--insecure-http" not in ran.err.partition("try:")[2]


@pytest.mark.parametrize("host", ["gateway.svc", "10.0.0.7:8080", "notanthropic.com", "anthropic.com.example.org"])
def test_another_host_is_taken_only_where_that_is_said(host: str) -> None:
    url = f"http://{host}"
    assert checked_base_url(url, insecure_http=True) == url
    with pytest.raises(UsageProblem, match="sent over plain http only to this machine"):
        checked_base_url(url)


def test_doctor_warns_of_a_key_that_can_be_read(cli: Cli, gateway: str) -> None:
    ran = cli.run("doctor", "--base-url", gateway, "--insecure-http")
    assert "others can read the key" in ran.out
    assert "others can read the key" not in cli.run("doctor").out
