"""The account's models as the API describes them."""

from collections.abc import Callable
from typing import Any

import pytest
from loopback import always, answering, as_json

from batchctl.api.protocol import MessageBatches
from batchctl.domain.errors import ApiFailure
from batchctl.domain.model_catalog import Model


def test_pages_follow_one_another_and_an_end_that_never_comes_is_none(
    connect: Callable[..., MessageBatches],
) -> None:
    pages = {"": ("a", True), "a": ("b", True), "b": ("c", False)}

    def page(_method: str, path: str) -> Any:
        name, has_more = pages[path.partition("after_id=")[2]]
        return as_json({"data": [{"id": name}], "has_more": has_more, "last_id": name})

    with answering(page) as server:
        assert [model.id for model in connect(server.url).models().models] == ["a", "b", "c"]
        assert "lifecycle%5B%5D=retired" in server.asked[0].path
        pages["b"] = ("a", True)
        with pytest.raises(ApiFailure, match="no end"):
            connect(server.url).models()


@pytest.mark.parametrize(
    "said",
    [
        {},
        {"lifecycle": None, "retires_at": None, "max_tokens": None, "capabilities": None},
        {"retires_at": "1970-01-01T00:00:00Z", "max_tokens": 0, "capabilities": {}},
        {"retires_at": "soon", "max_tokens": "many", "capabilities": {"batch": True}},
        {"retires_at": 5, "max_tokens": True, "capabilities": {"batch": {"supported": "yes"}}},
        {"retires_at": ["x"], "max_tokens": -1, "capabilities": ["batch"]},
    ],
)
def test_of_what_is_said_in_another_way_nothing_is_known(
    connect: Callable[..., MessageBatches], said: dict[str, Any]
) -> None:
    with answering(always(as_json({"id": "a", **said}))) as server:
        assert connect(server.url).model("a") == Model(id="a")


def test_one_model_that_cannot_be_read_hides_no_other(connect: Callable[..., MessageBatches]) -> None:
    with answering(always(as_json({"data": [5, {"id": 7}, {"id": "b"}], "has_more": False}))) as server:
        assert connect(server.url).models().models == (Model(id="b"),)


@pytest.mark.parametrize("answer", [{"data": {}}, {"data": []}, {"data": [], "has_more": True}, [], b"<html>"])
def test_an_answer_of_another_shape_is_no_list(connect: Callable[..., MessageBatches], answer: Any) -> None:
    with answering(always(as_json(answer))) as server, pytest.raises(ApiFailure):
        connect(server.url).models()
