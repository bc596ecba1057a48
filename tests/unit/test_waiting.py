"""pronghorn.waiting: whichever comes first."""

import asyncio

from pronghorn.waiting import first


def test_returns_when_one_is_over_and_cancels_the_others() -> None:
    async def main() -> None:
        one, other = asyncio.Event(), asyncio.Event()
        one.set()
        await first(None, one.wait(), other.wait())
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_returns_at_the_limit() -> None:
    async def main() -> None:
        never = asyncio.Event()
        await first(0.001, never.wait())
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())


def test_leaves_nothing_when_it_is_cancelled_itself() -> None:
    async def main() -> None:
        never = asyncio.Event()
        waiting = asyncio.ensure_future(first(None, never.wait()))
        await asyncio.sleep(0)
        waiting.cancel()
        await asyncio.wait({waiting})
        assert waiting.cancelled()
        assert asyncio.all_tasks() == {asyncio.current_task()}

    asyncio.run(main())
