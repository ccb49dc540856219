"""The real TypeScript SDK against the emulator: it is a stand-in for more than our own language."""

import json
import os
import shutil
import subprocess

import pytest

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

SCRIPT = """
import Anthropic from "@anthropic-ai/sdk";

const client = new Anthropic({ apiKey: "sk-ant-node", baseURL: process.env.EMULATOR, maxRetries: 0 });
const batches = client.messages.batches;
const requests = (count) => Array.from({ length: count }, (_, number) => ({
  custom_id: `r-${number}`,
  params: { model: "claude-haiku-4-5", max_tokens: 20, messages: [{ role: "user", content: `Say ${number}.` }] },
}));
const told = { made: [], listed: [], lines: {} };

for (let number = 0; number < 5; number++) told.made.push((await batches.create({ requests: requests(3) })).id);
for await (const batch of batches.list({ limit: 2 })) told.listed.push(batch.id);
told.canceled = (await batches.cancel(told.made[1])).processing_status;
while (told.status !== "ended") {
  told.status = (await batches.retrieve(told.made[0])).processing_status;
  await new Promise((wake) => setTimeout(wake, 50));
}
for await (const line of await batches.results(told.made[0])) told.lines[line.custom_id] = line.result.type;
told.deleted = (await batches.delete(told.made[0])).type;
try {
  await batches.retrieve(told.made[0]);
} catch (error) {
  told.gone = error.status;
}
console.log(JSON.stringify(told));
"""


@pytest.fixture
def project(tmp_path):
    """A folder with the SDK installed from whatever registry npm is set to."""
    npm = shutil.which("npm")
    if npm is None or shutil.which("node") is None:
        pytest.skip("node and npm are not installed")
    (tmp_path / "package.json").write_text('{"private": true, "type": "module"}')
    command = [npm, "install", "--no-audit", "--no-fund", "@anthropic-ai/sdk"]
    try:
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=200, check=False)
    except subprocess.TimeoutExpired:
        pytest.skip("npm did not answer in time")
    if done.returncode:
        pytest.skip(f"npm could not install the SDK: {done.stderr.strip()[-200:]}")
    (tmp_path / "script.mjs").write_text(SCRIPT)
    return tmp_path


def test_the_typescript_sdk_runs_a_batch_from_create_to_delete(emulate, project):
    emulator = emulate({"batch_seconds": 1, "finished_at_cancel": 0, "outcomes": {"overloaded_error": 1.0}})
    environment = {**os.environ, "EMULATOR": emulator.base_url, "NO_PROXY": "127.0.0.1"}
    command = ["node", "script.mjs"]
    done = subprocess.run(
        command, cwd=project, capture_output=True, text=True, timeout=60, env=environment, check=False
    )
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["listed"] == told["made"][::-1]
    assert told["canceled"] == "canceling"
    assert told["lines"] == {"r-0": "errored", "r-1": "errored", "r-2": "errored"}
    assert (told["deleted"], told["gone"]) == ("message_batch_deleted", 404)
    assert emulator.requests()["POST /v1/messages/batches"] == 5
