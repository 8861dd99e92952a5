"""Who may act from the page: tokens that are good once, sessions that end, requests that come from elsewhere."""

from __future__ import annotations

import socket

import pytest

from fleet.ops.access import LASTS, SESSIONS, Access, is_own_host, is_same_origin


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_a_token_is_good_once() -> None:
    access = Access(Clock())
    token = access.token
    session = access.redeem(token)
    assert session is not None
    assert access.redeem(token) is None
    assert access.token != token
    assert access.redeem("") is None
    assert access.redeem("\udcff") is None


def test_an_act_needs_the_cookie_and_the_word() -> None:
    access = Access(Clock())
    one, two = access.redeem(access.token), access.redeem(access.token)
    assert one is not None
    assert two is not None
    assert access.may_act(one.id, one.word)
    assert not access.may_act(one.id, "")
    assert not access.may_act("", one.word)
    assert not access.may_act(one.id, two.word)
    assert not access.may_act(one.id, "\udcff")


def test_a_session_ends_with_its_shift() -> None:
    clock = Clock()
    access = Access(clock)
    session = access.redeem(access.token)
    assert session is not None
    clock.now = LASTS - 1.0
    assert access.may_act(session.id, session.word)
    clock.now = LASTS + 1.0
    assert not access.may_act(session.id, session.word)


def test_sessions_are_bounded_and_the_oldest_ends() -> None:
    access = Access(Clock())
    sessions = [access.redeem(access.token) for _ in range(SESSIONS + 1)]
    assert sessions[0] is not None
    assert sessions[-1] is not None
    assert access.session(sessions[0].id) is None
    assert access.session(sessions[-1].id) is sessions[-1]


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1:8090", True),
        ("localhost:8090", True),
        ("[::1]:8090", True),
        ("10.0.0.7", True),
        ("HALL-PC:8090", True),
        (socket.gethostname(), True),
        ("evil.example:8090", False),  # a name that was made to point here
        ("127.0.0.1.evil.example", False),
        ("", False),
        ("[", False),
    ],
)
def test_a_page_is_served_under_its_own_names_alone(host: str, own: bool) -> None:
    assert is_own_host(host, "hall-pc") is own


@pytest.mark.parametrize(
    ("headers", "same"),
    [
        ({"host": "127.0.0.1:8090", "origin": "http://127.0.0.1:8090"}, True),
        ({"host": "127.0.0.1:8090", "origin": "http://127.0.0.1:8090", "sec-fetch-site": "same-origin"}, True),
        ({"host": "127.0.0.1:8090", "origin": "http://127.0.0.1:8090", "sec-fetch-site": "cross-site"}, False),
        ({"host": "127.0.0.1:8090", "origin": "http://127.0.0.1:9000"}, False),
        ({"host": "127.0.0.1:8090", "origin": "http://evil.example"}, False),
        ({"host": "127.0.0.1:8090", "origin": "null"}, False),
        ({"host": "127.0.0.1:8090"}, False),
        ({"origin": "http://"}, False),
    ],
)
def test_what_changes_something_comes_from_the_page_itself(headers: dict[str, str], same: bool) -> None:
    assert is_same_origin(headers) is same
