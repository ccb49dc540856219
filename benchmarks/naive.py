"""What one writes in an afternoon: everything in lists, the SDK for the rest. The baseline.

python naive.py INPUT FOLDER: sends INPUT, waits, writes FOLDER/results.jsonl and, of what failed, FOLDER/retry.jsonl. It
merges nothing, remembers nothing and is lost with its process.
"""

import json
import sys
import time
from pathlib import Path

import anthropic

SLICE = 10_000


def main(source: Path, folder: Path) -> None:
    client = anthropic.Anthropic()
    with source.open(encoding="utf-8") as file:
        requests = [json.loads(line) for line in file if line.strip()]
    batches = [
        client.messages.batches.create(requests=requests[start : start + SLICE]).id
        for start in range(0, len(requests), SLICE)
    ]
    while any(client.messages.batches.retrieve(batch).processing_status != "ended" for batch in batches):
        time.sleep(10)
    failed = {}
    with (folder / "results.jsonl").open("w", encoding="utf-8") as file:
        for batch in batches:
            for result in client.messages.batches.results(batch):
                file.write(json.dumps(result.model_dump(mode="json")) + "\n")
                if result.result.type != "succeeded":
                    failed[result.custom_id] = result.result.type
    with (folder / "retry.jsonl").open("w", encoding="utf-8") as file:
        for request in requests:
            if request["custom_id"] in failed:
                file.write(json.dumps(request) + "\n")
    print(f"{len(requests)} requests, {len(failed)} failed")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
