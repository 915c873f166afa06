"""Failures of one cause are one group, and those of two are two."""

from __future__ import annotations

import pytest

from stepkeel.engine.fingerprint import alike, fingerprint
from stepkeel.model.snapshot import Failure

CAUSE = Failure("PermanentError", "no card 4711 for 'ann' at 12:31:04", "paying/charge")


@pytest.mark.parametrize(
    "failure",
    [
        Failure("PermanentError", "no card 9 for 'bo' at 07:00", "paying/charge"),
        Failure("PermanentError", 'no card 4711 for "somebody else" at 12:31:04', "paying~3/charge", attempt=4),
        Failure("PermanentError", "no card 4711 for 'ann' at 12:31:04\nand where it was", "paying/charge", types=("X",)),
    ],
)
def test_what_varies_from_one_instance_to_the_next_is_left_out(failure: Failure) -> None:
    assert fingerprint(failure) == fingerprint(CAUSE)


@pytest.mark.parametrize(
    "failure",
    [
        Failure("TransientError", CAUSE.message, CAUSE.path),
        Failure("PermanentError", CAUSE.message, "paying/refund"),
        Failure("PermanentError", "no account 4711 for 'ann' at 12:31:04", CAUSE.path),
        Failure("PermanentError", "", CAUSE.path),
    ],
)
def test_another_code_node_or_message_is_another_cause(failure: Failure) -> None:
    assert fingerprint(failure) != fingerprint(CAUSE)


@pytest.mark.parametrize(
    ("message", "kept"),
    [
        ("order 01a20642-6591-76a7-aa4e-476673617e92 is gone", "order … is gone"),
        ("mail to ann.lee+x@shop.example bounced", "mail to … bounced"),
        ("GET https://bank.example/cards/17?x=1 answers 503", "GET … answers …"),
        ("token sk_live_51Hx9 is refused", "token … is refused"),
        ("the bank does not know that account", "the bank does not know that account"),
        ("-3.50 is below 0", "… is below …"),
        ("x" * 1_000, "x" * 300),
    ],
)
def test_a_message_keeps_its_words(message: str, kept: str) -> None:
    assert alike(message) == kept
