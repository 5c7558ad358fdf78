"""From an ASGI scope, after the application ran, to the template of the route that answered.

Nothing is routed a second time: routing left its result in the scope. Where it did differs between versions:

* ``scope["fastapi"]["effective_route_context"]``: FastAPI >= 0.137, for routes of included routers;
* ``scope["route"]``: FastAPI (the original without prefix, for included routers), Starlette >= 1.7;
* ``scope["endpoint"]``: every Starlette; the route is looked up by it in the router's table.

What mounts consumed stands in ``scope["root_path"]`` as literal text; a walk over the mounts turns it back
into their templates.
"""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Any, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, MutableMapping

    Scope = MutableMapping[str, Any]

__all__ = ["UNMATCHED", "Template", "Templates", "find"]

UNMATCHED: Final = "unmatched"
_DEEPEST_WRAPPING: Final = 32


class Template(NamedTuple):
    """The outcome of a look-up.

    Attributes:
        path: Route template, or ``unmatched``.
        stable: Whether every later request with the same route objects and root path has the same template.
    """

    path: str
    stable: bool


class Templates:
    """A bounded cache of templates by the objects that routing left in a scope.

    Keys are identities, because routes are not hashable; the objects are kept, so that no identity is reused.

    Args:
        limit: Entries at the most; a full cache is emptied.
    """

    def __init__(self, *, limit: int = 1024) -> None:
        self._limit = limit
        self._known: dict[tuple[int, int, str, str], tuple[Template, object, object]] = {}

    def find(self, scope: Scope, root_path: str, context: object, route: object) -> Template:
        """Return the template of an answered request; see :func:`find`."""
        key = (id(context), id(route), root_path, scope.get("root_path", ""))
        known = self._known.get(key)
        if known is not None:
            return known[0]
        template = find(scope, root_path)
        if template.stable:
            if len(self._known) >= self._limit:
                self._known.clear()
            self._known[key] = (template, context, route)
        return template


def find(scope: Scope, root_path: str) -> Template:
    """Return the template of the route that answered, relative to ``root_path``.

    Args:
        scope: The scope after the application ran.
        root_path: Its ``root_path`` before.

    Returns:
        ``unmatched`` where no route answered (404, slash redirects). A mount whose application has no routes
        of its own, or matched none, is one endpoint: its own path.
    """
    prefix, routes, path = _mounts(scope, root_path)
    frontend = _frontend(scope, path)
    if frontend is not None:
        return Template(prefix + frontend, stable=False)
    leaf = _leaf(scope)
    if leaf is not None and not _is_container(leaf):
        return Template(prefix + leaf.path_format, stable=True)
    endpoint = scope.get("endpoint")
    if leaf is None or leaf.app is not endpoint:  # routing went on, or left no route
        candidates = _by_endpoint(routes, endpoint)
        matching = [route for route in candidates if route.path_regex.match(path)]
        if matching:
            return Template(prefix + matching[0].path_format, stable=len(candidates) == 1)
    return Template(prefix or getattr(leaf, "path_format", None) or UNMATCHED, stable=True)


def _leaf(scope: Scope) -> Any:  # noqa: ANN401  # routes of several frameworks and versions
    """Return the innermost route, mount or route context that matched."""
    route = scope.get("route")
    fastapi = scope.get("fastapi")
    context = fastapi.get("effective_route_context") if fastapi is not None else None
    if context is None:
        return route
    if getattr(context, "original_route", None) is route:
        return context
    own = getattr(context, "starlette_route", None) or context
    # A mount inside an included router leaves its context behind, although an inner application went on.
    return route if route is not None and _is_container(own) else own


def _is_container(route: Any) -> bool:  # noqa: ANN401  # see _leaf
    return hasattr(route, "routes")


def _mounts(scope: Scope, root_path: str) -> tuple[str, Iterable[Any], str]:
    """Return the template of the mounts passed since ``root_path``, the routes inside, and the path left."""
    root = scope.get("root_path", "")
    # Set by the first mount; without it none was passed, whatever happened to root_path.
    origin = scope.get("app_root_path", root)
    routes = getattr(scope.get("router"), "routes", ())
    path = _below(scope["path"], origin)
    whole = _descend(routes, path, _below(root, origin) if root != origin else "")
    if whole is None:
        return "", (), path
    base = _descend(routes, path, _below(root_path, origin)) if root_path.startswith(origin) else None
    return whole[0][len(base[0]) :] if base else whole[0], whole[1], whole[2]


def _below(path: str, root: str) -> str:
    return path[len(root) :] if root and path.startswith(root) else path


def _descend(routes: Iterable[Any], path: str, root: str) -> tuple[str, Iterable[Any], str] | None:
    """Follow the mounts that consumed ``root`` of ``path``."""
    if not root:
        return "", routes, path
    for mount in _flat(routes):
        if not _is_container(mount):
            continue
        template, here, rest = _enter(mount, path)
        if rest is None or not (root == here or root.startswith(f"{here}/")):
            continue
        found = _descend(mount.routes or _routes_of(mount.app), rest, root[len(here) :])
        if found is not None:
            return template + found[0], found[1], found[2]
    return None


def _enter(mount: Any, path: str) -> tuple[str, str, str | None]:  # noqa: ANN401  # see _leaf
    """Return a mount's template, what it consumes of ``path``, and what is left (None: it does not match)."""
    regex = getattr(mount, "path_regex", None)
    if regex is None:  # a Host consumes nothing
        return "", "", path
    match = regex.match(path)
    if match is None:
        return "", "", None
    rest = "/" + match["path"]
    return mount.path, path[: len(path) - len(rest)], rest


def _flat(routes: Iterable[Any]) -> Iterator[Any]:
    """Yield routes with those of included routers (FastAPI >= 0.137) in their place."""
    for route in routes:
        contexts = getattr(route, "effective_route_contexts", None)
        if contexts is None:
            yield route
        else:
            for context in contexts():
                yield getattr(context, "starlette_route", None) or context


def _routes_of(app: Any) -> Iterable[Any]:  # noqa: ANN401  # any ASGI application
    """Return the routes of an application that middleware may wrap."""
    for inner in islice(_unwrapped(app), _DEEPEST_WRAPPING):
        routes = getattr(inner, "routes", None)
        if routes:
            return list(routes)
    return ()


def _unwrapped(app: Any) -> Iterator[Any]:  # noqa: ANN401  # any ASGI application
    while app is not None:
        yield app
        app = getattr(app, "app", None)


def _by_endpoint(routes: Iterable[Any], endpoint: object) -> list[Any]:
    if endpoint is None:
        return []
    return [
        route
        for route in _flat(routes)
        if getattr(route, "endpoint", None) is endpoint or (_is_container(route) and route.app is endpoint)
    ]


def _frontend(scope: Scope, path: str) -> str | None:
    """Return the template of files served by FastAPI's ``app.frontend``, which leaves no route."""
    rest = (scope.get("fastapi") or {}).get("frontend_path")
    return None if rest is None else path[: len(path) - len(rest)].rstrip("/") + "/{path}"
