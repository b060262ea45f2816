"""What an answer means and what is kept of it, for every sender alike."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webhook.domain.model import RESPONSE_BYTES_MAX, ErrorKind
from webhook.domain.response import response_text, status_problem, timeout_sentence


@given(st.integers(100, 999), st.none() | st.text())
def test_every_status_is_success_redirect_or_failure(status: int, location: str | None) -> None:
    problem = status_problem(status, location)
    if 200 <= status < 300:
        assert problem is None
        return
    assert problem is not None
    kind, sentence = problem
    assert kind is (ErrorKind.REDIRECT if 300 <= status < 400 else ErrorKind.HTTP_STATUS)
    assert str(status) in sentence
    assert len(sentence) < 300


@pytest.mark.parametrize(
    ("location", "sentence"),
    [
        (None, "redirect 307"),
        ("", "redirect 307"),
        ("/path-secret", "redirect 307 to the same host"),
        ("path-secret", "redirect 307"),
        ("https://other.example.com/path-secret?q", "redirect 307 to other.example.com"),
        ("http://169.254.169.254/latest", "redirect 307 to 169.254.169.254"),
        ("//other.example.com/path-secret", "redirect 307 to other.example.com"),
        ("https://other.example.com\r\nx", "redirect 307"),
        ("https://\u202eother.example.com", "redirect 307"),
    ],
)
def test_a_redirect_names_the_host_alone(location: str | None, sentence: str) -> None:
    assert status_problem(307, location) == (ErrorKind.REDIRECT, sentence)


@given(st.binary(max_size=2 * RESPONSE_BYTES_MAX), st.booleans())
def test_text_is_short_and_clean_whatever_came(body: bytes, cut: bool) -> None:
    text = response_text(body, cut=cut)
    if text is not None:
        assert text
        assert len(text.encode()) <= RESPONSE_BYTES_MAX
        assert "\0" not in text


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=500))
def test_short_utf8_is_kept_as_it_is(text: str) -> None:
    assert response_text(text.encode(), cut=False) == (text or None)


def test_half_a_character_at_the_end_is_an_error_only_if_the_body_ended_there() -> None:
    body = "a\u2713".encode()[:-1]
    assert response_text(body, cut=True) == "a"
    assert response_text(body, cut=False) == "a\ufffd"


@pytest.mark.parametrize(
    ("timeout_ms", "sentence"),
    [(15_000, "timeout after 15 s"), (1_500, "timeout after 1.5 s"), (1, "timeout after 0.001 s")],
)
def test_the_deadline_in_seconds(timeout_ms: int, sentence: str) -> None:
    assert timeout_sentence(timeout_ms) == sentence
