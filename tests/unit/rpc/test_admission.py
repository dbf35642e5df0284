"""No caller asks too often, and a crowd does not keep the event loop from others."""

import asyncio

import pytest
from grpclib.const import Status
from grpclib.exceptions import GRPCError

from mizzen.rpc.admission import Admission, Limits, Pace

NOW = 1000.0
DAY = 86400.0


class Sheds(list):
    """What was shed, as (work, reason)."""

    def __call__(self, work, reason):
        self.append((work, reason))


def an_admission(limits=None, shed=None) -> Admission:
    return Admission("certificates", limits, shed if shed is not None else Sheds())


async def ask(admission, caller="a", now=NOW):
    async with admission.turn(caller, now):
        pass


async def test_a_caller_has_an_allowance_that_refills():
    sheds = Sheds()
    admission = an_admission(Limits(burst=2, per_second=0.5), sheds)
    await ask(admission)
    await ask(admission)
    with pytest.raises(GRPCError, match="a asks for certificates too often") as refused:
        await ask(admission)
    assert refused.value.status is Status.RESOURCE_EXHAUSTED
    assert sheds == [("certificates", "caller")]
    await ask(admission, "another")
    with pytest.raises(GRPCError):
        await ask(admission, now=NOW + 1)
    await ask(admission, now=NOW + 2)
    with pytest.raises(GRPCError):
        await ask(admission, now=NOW + 2)


async def test_the_allowance_never_exceeds_the_burst():
    admission = an_admission(Limits(burst=1))
    await ask(admission)
    await ask(admission, now=NOW + DAY)
    with pytest.raises(GRPCError):
        await ask(admission, now=NOW + DAY)


async def test_a_clock_that_is_set_back_takes_nothing_away():
    admission = an_admission(Limits(burst=2, per_second=1))
    await ask(admission)
    await ask(admission, now=NOW - DAY)
    await ask(admission, now=NOW - DAY + 1)


async def test_only_so_many_callers_are_remembered():
    admission = an_admission(Limits(burst=1, per_second=0, remembered_callers=2))
    for caller in ("a", "b", "c"):
        await ask(admission, caller)
    await ask(admission, "a")
    with pytest.raises(GRPCError):
        await ask(admission, "c")


async def test_the_queue_is_bounded_and_empties():
    sheds = Sheds()
    admission = an_admission(Limits(waiting=3), sheds)
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow():
        async with admission.turn("a", NOW):
            entered.set()
            await leave.wait()

    waiting = [asyncio.create_task(slow()) for _ in range(3)]
    await entered.wait()
    with pytest.raises(GRPCError, match="too many certificates") as crowded:
        await ask(admission)
    assert crowded.value.status is Status.UNAVAILABLE
    assert sheds == [("certificates", "crowd")]
    leave.set()
    await asyncio.gather(*waiting)
    await ask(admission)


async def test_a_failed_or_cancelled_turn_frees_its_place():
    admission = an_admission(Limits(waiting=1))
    with pytest.raises(RuntimeError):
        async with admission.turn("a", NOW):
            raise RuntimeError
    held = asyncio.create_task(_hold(admission))
    await asyncio.sleep(0)
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    await ask(admission)


async def _hold(admission):
    async with admission.turn("a", NOW):
        await asyncio.Event().wait()


async def test_who_waits_too_long_is_told_to_come_again_and_leaves_the_queue():
    sheds = Sheds()
    admission = an_admission(Limits(waiting=2, wait_seconds=0.01), sheds)
    held = asyncio.create_task(_hold(admission))
    await asyncio.sleep(0)
    with pytest.raises(GRPCError, match="too many certificates"):
        await ask(admission)
    assert sheds == [("certificates", "crowd")]
    held.cancel()
    await asyncio.gather(held, return_exceptions=True)
    await ask(admission)


async def test_who_leaves_while_it_waits_keeps_nobody():
    admission = an_admission()
    for steps in range(4):
        leaving = asyncio.create_task(ask(admission))
        for _ in range(steps):
            await asyncio.sleep(0)
        leaving.cancel()
        await asyncio.gather(leaving, return_exceptions=True)
    await asyncio.wait_for(ask(admission), 5)


def test_a_pace_lets_a_burst_pass_and_then_so_many_units_a_second():
    pace = Pace(burst=3, per_second=2)
    assert [pace.delay_seconds(1, NOW) for _ in range(5)] == [0, 0, 0, 0.5, 1.0]
    assert pace.delay_seconds(1, NOW + 1) == 0.5
    assert pace.delay_seconds(4, NOW + DAY) == 0.5


async def test_others_run_between_two_signatures():
    """A keepalive that is due gets its turn after one signature, not after all of them."""
    admission, order = an_admission(), []

    async def sign(number):
        async with admission.turn(str(number), NOW):
            order.append(number)

    async def keepalive():
        for _ in range(3):
            await asyncio.sleep(0)
        order.append("keepalive")

    await asyncio.gather(*(sign(number) for number in range(50)), keepalive())
    assert order.index("keepalive") < 10
