"""The registry: a folder with files by content and one SQLite file that says what they are and what they are called.

    <root>/objects/ab/abcd...   manifests and policies' files, each under its sha256
    <root>/registry.sqlite      versions, releases, aliases, and the log of every change

A change and its line in the log are one commit; the files are on disk before it. Two who write wait for each other for
a while. What is read is checked: a manifest must have its id as sha256, a file the hash that its manifest names.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agents.policy import Policy
from coordination.database import Database, StoreError
from coordination.keys import Keys
from fleet.registry.audit import GENESIS, Entry, broken, following
from fleet.registry.authority import SIGNATURE, proven, signed
from fleet.registry.manifest import (
    FIRMWARE,
    Manifest,
    RegistryError,
    Release,
    canonical,
    check_manifest,
    check_name,
    close,
    digest,
    read,
)
from fleet.registry.objects import Objects
from hierarchy.chooser import META
from sim.errors import printable
from sim.files import write_atomic

CAR_SKILL, CAR_TOP = "lane", "manoeuvre"
"""A skill that cars have, and the folder of what chooses theirs (`fleet.drivinglevels`)."""
SCHEMA_VERSION = 1
SCHEMA = """
CREATE TABLE IF NOT EXISTS versions (
    id TEXT PRIMARY KEY, level TEXT NOT NULL, name TEXT NOT NULL, graph TEXT NOT NULL, embodiment TEXT NOT NULL
);
CREATE TABLE IF NOT EXISTS releases (id TEXT PRIMARY KEY, name TEXT NOT NULL, embodiment TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS aliases (
    site TEXT NOT NULL, embodiment TEXT NOT NULL, alias TEXT NOT NULL, release TEXT NOT NULL,
    PRIMARY KEY (site, embodiment, alias)
);
CREATE TABLE IF NOT EXISTS audit (
    number INTEGER PRIMARY KEY, stamp INTEGER NOT NULL, who TEXT NOT NULL, deed TEXT NOT NULL, what TEXT NOT NULL,
    before TEXT NOT NULL, hash TEXT NOT NULL
)
"""

ALIASED = ("alias", "unalias")
"""Deeds that change what a name means."""
ALIASES = ("production", "candidate", "shadow")
"""What a release can be called for a site and an embodiment."""
WAIT = 5.0
"""s that a writer waits for another one: each holds the registry for some milliseconds."""
SHORT = 8
"""Digits of an id that a person must give at least."""


@dataclass(frozen=True)
class Alias:
    """What a name means somewhere."""

    site: str
    embodiment: str
    alias: str
    release: str


class Registry(Database):
    """Owns the folder. Raises RegistryError, StoreError and FileError, each with one line."""

    holder = "process that writes the registry"
    place = "registry"

    def __init__(
        self, root: Path, *, read_only: bool = False, wall: Callable[[], int] = time.time_ns, wait: float = WAIT
    ) -> None:
        """Open or make the registry of a folder; `wall` dates the log's lines."""
        self.objects = Objects(root / "objects")
        self._wall = wall
        if not read_only:
            _make(root, "--registry")
        deadline = time.monotonic() + wait
        while True:
            try:
                super().__init__(root / "registry.sqlite", schema=SCHEMA, version=SCHEMA_VERSION, read_only=read_only)
                return
            except StoreError as error:
                if "in use" not in str(error) or time.monotonic() > deadline:
                    raise
                time.sleep(0.05)

    def register(self, manifest: Manifest, files: Mapping[str, bytes], who: str) -> str:
        """Keep a version; its id. One that is there already changes nothing, and is no line in the log."""
        check_manifest(manifest, manifest.name)
        told = {name: digest(data) for name, data in files.items()}
        if told != manifest.files:
            wrong = sorted(
                name for name in told.keys() | manifest.files.keys() if told.get(name) != manifest.files.get(name)
            )
            raise RegistryError(
                f"expected the files that the manifest of {manifest.name} names, {wrong[0]} has another sha256 or is "
                "missing; make the manifest again"
            )
        for parent in manifest.parents:
            self.version(parent)
        for data in files.values():
            self.objects.put(data)
        self.objects.put(canonical(manifest))
        row = (manifest.id, manifest.level, manifest.name, manifest.graph, manifest.embodiment)
        with self.transaction():
            added = self.connection.execute("INSERT OR IGNORE INTO versions VALUES (?, ?, ?, ?, ?)", row).rowcount
            if added:
                self._note(who, "register", {"version": manifest.id, "level": manifest.level, "name": manifest.name})
        return manifest.id

    def release(self, release: Release, who: str) -> str:
        """Keep a release; its id. Raises RegistryError with every reason why it does not close."""
        check_manifest(release, release.name)
        known = {each: self.version(each) for each in release.pinned() if self._is("versions", each)}
        if faults := close(release, known):
            raise RegistryError(f"release {release.name} does not close: {'; '.join(faults)}; pin others")
        for parent in release.parents:
            self.released(parent)
        self.objects.put(canonical(release))
        row = (release.id, release.name, release.embodiment)
        with self.transaction():
            if self.connection.execute("INSERT OR IGNORE INTO releases VALUES (?, ?, ?)", row).rowcount:
                self._note(who, "release", {"release": release.id, "name": release.name})
        return release.id

    def name(self, site: str, alias: str, release: str, who: str, reason: str = "", keys: Keys | None = None) -> None:
        """Call a release `alias` on a site, for the robots that it is for; the one before is in the log.

        `keys` are those of `who`, who signs the change; a site whose aliases were signed once takes no others.
        """
        check_name(site, "a site's name")
        if alias not in ALIASES:
            raise RegistryError(f"expected one of {', '.join(ALIASES)}, got {alias!r}; give one of them")
        found = self.released(release)
        with self.transaction():
            before = self.named(site, found.embodiment, alias)
            self.connection.execute(
                "INSERT OR REPLACE INTO aliases VALUES (?, ?, ?, ?)", (site, found.embodiment, alias, release)
            )
            what = {"site": site, "embodiment": found.embodiment, "alias": alias, "release": release, "before": before}
            self._note_alias(who, "alias", {**what, "reason": reason}, keys)

    def unname(
        self, site: str, embodiment: str, alias: str, who: str, reason: str = "", keys: Keys | None = None
    ) -> None:
        """Nothing is called so there any more."""
        with self.transaction():
            before = self.named(site, embodiment, alias)
            if not before:
                raise RegistryError(f"expected a release that is {alias} on {site}, there is none; see `registry list`")
            self.connection.execute(
                "DELETE FROM aliases WHERE site = ? AND embodiment = ? AND alias = ?", (site, embodiment, alias)
            )
            what = {"site": site, "embodiment": embodiment, "alias": alias, "before": before, "reason": reason}
            self._note_alias(who, "unalias", what, keys)

    def version(self, version: str) -> Manifest:
        """The manifest of a version (whole id)."""
        self._expect("versions", version)
        return read(self.objects.get(version), Manifest, f"object {version[:12]}")

    def released(self, release: str) -> Release:
        """A release (whole id)."""
        self._expect("releases", release)
        return read(self.objects.get(release), Release, f"object {release[:12]}")

    def named(self, site: str, embodiment: str, alias: str) -> str:
        """The id of the release that is called so; empty for none."""
        found = self.rows(
            "SELECT release FROM aliases WHERE site = ? AND embodiment = ? AND alias = ?", (site, embodiment, alias)
        )
        return found[0][0] if found else ""

    def find(self, text: str, *, releases: bool = False) -> str:
        """The whole id that begins with `text`; raises RegistryError where none or several do."""
        table, what = ("releases", "release") if releases else ("versions", "version")
        if len(text) < SHORT:
            raise RegistryError(f"expected {SHORT} digits of a {what}'s id at least, got {text!r}; give more")
        rows = self.rows(f"SELECT id FROM {table} WHERE substr(id, 1, ?) = ? LIMIT 3", (len(text), text))
        if len(rows) != 1:
            count = "several" if rows else "none"
            raise RegistryError(f"expected one {what} that begins with {text}, there are {count}; see `registry list`")
        return rows[0][0]

    def versions(self) -> list[Manifest]:
        """Every version, in the order of registration."""
        return [self.version(row[0]) for row in self.rows("SELECT id FROM versions ORDER BY rowid")]

    def releases(self) -> list[Release]:
        """Every release, in the order of registration."""
        return [self.released(row[0]) for row in self.rows("SELECT id FROM releases ORDER BY rowid")]

    def aliases(self) -> list[Alias]:
        """Every name."""
        return [Alias(*row) for row in self.rows("SELECT * FROM aliases ORDER BY site, embodiment, alias")]

    def log(self) -> list[Entry]:
        """Every change, the oldest first."""
        return [_entry(row) for row in self.rows("SELECT * FROM audit ORDER BY number")]

    def check(self, keys: Keys | None = None) -> list[str]:
        """Everything that is wrong: files altered or gone, releases that do not close, a broken log.

        With the fleet's `keys`: also every alias whose last change nobody signed.
        """
        faults = []
        for table in ("versions", "releases"):
            for (each,) in self.rows(f"SELECT id FROM {table} ORDER BY rowid"):
                try:
                    if table == "versions":
                        for data in self.version(each).files.values():
                            self.objects.get(data)
                    else:
                        release = self.released(each)
                        known = {one: self.version(one) for one in release.pinned() if self._is("versions", one)}
                        faults += [f"release {each[:12]}: {fault}" for fault in close(release, known)]
                except RegistryError as error:
                    faults.append(str(error))
        try:
            log = self.log()
        except RegistryError as error:
            return [*faults, str(error)]
        if fault := broken(log):
            faults.append(f"the log: {fault}")
        faults += self._unexplained(log)
        if keys is not None:
            last = {_place(e.what): e for e in log if e.deed in ALIASED}
            faults += [
                f"{alias} of {site}: line {entry.number} of the log is not signed by {entry.who}"
                for (site, _, alias), entry in sorted(last.items())
                if not proven(entry, keys)
            ]
        return faults

    def checkout(self, release: str, place: Path) -> None:
        """Write a release's policies as they are loaded: navigate in `place`, others in folders of their names.

        Raises RegistryError when something is altered or gone, PolicyError when a policy does not load.
        """
        found = self.released(release)
        places: list[tuple[str, Path]] = [
            (version, place if name == "navigate" or len(found.skills) == 1 else place / name)
            for name, version in found.skills.items()
        ]
        if found.meta:
            places.append((found.meta, place / (CAR_TOP if CAR_SKILL in found.skills else META)))
        if not found.motor.startswith(FIRMWARE):
            places.append((found.motor, place / "motor"))
        for version, directory in places:
            manifest = self.version(version)
            _make(directory, "checkout")
            for name, data in sorted(manifest.files.items(), reverse=True):  # policy.onnx before its manifest
                write_atomic(directory / name, self.objects.get(data))
            Policy.load(directory)
        write_atomic(place / "release.json", canonical(found))

    def _unexplained(self, log: Sequence[Entry]) -> list[str]:
        """Rows that the log does not tell of, or tells otherwise: somebody wrote past it."""
        told: dict[str, set[str]] = {"versions": set(), "releases": set()}
        names: dict[tuple[str, str, str], str] = {}
        for entry in log:
            what = entry.what
            if entry.deed == "register":
                told["versions"].add(what.get("version", ""))
            elif entry.deed == "release":
                told["releases"].add(what.get("release", ""))
            elif entry.deed in ALIASED:
                names[_place(what)] = what.get("release", "")
        faults = []
        for table, known in told.items():
            there = {row[0] for row in self.rows(f"SELECT id FROM {table}")}
            faults += [f"{each[:12]} is in {table} and not in the log" for each in sorted(there - known)]
            faults += [f"{each[:12]} is in the log and not in {table}" for each in sorted(known - there)]
        there = {(one.site, one.embodiment, one.alias): one.release for one in self.aliases()}
        for key in sorted(names.keys() | there.keys()):
            if names.get(key, "") != there.get(key, ""):
                faults.append(f"{key[2]} of {key[0]} is {there.get(key, 'none')[:12]}, the log says otherwise")
        return faults

    def _note_alias(self, who: str, deed: str, what: dict[str, str], keys: Keys | None) -> None:
        """A line about an alias, signed where there are keys. Raises RegistryError where there should be."""
        if keys is not None:
            last = self._last()
            what = signed(who, deed, what, last.hash if last is not None else GENESIS, keys)
        elif any(SIGNATURE in e.what for e in self.log() if e.deed in ALIASED and e.what.get("site") == what["site"]):
            raise RegistryError(
                f"expected an operator's signature, as earlier ones of {what['site']}'s aliases have; give --key FILE"
            )
        self._note(who, deed, what)

    def _last(self) -> Entry | None:
        row = self.connection.execute("SELECT * FROM audit ORDER BY number DESC LIMIT 1").fetchone()
        return Entry(row[0], row[1], row[2], row[3], json.loads(row[4]), row[5], row[6]) if row else None

    def _note(self, who: str, deed: str, what: dict[str, str]) -> None:
        last = self._last()
        entry = following(last, self._wall(), who, deed, what)
        values: Sequence[object] = (
            entry.number,
            entry.when,
            entry.who,
            entry.deed,
            json.dumps(entry.what, sort_keys=True),
            entry.before,
            entry.hash,
        )
        self.connection.execute("INSERT INTO audit VALUES (?, ?, ?, ?, ?, ?, ?)", values)

    def _is(self, table: str, each: str) -> bool:
        return bool(self.rows(f"SELECT 1 FROM {table} WHERE id = ?", (each,)))

    def _expect(self, table: str, each: str) -> None:
        if not self._is(table, each):
            what = table.removesuffix("s")
            raise RegistryError(f"expected a registered {what}, {each[:12]} is none; see `muster registry list`")


def _entry(row: Sequence) -> Entry:  # what SQLite gives
    """A row of the log. Raises RegistryError for one that this module did not write."""
    names = ("number", "when", "who", "deed", "what", "before", "hash")
    try:
        return msgspec.convert({**dict(zip(names, row, strict=True)), "what": json.loads(row[4])}, Entry)
    except (ValueError, TypeError, msgspec.MsgspecError) as error:
        why = printable(str(error))
        raise RegistryError(f"line {row[0]} of the log cannot be read ({why}); restore the registry") from error


def _place(what: Mapping[str, str]) -> tuple[str, str, str]:
    """Site, embodiment and alias of a line of the log."""
    return what.get("site", ""), what.get("embodiment", ""), what.get("alias", "")


def _make(folder: Path, what: str) -> None:
    """Make a folder. Raises RegistryError where it cannot be."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RegistryError(f"{what}: expected a folder that can be made, got {folder} ({error.strerror})") from error
