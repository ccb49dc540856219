"""The batch files of other vendors, told by the keys of a line, and what to do with each.

Sources: the batch pages of OpenAI (Azure and Mistral take the same lines, Mistral without `method` and `url`), of Amazon Bedrock
(`recordId`, `modelInput`), of Claude on Google Cloud (`custom_id`, `request`) and of Gemini (`request`, with `key` or without).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

CONVERT = "batchctl convert INPUT"


@dataclass(frozen=True, slots=True)
class ForeignFormat:
    """A batch file of another vendor.

    Attributes:
        code: The code of a file in this format, as `--json` names it.
        name: What a person calls it.
        advice: What to do where `batchctl convert` cannot convert it; empty where it can.
    """

    code: str
    name: str
    advice: str = ""

    @property
    def is_convertible(self) -> bool:
        """Whether `batchctl convert` converts it."""
        return not self.advice


_AS_MESSAGES = 'write each as {"custom_id": "your-name", "params": BODY}, where BODY is a Messages request'
OPENAI_CHAT = ForeignFormat("file_is_openai_batch", "OpenAI's batch format (chat completions)")
OPENAI_RESPONSES = ForeignFormat("file_is_openai_batch", "OpenAI's batch format (responses)")
OPENAI_OTHER = ForeignFormat(
    "file_is_openai_batch",
    "OpenAI's batch format, but neither chat completions nor responses",
    "the Messages API has no embeddings, moderations or plain completions",
)
BEDROCK = ForeignFormat("file_is_bedrock_batch", "Amazon Bedrock's batch format (Messages requests)")
BEDROCK_OTHER = ForeignFormat(
    "file_is_bedrock_batch", "Amazon Bedrock's batch format, but not with Messages requests", _AS_MESSAGES
)
GOOGLE_CLOUD = ForeignFormat("file_is_google_cloud_batch", "the batch format of Claude on Google Cloud")
GEMINI = ForeignFormat("file_is_gemini_batch", "Gemini's batch format", _AS_MESSAGES)

# The key that Amazon Bedrock and Google Cloud want in the body of a Messages request, and that no other body has.
_ANTHROPIC = "anthropic_version"


def foreign_format(line: Mapping[str, Any]) -> ForeignFormat | None:
    """Return the format that a line is in; None where it is in none known here. A line with `params` is one of ours."""
    if "params" in line:
        return None
    match line:
        case {"body": dict(body)} if not line.keys().isdisjoint({"custom_id", "method", "url"}):
            return _of_openai(line.get("url"), body)
        case {"modelInput": dict(body)}:
            return BEDROCK if _ANTHROPIC in body else BEDROCK_OTHER
        case {"request": dict(body)} if _ANTHROPIC in body:
            return GOOGLE_CLOUD
        case {"request": {"contents": _}}:
            return GEMINI
        case _:
            return None


def _of_openai(url: object, body: Mapping[str, Any]) -> ForeignFormat:
    """Return what a request is by the end of its URL, which differs before that; without one, by its body."""
    if not isinstance(url, str):
        return OPENAI_CHAT if "messages" in body else OPENAI_OTHER
    if url.endswith("/chat/completions"):
        return OPENAI_CHAT
    return OPENAI_RESPONSES if url.endswith("/responses") else OPENAI_OTHER
