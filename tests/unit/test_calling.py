"""pronghorn.calling: the ASGI call and receive() in their plain form."""

import asyncio
from collections import deque
from typing import Any

import pytest

from pronghorn.calling import call, make_receive


def test_call_hands_over_the_three_arguments_and_the_result() -> None:
    async def app(*arguments: object) -> object:
        await asyncio.sleep(0)
        return arguments

    assert asyncio.run(call(app, 1, 2, 3)) == (1, 2, 3)


def test_call_takes_an_application_that_is_no_coroutine_function() -> None:
    class Application:
        def __call__(self, *arguments: object) -> Any:
            async def inner() -> object:
                return arguments

            return inner()

    assert asyncio.run(call(Application(), 1, 2, 3)) == (1, 2, 3)


def test_call_lets_exceptions_through() -> None:
    async def app(*_: object) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        asyncio.run(call(app, 1, 2, 3))


def test_receive_returns_a_message_at_hand_without_waiting() -> None:
    waits: list[None] = []

    async def wait() -> None:
        waits.append(None)

    receive = make_receive(lambda: {"type": "here"}, wait)
    with pytest.raises(StopIteration) as done:
        receive().__await__().send(None)  # type: ignore[attr-defined]  # one step is enough
    assert done.value.value == {"type": "here"}
    assert waits == []


def test_receive_waits_until_there_is_a_message() -> None:
    async def main() -> None:
        source: deque[dict[str, Any]] = deque()
        turns: list[asyncio.Future[None]] = []

        def wait() -> asyncio.Future[None]:
            turns.append(asyncio.get_running_loop().create_future())
            return turns[-1]

        waiting = asyncio.ensure_future(make_receive(lambda: source.popleft() if source else None, wait)())
        await asyncio.sleep(0)
        turns[0].set_result(None)  # woken for nothing: it looks and waits again
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert len(turns) == 2
        assert not waiting.done()
        source.append({"type": "late"})
        turns[1].set_result(None)
        assert await waiting == {"type": "late"}

    asyncio.run(main())
