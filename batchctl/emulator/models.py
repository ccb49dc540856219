"""The models: ids, context and output ceilings, life cycle; what `/v1/models` says and what a request may name.

Ceilings and dated ids: the models overview of the API's documentation. A release date not known there is the epoch, which
the API does too. A model that is to retire does so some days after the emulator's start, on whatever day that was.
"""

from dataclasses import dataclass
from typing import Any

from batchctl.emulator.clock import DAY, rfc3339

EPOCH = "1970-01-01T00:00:00Z"
LONG_OUTPUT_BETA = "output-300k-2026-03-24"
LONG_OUTPUT = 300_000
_MILLION, _SMALL = 1_000_000, 200_000


@dataclass(frozen=True)
class Model:
    """A model; `context` and `output` are ceilings in tokens, `cacheable` the shortest prefix that is cached, in tokens.

    `days_left`: from the emulator's start to the model's end; None where there is no such date.
    """

    id: str
    name: str
    alias: str = ""
    created_at: str = EPOCH
    context: int = _MILLION
    output: int = 128_000
    cacheable: int = 1024
    long_output: bool = False
    enabled_thinking: bool = False
    lifecycle: str = "active"
    deprecated_at: str | None = None
    days_left: int | None = None

    @property
    def line(self) -> str:
        """The model's family: `opus`, `sonnet`, `haiku`."""
        return self.name.split()[1].lower()


_OLD: dict[str, Any] = {"context": _SMALL, "output": 64_000, "enabled_thinking": True}
_GONE: dict[str, Any] = {**_OLD, "lifecycle": "retired", "deprecated_at": EPOCH}

MODELS = (
    Model("claude-fable-5-2", "Claude Fable 5.2", created_at="2026-11-09T00:00:00Z"),
    Model("claude-mythos-5-2", "Claude Mythos 5.2", created_at="2026-11-09T00:00:00Z"),
    Model("claude-haiku-5-5", "Claude Haiku 5.5", cacheable=512, long_output=True),
    Model("claude-sonnet-5-5", "Claude Sonnet 5.5", created_at="2026-09-28T00:00:00Z", long_output=True),
    Model("claude-fable-5-1", "Claude Fable 5.1"),
    Model("claude-opus-5-5", "Claude Opus 5.5", created_at="2026-09-22T00:00:00Z", long_output=True),
    Model("claude-mythos-5-1", "Claude Mythos 5.1"),
    Model("claude-sonnet-5", "Claude Sonnet 5", long_output=True),
    Model("claude-fable-5", "Claude Fable 5", cacheable=512),
    Model("claude-mythos-5", "Claude Mythos 5", cacheable=512),
    Model("claude-opus-5", "Claude Opus 5", cacheable=512, long_output=True),
    Model("claude-opus-4-8", "Claude Opus 4.8", long_output=True),
    Model("claude-opus-4-7", "Claude Opus 4.7", cacheable=2048, long_output=True),
    Model("claude-mythos-preview", "Claude Mythos Preview", lifecycle="deprecated", deprecated_at=EPOCH),
    Model("claude-opus-4-6", "Claude Opus 4.6", cacheable=4096, long_output=True, enabled_thinking=True),
    Model("claude-sonnet-4-6", "Claude Sonnet 4.6", long_output=True, enabled_thinking=True),
    Model(
        "claude-opus-4-5-20251101", "Claude Opus 4.5", "claude-opus-4-5", "2025-11-01T00:00:00Z", cacheable=4096, **_OLD
    ),
    Model(
        "claude-haiku-4-5-20251001",
        "Claude Haiku 4.5",
        "claude-haiku-4-5",
        "2025-10-01T00:00:00Z",
        cacheable=4096,
        **_OLD,
    ),
    Model(
        "claude-sonnet-4-5-20250929",
        "Claude Sonnet 4.5",
        "claude-sonnet-4-5",
        "2025-09-29T00:00:00Z",
        output=64_000,
        enabled_thinking=True,
        lifecycle="deprecated",
        deprecated_at=EPOCH,
        days_left=60,
    ),
    Model("claude-opus-4-1-20250805", "Claude Opus 4.1", "claude-opus-4-1", "2025-08-05T00:00:00Z", **_GONE),
    Model("claude-opus-4-20250514", "Claude Opus 4", "claude-opus-4-0", "2025-05-14T00:00:00Z", **_GONE),
    Model("claude-sonnet-4-20250514", "Claude Sonnet 4", "claude-sonnet-4-0", "2025-05-14T00:00:00Z", **_GONE),
    Model("claude-3-5-haiku-20241022", "Claude Haiku 3.5", "claude-3-5-haiku-latest", "2024-10-22T00:00:00Z", **_GONE),
)
BY_NAME = {name: model for model in MODELS for name in (model.id, model.alias) if name}


def callable_model(name: Any) -> Model | None:
    """The model a request may name; None when unknown or retired."""
    model = BY_NAME.get(name) if isinstance(name, str) else None
    return model if model and model.lifecycle != "retired" else None


def ceiling(model: Model, betas: tuple[str, ...]) -> int:
    """The most output tokens a request may ask for; one beta of the batch raises it for some models."""
    return LONG_OUTPUT if model.long_output and LONG_OUTPUT_BETA in betas else model.output


def _supported(*, yes: bool = True) -> dict[str, bool]:
    return {"supported": yes}


def _capabilities(model: Model) -> dict[str, Any]:
    effort = ("low", "medium", "high", "max", "xhigh")
    plain = ("batch", "citations", "code_execution", "image_input", "pdf_input", "structured_outputs")
    old = model.enabled_thinking
    return {
        **{name: _supported() for name in plain},
        "context_management": {
            "supported": True,
            "clear_thinking_20251015": _supported(),
            "clear_tool_uses_20250919": _supported(),
            "compact_20260112": _supported(yes=not old),
        },
        "effort": {"supported": not old, **{level: _supported(yes=not old) for level in effort}},
        "server_tools": {"supported": True, "code_execution": _supported(), "web_search": _supported()},
        "thinking": {
            "supported": True,
            "types": {
                "adaptive": _supported(yes=model.output > 64_000),
                "between_tools": _supported(yes=not old),
                "disabled": _supported(),
                "enabled": _supported(yes=old),
            },
        },
    }


def _retires_at(model: Model, started_at: float) -> str | None:
    if model.lifecycle == "retired":
        return EPOCH
    return None if model.days_left is None else rfc3339(started_at + model.days_left * DAY)


def listed(model: Model, started_at: float) -> dict[str, Any]:
    """ModelInfo as the API sends it; `started_at`: when the emulator was started, by its clock."""
    return {
        "id": model.id,
        "type": "model",
        "display_name": model.name,
        "created_at": model.created_at,
        "lifecycle": model.lifecycle,
        "deprecated_at": model.deprecated_at,
        "retires_at": _retires_at(model, started_at),
        "line": model.line,
        "max_input_tokens": model.context,
        "max_tokens": model.output,
        "capabilities": _capabilities(model),
    }
