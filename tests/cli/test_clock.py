"""Two clocks: one that anybody may set, for times of day, and one that nobody sets, for every duration."""

import time
from datetime import UTC, datetime, timedelta

import pytest

from batchctl.clock import Clock, StopSignal

LONG_AGO = datetime(2001, 2, 3, tzinfo=UTC)


class SetClock(Clock):
    """A wall clock that says each of `times` once and the last of them from then on."""

    def __init__(self, *times: datetime) -> None:
        self._times = list(times)

    def now(self) -> datetime:
        return self._times.pop(0) if len(self._times) > 1 else self._times[0]


class SteadyClock(Clock):
    """A steady clock that a test moves; nobody may ask it for the time of day."""

    def __init__(self) -> None:
        self.reading = 1_000.0

    def now(self) -> datetime:
        raise AssertionError("a duration is measured by a clock that may be set")

    def monotonic(self) -> float:
        return self.reading


@pytest.mark.skipif(not hasattr(time, "CLOCK_BOOTTIME"), reason="this system has no clock that goes on in a sleep")
def test_durations_are_measured_by_the_clock_that_goes_on_while_the_machine_sleeps() -> None:
    before = time.clock_gettime(time.CLOCK_BOOTTIME)
    measured = Clock().monotonic()
    after = time.clock_gettime(time.CLOCK_BOOTTIME)
    assert before <= measured <= after


def test_a_duration_is_never_negative() -> None:
    clock = Clock()
    readings = [clock.monotonic() for _ in range(1_000)]
    assert readings == sorted(readings)


@pytest.mark.slow
@pytest.mark.parametrize("set_to", [LONG_AGO - timedelta(days=1), LONG_AGO, LONG_AGO + timedelta(days=1)])
def test_a_wait_lasts_as_long_as_it_was_meant_to_whatever_becomes_of_the_wall_clock(set_to: datetime) -> None:
    clock = SetClock(LONG_AGO, set_to)
    begun = time.monotonic()
    assert not clock.wait_until(LONG_AGO + timedelta(seconds=0.3), StopSignal(clock))
    assert 0.29 <= time.monotonic() - begun < 5


@pytest.mark.parametrize("at", [LONG_AGO, LONG_AGO - timedelta(hours=1)])
def test_a_time_that_has_come_is_not_waited_for(at: datetime) -> None:
    begun = time.monotonic()
    assert not SetClock(LONG_AGO).wait_until(at, StopSignal())
    assert time.monotonic() - begun < 0.2


def test_a_wait_ends_when_it_is_stopped() -> None:
    stop = StopSignal()
    stop.set()
    assert SetClock(LONG_AGO).wait_until(LONG_AGO + timedelta(hours=1), stop)


def test_the_end_of_a_timeout_ends_a_wait() -> None:
    clock = SetClock(LONG_AGO)
    assert clock.wait_until(LONG_AGO + timedelta(hours=1), StopSignal(clock, clock.monotonic() + 0.1))


@pytest.mark.parametrize(("after", "is_set"), [(0.0, False), (59.9, False), (60.0, True), (61.0, True)])
def test_a_timeout_is_in_seconds_of_the_steady_clock(after: float, *, is_set: bool) -> None:
    clock = SteadyClock()
    stop = StopSignal(clock, clock.reading + 60)
    clock.reading += after
    assert (stop.is_set(), stop.is_timed_out(), stop.is_signaled()) == (is_set, is_set, False)


def test_a_stop_that_a_person_asked_for_is_no_timeout() -> None:
    clock = SteadyClock()
    stop = StopSignal(clock, clock.reading)
    stop.set()
    assert (stop.is_set(), stop.is_signaled(), stop.is_timed_out()) == (True, True, False)


def test_without_a_timeout_no_time_stops_anything() -> None:
    clock = SteadyClock()
    stop = StopSignal(clock)
    clock.reading += 1e9
    assert not stop.is_set()
