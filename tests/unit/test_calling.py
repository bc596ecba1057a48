"""pronghorn.calling: the ASGI call and receive() in their plain form."""

import asyncio
from collections import deque
from typing import Any

import pytest

from pronghorn.calling import adopt, call, make_receive


class Ended:
    """Notes how a call ended."""

    def __init__(self) -> None:
        self.seen: list[tuple[Any, BaseException | None]] = []

    def __call__(self, result: Any, error: BaseException | None) -> None:
        self.seen.append((result, error))


def test_call_hands_over_the_three_arguments_and_reports_the_result() -> None:
    async def app(*arguments: object) -> object:
        await asyncio.sleep(0)
        return arguments

    ended = Ended()
    asyncio.run(call(app, 1, 2, 3, ended))
    assert ended.seen == [((1, 2, 3), None)]


@pytest.mark.parametrize("kind", [LookupError, SystemExit, KeyboardInterrupt])
def test_call_reports_an_exception_and_lets_none_out(kind: type[BaseException]) -> None:
    raised = kind("mine")

    async def app(*_: object) -> None:
        raise raised

    ended = Ended()
    asyncio.run(call(app, 1, 2, 3, ended))
    assert ended.seen == [(None, raised)]


def test_call_reports_a_cancellation_and_counts_as_cancelled() -> None:
    async def app(*_: object) -> None:
        await asyncio.Event().wait()

    async def main() -> None:
        ended = Ended()
        task = asyncio.ensure_future(call(app, 1, 2, 3, ended))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait({task})
        assert task.cancelled()
        [(result, error)] = ended.seen
        assert result is None
        assert isinstance(error, asyncio.CancelledError)

    asyncio.run(main())


def test_adopt_makes_a_coroutine_of_any_awaitable() -> None:
    class Answer:
        def __await__(self) -> Any:
            yield from asyncio.sleep(0).__await__()
            return 42

    assert asyncio.run(adopt(Answer())) == 42


def test_receive_returns_a_message_at_hand_without_waiting() -> None:
    waits: list[None] = []

    async def wait() -> None:
        waits.append(None)

    receive = make_receive(lambda: {"type": "here"}, wait)
    with pytest.raises(StopIteration) as done:
        next(receive().__await__())  # one step is enough
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
