"""A mark for fields that a document has to say itself: a template there would let data become code."""

from __future__ import annotations

__all__ = ["Constant"]


class Constant:
    """`statement: Annotated[str, Constant]`: what stands there in a document is text, without expressions."""
