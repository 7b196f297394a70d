"""Subscriptions over real HTTP: what is missing is made, what is wrong replaced, what is right left alone."""

from __future__ import annotations

from datetime import timedelta

import pytest

from mdus.domain.head_end import Probe
from mdus.headends.token_poll.adapter import TokenPollHeadEnd
from mdus.messaging.retry import TransientError
from tests.unit.headends.token_poll.messages import CHANNELS, row
from tests.unit.headends.token_poll.scripted import Scripted, ScriptedTokenPoll, answer, fault

LIST = "RetrieveSubscriptionsBySystemName"
ADDRESS = "http://127.0.0.1:1/head-ends/city"
CATEGORIES = ("Configuration", "StatusEvent", "CommonOperation", "PowerOutageOrRestoration", "Communication")


def subscription(
    number: str,
    kind: str,
    *,
    address: str = "",
    groups: tuple[str, ...] = ("ALL",),
    categories: tuple[str, ...] = CATEGORIES,
) -> str:
    address = address or f"{ADDRESS}/{kind.lower()}"
    told = "".join(f"<Group>{each}</Group>" for each in groups)
    wanted = "".join(f"<ExceptionCategory>{each}</ExceptionCategory>" for each in categories if kind == "Exceptions")
    return (
        f"<Subscription><SubscriptionID>{number}</SubscriptionID><Kind>{kind}</Kind><Address>{address}</Address>"
        f"<Groups>{told}</Groups><ExceptionCategories>{wanted}</ExceptionCategories></Subscription>"
    )


def there(*subscriptions: str) -> Scripted:
    return answer(f"{LIST}Response", f"<Subscriptions>{''.join(subscriptions)}</Subscriptions>")


def done(scripted: ScriptedTokenPoll) -> list[str]:
    return [each.name for each in scripted.asked if each.name not in ("Login", LIST)]


class TestProbe:
    def test_makes_the_subscriptions_that_are_missing(
        self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll
    ) -> None:
        scripted.script[LIST] = [there()]

        assert head_end.probe().text == "2 subscriptions made, 0 ended"
        assert done(scripted) == ["SubscribeToEndpointData", "SubscribeToEndpointExceptionsByGroups"]
        data, exceptions = scripted.asked[-2:]
        assert (data.texts("Address"), data.texts("Group")) == ([f"{ADDRESS}/data"], ["ALL"])
        assert exceptions.texts("Address") == [f"{ADDRESS}/exceptions"]
        assert exceptions.texts("ExceptionCategory") == list(CATEGORIES)
        assert {*data.texts("SystemName"), *exceptions.texts("SystemName")} == {"MDUS"}

    def test_leaves_alone_what_is_right(self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll) -> None:
        scripted.script[LIST] = [there(subscription("1", "Data"), subscription("2", "Exceptions"))]

        head_end.probe()

        assert done(scripted) == []

    @pytest.mark.parametrize("options", [{}, {"subscriptions_checked_minutes": 5}])
    def test_wants_to_be_asked_again_soon(self, scripted: ScriptedTokenPoll, options: dict[str, int]) -> None:
        head_end = TokenPollHeadEnd(row(scripted.url, options=options), channels=CHANNELS)
        scripted.script[LIST] = [there()]

        assert head_end.probe().again_after == timedelta(minutes=options.get("subscriptions_checked_minutes", 15))
        head_end.close()

    def test_makes_the_one_that_was_lost(self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll) -> None:
        scripted.script[LIST] = [there(subscription("1", "Data"))]

        head_end.probe()

        assert done(scripted) == ["SubscribeToEndpointExceptionsByGroups"]

    @pytest.mark.parametrize(
        "wrong",
        [
            pytest.param(subscription("2", "Exceptions", address="http://old/exceptions"), id="another address"),
            pytest.param(subscription("2", "Exceptions", groups=("NORTH",)), id="other groups"),
            pytest.param(subscription("2", "Exceptions", categories=CATEGORIES[1:]), id="a category less"),
        ],
    )
    def test_replaces_one_that_is_wrong(
        self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll, wrong: str
    ) -> None:
        scripted.script[LIST] = [there(subscription("1", "Data"), wrong)]

        assert head_end.probe().text == "1 subscriptions made, 1 ended"
        assert done(scripted) == ["SubscribeToEndpointExceptionsByGroups", "CancelExceptionSubscription"]
        assert scripted.asked[-1].texts("SubscriptionID") == ["2"]

    def test_names_the_one_that_data_is_told_by(self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll) -> None:
        made = answer("SubscribeToEndpointDataResponse", "<SubscriptionID>7</SubscriptionID>")
        scripted.script["SubscribeToEndpointData"] = [made, made, answer("SubscribeToEndpointDataResponse")]
        scripted.script[LIST] = [
            there(subscription("1", "Data"), subscription("2", "Exceptions")),
            there(subscription("1", "Data"), subscription("3", "Data")),
            there(subscription("2", "Exceptions")),
            there(subscription("1", "Data", address="http://old/data")),
            there(),
        ]

        assert [head_end.probe().subscription for _ in range(5)] == ["1", "1", "7", "7", "just made"]

    def test_ends_one_that_is_there_twice(self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll) -> None:
        both = (subscription("1", "Data"), subscription("3", "Data"), subscription("2", "Exceptions"))
        scripted.script[LIST] = [there(*both)]

        head_end.probe()

        assert done(scripted) == ["CancelDataSubscription"]
        assert scripted.asked[-1].texts("SubscriptionID") == ["3"]

    @pytest.mark.parametrize("action", [LIST, "SubscribeToEndpointData"])
    @pytest.mark.parametrize("told", [None, (503, b""), fault(kind="Client")])
    def test_is_for_another_time_when_it_breaks_off(
        self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll, action: str, told: Scripted
    ) -> None:
        scripted.script[action] = [told]

        with pytest.raises(TransientError):
            head_end.probe()

    @pytest.mark.parametrize(
        "wrong", [pytest.param((), id="missing"), pytest.param(("http://old/data",), id="at another address")]
    )
    def test_is_not_made_to_reach_the_head_end(
        self, head_end: TokenPollHeadEnd, scripted: ScriptedTokenPoll, wrong: tuple[str, ...]
    ) -> None:
        scripted.script[LIST] = [there(*(subscription("1", "Data", address=each) for each in wrong))]

        head_end.reach()

        assert done(scripted) == []
        assert [each.name for each in scripted.asked if each.name != "Login"] == [LIST]

    def test_subscribes_to_nothing_where_others_do(self, scripted: ScriptedTokenPoll) -> None:
        head_end = TokenPollHeadEnd(row(scripted.url, options={"subscribes": False}), channels=CHANNELS)

        assert head_end.probe() == Probe(text="its subscriptions are made by others")
        assert scripted.asked == []
        head_end.close()
