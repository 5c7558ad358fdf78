"""What can go wrong here, and what a reader of the page is told about it.

Tree::

    PreviewError
    ├── SettingsError           the program does not start (exit code 2)
    ├── BadQueryError           err-claw-preview-bad-query (400)
    ├── DashboardNotFoundError  err-claw-preview-dashboard-not-found (404)
    ├── BusyError               err-claw-preview-busy (503)
    ├── LokiError               err-claw-preview-loki (502)
    └── PrometheusError
        ├── UnreachableError    err-claw-preview-prometheus-unreachable (502)
        ├── NotPrometheusError  err-claw-preview-not-prometheus (502)
        ├── TooLargeError       err-claw-preview-answer-too-large (502)
        └── SlowError           err-claw-preview-prometheus-slow (504)
"""

__all__ = [
    "BadQueryError",
    "BusyError",
    "DashboardNotFoundError",
    "LokiError",
    "NotPrometheusError",
    "PreviewError",
    "PrometheusError",
    "SettingsError",
    "SlowError",
    "TooLargeError",
    "UnreachableError",
]


class PreviewError(Exception):
    """Root of this package's errors: `error_id` never changes, `status` is the HTTP status of the answer."""

    error_id = "err-claw-preview-internal"
    status = 500


class SettingsError(PreviewError):
    """The settings hold mistakes; the message names all of them, one a line."""


class BadQueryError(PreviewError):
    """A request that asks for something this page does not pass on."""

    error_id = "err-claw-preview-bad-query"
    status = 400


class DashboardNotFoundError(PreviewError):
    """No readable file in the dashboards directory has this uid."""

    error_id = "err-claw-preview-dashboard-not-found"
    status = 404


class BusyError(PreviewError):
    """More queries wait for Prometheus or Loki than this page lets through."""

    error_id = "err-claw-preview-busy"
    status = 503


class LokiError(PreviewError):
    """Loki gave no answer that can be passed on."""

    error_id = "err-claw-preview-loki"
    status = 502


class PrometheusError(PreviewError):
    """Prometheus gave no answer that can be passed on."""

    error_id = "err-claw-preview-prometheus"
    status = 502


class UnreachableError(PrometheusError):
    """No connection to Prometheus."""

    error_id = "err-claw-preview-prometheus-unreachable"


class NotPrometheusError(PrometheusError):
    """Something answers at the address, but not in Prometheus' way."""

    error_id = "err-claw-preview-not-prometheus"


class TooLargeError(PrometheusError):
    """The answer is larger than a page should draw."""

    error_id = "err-claw-preview-answer-too-large"


class SlowError(PrometheusError):
    """Prometheus did not answer in time."""

    error_id = "err-claw-preview-prometheus-slow"
    status = 504
