"""One line of another vendor's batch file as a request of the Messages API.

What has a counterpart is converted. What says nothing, such as `n: 1`, is left out. What does not change an answer is left out
with a warning. Anything else is an error until a person drops it by name.

Sources: the reference of OpenAI's chat completions and responses, the pages of Amazon Bedrock and Google Cloud on batches with
Claude, and the reference of the Messages API.
"""

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple, TypeVar

import orjson

from batchctl.domain.faults import (
    MAX_CUSTOM_ID_CHARACTERS,
    Fault,
    Severity,
    custom_id_faults,
    did_you_mean,
    shown,
    shown_key,
)
from batchctl.domain.foreign_formats import BEDROCK, GOOGLE_CLOUD, OPENAI_RESPONSES, ForeignFormat, foreign_format

Params = dict[str, Any]
Kind = TypeVar("Kind")


@dataclass(frozen=True, slots=True, kw_only=True)
class ConvertOptions:
    """How a person wants requests converted.

    Attributes:
        model: The model of each request that `models` does not name; empty to keep the Claude model that a request names.
        models: The model to use by the one that a request names.
        max_tokens: For requests that have none; None for no such number.
        drop: Keys of a body that are left out, whatever they say.
    """

    model: str = ""
    models: Mapping[str, str] = field(default_factory=dict)
    max_tokens: int | None = None
    drop: frozenset[str] = frozenset()


class Converted(NamedTuple):
    """A line after its conversion. With an error among the faults, `params` are not to be used."""

    custom_id: str
    params: Params
    faults: list[Fault]

    @property
    def is_good(self) -> bool:
        """Whether the request can be written."""
        return all(fault.severity is Severity.WARNING for fault in self.faults)


def convert_line(line: Mapping[str, Any], options: ConvertOptions) -> Converted:
    """Return the request of a decoded line, and what is wrong with it."""
    foreign = foreign_format(line)
    if foreign is None or not foreign.is_convertible:
        custom_id = line.get("custom_id")
        return Converted(custom_id if isinstance(custom_id, str) else "", {}, [_unknown_format(line, foreign)])
    key = "recordId" if foreign is BEDROCK else "custom_id"
    custom_id = line.get(key)
    faults = [_with_example(fault, custom_id, key) for fault in custom_id_faults({"custom_id": custom_id})]
    if foreign in {BEDROCK, GOOGLE_CLOUD}:
        body = _Body("modelInput" if foreign is BEDROCK else "request", line, options)
        params = _of_messages(body)
    else:
        body = _Body("body", line, options)
        params = _of_responses(body) if foreign is OPENAI_RESPONSES else _of_chat(body)
    return Converted(custom_id if isinstance(custom_id, str) else "", params, faults + body.faults)


def _unknown_format(line: Mapping[str, Any], foreign: ForeignFormat | None) -> Fault:
    if foreign is not None:
        return Fault("foreign_format", f"a line in {foreign.name}: {foreign.advice}")
    if "params" in line:
        return Fault("nothing_to_convert", "a request of the Messages API already: submit it as it is")
    return Fault("format_unknown", "a line in no batch format that is known here: convert it by other means")


def _with_example(fault: Fault, custom_id: object, key: str) -> Fault:
    """Return a fault of a custom_id with an id that the API takes."""
    if not isinstance(custom_id, str) or not custom_id:
        return replace(fault, message=fault.message.replace("custom_id", key), path=key)
    example = re.sub("[^a-zA-Z0-9_-]", "_", custom_id)[:MAX_CUSTOM_ID_CHARACTERS]
    return replace(fault, message=f"{fault.message}; for example {shown(example)}", path=key)


# ---------------------------------------------------------------- the body of a request

# Keys that say nothing where they have one of these values.
_NEUTRAL: Mapping[str, Sequence[object]] = {
    "background": (False,),
    "frequency_penalty": (0,),
    "functions": ([],),
    "include": ([],),
    "logit_bias": ({},),
    "logprobs": (False,),
    "metadata": ({},),
    "modalities": (["text"],),
    "n": (1,),
    "presence_penalty": (0,),
    "service_tier": ("auto", "default"),
    "store": (False,),
    "stream": (False,),
    "top_logprobs": (0,),
    "truncation": ("disabled",),
    "verbosity": ("medium",),
}
# Keys that do not change an answer.
_LEFT_OUT = frozenset(
    {"include", "metadata", "prediction", "prompt_cache_key", "prompt_cache_retention", "service_tier", "store", "stream_options"}
)  # fmt: skip
_STORED = "what it names is stored at OpenAI: write the messages out"
_TEXT_ALONE = "the Messages API answers in text alone"
# Keys that change an answer and have no counterpart, and what to do.
_NO_COUNTERPART: Mapping[str, str] = {
    "audio": _TEXT_ALONE,
    "background": "a batch runs in the background by itself",
    "conversation": _STORED,
    "frequency_penalty": "the Messages API has no penalties",
    "function_call": "use tool_choice, which replaced it",
    "functions": "use tools, which replaced it",
    "logit_bias": "the Messages API has no logit_bias",
    "logprobs": "the Messages API gives no probabilities of tokens",
    "max_tool_calls": "the Messages API has no such limit",
    "modalities": _TEXT_ALONE,
    "n": "the Messages API gives one answer: write a line of its own for each",
    "presence_penalty": "the Messages API has no penalties",
    "previous_response_id": _STORED,
    "prompt": _STORED,
    "seed": "the Messages API has no seed",
    "stream": "a batch cannot stream",
    "top_logprobs": "the Messages API gives no probabilities of tokens",
    "truncation": "the Messages API refuses a prompt that is too long",
    "verbosity": "ask for the length in the prompt",
    "web_search_options": "use the tool web_search of the Messages API",
}


class _Body:
    """A body whose keys are taken one by one, and the faults that were met."""

    def __init__(self, name: str, line: Mapping[str, Any], options: ConvertOptions) -> None:
        """`name`: the key of the body, with which the path of a fault begins."""
        self.name = name
        self.options = options
        self.faults: list[Fault] = []
        self.left = {key: value for key, value in line[name].items() if value is not None and key not in options.drop}

    def take(self, key: str, *kinds: type[Kind]) -> Kind | None:
        """Return the value of a key, which counts as converted then; None where it is absent or of another type."""
        value = self.left.pop(key, None)
        # Most keys are absent, and a path takes time to write.
        return None if value is None else self.typed(value, f"{self.name}.{key}", *kinds)

    def typed(self, value: object, path: str, *kinds: type[Kind]) -> Kind | None:
        """Return a value that has one of the types; None, with a fault unless it is null, where it has not."""
        # In Python true is an int.
        if isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds):
            return value
        if value is not None:
            names = " or ".join(_NAMES[kind] for kind in kinds if float not in kinds or kind is float)
            self.error(path, f"must be {names}, not {shown(value)}", "wrong_type")
        return None

    def element(self, value: object, path: str) -> Params | None:
        """Return an element of a list that must be an object; None, with a fault, where it is none."""
        if value is None:
            self.error(path, "must be an object, not null", "wrong_type")
        return self.typed(value, path, dict)

    def error(self, path: str, message: str, code: str = "cannot_convert") -> None:
        """Add an error."""
        self.faults.append(Fault(code, message, path=path))

    def warn(self, path: str, message: str) -> None:
        """Add the warning that something is left out."""
        self.faults.append(Fault("left_out", message, Severity.WARNING, path))

    def refuse(self, key: str, why: str, path: str = "") -> None:
        """Add the error that a value has no counterpart; dropping the key is the way out. `path`: where it is not the key's."""
        self.error(path or f"{self.name}.{shown_key(key)}", f"{why}; to leave it out, pass --drop {shown_key(key)}")

    def finish(self) -> None:
        """Judge the keys that are left."""
        for key, value in self.left.items():
            if value in _NEUTRAL.get(key, ()):
                continue
            if key in _LEFT_OUT:
                self.warn(f"{self.name}.{key}", "left out: it does not change the answer")
            elif key in _NO_COUNTERPART:
                self.refuse(key, _NO_COUNTERPART[key])
            else:
                self.refuse(key, f"unknown key{did_you_mean(key, _KEYS)}")

    def model(self) -> str:
        """Return the model to use."""
        named = self.take("model", str) or ""
        options = self.options
        model = options.models.get(named) or options.model or (named if named.startswith("claude-") else "")
        if not model and named:
            alone = f"--model {named}=MODEL" if re.fullmatch(r"[\w.:/@-]+", named) else "--model NAME=MODEL"
            advice = f"pass --model MODEL, or {alone} for this one alone"
            self.error(
                f"{self.name}.model", f"{shown(named)} is not a model of the Messages API: {advice}", "model_needed"
            )
        elif not model:
            self.error(f"{self.name}.model", "no model is named: pass --model MODEL", "model_needed")
        return model

    def max_tokens(self, *keys: str) -> int | None:
        """Return the limit of the answer, from the first of the keys that has one."""
        given = [limit for limit in (self.take(key, int) for key in keys) if limit is not None]
        limit = given[0] if given else self.options.max_tokens
        if limit is None:
            message = "the Messages API needs a limit for each answer: pass --max-tokens N"
            self.error(f"{self.name}.{keys[0]}", message, "max_tokens_needed")
        return limit


# ---------------------------------------------------------------- Messages requests of other clouds


def _of_messages(body: _Body) -> Params:
    """Return the params of a body that Amazon Bedrock or Google Cloud would take."""
    params: Params = {"model": body.model(), "max_tokens": body.max_tokens("max_tokens")}
    body.left.pop("anthropic_version", None)
    if betas := body.left.pop("anthropic_beta", None):
        names = " ".join(f"--beta {beta}" for beta in betas if _is_name(beta)) if isinstance(betas, list) else ""
        message = f"left out: a header of the whole batch; pass {names or '--beta NAME'} to batchctl submit"
        body.warn(f"{body.name}.anthropic_beta", message)
    return params | body.left


def _is_name(beta: object) -> bool:
    return isinstance(beta, str) and re.fullmatch(r"[A-Za-z0-9._-]{1,128}", beta) is not None


# ---------------------------------------------------------------- OpenAI's requests

_NAMES: Mapping[type, str] = {str: "text", int: "an integer", float: "a number", list: "a list", dict: "an object", bool: "true or false"}  # fmt: skip
_OF_BOTH = ("model", "temperature", "top_p", "tools", "tool_choice", "parallel_tool_calls", "user", "safety_identifier")
_OF_CHAT = ("messages", "max_completion_tokens", "max_tokens", "stop", "response_format", "reasoning_effort")
_OF_RESPONSES = ("input", "instructions", "max_output_tokens", "text", "reasoning")
_KEYS = (*_OF_BOTH, *_OF_CHAT, *_OF_RESPONSES, *_NEUTRAL, *_LEFT_OUT, *_NO_COUNTERPART)
EFFORTS = frozenset({"low", "medium", "high", "xhigh"})


def _of_chat(body: _Body) -> Params:
    conversation = _Conversation(body)
    model, limit = body.model(), body.max_tokens("max_completion_tokens", "max_tokens")
    path = f"{body.name}.messages"
    messages = body.take("messages", list)
    if messages is None and not any(fault.path == path for fault in body.faults):
        body.error(path, "a request needs messages", "key_missing")
    for at, message in enumerate(messages or ()):
        conversation.add_chat_message(message, f"{path}.{at}")
    output_config = _output_format(body, "response_format", body.take("response_format", dict))
    output_config |= _effort(body, "reasoning_effort", body.take("reasoning_effort", str))
    return _params(body, model, limit, conversation, output_config, _stop_sequences(body))


def _of_responses(body: _Body) -> Params:
    conversation = _Conversation(body)
    model, limit = body.model(), body.max_tokens("max_output_tokens")
    conversation.add_system(body.take("instructions", str) or "")
    given: object = body.left.pop("input", None)
    path = f"{body.name}.input"
    if given is None:
        body.error(path, "a request needs input", "key_missing")
    elif isinstance(given, str):
        conversation.add("user", given)
    else:
        for at, item in enumerate(body.typed(given, path, list, str) or ()):
            conversation.add_item(item, f"{path}.{at}")
    text, reasoning = body.take("text", dict) or {}, body.take("reasoning", dict) or {}
    for key, value in text.items():
        if key != "format" and value not in (None, *_NEUTRAL.get(key, ())):
            why = _NO_COUNTERPART.get(key, "unknown key")
            body.refuse("text", why, f"{body.name}.text.{shown_key(key)}")
    for key, value in reasoning.items():
        if key != "effort" and value is not None:
            body.warn(f"{body.name}.reasoning.{shown_key(key)}", "left out: it does not change the answer")
    output_config = _output_format(body, "text", body.typed(text.get("format"), f"{body.name}.text.format", dict))
    effort = body.typed(reasoning.get("effort"), f"{body.name}.reasoning.effort", str)
    return _params(body, model, limit, conversation, output_config | _effort(body, "reasoning", effort), None)


def _params(
    body: _Body,
    model: str,
    limit: int | None,
    conversation: "_Conversation",
    output_config: Params,
    stop_sequences: list[str] | None,
) -> Params:
    """Return the params with what both kinds of requests have; absent parts are left out."""
    tools = _tools(body)
    user, identifier = body.take("user", str), body.take("safety_identifier", str)
    user_id = user or identifier
    params = {
        "model": model,
        "max_tokens": limit,
        "system": conversation.system(),
        "messages": conversation.messages,
        "tools": tools,
        "tool_choice": _tool_choice(body, has_tools=bool(tools)),
        "temperature": _temperature(body),
        "top_p": body.take("top_p", float, int),
        "stop_sequences": stop_sequences,
        "output_config": output_config,
        "metadata": {"user_id": user_id} if user_id else None,
    }
    body.finish()
    # A temperature of 0 says something, an empty list does not.
    return {name: value for name, value in params.items() if value or value == 0 or name == "messages"}


def _temperature(body: _Body) -> float | None:
    value = body.take("temperature", float, int)
    if value is not None and not 0 <= value <= 1:
        body.refuse("temperature", f"{shown(value)}: the Messages API takes 0 to 1")
    return value


def _stop_sequences(body: _Body) -> list[str] | None:
    stop = body.take("stop", str, list)
    texts = [stop] if isinstance(stop, str) else stop or []
    return [text for text in (body.typed(each, f"{body.name}.stop", str) for each in texts) if text is not None]


def _output_format(body: _Body, key: str, wanted: Mapping[str, Any] | None) -> Params:
    """Return `output_config` with the form that answers are to have. `key`: where the body says it."""
    kind = (wanted or {"type": "text"}).get("type")
    if wanted is None or kind == "text":
        return {}
    path = f"{body.name}.{key}"
    if kind == "json_schema":
        inner = body.typed(wanted.get("json_schema", wanted), path, dict) or {}
        schema = body.typed(inner.get("schema"), f"{path}.schema", dict)
        if schema is not None:
            # OpenAI has the description beside the schema, where the Messages API takes none.
            described = {"description": inner["description"]} if isinstance(inner.get("description"), str) else {}
            return {"format": {"type": "json_schema", "schema": described | schema}}
        if inner.get("schema") is None:
            body.error(path, "needs a schema", "key_missing")
    else:
        body.refuse(key, f"{shown(kind)} has no counterpart: give a schema, or ask for JSON in the prompt", path)
    return {}


def _effort(body: _Body, key: str, effort: str | None) -> Params:
    if effort is None:
        return {}
    if effort not in EFFORTS:
        body.refuse(key, f"{shown(effort)} has no counterpart: use low, medium, high or xhigh")
    return {"effort": effort}


_NO_PARAMETERS: Params = {"type": "object", "properties": {}, "additionalProperties": False}


def _tools(body: _Body) -> list[Params]:
    """Return the functions; one of responses stands directly in its tool."""
    tools = []
    for at, given in enumerate(body.take("tools", list) or ()):
        path = f"{body.name}.tools.{at}"
        tool = body.element(given, path)
        if tool is None:
            continue
        if tool.get("type") != "function":
            body.error(f"{path}.type", f"{shown(tool.get('type'))}: only functions have a counterpart")
            continue
        function = body.typed(tool.get("function", tool), f"{path}.function", dict) or {}
        if not isinstance(function.get("name"), str):
            body.error(path, "a function needs a name", "key_missing")
        schema = body.typed(function.get("parameters"), f"{path}.parameters", dict)
        converted = {
            "name": function.get("name"),
            "description": body.typed(function.get("description"), f"{path}.description", str),
            "input_schema": schema or _NO_PARAMETERS,
            "strict": function.get("strict") is True or None,
        }
        tools.append({name: value for name, value in converted.items() if value is not None})
    return tools


_CHOICES = {"auto": "auto", "none": "none", "required": "any"}


def _tool_choice(body: _Body, *, has_tools: bool) -> Params | None:
    given = body.take("tool_choice", str, dict)
    one_at_a_time = body.take("parallel_tool_calls", bool) is False
    choice: Params | None = None
    match given:
        case None:
            choice = {"type": "auto"} if one_at_a_time else None
        case str() if given in _CHOICES:
            choice = {"type": _CHOICES[given]}
        case {"type": "function", "function": {"name": str(name)}} | {"type": "function", "name": str(name)}:
            choice = {"type": "tool", "name": name}
        case _:
            body.refuse("tool_choice", f"{shown(given)} has no counterpart: use auto, none, required or one function")
    if choice is None or not has_tools:
        return None
    return {**choice, "disable_parallel_tool_use": True} if one_at_a_time and choice["type"] != "none" else choice


# ---------------------------------------------------------------- messages

# Tuples, because a value from a file may have no hash.
_TEXTS = ("text", "input_text", "output_text", "refusal")
_IMAGES = ("image_url", "input_image")
_FILES = ("file", "input_file")
_INSTRUCTIONS = ("system", "developer")
# Keys of a message that say nothing about the conversation, where they say anything.
_OF_ANSWERS = frozenset({"annotations", "id", "status", "type"})
_DATA_URL = re.compile(r"data:(?P<type>[\w.+-]+/[\w.+-]+);base64,(?P<data>.*)", re.DOTALL)
PDF = "application/pdf"


class _Conversation:
    """The messages of one request. Results of tools that follow each other are one message, as the Messages API wants them."""

    def __init__(self, body: _Body) -> None:
        self._body = body
        self._system: list[str] = []
        self.messages: list[Params] = []

    def system(self) -> str | list[Params]:
        """Return the system prompt, with a block for each text where there are several."""
        return self._system[0] if len(self._system) == 1 else [_text(text) for text in self._system]

    def add_system(self, text: str) -> None:
        """Add to the system prompt."""
        self._system += [text] if text else []

    def add(self, role: str, content: str | list[Params]) -> None:
        """Add a message."""
        self.messages.append({"role": role, "content": content})

    def add_chat_message(self, given: object, path: str) -> None:
        """Add a message of chat completions."""
        message = self._body.element(given, path)
        if message is None:
            return
        role, content = message.get("role"), message.get("content")
        if role in _INSTRUCTIONS:
            self._add_instruction(content, path)
        elif role == "user":
            self.add(role, self._content(content, f"{path}.content", _TEXTS + _IMAGES + _FILES))
        elif role == "assistant":
            self._add_answer(message, path)
        elif role == "tool":
            self._add_result(message.get("tool_call_id"), content, f"{path}.content")
        else:
            known = "system, developer, user, assistant and tool"
            self._body.error(f"{path}.role", f"{shown(role)}: the roles that can be converted are {known}")
        self._judge_rest(message, {"role", "content", "tool_calls", "tool_call_id", "refusal"}, path)

    def add_item(self, given: object, path: str) -> None:
        """Add an item of the input of responses."""
        item = self._body.element(given, path)
        if item is None:
            return
        kind = item.get("type", "message")
        if kind == "message":
            self.add_chat_message(item, path)
        elif kind == "function_call":
            block = self._tool_use(item.get("call_id"), item.get("name"), item.get("arguments"), path)
            last: Params = self.messages[-1] if self.messages else {"role": ""}
            if last["role"] == "assistant":
                last["content"] = [*_as_blocks(last["content"]), block]
            else:
                self.add("assistant", [block])
        elif kind == "function_call_output":
            self._add_result(item.get("call_id"), item.get("output"), f"{path}.output")
        else:
            self._body.error(f"{path}.type", f"{shown(kind)}: no such item can be converted: remove it")

    def _add_instruction(self, content: object, path: str) -> None:
        blocks = _as_blocks(self._content(content, f"{path}.content", _TEXTS))
        if self.messages:
            message = "stands in the middle of the conversation: put it first, or make it a message of the user"
            self._body.error(f"{path}.role", message)
        for block in blocks:
            self.add_system(block["text"])

    def _add_answer(self, message: Mapping[str, Any], path: str) -> None:
        content = self._content(message.get("content") or message.get("refusal") or "", f"{path}.content", _TEXTS)
        uses = []
        for at, given in enumerate(self._body.typed(message.get("tool_calls"), f"{path}.tool_calls", list) or ()):
            where = f"{path}.tool_calls.{at}"
            call = self._body.element(given, where) or {}
            function = self._body.typed(call.get("function"), f"{where}.function", dict)
            if function is not None:
                uses.append(self._tool_use(call.get("id"), function.get("name"), function.get("arguments"), where))
            elif isinstance(given, dict) and call.get("function") is None:
                self._body.error(where, "only calls of functions have a counterpart")
        self.add("assistant", [*_as_blocks(content), *uses] if uses else content)

    def _add_result(self, call_id: object, content: object, path: str) -> None:
        block = {"type": "tool_result", "tool_use_id": call_id, "content": self._content(content, path, _TEXTS)}
        if not isinstance(call_id, str):
            self._body.error(path, "a result needs the id of its call", "key_missing")
        last: Params = self.messages[-1] if self.messages else {"content": ""}
        if isinstance(last["content"], list) and last["content"] and last["content"][-1]["type"] == "tool_result":
            last["content"].append(block)
        else:
            self.add("user", [block])

    def _tool_use(self, call_id: object, name: object, arguments: object, path: str) -> Params:
        if not isinstance(call_id, str) or not isinstance(name, str):
            self._body.error(path, "a call needs an id and a name", "key_missing")
        value: object = arguments
        if isinstance(arguments, str):
            try:
                value = orjson.loads(arguments) if arguments.strip() else {}
            except orjson.JSONDecodeError:
                value = None
        if not isinstance(value, dict):
            self._body.error(f"{path}.arguments", "the arguments of a call must be a JSON object: correct them")
        return {"type": "tool_use", "id": call_id, "name": name, "input": value}

    def _judge_rest(self, message: Mapping[str, Any], known: Collection[str], path: str) -> None:
        for key, value in message.items():
            if key in known or key in _OF_ANSWERS or not value:
                continue
            if key == "name":
                self._body.warn(f"{path}.name", "left out: messages have no names")
            else:
                self._body.error(f"{path}.{shown_key(key)}", "has no counterpart: remove it")

    # ------------------------------------------------------------ content

    def _content(self, content: object, path: str, kinds: Collection[str]) -> str | list[Params]:
        """Return content as text or as blocks; `kinds` are the types of parts that may stand here."""
        if content is None or isinstance(content, str):
            return content or ""
        parts = self._body.typed(content, path, list, str) or []
        blocks = [self._part(part, f"{path}.{at}", kinds) for at, part in enumerate(parts)]
        return [block for block in blocks if block is not None]

    def _part(self, part: object, path: str, kinds: Collection[str]) -> Params | None:
        given = self._body.element(part, path)
        if given is None:
            return None
        kind = given.get("type")
        if kind not in kinds:
            self._body.error(f"{path}.type", f"{shown(kind)} cannot be converted here")
            return None
        if kind in _TEXTS:
            text = self._body.typed(given.get("text", given.get("refusal")), f"{path}.text", str)
            return _text(text or "")
        return self._image(given, path) if kind in _IMAGES else self._file(given, path)

    def _image(self, part: Mapping[str, Any], path: str) -> Params | None:
        inner = part.get("image_url")
        image = inner if isinstance(inner, dict) else {"url": inner, "detail": part.get("detail")}
        if image.get("detail") not in (None, "auto"):
            self._body.warn(f"{path}.detail", "left out: the Messages API decides how closely it looks")
        return self._source("image", image.get("url"), f"{path}.image_url", {})

    def _file(self, part: Mapping[str, Any], path: str) -> Params | None:
        inner = part.get("file", part)
        file = self._body.typed(inner, f"{path}.file", dict) or {}
        title = {"title": file["filename"]} if isinstance(file.get("filename"), str) else {}
        return self._source("document", file.get("file_data") or file.get("file_url"), f"{path}.file", title)

    def _source(self, kind: str, url: object, path: str, more: Params) -> Params | None:
        """Return a block of an image or a PDF from its URL, or from the data in it."""
        if isinstance(url, str) and url.startswith(("https://", "http://")):
            return {"type": kind, "source": {"type": "url", "url": url}, **more}
        data = _DATA_URL.fullmatch(url) if isinstance(url, str) else None
        if data is None:
            self._body.error(path, "is stored elsewhere: put it in as a data: URL in base64, or as a URL of the web")
            return None
        if kind == "document" and data["type"] != PDF:
            self._body.error(path, f"{shown(data['type'])}: only PDF files can be converted")
            return None
        return {"type": kind, "source": {"type": "base64", "media_type": data["type"], "data": data["data"]}, **more}


def _text(text: str) -> Params:
    return {"type": "text", "text": text}


def _as_blocks(content: str | list[Params]) -> list[Params]:
    """Return content as blocks; empty text is none."""
    return [_text(content)] * bool(content) if isinstance(content, str) else content
