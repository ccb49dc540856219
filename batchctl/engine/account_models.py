"""The models that the account has: read from the API, kept for a day, and compared with the models that requests name.

An input can be checked without them: it is said which models were not compared, and the API checks them later.
"""

import contextlib
from dataclasses import replace
from functools import lru_cache

from batchctl.api.secrets import shown_url
from batchctl.domain.check_report import Depth
from batchctl.domain.errors import AccountProblem, ApiFailure, DiskProblem, ServiceProblem
from batchctl.domain.events import ModelDeprecated
from batchctl.domain.faults import Fault, Severity
from batchctl.domain.model import Settings
from batchctl.domain.model_catalog import DEPRECATED, Catalog, Model, model_faults, unknown_faults
from batchctl.engine.session import ApiSession, ReadSession
from batchctl.store.models_file import read_catalog, write_catalog

NO_ANSWER = (ApiFailure, AccountProblem, ServiceProblem)
NO_LIST = "no model list of today is stored, and this command does not ask the API"
# Calls for single models. An input may name as many models as it has lines.
MAX_ASKED = 20


class AccountModels:
    """The known models, and the faults of requests that they show.

    Attributes:
        faults: A function of a model and `max_tokens`: the faults of a request, None where the model is not known.
        why_not: Why a model was not compared; empty where all were.
    """

    def __init__(self, session: ReadSession, settings: Settings, depth: Depth) -> None:
        """Read the models that are kept, or ask the API where the session can."""
        self._session = session
        self._betas = settings.betas
        # With this depth, a person says that the API is newer than this program.
        self._only_warns = depth is Depth.ENVELOPE
        self._now = session.now()
        self._asked = 0
        self._emitted: set[str] = set()
        self.why_not = ""
        self._catalog = self._known()
        self.faults = lru_cache(4096)(self._faults)

    def keep(self) -> None:
        """Keep what the API answered, for later commands. A disk that cannot be written stops nothing."""
        if self._asked and self._catalog is not None:
            with contextlib.suppress(DiskProblem):
                write_catalog(self._session.workspace.files, self._catalog)

    def _known(self) -> Catalog | None:
        session = self._session
        kept = read_catalog(session.workspace.files)
        if kept is not None and not kept.is_fresh(_api(session.base_url), self._now):
            kept = None
        if not isinstance(session, ApiSession):
            self.why_not = "" if kept else NO_LIST
            return kept
        try:
            if kept is not None:
                # They are of this URL; the first answer of the API shows whether they are of this account.
                session.server.meet()
                if kept.is_fresh(_api(session.base_url, session.server.account.named), self._now):
                    return kept
            answer = session.message_batches.models()
        except NO_ANSWER as problem:
            self.why_not = _message(problem)
            return None
        self._asked += 1
        return Catalog(
            api=_api(session.base_url, answer.account),
            asked_at=self._now,
            models={model.id: model for model in answer.models},
        )

    def _faults(self, name: str, max_tokens: int) -> tuple[Fault, ...] | None:
        """Return the faults of every request with this model and `max_tokens`; None where the model is not known."""
        if self._catalog is None:
            return None
        model = self._catalog.models.get(name) or self._by_alias(self._catalog, name)
        if model is not None:
            if model.lifecycle == DEPRECATED and model.id not in self._emitted:
                self._emitted.add(model.id)
                self._session.emit(ModelDeprecated(model.id, model.retires_at))
            faults = model_faults(model, max_tokens, betas=self._betas, now=self._now)
        elif name in self._catalog.unknown:
            faults = unknown_faults(name, self._catalog.models)
        else:
            return None
        return tuple(replace(fault, severity=Severity.WARNING) if self._only_warns else fault for fault in faults)

    def _by_alias(self, catalog: Catalog, name: str) -> Model | None:
        """Ask for a model that the list does not have, as for an alias. None where it is unknown, or cannot be asked for."""
        session = self._session
        if not isinstance(session, ApiSession) or self._asked > MAX_ASKED:
            if name not in catalog.unknown:
                self.why_not = f"{name} is not in the list, and was not asked for"
            return None
        self._asked += 1
        try:
            model = session.message_batches.model(name)
        except NO_ANSWER as problem:
            if isinstance(problem, ApiFailure) and problem.status == 404:
                self._catalog = replace(catalog, unknown=catalog.unknown | {name})
            else:
                self.why_not = f"{name}: {_message(problem)}"
            return None
        self._catalog = replace(catalog, models={**catalog.models, name: model}, unknown=catalog.unknown - {name})
        return model


def _api(base_url: str, account: str = "") -> str:
    return f"{shown_url(base_url) if base_url else 'default'} {account}".strip()


def _message(problem: Exception) -> str:
    return problem.message if isinstance(problem, AccountProblem | ServiceProblem) else str(problem)
