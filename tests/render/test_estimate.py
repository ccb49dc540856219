"""An estimate as it is drawn."""

from datetime import date

import pytest
from render.drawing import drawn

from batchctl.money.advice import Advice, Code
from batchctl.money.estimate import Estimate, ModelEstimate, Range
from batchctl.render import estimate


def an_estimate(*models: str) -> Estimate:
    tokens = Range(low=1, expected=2, high=3)
    return Estimate(
        day=date(2026, 11, 21),
        requests=10,
        counted=0,
        models=tuple(
            ModelEstimate(
                model=model,
                requests=5,
                groups=1,
                input=tokens,
                output=tokens,
                batch=None,
                real_time=None,
                model_prices=None,
            )
            for model in models
        ),
        forecast=None,
        real_time=None,
        unpriced=models,
        caches=(),
        how=(),
        sources=(),
        advice=(Advice(code=Code.PROMPT_NOT_CACHED, model=models[0], requests=5, text="5 requests begin alike"),),
    )


@pytest.mark.parametrize(
    ("models", "said"),
    [(("one",), "  5 requests begin alike"), (("one", "two"), "  one: 5 requests begin alike")],
)
def test_of_several_models_advice_names_its_own(models: tuple[str, ...], said: str) -> None:
    assert f"to know{said}" in drawn(estimate.draw(an_estimate(*models)))
