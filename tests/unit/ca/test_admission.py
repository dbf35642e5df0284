"""No caller has the CA sign too often, and a crowd does not keep the event loop from others."""

import asyncio
from datetime import timedelta

import pytest

from mizzen.ca.admission import Admission, BusyError, Limits
from tests.support.certificates import NOW


async def ask(admission, caller="a", now=NOW):
    async with admission.turn(caller, now):
        pass


async def test_a_caller_has_an_allowance_that_refills():
    admission = Admission(Limits(burst=2, per_second=0.5))
    await ask(admission)
    await ask(admission)
    with pytest.raises(BusyError, match="a asks for certificates too often"):
        await ask(admission)
    await ask(admission, "another")
    with pytest.raises(BusyError):
        await ask(admission, now=NOW + timedelta(seconds=1))
    await ask(admission, now=NOW + timedelta(seconds=2))
    with pytest.raises(BusyError):
        await ask(admission, now=NOW + timedelta(seconds=2))


async def test_the_allowance_never_exceeds_the_burst():
    admission = Admission(Limits(burst=1))
    await ask(admission)
    await ask(admission, now=NOW + timedelta(days=1))
    with pytest.raises(BusyError):
        await ask(admission, now=NOW + timedelta(days=1))


async def test_a_clock_that_is_set_back_takes_nothing_away():
    admission = Admission(Limits(burst=2, per_second=1))
    await ask(admission)
    await ask(admission, now=NOW - timedelta(days=1))
    await ask(admission, now=NOW - timedelta(days=1) + timedelta(seconds=1))


async def test_only_so_many_callers_are_remembered():
    admission = Admission(Limits(burst=1, per_second=0, remembered_callers=2))
    for caller in ("a", "b", "c"):
        await ask(admission, caller)
    await ask(admission, "a")
    with pytest.raises(BusyError):
        await ask(admission, "c")


async def test_the_queue_is_bounded_and_empties():
    admission = Admission(Limits(waiting=3))
    entered, leave = asyncio.Event(), asyncio.Event()

    async def slow():
        async with admission.turn("a", NOW):
            entered.set()
            await leave.wait()

    waiting = [asyncio.create_task(slow()) for _ in range(3)]
    await entered.wait()
    with pytest.raises(BusyError, match="too many certificates"):
        await ask(admission)
    leave.set()
    await asyncio.gather(*waiting)
    await ask(admission)


async def test_a_failed_or_cancelled_turn_frees_its_place():
    admission = Admission(Limits(waiting=1))
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


async def test_others_run_between_two_signatures():
    """A keepalive that is due gets its turn after one signature, not after all of them."""
    admission, order = Admission(), []

    async def sign(number):
        async with admission.turn(str(number), NOW):
            order.append(number)

    async def keepalive():
        for _ in range(3):
            await asyncio.sleep(0)
        order.append("keepalive")

    await asyncio.gather(*(sign(number) for number in range(50)), keepalive())
    assert order.index("keepalive") < 10
