"""Simulated users: each request that the generator sends is one step of one of them."""

from __future__ import annotations

import itertools
import json
from collections import deque
from typing import TYPE_CHECKING, Any, Final

import websockets
from websockets.asyncio.client import connect

from claw_chat.load import questions
from claw_chat.load.schedule import Rota

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable
    from random import Random

    import httpx2

    Step = Callable[[], Awaitable[str]]

API: Final = "/api/v1"
GONE: Final = "00000000-0000-4000-8000-000000000000"
LONGEST_CONVERSATION: Final = 6
MOST_OPEN: Final = 50
MOST_ENDED: Final = 500
PARTS_BEFORE_LEAVING: Final = 2

# What users do, and how often: numbers are shares of a thousand requests. The first of each kind come in this
# order, so that whoever watches the metrics sees all of them within seconds.
WEIGHTS: Final = {
    "begin": 100,
    "retired": 3,
    "stream": 330,
    "use_tool": 60,
    "ask": 70,
    "cancel": 20,
    "socket": 15,
    "search": 110,
    "read": 90,
    "list_recent": 60,
    "list_models": 40,
    "health": 15,
    "end": 70,
    "missing": 15,
    "invalid": 12,
    "scan": 12,
    "wrong_socket": 3,
}


class Users:
    """All users together: the conversations they have open, and what each can do next.

    Args:
        client: Talks to the app.
        url: The app's address.
        random: Decides who asks what.
    """

    def __init__(self, client: httpx2.AsyncClient, *, url: str, random: Random) -> None:
        self._client = client
        self._socket_url = url.replace("http://", "ws://", 1) + "/ws/chat"
        self._random = random
        self._open: dict[str, int] = {}  # conversation -> turns so far
        self._ended: deque[str] = deque(maxlen=MOST_ENDED)
        self._models = Rota(questions.MODELS)
        self._tool_questions = itertools.cycle(questions.TOOL_QUESTIONS)
        self.steps: dict[str, Step] = {name: getattr(self, name) for name in WEIGHTS}

    async def begin(self) -> str:
        """Begin a conversation."""
        body = {"title": self._random.choice(questions.TITLES), "model": self._models.next()}
        response = await self._client.post(f"{API}/conversations", json=body)
        if response.is_success:
            self._add(response.json()["id"])
        return _outcome(response.status_code)

    async def stream(self) -> str:
        """Ask the next question of a conversation and read the answer as it comes."""
        return await self._turn(self._random.choice(questions.QUESTIONS))

    async def use_tool(self) -> str:
        """Ask something that the assistant needs a tool for."""
        return await self._turn(next(self._tool_questions))

    async def cancel(self) -> str:
        """Leave in the middle of an answer."""
        return await self._turn(self._random.choice(questions.QUESTIONS), leave=True)

    async def retired(self) -> str:
        """Ask a model that answers no more."""
        return await self._turn(questions.QUESTIONS[0], model=questions.RETIRED_MODEL)

    async def ask(self) -> str:
        """Ask a question and wait for the whole answer."""
        conversation = await self._conversation()
        body = {"content": self._random.choice(questions.QUESTIONS)}
        response = await self._client.post(f"{API}/conversations/{conversation}/messages", json=body)
        self._note(conversation, response.status_code)
        return _outcome(response.status_code)

    async def _turn(self, question: str, *, leave: bool = False, model: str | None = None) -> str:
        conversation = await self._conversation()
        body = {"content": question} | ({"model": model} if model else {})
        path = f"{API}/conversations/{conversation}/chat"
        async with self._client.stream("POST", path, json=body) as response:
            self._note(conversation, response.status_code)
            parts = 0
            async for _ in response.aiter_bytes():
                parts += 1
                if leave and parts == PARTS_BEFORE_LEAVING:
                    return "cancelled"
        return _outcome(response.status_code)

    async def socket(self) -> str:
        """Ask one question through a WebSocket and read the whole answer."""
        conversation = await self._conversation()
        question = {"conversation_id": conversation, "content": self._random.choice(questions.QUESTIONS)}
        return await self._through_socket(json.dumps(question))

    async def wrong_socket(self) -> str:
        """Send something through a WebSocket that the app does not understand."""
        return await self._through_socket("hello?")

    async def _through_socket(self, message: str) -> str:
        async with connect(self._socket_url, proxy=None) as socket:
            await socket.send(message)
            try:
                while json.loads(await socket.recv())["type"] == "part":
                    pass
            except websockets.ConnectionClosed:
                return "4xx"
        return "sockets"

    async def search(self) -> str:
        """Search the help pages."""
        return await self._get("/search", q=self._random.choice(questions.SEARCHES))

    async def read(self) -> str:
        """Open a conversation again."""
        conversation = await self._conversation()
        response = await self._client.get(f"{API}/conversations/{conversation}")
        return _outcome(response.status_code)

    async def list_recent(self) -> str:
        """Look at the list of conversations."""
        return await self._get("/conversations", limit=20)

    async def list_models(self) -> str:
        """Look at the list of models."""
        return await self._get("/models")

    async def health(self) -> str:
        """Ask as a load balancer would."""
        return _outcome((await self._client.get("/health")).status_code)

    async def end(self) -> str:
        """Delete a conversation that has ended."""
        conversation = self._ended.popleft() if self._ended else await self._conversation()
        self._open.pop(conversation, None)
        response = await self._client.delete(f"{API}/conversations/{conversation}")
        return _outcome(response.status_code)

    async def missing(self) -> str:
        """Follow a link to a conversation that is gone."""
        return await self._get(f"/conversations/{GONE}")

    async def invalid(self) -> str:
        """Send a form that lacks a field."""
        return _outcome((await self._client.post(f"{API}/conversations", json={"title": ""})).status_code)

    async def scan(self) -> str:
        """Ask for a path that no route matches, as scanners do."""
        return _outcome((await self._client.get(self._random.choice(questions.SCANNED))).status_code)

    async def _get(self, path: str, **query: Any) -> str:  # noqa: ANN401 - what a URL can hold
        return _outcome((await self._client.get(f"{API}{path}", params=query)).status_code)

    async def _conversation(self) -> str:
        """Return the conversation that has rested longest; begin one if there is none."""
        if not self._open:
            await self.begin()
        conversation = next(iter(self._open), GONE)
        if conversation in self._open:
            self._open[conversation] = self._open.pop(conversation)  # now it comes last
        return conversation

    def _add(self, conversation: str) -> None:
        if len(self._open) == MOST_OPEN:
            self._finish(next(iter(self._open)))
        self._open[conversation] = 0

    def _note(self, conversation: str, status: int) -> None:
        """Count a turn; let go of a conversation that is long enough, or that the app has forgotten."""
        if status == 404:  # noqa: PLR2004 - the one status that says so
            self._open.pop(conversation, None)
        elif conversation in self._open:
            self._open[conversation] += 1
            if self._open[conversation] == LONGEST_CONVERSATION:
                self._finish(conversation)

    def _finish(self, conversation: str) -> None:
        self._open.pop(conversation, None)
        self._ended.append(conversation)


def _outcome(status: int) -> str:
    return "2xx" if status < 400 else f"{status // 100}xx"  # noqa: PLR2004 - redirects count as good
