"""Which vendor a line is for, and what only looks like it."""

from typing import Any

import pytest

from batchctl.domain import foreign_formats as formats
from batchctl.domain.foreign_formats import ForeignFormat, foreign_format

CHAT: dict[str, Any] = {"messages": []}
LINES: list[tuple[dict[str, Any], ForeignFormat | None]] = [
    ({"custom_id": "a", "method": "POST", "url": "/v1/chat/completions", "body": CHAT}, formats.OPENAI_CHAT),
    ({"custom_id": "a", "method": "POST", "url": "/chat/completions", "body": CHAT}, formats.OPENAI_CHAT),
    ({"custom_id": "a", "body": CHAT}, formats.OPENAI_CHAT),
    ({"method": "POST", "url": "/v1/responses", "body": {"input": "Hi"}}, formats.OPENAI_RESPONSES),
    ({"custom_id": "a", "url": "/v1/embeddings", "body": {"input": "Hi"}}, formats.OPENAI_OTHER),
    ({"custom_id": "a", "url": "/v1/completions", "body": {"prompt": "Hi"}}, formats.OPENAI_OTHER),
    ({"custom_id": "a", "body": {"input": "Hi"}}, formats.OPENAI_OTHER),
    ({"recordId": "a", "modelInput": {"anthropic_version": "bedrock-2023-05-31"}}, formats.BEDROCK),
    ({"modelInput": {"anthropic_version": "bedrock-2023-05-31"}}, formats.BEDROCK),
    (
        {"recordId": "a", "modelInput": {"messages": [{"role": "user", "content": [{"text": "Hi"}]}]}},
        formats.BEDROCK_OTHER,
    ),
    ({"custom_id": "a", "request": {"anthropic_version": "vertex-2023-10-16"}}, formats.GOOGLE_CLOUD),
    ({"key": "a", "request": {"contents": []}}, formats.GEMINI),
    ({"request": {"contents": []}}, formats.GEMINI),
    ({"custom_id": "a", "params": {}, "body": CHAT}, None),
    ({"custom_id": "a", "body": "Hi"}, None),
    ({"body": CHAT}, None),
    ({"request": "contents"}, None),
    ({"request": {}}, None),
    ({"custom_id": "a", "modelInput": 5}, None),
    ({}, None),
]


@pytest.mark.parametrize(("line", "expected"), LINES)
def test_a_line_is_told_by_its_keys(line: dict[str, Any], expected: ForeignFormat | None) -> None:
    assert foreign_format(line) is expected
