"""The API's own rules about `params`, from a dated table: what it would say to a request an hour after a batch was created.

The table is `rules.toml`, whose head explains its keys. A rule names a place in `params` and the values that are refused there,
or a function of `requests.rule_checks` that looks closer. A rule that rests on one report alone is a warning.
"""

import tomllib
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import MISSING, dataclass, fields
from datetime import date
from functools import cache, lru_cache
from importlib import resources
from itertools import combinations, permutations
from typing import Any

from batchctl.domain.faults import Fault, Severity, did_you_mean, shown
from batchctl.domain.groups import APART
from batchctl.domain.model import Headers
from batchctl.domain.model_catalog import is_form_of
from batchctl.requests.rule_checks import REQUEST_CHECKS, SHAPE_CHECKS

TABLE = "rules.toml"
# What a rule rests on, and how much that is worth. One report may be a mistake, or of another model.
EVIDENCE = {
    "documentation": Severity.ERROR,
    "capture": Severity.ERROR,
    "two reports": Severity.ERROR,
    "one report": Severity.WARNING,
}
ANY = "*"
CHECKS = {**SHAPE_CHECKS, **REQUEST_CHECKS}

Params = Mapping[str, Any]


class RuleTableProblem(ValueError):
    """The table has a key or a value that it must not have, or two rules that contradict each other."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What the API refuses.

    Attributes:
        code: The code of its faults.
        path: The place in `params` that it is about: keys separated by dots, `*` for each element of a list.
        message: What is wrong, to be read after the path. `{value}` stands for the value that was found.
        cure: What to write instead.
        evidence: What it rests on: a key of EVIDENCE.
        sources: Where it is written, most official first.
        seen: The day on which the sources were read.
        models: The models that it holds for, by id; empty for all models, those not known here included.
        not_models: Where it names no models: those that it does not hold for.
        api_versions: The API versions that it holds for; empty for all.
        unless_betas: How the betas begin that make it pass; empty where none does.
        values: The values that are refused; empty where every value but null is.
        check: The function of `requests.rule_checks` that finds its faults, in place of `values`; empty for none.
        about: The params that it looks at; it is passed over where none of them is there. Empty for the first key of `path`.
        until: The day from which on it has to be read up anew; None for none.
    """

    code: str
    path: str
    message: str
    cure: str
    evidence: str
    sources: tuple[str, ...]
    seen: date
    models: tuple[str, ...] = ()
    not_models: tuple[str, ...] = ()
    api_versions: tuple[str, ...] = ()
    unless_betas: tuple[str, ...] = ()
    values: tuple[object, ...] = ()
    check: str = ""
    about: tuple[str, ...] = ()
    until: date | None = None

    @property
    def severity(self) -> Severity:
        """Whether a fault of this rule keeps a request from being sent."""
        return EVIDENCE[self.evidence]

    @property
    def is_of_each_request(self) -> bool:
        """Whether requests of one group may differ in its faults."""
        return self.check in REQUEST_CHECKS or self.path.partition(".")[0] in APART

    def looks_at(self, names: Collection[str]) -> bool:
        """Return whether params of these names may have a fault of this rule."""
        return any(name in names for name in self.about or (self.path.partition(".")[0],))

    def faults(self, params: Params, max_tokens: Collection[int]) -> Iterator[Fault]:
        """Yield its faults in params. `max_tokens`: those of all requests that have these params."""
        check = CHECKS.get(self.check)
        found = check(params, max_tokens) if check else _refused(params, self.path, self.values)
        for path, value in found:
            message = self.message.replace("{value}", shown(value))
            yield Fault(self.code, f"{message}: {self.cure}", self.severity, f"params.{path}".rstrip("."))

    def holds_for(self, model: str) -> bool:
        """Return whether it holds for a model. A rule that names models does not hold for one that is not known here."""
        named = any(is_form_of(model, name) for name in self.models or self.not_models)
        return named if self.models else not named

    def holds_with(self, headers: Headers) -> bool:
        """Return whether it holds for requests that are sent with these headers."""
        is_lifted = any(beta.startswith(self.unless_betas) for beta in headers.betas)
        return not is_lifted and (not self.api_versions or headers.api_version in self.api_versions)

    def is_past(self, today: date) -> bool:
        """Return whether its sources have to be read anew."""
        return self.until is not None and today >= self.until


def _refused(params: Params, path: str, values: Collection[object]) -> Iterator[tuple[str, object]]:
    """Yield each place that `path` leads to where one of the values stands; any but null where there are no values."""
    for place, value in _places(params, path.split("."), ()):
        # In Python true is the number 1, and in JSON it is not.
        if any(value == each and type(value) is type(each) for each in values) if values else value is not None:
            yield place, value


def _places(value: object, keys: Sequence[str], before: tuple[str, ...]) -> Iterator[tuple[str, object]]:
    if not keys:
        yield ".".join(before), value
    elif keys[0] == ANY and isinstance(value, list):
        for position, each in enumerate(value):
            yield from _places(each, keys[1:], (*before, str(position)))
    elif isinstance(value, Mapping) and keys[0] in value:
        yield from _places(value[keys[0]], keys[1:], (*before, keys[0]))


class Rules:
    """The rules that hold for requests with the same headers."""

    def __init__(self, headers: Headers, table: Sequence[Rule] | None = None) -> None:
        """`table`: None for the one that is shipped."""
        rules = rule_table() if table is None else table
        self._rules = [rule for rule in rules if rule.holds_with(headers)]
        self._of_names = lru_cache(4096)(self._chosen)

    def faults(self, params: Params, max_tokens: Collection[int]) -> list[Fault]:
        """Return all faults of params, which may be those that many requests have in common: then without their messages.

        `max_tokens`: those of all these requests.
        """
        return [
            fault for rule in self._of_names(_model(params), tuple(params)) for fault in rule.faults(params, max_tokens)
        ]

    def faults_of_request(self, params: Params) -> list[Fault]:
        """Return the faults in which the requests of a group may differ."""
        rules = self._of_names(_model(params), tuple(params))
        return [fault for rule in rules if rule.is_of_each_request for fault in rule.faults(params, ())]

    def of_model(self, model: str) -> list[Rule]:
        """Return the rules that hold for a model, those for all models included."""
        return [rule for rule in self._rules if rule.holds_for(model)]

    def _chosen(self, model: str, names: tuple[str, ...]) -> list[Rule]:
        return [rule for rule in self._rules if rule.holds_for(model) and rule.looks_at(names)]


def _model(params: Params) -> str:
    model = params.get("model")
    return model if isinstance(model, str) else ""


# ---------------------------------------------------------------- the table


@cache
def rule_table() -> tuple[Rule, ...]:
    """Return the rules that are shipped."""
    return read_table(resources.files("batchctl.requests").joinpath(TABLE).read_text("utf-8"))


def read_table(text: str) -> tuple[Rule, ...]:
    """Return the rules of a table. Raises RuleTableProblem for a key or a value that is not known."""
    try:
        table = tomllib.loads(text)
    except tomllib.TOMLDecodeError as wrong:
        raise RuleTableProblem(str(wrong)) from None
    if unknown := table.keys() - {"rule", "models"}:
        raise RuleTableProblem(f"unknown key {min(unknown)!r}")
    families = table.get("models", {})
    return tuple(_rule(fields, families) for fields in table.get("rule", ()))


_NAMES = {each.name: each for each in fields(Rule)}
_NEEDED = [name for name, each in _NAMES.items() if each.default is MISSING]


def _rule(given: dict[str, Any], families: Mapping[str, Sequence[str]]) -> Rule:
    code = given.get("code", "a rule without a code")
    if unknown := given.keys() - _NAMES.keys():
        raise RuleTableProblem(f"{code}: unknown key {min(unknown)!r}{did_you_mean(min(unknown), _NAMES)}")
    if missing := [name for name in _NEEDED if not given.get(name)]:
        raise RuleTableProblem(f"{code}: needs {missing[0]!r}")
    if given["evidence"] not in EVIDENCE:
        raise RuleTableProblem(f"{code}: evidence is one of {', '.join(EVIDENCE)}, not {given['evidence']!r}")
    if given.get("check", "") not in {"", *CHECKS}:
        raise RuleTableProblem(f"{code}: no check is called {given['check']!r}{did_you_mean(given['check'], CHECKS)}")
    for name in ("seen", "until"):
        if name in given and not isinstance(given[name], date):
            raise RuleTableProblem(f"{code}: {name} is a date, like 2026-11-29")
    values: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in given.items()}
    for name in ("models", "not_models"):
        values[name] = tuple(model for named in given.get(name, ()) for model in families.get(named, (named,)))
    return Rule(**values)


def contradictions(rules: Sequence[Rule]) -> list[str]:
    """Return which rules say of the same place, for the same model, version and value, what cannot both be so."""
    found = []
    for first, second in combinations(rules, 2):
        if first.code == second.code and first.severity is not second.severity and _meet(first, second):
            found.append(f"{first.code}: twice, as {first.severity} and as {second.severity}")
        elif first.code != second.code and first.path == second.path and not (first.check or second.check):
            found += (
                [f"{first.code} and {second.code}: the same values of {first.path}"] if _meet(first, second) else []
            )
    return found


def _meet(first: Rule, second: Rule) -> bool:
    """Return whether a model, a version and a value exist that both rules are about. An empty list stands for all."""
    sides = ((first.models, second.models), (first.api_versions, second.api_versions), (first.values, second.values))
    is_excluded = any(
        one.models and set(one.models) <= set(other.not_models) for one, other in permutations((first, second))
    )
    return not is_excluded and all(not one or not other or not set(one).isdisjoint(other) for one, other in sides)
