"""What the API refuses, and when: the envelope of a create at once, everything within `params` later and per line.

Messages are those the API's validator was seen to send (`requests.0.custom_id: Field required`).
"""

import re
from dataclasses import dataclass, field
from typing import Any

from batchctl.emulator.model_rules import refused
from batchctl.emulator.models import Model, callable_model, ceiling
from batchctl.emulator.refuse_rules import RefuseRule

VERSION_A, VERSION_B = "2023-06-01", "2026-10-21"
EXTRA = "Extra inputs are not permitted"
REQUIRED = "Field required"

_ID = re.compile(r"[a-zA-Z0-9_-]{1,64}")
_SAMPLING = frozenset({"temperature", "top_p", "top_k"})
_PARAMS = frozenset({
    "model", "max_tokens", "messages", "cache_control", "container", "context_management", "diagnostics", "inference_geo",
    "mcp_servers", "metadata", "output_config", "service_tier", "stop_sequences", "stream", "system", "thinking",
    "tool_choice", "tools", "user_profile_id",
})  # fmt: skip
_LIVE_ONLY = frozenset({"speed", "store", "previous_thread_event_id", "cache_hint", "context_hint"})


def id_problem(where: str, custom_id: Any) -> str | None:
    """What is wrong with a `custom_id` in the words of the API; None when it will do."""
    if not isinstance(custom_id, str):
        return f"{where}: Input should be a valid string"
    if len(custom_id) > 64:
        return f"{where}: String should have at most 64 characters"
    if not _ID.fullmatch(custom_id):
        return f"{where}: String should match pattern '^[a-zA-Z0-9_-]{{1,64}}$'"
    return None


def request_problem(number: int, request: Any) -> str | None:
    """What is wrong with one request of a create (`number` from 0), `params` unseen; None when it will do."""
    where = f"requests.{number}"
    if not isinstance(request, dict):
        return f"{where}: Input should be a valid dictionary or object to extract fields from"
    if "custom_id" not in request:
        return f"{where}.custom_id: {REQUIRED}"
    if problem := id_problem(f"{where}.custom_id", request["custom_id"]):
        return problem
    if "params" not in request:
        return f"{where}.params: {REQUIRED}"
    if not isinstance(request["params"], dict):
        return f"{where}.params: Input should be a valid dictionary"
    extra = [key for key in request if key not in ("custom_id", "params")]
    return f"{where}.{extra[0]}: {EXTRA}" if extra else None


@dataclass
class Gate:
    """The synchronous check of a create, fed request by request: keeps the first problem and the ids seen."""

    limit: int
    problem: str | None = None
    duplicate: str | None = None
    count: int = 0
    _seen: set[str] = field(default_factory=set)

    def admits(self, number: int, request: Any) -> bool:
        """Whether this request is sound and nothing before it was wrong."""
        self.count += 1
        if self.problem or self.duplicate or self.count > self.limit:
            return False
        self.problem = request_problem(number, request)
        if self.problem:
            return False
        if request["custom_id"] in self._seen:
            self.duplicate = request["custom_id"]
            return False
        self._seen.add(request["custom_id"])
        return True

    def verdict(self, *, found: bool, wrong: str, extra: list[str]) -> str | None:
        """The message of the 400, given what the envelope was; None when the create is accepted."""
        if wrong or not found:
            return wrong or f"requests: {REQUIRED}"
        if not self.count:
            return "requests: List should have at least 1 item after validation, not 0"
        if self.count > self.limit:
            return f"requests: List should have at most {self.limit} items after validation, not {self.count}"
        if self.problem or extra:
            return self.problem or f"{extra[0]}: {EXTRA}"
        if self.duplicate is None:
            return None
        return f"requests: custom_id's must be unique within a batch. Duplicate custom_id found: {self.duplicate}"


@dataclass(frozen=True)
class Flaw:
    """Why `params` cannot be run: the error's type and message."""

    message: str
    type: str = "invalid_request_error"


@dataclass(frozen=True)
class Rules:
    """What holds for the `params` of one call: the version header, its betas, whether it is a batch, the scenario's rules."""

    version: str = VERSION_B
    betas: tuple[str, ...] = ()
    batch: bool = True
    counting: bool = False
    refuse: tuple[RefuseRule, ...] = ()

    @property
    def place(self) -> str:
        """The place of the call, as `[[refuse]]` names it."""
        return "batch" if self.batch else "count_tokens" if self.counting else "messages"


def flaw_in(params: dict[str, Any], rules: Rules) -> Flaw | None:
    """The first flaw of a Messages body; None when it would run."""
    for key in params:
        if key not in _PARAMS and not _allowed(key, rules):
            return Flaw(f"{key}: {EXTRA}")
    required = ("model", "messages") if rules.counting else ("model", "max_tokens", "messages")
    for key in required:
        if key not in params:
            return Flaw(f"{key}: {REQUIRED}")
    if rules.batch and params.get("stream"):
        return Flaw('"stream=True" is not supported in the Message Batches API')
    model = callable_model(params["model"])
    if model is None:
        return Flaw(f"model: {params['model']}", "not_found_error")
    flaw = _length_flaw(params, model, rules) or _messages_flaw(params["messages"]) or _tool_flaw(params, model)
    message = None if flaw else refused(params, model, rules.version) or _refused_by_scenario(params, rules)
    return Flaw(message) if message else flaw


def _refused_by_scenario(params: dict[str, Any], rules: Rules) -> str | None:
    return next((rule.message for rule in rules.refuse if rules.place in rule.on and rule.refuses(params)), None)


def _allowed(key: str, rules: Rules) -> bool:
    if key in _SAMPLING:
        return rules.version == VERSION_A
    return key in _LIVE_ONLY and not rules.batch


def _length_flaw(params: dict[str, Any], model: Model, rules: Rules) -> Flaw | None:
    if rules.counting and "max_tokens" not in params:
        return None
    wanted = params["max_tokens"]
    if not isinstance(wanted, int) or isinstance(wanted, bool):
        return Flaw("max_tokens: Input should be a valid integer")
    if wanted < 1 and (rules.batch or wanted < 0):
        return Flaw("max_tokens: must be greater than or equal to 1")
    most = ceiling(model, rules.betas)
    if wanted > most:
        about = f"max_tokens: {wanted} > {most}, which is the maximum allowed number of output tokens for {model.id}"
        return Flaw(about)
    return None


def _messages_flaw(messages: Any) -> Flaw | None:
    if not isinstance(messages, list):
        return Flaw("messages: Input should be a valid list")
    if not messages:
        return Flaw("messages: at least one message is required")
    for number, message in enumerate(messages):
        if told := _message_problem(message):
            return Flaw(f"messages.{number}{told}")
    return None


def _message_problem(message: Any) -> str | None:
    if not isinstance(message, dict):
        return ": Input should be a valid dictionary"
    for key in ("role", "content"):
        if key not in message:
            return f".{key}: {REQUIRED}"
    if message["role"] not in ("user", "assistant"):
        return ".role: Input should be 'user' or 'assistant'"
    content = message["content"]
    if isinstance(content, str):
        return None
    if not isinstance(content, list):
        return ".content: Input should be a valid list"
    bad = [number for number, block in enumerate(content) if not isinstance(block, dict) or "type" not in block]
    return f".content.{bad[0]}.type: {REQUIRED}" if bad else None


def _tool_flaw(params: dict[str, Any], model: Model) -> Flaw | None:
    thinking = params.get("thinking")
    if isinstance(thinking, dict) and thinking.get("type") == "enabled" and not model.enabled_thinking:
        return Flaw('"thinking.type.enabled" is not supported for this model. Use "thinking.type.adaptive" instead.')
    system = params.get("system", "")
    if not isinstance(system, str) and not (
        isinstance(system, list) and all(isinstance(each, dict) for each in system)
    ):
        return Flaw("system: Input should be a valid string or list")
    tools, choice = params.get("tools") or [], params.get("tool_choice") or {}
    if not isinstance(tools, list) or not all(isinstance(tool, dict) for tool in tools):
        return Flaw("tools: Input should be a valid list")
    if not isinstance(choice, dict):
        return Flaw("tool_choice: Input should be a valid dictionary")
    # A set of tools of a server has no name of its own.
    names = {tool.get("name") for tool in tools}
    if choice.get("type") == "tool" and not names & {choice.get("name"), None}:
        return Flaw(f"Tool '{choice.get('name')}' not found in provided tools")
    return None
