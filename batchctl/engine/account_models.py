"""The models of the account: asked before an input is checked, kept for a day, and held against what requests name.

Whether they can be asked is no condition of anything: what was not held against them is said, and the API has its word later.
"""

import contextlib
from dataclasses import replace
from functools import lru_cache

from batchctl.api.secrets import shown_url
from batchctl.domain.catalog import DEPRECATED, Catalog, Model, model_faults, unknown_faults
from batchctl.domain.errors import AccountProblem, ApiFailure, DiskProblem, ServiceProblem
from batchctl.domain.events import ModelDeprecated
from batchctl.domain.faults import Fault, Severity
from batchctl.domain.model import Settings
from batchctl.domain.scan import Depth
from batchctl.engine.session import ApiSession, ReadSession
from batchctl.store.model_catalog import read_catalog, write_catalog

NOT_TOLD = (ApiFailure, AccountProblem, ServiceProblem)
NO_LIST = "no list of them from today is here, and nobody is asked"
# An input may name as many models as it has lines.
MOST_ASKED = 20


class AccountModels:
    """What is known of the models, and the judge of requests. `why_not` says why one was not judged; empty for all."""

    def __init__(self, session: ReadSession, settings: Settings, depth: Depth) -> None:
        self._session = session
        self._betas = settings.betas
        # Whoever says that the API is newer than this program is believed.
        self._only_warns = depth is Depth.ENVELOPE
        self._now = session.now()
        self._asked = 0
        self._told: set[str] = set()
        self.why_not = ""
        self._catalog = self._known()
        self.faults = lru_cache(4096)(self._faults)

    def keep(self) -> None:
        """What was learned on the way, for who asks next. A disk that does not take it stops nothing."""
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
                # Of this URL; whether of this account, the first answer tells.
                session.server.meet()
                if kept.is_fresh(_api(session.base_url, session.server.account.named), self._now):
                    return kept
            return self._ask(session)
        except NOT_TOLD as problem:
            self.why_not = _said(problem)
            return None

    def _ask(self, session: ApiSession) -> Catalog:
        found = session.message_batches.models()
        self._asked += 1
        return Catalog(
            api=_api(session.base_url, found.account),
            asked_at=self._now,
            models={model.id: model for model in found.models},
        )

    def _faults(self, name: str, max_tokens: int) -> tuple[Fault, ...] | None:
        """Of every request that names this model and this limit; None where it cannot be told."""
        if self._catalog is None:
            return None
        model = self._catalog.models.get(name) or self._by_alias(self._catalog, name)
        if model is not None:
            self._tell_of_end(model)
            found = model_faults(model, max_tokens, betas=self._betas, now=self._now)
        elif name in self._catalog.unknown:
            found = unknown_faults(name, self._catalog.models)
        else:
            return None
        return tuple(replace(one, severity=Severity.WARNING) if self._only_warns else one for one in found)

    def _by_alias(self, catalog: Catalog, name: str) -> Model | None:
        """A name that the list does not have is asked for by itself. None where it is unknown, or cannot be asked for."""
        session = self._session
        if not isinstance(session, ApiSession) or self._asked > MOST_ASKED:
            if name not in catalog.unknown:
                self.why_not = f"{name} is not in the list, and was not asked for"
            return None
        self._asked += 1
        try:
            model = session.message_batches.model(name)
        except NOT_TOLD as problem:
            if isinstance(problem, ApiFailure) and problem.status == 404:
                self._catalog = replace(catalog, unknown=catalog.unknown | {name})
            else:
                self.why_not = f"{name}: {_said(problem)}"
            return None
        self._catalog = replace(catalog, models={**catalog.models, name: model}, unknown=catalog.unknown - {name})
        return model

    def _tell_of_end(self, model: Model) -> None:
        if model.lifecycle == DEPRECATED and model.id not in self._told:
            self._told.add(model.id)
            self._session.emit(ModelDeprecated(model.id, model.retires_at))


def _api(base_url: str, account: str = "") -> str:
    return f"{shown_url(base_url) if base_url else 'default'} {account}".strip()


def _said(problem: Exception) -> str:
    return problem.message if isinstance(problem, AccountProblem | ServiceProblem) else str(problem)
