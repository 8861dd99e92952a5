"""Whose word an alias is: an operator's signature (`muster keys derive NAME`) over the line of the log that changes it.

The signature is BLAKE2b, keyed with the operator's node key for the registry, over who did what after which line: it
cannot be made by anybody else, changed, or used again later. It stands in the line as `signature`. Only who has the
fleet key, or the operator's, can check one.
"""

from __future__ import annotations

import hashlib
import hmac
import json

from coordination.keys import KEY_BYTES, NAME, Keys
from fleet.registry.audit import Entry
from fleet.registry.manifest import RegistryError

SIGNATURE = "signature"
"""Key of a signature in what a line tells."""


def signed(who: str, deed: str, what: dict[str, str], before: str, keys: Keys) -> dict[str, str]:
    """What a line tells, with its signature; `before` is the hash of the line before it.

    Raises RegistryError where the keys are not `who`'s.
    """
    mac = _mac(who, deed, what, before, keys)
    if not mac:
        raise RegistryError(
            f"the key file holds no key for {who or 'nobody'}; derive one with `muster keys derive`, give it by --key"
        )
    return {**what, SIGNATURE: mac}


def proven(entry: Entry, keys: Keys) -> bool:
    """Whether a line is signed by whom it names."""
    what = {key: value for key, value in entry.what.items() if key != SIGNATURE}
    mac = _mac(entry.who, entry.deed, what, entry.before, keys)
    return bool(mac) and hmac.compare_digest(mac, entry.what.get(SIGNATURE, ""))


def _mac(who: str, deed: str, what: dict[str, str], before: str, keys: Keys) -> str:
    key = keys.link(who, who, "registry") if NAME.fullmatch(who) else None
    if key is None:
        return ""
    text = json.dumps([who, deed, what, before], sort_keys=True, separators=(",", ":")).encode()
    return hashlib.blake2b(text, key=key, digest_size=KEY_BYTES, person=b"muster alias").hexdigest()
