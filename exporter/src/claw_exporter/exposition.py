"""Numbers to text: Prometheus text format 0.0.4 and OpenMetrics 1.0, as prometheus_client writes them.

No ``_created`` series are written: they would double every counter for a fact few queries use.
"""

from __future__ import annotations

from itertools import accumulate, islice
from math import isfinite
from typing import TYPE_CHECKING, Final

from claw_exporter.spec import Histogram, Metric

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

    from prometheus_client.samples import Exemplar

    from claw_exporter.store import Child, Labels, Snapshot, Store

__all__ = ["CONTENT_TYPE_OPENMETRICS", "CONTENT_TYPE_TEXT", "Exemplified", "render", "render_snapshots"]

CONTENT_TYPE_TEXT: Final = "text/plain; version=0.0.4; charset=utf-8"
CONTENT_TYPE_OPENMETRICS: Final = "application/openmetrics-text; version=1.0.0; charset=utf-8"
END_OF_OPENMETRICS: Final = b"# EOF\n"

# Go prints larger numbers with an exponent; below, an integral count is its digits and ".0".
_GO_EXPONENT_FROM: Final = 1_000_000
# Series at a time: few enough for the processor's cache, and not to wake the garbage collector.
_BLOCK: Final = 500


class Exemplified(list[float]):
    """The numbers of a histogram, with an exemplar of some of its buckets.

    Attributes:
        exemplars: By the bucket's index.
    """

    def __init__(self, numbers: Iterable[float], exemplars: Mapping[int, Exemplar] | None = None) -> None:
        super().__init__(numbers)
        self.exemplars: Mapping[int, Exemplar] = exemplars or {}


def render(store: Store, *, openmetrics: bool = False) -> bytes:
    """Render every metric of a store that has series, as a complete exposition."""
    text = render_snapshots(store.snapshot(), openmetrics=openmetrics)
    return text + END_OF_OPENMETRICS if openmetrics else text


def render_snapshots(snapshots: Iterable[Snapshot], *, openmetrics: bool = False) -> bytes:
    """Render metrics without the final ``# EOF`` of OpenMetrics, so that more can follow."""
    parts: list[str] = []
    for spec, series in snapshots:
        parts.append(_header(spec, openmetrics=openmetrics))
        if isinstance(spec, Histogram):
            _histogram(spec, series, parts, openmetrics=openmetrics)
        else:
            _scalars(spec, series, parts)
    return "".join(parts).encode()


def family_name(spec: Metric) -> str:
    """Return what OpenMetrics and prometheus_client call a metric: a counter without its ``_total``."""
    return spec.name.removesuffix("_total") if spec.type == "counter" else spec.name


def family_unit(spec: Metric) -> str:
    """Return the unit where OpenMetrics allows one to be stated: it must end the metric's name."""
    return spec.unit if spec.unit and family_name(spec).endswith(f"_{spec.unit}") else ""


def _header(spec: Metric, *, openmetrics: bool) -> str:
    if not openmetrics:
        help_text = spec.help.replace("\\", r"\\").replace("\n", r"\n")
        return f"# HELP {spec.name} {help_text}\n# TYPE {spec.name} {spec.type}\n"
    name, unit = family_name(spec), family_unit(spec)
    lines = f"# HELP {name} {_escape(spec.help)}\n# TYPE {name} {spec.type}\n"
    return f"{lines}# UNIT {name} {unit}\n" if unit else lines


def _scalars(spec: Metric, series: Collection[tuple[Labels, Child]], parts: list[str]) -> None:
    # Column by column, and one join for many lines: no step of Python, and no string, for a single line.
    places = [spec.labels.index(name) for name in sorted(spec.labels)]
    fixed = _between(spec)
    remaining = iter(series)
    while block := list(islice(remaining, _BLOCK)):
        columns = [_escaped([labels[place] for labels, _ in block]) for place in places]
        columns.append(_numbers([child[0] for _, child in block]))
        parts += (_lines(fixed, columns)[1:], "\n")


def _between(spec: Metric) -> list[str]:
    """Return what stands before each label's value, and before the number."""
    if not spec.labels:
        return [f"\n{spec.name} "]
    first, *others = sorted(spec.labels)
    return [f'\n{spec.name}{{{first}="', *(f'",{name}="' for name in others), '"} ']


def _lines(fixed: list[str], columns: list[list[str]]) -> str:
    count = len(columns[-1])
    pieces = [""] * (2 * len(columns) * count)
    for place, (text, column) in enumerate(zip(fixed, columns, strict=True)):
        pieces[2 * place :: 2 * len(columns)] = [text] * count
        pieces[2 * place + 1 :: 2 * len(columns)] = column
    return "".join(pieces)


def _escaped(texts: list[str]) -> list[str]:
    whole = "".join(texts)
    return [_escape(text) for text in texts] if any(map(whole.__contains__, '\\\n"')) else texts


def _numbers(values: list[float]) -> list[str]:
    # Where Go writes no exponent, Python's own text is the same. (A sum is finite where every number is.)
    plain = max(values) < _GO_EXPONENT_FROM and isfinite(sum(values))
    return list(map(repr if plain else go_float, map(float, values)))


def _histogram(
    spec: Histogram, series: Collection[tuple[Labels, Child]], parts: list[str], *, openmetrics: bool
) -> None:
    # Labels stand in alphabetical order, "le" among them.
    before_le = _label_writer(spec.labels, lambda name: name < "le")
    after_le = _label_writer(spec.labels, lambda name: name > "le")
    bounds = [f'le="{go_float(bound)}"' for bound in (*spec.buckets, float("inf"))]
    lines = len(bounds)
    # One join for all buckets: the beginning of a line, the bound, what follows it, the number.
    pieces = [""] * (4 * lines)
    pieces[1::4] = bounds
    for labels, child in series:
        before, after = before_le(labels), after_le(labels)
        counts = _numbers(list(accumulate(child[:-1])))
        total = counts[-1]
        if openmetrics and isinstance(child, Exemplified):
            for bucket, exemplar in child.exemplars.items():
                counts[bucket] += _exemplar(exemplar)
        pieces[0::4] = [f"\n{spec.name}_bucket{{{before}," if before else f"\n{spec.name}_bucket{{"] * lines
        pieces[2::4] = [f",{after}}} " if after else "} "] * lines
        pieces[3::4] = counts
        pairs = ",".join(filter(None, (before, after)))
        pairs = f"{{{pairs}}}" if pairs else ""
        parts += (
            "".join(pieces)[1:],
            f"\n{spec.name}_count{pairs} {total}\n{spec.name}_sum{pairs} {go_float(float(child[-1]))}\n",
        )


def _label_writer(names: Labels, wanted: Callable[[str], bool] = bool) -> Callable[[Labels], str]:
    """Return a function from label values to ``a="1",b="2"``, names in alphabetical order."""
    places = [(f'{name}="', names.index(name)) for name in sorted(names) if wanted(name)]

    def write(values: Labels) -> str:
        return ",".join([f'{opening}{_escape(values[place])}"' for opening, place in places])

    return write


def _escape(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _exemplar(exemplar: Exemplar) -> str:
    pairs = ",".join(f'{name}="{_escape(value)}"' for name, value in sorted(exemplar.labels.items()))
    return f" # {{{pairs}}} {go_float(exemplar.value)} {exemplar.timestamp}"


def go_float(value: float) -> str:
    """Write a number as Go does: ``+Inf``, and an exponent from seven digits before the point on."""
    if 0 <= value < _GO_EXPONENT_FROM:
        return repr(value)
    if not isfinite(value):
        return "NaN" if value != value else "+Inf" if value > 0 else "-Inf"  # noqa: PLR0124  # NaN differs from itself
    text = repr(value)
    whole, point, fraction = text.partition(".")
    if value < _GO_EXPONENT_FROM or not point or len(whole) == 1:
        return text
    mantissa = f"{whole[0]}.{whole[1:]}{fraction}".rstrip("0.")
    return f"{mantissa}e+{len(whole) - 1:02d}"
