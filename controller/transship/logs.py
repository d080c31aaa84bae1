"""Logs: structlog, one JSON object a line, for this project's lines and for those of its libraries.

Messages are constant, what varies is in keys. No key may hold a credential: libraries that log requests are kept at
warnings, and this project's own values hide what is secret in their repr.
"""

import logging
import sys
from collections.abc import Iterable
from typing import Literal

import structlog

_LIBRARIES_AT_WARNING = ("urllib3", "botocore", "boto3", "kubernetes", "asyncio", "aiohttp", "kopf")


def configure(level: Literal["debug", "info", "warning", "error"], style: Literal["json", "console"]) -> None:
    """Send all logs to standard error in one form."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        _add_request,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        wrapper_class=structlog.stdlib.BoundLogger,
        logger_factory=structlog.stdlib.LoggerFactory(),
        cache_logger_on_first_use=True,
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(structlog.stdlib.ProcessorFormatter(foreign_pre_chain=shared, processors=[*_tail(style)]))
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level.upper())
    quiet_libraries()


def _add_request(
    _logger: structlog.typing.WrappedLogger, _method: str, event: structlog.typing.EventDict
) -> structlog.typing.EventDict:
    """Say which request a line of kopf's is about, as our own lines do: kopf keeps the object beside the text."""
    reference = getattr(event.get("_record"), "k8s_ref", None)
    if isinstance(reference, dict) and reference.get("kind") == "PromotionRequest":
        event.setdefault("request", f"{reference.get('namespace')}/{reference.get('name')}")
        event.setdefault("request_uid", reference.get("uid"))
    return event


def quiet_libraries() -> None:
    """Keep libraries from logging requests, whose headers and URLs hold credentials, whatever level is asked for."""
    # What is retried is told once by whoever gives up, with a sentence; each try would only be noise.
    for name in ("stamina", "botocore.credentials", "opentelemetry"):
        logging.getLogger(name).setLevel(logging.CRITICAL)
    for name in _LIBRARIES_AT_WARNING:
        logging.getLogger(name).setLevel(logging.WARNING)


def _tail(style: str) -> Iterable[structlog.typing.Processor]:
    yield structlog.stdlib.ProcessorFormatter.remove_processors_meta
    if style == "console":
        yield structlog.dev.ConsoleRenderer(exception_formatter=structlog.dev.plain_traceback)
        return
    # Never the values of local variables: a frame of an HTTP client holds headers and tokens.
    yield structlog.processors.ExceptionRenderer(structlog.tracebacks.ExceptionDictTransformer(show_locals=False))
    yield structlog.processors.EventRenamer("message")
    yield structlog.processors.JSONRenderer()
