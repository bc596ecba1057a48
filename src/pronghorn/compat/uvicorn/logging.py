"""uvicorn.logging."""

from pronghorn.logs import TRACE_LOG_LEVEL, AccessFormatter, ColourizedFormatter, DefaultFormatter

__all__ = ["TRACE_LOG_LEVEL", "AccessFormatter", "ColourizedFormatter", "DefaultFormatter"]
