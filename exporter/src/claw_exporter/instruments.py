"""The public instruments: `Metrics`, and `metrics`, the instance most applications need."""

from __future__ import annotations

from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Final, Protocol, overload

from prometheus_client import REGISTRY

from claw_exporter.agents import AgentRun, Agents
from claw_exporter.answers import AIResponse, Answers
from claw_exporter.attempts import Attempts
from claw_exporter.auth import Auth
from claw_exporter.catalog import (
    BUILD_INFO,
    CONVERSATIONS,
    DB_DURATION,
    MESSAGES,
    QUEUE_TASK_DURATION,
    QUEUE_TASKS,
    REDIS_DURATION,
    VECTOR_DB_DURATION,
)
from claw_exporter.counted import Counted
from claw_exporter.endpoint import Exposition
from claw_exporter.errors import ArgumentError
from claw_exporter.eventloop import EventLoops
from claw_exporter.exposition import render
from claw_exporter.fallbacks import Fallbacks
from claw_exporter.guardrails import Decision, Guardrails
from claw_exporter.operations import Durations, Operation
from claw_exporter.pools import Pools
from claw_exporter.records import Records
from claw_exporter.registry import Bridge, attach
from claw_exporter.retrieval import Retrieval, Retrievals
from claw_exporter.store import Store
from claw_exporter.stores import Stores
from claw_exporter.tracking import Tracker, innermost
from claw_exporter.traffic import Traffic

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from os import PathLike

    from prometheus_client import CollectorRegistry

    from claw_exporter.prices import Price
    from claw_exporter.spec import Counter

__all__ = ["Metrics", "metrics"]

_LATER: Final = object()


class Router(Protocol):
    """What `Metrics.mount` needs of FastAPI, Starlette or one of their routers."""

    # Any: the frameworks disagree about the parameters' names and types.
    def add_route(self, path: str, route: Any, /, *, include_in_schema: bool) -> Any: ...  # noqa: ANN401


class Metrics:
    """Every instrument of one application. Making one has no side effect.

    None of the recording methods raises into the code it measures; errors of this library are counted in
    ``claw_ai_exporter_internal_errors_total``.

    Args:
        registry: The prometheus_client registry (its default one if None) in which these metrics appear once
            `register`, `mount` or the middleware is used. Several `Metrics` of one registry are added up.
        max_series: Bound of the series of each metric; see ``claw_ai_exporter_overflow_total``.
        buckets: Upper bounds in place of the catalogue's, by the histogram's full name
            (``{"claw_ai_http_request_duration_seconds": (0.1, 0.5, 2.5)}``). Alerts and dashboards of Claw
            compare with some of the catalogue's bounds: keep those that you use.
        multiprocess_dir: Where the worker processes of an application share their numbers. None: what
            ``PROMETHEUS_MULTIPROC_DIR`` says at the first use; ``""``: nowhere, though that is set.

    Raises:
        SpecError: ``max_series`` is not positive.
        ArgumentError: ``buckets`` names no histogram, or bounds do not ascend.
    """

    def __init__(
        self,
        *,
        registry: CollectorRegistry | None = None,
        max_series: int = 2000,
        buckets: Mapping[str, Sequence[float]] = MappingProxyType({}),
        multiprocess_dir: str | None = None,
    ) -> None:
        self.registry: Final = registry or REGISTRY
        self.store: Final = Store(max_series=max_series, buckets=buckets, directory=multiprocess_dir)
        self._answers = Answers(self.store)

    # -- Wiring ----------------------------------------------------------------------------------------------

    def register(self) -> Bridge:
        """Make these metrics appear in the registry; idempotent.

        Raises:
            DirectoryError: The directory in ``PROMETHEUS_MULTIPROC_DIR`` is missing or not writable.
            RegistryError: Another collector of the registry has a metric of the same name.
        """
        self.store.check()
        return attach(self.registry, self.store)

    def mount(self, app: Router, path: str = "/metrics", *, auth: Auth | None = None) -> None:
        """Add a route that serves the registry: these metrics beside all its others.

        Text format 0.0.4 or OpenMetrics 1.0 by ``Accept``, compressed where accepted, rendered outside of the
        event loop. Requests to it are not measured.

        Args:
            app: A FastAPI or Starlette application, or a router.
            path: Where.
            auth: Who may read it; everybody if None.

        Raises:
            ArgumentError: ``path`` does not start with a slash, or ``auth`` is no `Auth`.
            DirectoryError, RegistryError: As :meth:`register`.
        """
        if not path.startswith("/"):
            raise ArgumentError(f"path is {path!r}: it must start with '/'")
        app.add_route(path, self.asgi_app(auth=auth), include_in_schema=False)

    def asgi_app(self, *, auth: Auth | None = None) -> Exposition:
        """Return what `mount` adds, as an ASGI application: to be served on a port of its own.

        Args:
            auth: Who may read it; everybody if None.

        Raises:
            ArgumentError: ``auth`` is no `Auth`.
            DirectoryError, RegistryError: As :meth:`register`.
        """
        if auth is not None and not isinstance(auth, Auth):
            raise ArgumentError(
                f"auth is of type {type(auth).__qualname__}: pass Auth(username=..., password_file=...) or "
                "Auth(token_file=...)"
            )
        bridge, traffic = self.register(), self.traffic
        return Exposition(
            self.registry,
            bridge,
            self.store,
            in_flight=lambda: traffic.in_flight,
            mark=traffic.mark,
            auth=auth,
        )

    def render(self, *, openmetrics: bool = False) -> bytes:
        """Return these metrics (not the registry's others) as text."""
        return render(self.store, openmetrics=openmetrics)

    @cached_property
    def traffic(self) -> Traffic:
        """What the middleware records."""
        return Traffic(self.store)

    def build_info(self, *, app: str, version: str) -> None:
        """Say which application runs, in ``claw_ai_build_info``.

        Args:
            app: Its name.
            version: Its version.
        """
        self.store.gauge(BUILD_INFO).replace({(app, version, _library_version()): 1.0})

    # -- AI answers ------------------------------------------------------------------------------------------

    def set_prices(
        self, prices: Mapping[str, Price | Mapping[str, float]] | str | PathLike[str], version: str = ""
    ) -> None:
        """Set the price table from which ``claw_ai_ai_cost_usd_total`` is computed; at any time anew.

        Args:
            prices: Model -> `Price`, or a mapping of the same names in US dollars per million tokens:
                ``{"glm-4": {"input": 1.0, "output": 4.0}}``; or the path of a JSON file that holds this.
            version: What ``claw_ai_ai_price_table_info`` shows; by default a hash of the table.

        Raises:
            ArgumentError: The file cannot be read, or something in it is not a price. The old table stays.
        """
        self._answers.set_prices(prices, version)

    def set_context_windows(self, windows: Mapping[str, float]) -> None:
        """Set how many tokens each model's context holds, for ``claw_ai_ai_context_used_ratio``.

        Args:
            windows: Model -> tokens of prompt and answer together.

        Raises:
            ArgumentError: A window is not a positive number.
        """
        self._answers.set_context_windows(windows)

    def set_budget(self, usd: float, *, period: str, scope: str = "all") -> None:
        """Show a budget, ``claw_ai_ai_budget_usd``, beside what is spent.

        Args:
            usd: What may be spent in the period, in US dollars.
            period: ``hour``, ``day`` or ``month``.
            scope: What the budget is for.

        Raises:
            ArgumentError: ``usd`` is no amount of money, or ``period`` is none of these.
        """
        self._answers.set_budget(usd, period, scope)

    def track_ai_response(
        self,
        *,
        model: str | Callable[..., str],
        provider: str | Callable[..., str] = "unknown",
        result: Callable[[Any], str | None] | None = None,
        each_chunk: bool = False,
    ) -> Tracker[AIResponse]:
        """Measure a call of a model: ``with``, ``async with``, or a decorator of any kind of function.

        Args:
            model: The model's name, or a function of the decorated function's arguments that returns it.
            provider: Who serves it, likewise.
            result: For code that reports errors by its return value. It gets the returned value, or each part
                that a generator yields, and returns the kind of error (``"rate_limited"``) or None.
            each_chunk: Count the wait for each streamed part, ``claw_ai_ai_time_between_chunks_seconds``, not
                only the longest one of each answer.

        Returns:
            A tracker; ``with tracker as response`` gives the `AIResponse`.
        """
        return self._answers.tracker(model, provider, result, each_chunk=each_chunk)

    def current_response(self) -> AIResponse:
        """Return the innermost open AI response of this task: for code deep inside a decorated function.

        Where none is open, it is one that records nothing.
        """
        return innermost(AIResponse) or self._answers.detached()

    def watch_provider(
        self, client: object, *, provider: str | Callable[[str], str], models: Iterable[str] = ()
    ) -> None:
        """Count every HTTP attempt of a provider's client, those that its SDK repeats by itself included.

        It counts in the client's transport: ``claw_ai_ai_attempts_total``, ``claw_ai_ai_retries_total``, and
        the rate limit's headroom, ``claw_ai_ai_ratelimit_remaining_ratio``. Requests and responses stay as
        they are, streamed ones too. An attempt ends with its response's last byte. Watching a client again
        only replaces ``provider``; an SDK's copies of a watched client (``with_options``) are watched.

        Args:
            client: A client of ``openai`` or ``anthropic``, synchronous or asynchronous, or a bare ``Client``
                or ``AsyncClient`` of httpx.
            provider: Who serves it, or a function of the model's name that returns who.
            models: Models whose series shall exist before the first attempt, at 0; others begin with theirs.

        Raises:
            ArgumentError: The object is none of these.
        """
        self._attempts.watch(client, provider, models)

    @cached_property
    def _attempts(self) -> Attempts:
        return Attempts(self.store)

    def track_fallback(self, *, from_model: str, to_model: str, reason: str = "error") -> None:
        """Count an answer for which another model stepped in.

        Args:
            from_model: The model that failed.
            to_model: The model that is asked instead.
            reason: A short constant such as ``rate_limited``; not a message. After 64 different ones it is
                ``other``.
        """
        self._fallbacks.count(from_model, to_model, reason)

    @cached_property
    def _fallbacks(self) -> Fallbacks:
        return Fallbacks(self.store)

    def track_guardrail(
        self, guard: str, *, result: Callable[[Any], bool | str | None] | None = None
    ) -> Tracker[Decision]:
        """Count what a guardrail decides: ``with``, ``async with``, or a decorator of any kind of function.

        ``allow`` unless ``decision.block()`` or ``result`` says otherwise, or an exception leaves the guard,
        which is ``error``. A cancelled decision is none.

        Args:
            guard: The guard's name, such as ``prompt_injection``.
            result: For functions that return their verdict. It gets what was returned; True, ``"block"`` or
                any other text blocks, ``"error"`` is a failure of the guard, everything else allows.

        Returns:
            A tracker; ``with tracker as decision`` gives the `Decision`.
        """
        return self._guardrails.tracker(guard, result)

    def guardrail_decision(self, guard: str, decision: str) -> None:
        """Count a decision of a guardrail that is known already: ``allow``, ``block`` or ``error``."""
        self._guardrails.count(guard, decision)

    @cached_property
    def _guardrails(self) -> Guardrails:
        return Guardrails(self.store)

    @overload
    def track_retrieval(self, index: str, *, results: object) -> None: ...

    @overload
    def track_retrieval(
        self, index: str, *, count: Callable[[Any], float] | None = None
    ) -> Tracker[Retrieval]: ...

    def track_retrieval(
        self, index: str, *, results: object = _LATER, count: Callable[[Any], float] | None = None
    ) -> Tracker[Retrieval] | None:
        """Count how much a retrieval found: at once, around a block, or what a function returns.

        Args:
            index: What was searched.
            results: A number, or something that has a length; None is nothing. Where it is given, it is
                counted at once. Else ``with tracker as retrieval`` gives the `Retrieval`, whose `results`
                says it, and a decorator takes the length of what is returned, or the number of parts of a
                generator. A retrieval that fails is not counted.
            count: Returns how many results there are in what a decorated function returns, where it is not
                ``len``.
        """
        if results is _LATER:
            return self._retrievals.tracker(index, count)
        self._retrievals.count(index, results)
        return None

    @cached_property
    def _retrievals(self) -> Retrievals:
        return Retrievals(self.store)

    # -- Agents ----------------------------------------------------------------------------------------------

    def track_agent_run(
        self, agent: str, *, max_steps: int | None = None, result: Callable[[Any], str | None] | None = None
    ) -> Tracker[AgentRun]:
        """Measure a run of an agent: ``with``, ``async with``, or a decorator of any kind of function.

        The steps that `track_agent_step` measures inside of it count by themselves, in tasks and threads that
        have its context too; so do repeated calls of functions that `track_tool` decorates. Runs inside of a
        run count for themselves.

        Args:
            agent: The agent's name.
            max_steps: The limit of steps. A run that ends well with that many has the outcome ``max_steps``.
            result: As in `track_ai_response`; ``"max_steps"`` says that the limit stopped the run.

        Returns:
            A tracker; ``with tracker as run`` gives the `AgentRun`.

        Raises:
            ArgumentError: ``max_steps`` is not a whole number above 0.
        """
        return self._agents.run_tracker(agent, max_steps, result)

    def current_agent_run(self) -> AgentRun:
        """Return the innermost open run of this task: for code deep inside a decorated function.

        Where none is open, it is one that records nothing.
        """
        return innermost(AgentRun) or self._agents.detached()

    def track_agent_step(
        self, agent: str, step_type: str, *, result: Callable[[Any], str | None] | None = None
    ) -> Tracker[Operation]:
        """Measure a step of an agent (``with`` or decorator).

        Args:
            agent: The agent's name.
            step_type: ``think``, ``act``, ``observe`` or ``response``.
            result: As in `track_ai_response`.
        """
        return self._agents.step_tracker(agent, step_type, result)

    def track_tool(
        self, tool: str, *, result: Callable[[Any], str | None] | None = None
    ) -> Tracker[Operation]:
        """Measure a tool call of an agent (``with`` or decorator).

        Inside of a run, a decorated function that is called again with the same arguments is a repeated call;
        around a block, only `AgentRun.tool_call` can say so.

        Args:
            tool: The tool's name.
            result: As in `track_ai_response`.
        """
        return self._agents.tool_tracker(tool, result)

    @cached_property
    def _agents(self) -> Agents:
        return Agents(self.store)

    # -- Stores ----------------------------------------------------------------------------------------------

    def track_vector_db(self, operation: str) -> Tracker[Operation]:
        """Measure a vector store operation (``with`` or decorator); ``operation`` such as ``search``."""
        return self._vector_db.tracker(operation)

    def track_redis(self, operation: str) -> Tracker[Operation]:
        """Measure a Redis operation (``with`` or decorator); ``operation`` such as ``get``."""
        return self._redis.tracker(operation)

    def track_db(self, operation: str) -> Tracker[Operation]:
        """Measure a database operation (``with`` or decorator); ``operation`` such as ``insert_message``."""
        return self._db.tracker(operation)

    @cached_property
    def _vector_db(self) -> Durations:
        return Durations(self.store, VECTOR_DB_DURATION, "track_vector_db")

    @cached_property
    def _redis(self) -> Durations:
        return Durations(self.store, REDIS_DURATION, "track_redis")

    @cached_property
    def _db(self) -> Durations:
        return Durations(self.store, DB_DURATION, "track_db")

    def watch_pool(self, name: str, pool: object) -> None:
        """Show a connection pool, read at each scrape, until it is closed or gone.

        Args:
            name: Its name; a second pool of the same name takes its place.
            pool: An asyncpg pool; a SQLAlchemy ``Engine``, ``AsyncEngine`` or ``QueuePool``; a redis
                connection pool or client.

        Waiting for its connections is measured too: ``claw_ai_db_pool_wait_seconds`` and
        ``claw_ai_db_pool_timeouts_total``. The pool keeps its type and its behaviour.

        Raises:
            PoolTypeError: The object is none of these.
        """
        self._pools.watch(name, pool)

    def watch_sqlalchemy(self, engine: object, *, name: str = "sqlalchemy") -> None:
        """Measure every statement of a SQLAlchemy engine, and show its pool as `watch_pool` does.

        ``claw_ai_db_operation_duration_seconds`` has the statement's verb as ``operation`` (of a closed list,
        else ``other``), ``commit``, and ``connect`` for each connection that is opened. A statement ends when
        its cursor was executed, before its rows are fetched; ``executemany`` is one. Watching again changes
        nothing; it ends with the engine.

        Args:
            engine: An ``Engine`` or ``AsyncEngine`` (SQLAlchemy 1.4 or later).
            name: Of its pool.

        Raises:
            ArgumentError: The object is none of these.
        """
        self._stores.watch_sqlalchemy(engine, name)

    def watch_asyncpg(self, pool: object, *, name: str = "asyncpg") -> None:
        """Measure every request of an asyncpg pool's connections, and show the pool as `watch_pool` does.

        As in `watch_sqlalchemy`; prepared statements, cursors (each further batch of rows is a ``fetch``) and
        ``copy`` included. What the pool sends to clean a connection up is ``reset``.

        Args:
            pool: What ``asyncpg.create_pool()`` returns, awaited or not yet.
            name: Of the pool.

        Raises:
            ArgumentError: The object is no such pool.
        """
        self._stores.watch_asyncpg(pool, name)

    def watch_redis(self, client: object, *, name: str = "redis") -> None:
        """Measure every command of a redis-py pool's clients, and show the pool as `watch_pool` does.

        ``claw_ai_redis_operation_duration_seconds`` has the command in small letters as ``operation`` (of a
        closed list; scripts and modules are ``other``); a pipeline is one operation, ``pipeline``. Attempts
        that the client repeats by itself are one. Commands that wait for others (``BLPOP``, ``XREAD`` with
        ``BLOCK``, ``WAIT``) and publish/subscribe are not measured.

        Args:
            client: A client or a connection pool, synchronous or of ``redis.asyncio``.
            name: Of the pool.

        Raises:
            ArgumentError: The object is none of these.
        """
        self._stores.watch_redis(client, name)

    @cached_property
    def _pools(self) -> Pools:
        return Pools(self.store)

    @cached_property
    def _stores(self) -> Stores:
        return Stores(self.store, self._pools)

    # -- Tasks in the background and the event loop ----------------------------------------------------------

    def track_task(
        self, queue: str, *, result: Callable[[Any], str | None] | None = None
    ) -> Tracker[Operation]:
        """Measure a task that a worker takes from a queue (``with`` or decorator): Celery, arq, RQ, your own.

        Put the decorator next to the function, inside of the framework's own.

        Args:
            queue: The queue's name.
            result: As in `track_ai_response`.
        """
        return self._tasks.tracker(queue, judge=result)

    @cached_property
    def _tasks(self) -> Counted:
        return Counted(self.store, QUEUE_TASKS, QUEUE_TASK_DURATION, where="track_task")

    def watch_event_loop(self) -> None:
        """Show how late the running event loop is, in ``claw_ai_event_loop_lag_seconds``; idempotent.

        Five short wake-ups a second until the loop is closed. The worst of the last 30 to 60 seconds, and of
        several loops, so that every scrape sees a loop that was blocked. Works with uvloop too.

        Raises:
            EventLoopError: No event loop of asyncio runs here.
        """
        self._event_loops.watch()

    @cached_property
    def _event_loops(self) -> EventLoops:
        return EventLoops(self.store)

    # -- Logs ------------------------------------------------------------------------------------------------

    def watch_logs(self) -> None:
        """Count every record of Python's logging by level, in ``claw_ai_log_records_total``; idempotent.

        It counts at the source: records of every logger that pass the logger's own level, whether or not a
        handler writes them, once each. Handlers, levels and formats stay as they are, and may change later.
        structlog is counted where it ends in ``logging``; loguru where a sink passes its messages on to it.
        """
        self._records.watch()

    def unwatch_logs(self) -> None:
        """Stop counting log records; what was counted stays."""
        self._records.unwatch()

    @cached_property
    def _records(self) -> Records:
        return Records(self.store)

    # -- Business --------------------------------------------------------------------------------------------

    def track_conversation(self, *, status: str = "created") -> None:
        """Count what happened to a conversation."""
        self._count(CONVERSATIONS, status)

    def track_message(self, *, role: str) -> None:
        """Count a message by its author: ``user``, ``assistant``, ..."""
        self._count(MESSAGES, role)

    def _count(self, spec: Counter, *labels: object) -> None:
        try:
            self.store.counter(spec).inc(*labels)
        except Exception:  # noqa: BLE001  # a label whose str() raises must not reach the caller
            self.store.fault("count")


def _library_version() -> str:
    from importlib import metadata  # noqa: PLC0415  # costs 20 ms, once, if used

    try:
        return metadata.version("claw-exporter")
    except metadata.PackageNotFoundError:  # used from its sources, not installed
        return "unknown"


metrics: Final = Metrics()
