"""Who may act from the operator page.

    link       http://HOST:PORT/#TOKEN is printed where the page was started; the part behind # is not sent with any
               request, so it stands in no log. The page redeems it once, for a session; then a new link is printed
    session    a cookie that scripts cannot read and other sites cannot send, and a word that each act must repeat in a
               header, which other sites can neither read nor set. It ends after `LASTS`
    request    for this page by the Host that it names, and from it by its Origin: a page elsewhere, or a name that was
               made to point here (DNS rebinding), is refused

Nothing secret is in the page's source. Raising an emergency stop wants no session, as anywhere in muster.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import socket
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from urllib.parse import urlsplit

LASTS = 12 * 3600.0
"""s; a shift with what comes before and after it."""
SESSIONS = 8
"""At once; the oldest ends."""
TOKEN = 24
"""Random bytes of a token, a session and its word: 192 bits."""


@dataclass(frozen=True)
class Session:
    """A browser that may act."""

    id: str
    word: str
    """What each act repeats in its header"""
    ends: float


class Access:
    """Owns the one token that is good now, and the sessions. `clock` gives s."""

    def __init__(self, clock: Callable[[], float]) -> None:
        """A token that nobody has redeemed."""
        self._clock = clock
        self.token = secrets.token_urlsafe(TOKEN)
        self._sessions: OrderedDict[str, Session] = OrderedDict()

    def redeem(self, token: str) -> Session | None:
        """A session for the token, which is then another one; None for any other word."""
        if not hmac.compare_digest(token.encode(errors="replace"), self.token.encode()):
            return None
        self.token = secrets.token_urlsafe(TOKEN)
        session = Session(secrets.token_urlsafe(TOKEN), secrets.token_urlsafe(TOKEN), self._clock() + LASTS)
        self._sessions[session.id] = session
        while len(self._sessions) > SESSIONS:
            self._sessions.popitem(last=False)
        return session

    def session(self, cookie: str) -> Session | None:
        """The session that a cookie names, while it lasts."""
        found = self._sessions.get(cookie)
        if found is not None and self._clock() > found.ends:
            del self._sessions[cookie]
            return None
        return found

    def may_act(self, cookie: str, word: str) -> bool:
        """Whether a request with this cookie and this word is its session's."""
        found = self.session(cookie)
        return found is not None and hmac.compare_digest(word.encode(errors="replace"), found.word.encode())


def is_own_host(host: str, served: str) -> bool:
    """Whether a request's Host header may name this page: an address, this machine, or what it was served at.

    A name that somebody made to point here is none of these.
    """
    try:
        name = urlsplit(f"//{host}").hostname
    except ValueError:
        return False
    if not name:
        return False
    if name in {"localhost", served.lower(), socket.gethostname().lower()}:
        return True
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True


def is_same_origin(headers: Mapping[str, str]) -> bool:
    """Whether a request that changes something comes from this page, by what browsers say of it.

    Lower-case header names. Without an Origin (a program, not a browser) it is refused too.
    """
    origin, host = headers.get("origin", ""), headers.get("host", "")
    if headers.get("sec-fetch-site", "same-origin") != "same-origin":
        return False
    return bool(host) and origin in (f"http://{host}", f"https://{host}")
