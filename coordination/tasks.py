"""The store of tasks: what keeps them, the cells that robots hold, where pods are, and the stop latch on disk.

`Store` writes through: every change is a row in SQLite and in an append-only log, and the open tasks are mirrored in
memory, so that a tick reads nothing from disk. Group many changes into one commit with `with store.transaction():`
and send nothing before it has ended. It does not decide who gets which task, `assignment` does, nor what may happen to
one: that is `lifecycle.transition`.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from coordination.database import Database, StoreError
from coordination.lifecycle import TERMINAL, TaskEvent, TaskRecord, level, transition
from coordination.messages import Choice, Chosen
from coordination.requests import Task, TaskState
from coordination.schema import SCHEMA, SCHEMA_VERSION, Holding, Latch, Pod
from coordination.wire import EPOCHS_REMEMBERED


class Store(Database):
    """Owns `tasks.sqlite`: tasks, attempts, holdings, pods, logs and latch. One writer; readers open it read-only.

    Each change commits by itself unless it stands in `with store.transaction():`. Raises StoreError (one line);
    after an error nothing of the transaction is stored, in memory neither.
    """

    def __init__(self, path: Path | str, *, read_only: bool = False) -> None:
        """Open or create the store; raises StoreError when the file is in use, broken, newer or not ours."""
        self._open: dict[str, TaskRecord] = {}
        self._ended: dict[TaskState, int] = {}
        self._latch = Latch()
        self._pods: Mapping[int, Pod] = {}
        super().__init__(path, schema=SCHEMA, version=SCHEMA_VERSION, read_only=read_only)
        try:
            with self._explained("read"):
                self.forget()
        except BaseException:
            self.close()
            raise

    def forget(self) -> None:
        """Read the mirror anew from disk: at start and after a rollback."""
        ended = ",".join(str(int(state)) for state in TERMINAL)
        rows = self.connection.execute(f"SELECT {_COLUMNS} FROM tasks WHERE state NOT IN ({ended}) ORDER BY rowid")
        self._open = {row[0]: _record(row) for row in rows}
        rows = self.connection.execute(f"SELECT state, count(*) FROM tasks WHERE state IN ({ended}) GROUP BY state")
        self._ended = {TaskState(state): count for state, count in rows}
        row = self.connection.execute("SELECT stopped, stop_epoch, stamp, by, reason FROM latch").fetchone()
        self._latch = Latch(bool(row[0]), *row[1:]) if row else Latch()
        known = self.connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'pods'").fetchone()  # none: read-only
        rows = self.connection.execute("SELECT home, cell, robot FROM pods ORDER BY home") if known else ()
        self._pods = {home: Pod(cell, robot) for home, cell, robot in rows}

    # senders ---------------------------------------------------------------------------------------------------

    def epochs(self) -> dict[str, list[int]]:
        """The epochs that were heard of each sender, oldest first."""
        heard: dict[str, list[int]] = {}
        with self._explained("read"):
            for sender, epoch in self.connection.execute("SELECT sender, epoch FROM epochs ORDER BY seq"):
                heard.setdefault(sender, []).append(epoch)
        return heard

    def hear(self, sender: str, epoch: int) -> None:
        """Keep a sender's new epoch, so that a restarted server takes no frame of the ones before it."""
        with self.transaction():
            self.connection.execute("INSERT OR IGNORE INTO epochs (sender, epoch) VALUES (?, ?)", (sender, epoch))
            self.connection.execute(
                "DELETE FROM epochs WHERE sender = ? AND seq NOT IN "
                "(SELECT seq FROM epochs WHERE sender = ? ORDER BY seq DESC LIMIT ?)",
                (sender, sender, EPOCHS_REMEMBERED),
            )

    # tasks -----------------------------------------------------------------------------------------------------

    def submit(self, tasks: Sequence[Task], now: int) -> tuple[str, ...]:
        """Take tasks in, all or none; a task that is already here is accepted again and changes nothing.

        Returns the ids, in order. Raises StoreError when an id is not 1 to 64 letters, digits, `-` or `_`, or when
        it is already taken by a task with other content.
        """
        with self.transaction():
            for task in tasks:
                if not 0 < len(task.id) <= 64 or not task.id.replace("-", "").replace("_", "").isalnum():
                    raise StoreError(f"task id {task.id[:70]!r} is not 1 to 64 letters, digits, - or _")
                body = msgspec.msgpack.encode(task)
                known = self.connection.execute("SELECT body FROM tasks WHERE id = ?", (task.id,)).fetchone()
                if known is not None:
                    if msgspec.msgpack.decode(known[0], type=Task) != task:
                        raise StoreError(f"task {task.id} is already here with other content; make a new id")
                    continue
                record = TaskRecord(task, TaskState.QUEUED, 0, "", 0, now, now)
                self.connection.execute(
                    f"INSERT INTO tasks ({_COLUMNS}) VALUES (?,?,?,?,?,?,?,?,?)",
                    (task.id, body, int(record.state), 0, "", 0, now, now, ""),
                )
                self._open[task.id] = record
                self._log(now, "submit", task.id)
        return tuple(task.id for task in tasks)

    def record(self, task: str) -> TaskRecord | None:
        """A task by its id, open or ended; None when it was never submitted."""
        if task in self._open:
            return self._open[task]
        row = self.connection.execute(f"SELECT {_COLUMNS} FROM tasks WHERE id = ?", (task,)).fetchone()
        return _record(row) if row else None

    def open_tasks(self) -> dict[str, TaskRecord]:
        """Every task that has not ended, by id, in order of submission."""
        return dict(self._open)

    def next_queued(
        self, now: int, limit: int = 64, fit: Callable[[TaskRecord], bool] = lambda record: True
    ) -> list[TaskRecord]:
        """At most `limit` queued tasks that are `fit` to be begun, the most pressing first.

        The higher `level` comes first, then the earlier deadline, then the earlier submission.
        """

        def rank(record: TaskRecord) -> tuple[float, int, int]:
            return -level(record, now), record.task.deadline or 2**62, record.submitted

        queued = (record for record in self._open.values() if record.state is TaskState.QUEUED and fit(record))
        return heapq.nsmallest(limit, queued, key=rank)

    def assign(self, task: str, robot: str, now: int, chosen: Chosen | None = None) -> int:
        """Give a queued task to a robot; returns the number of the attempt. The event says how it was chosen.

        `chosen` is the robot's own answer to an offer; without it the rule of `assignment` chose, which draws nothing.
        Raises StoreError when the task is not queued: the caller decided on something that it did not look up.
        """
        record = self._open.get(task)
        if record is None or record.state is not TaskState.QUEUED:
            raise StoreError(f"task {task} is not queued; it cannot be assigned to {robot}")
        attempt = record.attempt + 1
        with self.transaction():
            self.connection.execute(
                "INSERT INTO attempts (task, attempt, robot, started, outcome) VALUES (?,?,?,?,'')",
                (task, attempt, robot, now),
            )
            fresh = replace(record, attempt=attempt, robot=robot, legs_done=0)
            mission = f"{task}/{attempt}"
            choice = Choice(mission) if chosen is None else chosen.choice(mission)
            self._apply(fresh, TaskEvent.ASSIGN, now, detail=msgspec.json.encode(choice).decode())
        return attempt

    def progress(self, task: str, attempt: int, legs_done: int, now: int) -> bool:
        """The robot works on the attempt and has so many legs behind it; False when the attempt is not live."""
        record = self._live(task, attempt)
        if record is None:
            return False
        legs_done = max(legs_done, record.legs_done)
        if record.state is TaskState.RUNNING and legs_done == record.legs_done:
            return True
        with self.transaction():
            if record.state is TaskState.RUNNING:
                self._write(replace(record, legs_done=legs_done, changed=now))
                self._log(now, "leg", task, attempt, record.robot, str(legs_done))
                return True
            return self._apply(replace(record, legs_done=legs_done), TaskEvent.START, now)

    def wait(self, task: str, attempt: int, reason: str, now: int) -> bool:
        """Put on record that a live attempt waits for an operator; an empty reason ends that. False when not live.

        The state stays: a load may be on board, so the task is nobody else's, and an operator may cancel it.
        """
        record = self._live(task, attempt)
        if record is None:
            return False
        with self.transaction():
            self._write(replace(record, reason=reason))  # `changed` stays: nothing moved
            self._log(now, "operator" if reason else "operator_done", task, attempt, record.robot, reason)
        return True

    def finish(self, task: str, attempt: int, state: TaskState, now: int, reason: str = "") -> bool:
        """End a task for good as DONE, FAILED or CANCELLED by its live attempt; False when that is not live."""
        event = {TaskState.DONE: TaskEvent.FINISH, TaskState.FAILED: TaskEvent.FAIL}.get(state, TaskEvent.CANCEL)
        record = self._live(task, attempt)
        return record is not None and self._apply(record, event, now, reason)

    def requeue(self, task: str, attempt: int, reason: str, now: int) -> bool:
        """End an attempt without success and let another robot try; False when the attempt is not live."""
        record = self._live(task, attempt)
        return record is not None and self._apply(replace(record, legs_done=0), TaskEvent.REQUEUE, now, reason)

    def requeue_all(self, reason: str, now: int) -> None:
        """End every live attempt without success."""
        for record in [record for record in self._open.values() if record.robot]:
            self.requeue(record.task.id, record.attempt, reason, now)

    def change(self, task: str, event: TaskEvent, now: int, reason: str = "") -> bool:
        """An operator's or client's event (CANCEL, FAIL, SUSPEND, RESUME); False when it cannot happen now."""
        record = self._open.get(task)
        if record is None or event in (TaskEvent.ASSIGN, TaskEvent.START, TaskEvent.FINISH, TaskEvent.REQUEUE):
            return False
        return self._apply(record, event, now, reason)

    def counts(self) -> dict[str, int]:
        """Tasks by the name of their state; every state is there."""
        totals = {state: self._ended.get(state, 0) for state in TaskState}
        for record in self._open.values():
            totals[record.state] += 1
        return {state.name: count for state, count in totals.items()}

    # cells -----------------------------------------------------------------------------------------------------

    def hold(self, robot: str, cells: Iterable[int], grant_id: int, now: int) -> None:
        """Grant cells to a robot: they are its own until released. Cells that it holds already stay as they are."""
        known = {holding.cell for holding in self.holdings(robot).get(robot, ())}
        rows = [(robot, int(cell), now, grant_id) for cell in dict.fromkeys(cells) if cell not in known]
        with self.transaction():
            self.connection.executemany("INSERT INTO holdings (robot, cell, since, grant_id) VALUES (?,?,?,?)", rows)
            self.connection.executemany(
                "INSERT INTO grant_log (robot, cell, stamp, grant_id, event) VALUES (?,?,?,?,'grant')", rows
            )

    def release(self, robot: str, cells: Iterable[int], now: int) -> None:
        """Take cells back from a robot; cells that it does not hold are passed over."""
        known = {holding.cell: holding.grant_id for holding in self.holdings(robot).get(robot, ())}
        rows = [(robot, int(cell)) for cell in dict.fromkeys(cells) if cell in known]
        with self.transaction():
            self.connection.executemany("DELETE FROM holdings WHERE robot = ? AND cell = ?", rows)
            self.connection.executemany(
                "INSERT INTO grant_log (robot, cell, stamp, grant_id, event) VALUES (?,?,?,?,'release')",
                [(robot, cell, now, known[cell]) for robot, cell in rows],
            )

    def exchange(self, changes: Iterable[tuple[str, str, int, int]], now: int) -> None:
        """Cells that change hands in a tick, in order: (`grant`, `cover` or `release`, robot, cell, grant id).

        Like `hold` and `release`, for a caller that keeps the cells' owners itself.
        """
        with self.transaction():
            for event, robot, cell, grant_id in changes:
                if event != "release":
                    self.connection.execute(
                        "INSERT INTO holdings (robot, cell, since, grant_id) VALUES (?,?,?,?)",
                        (robot, cell, now, grant_id),
                    )
                else:
                    self.connection.execute("DELETE FROM holdings WHERE robot = ? AND cell = ?", (robot, cell))
                self.connection.execute(
                    "INSERT INTO grant_log (robot, cell, stamp, grant_id, event) VALUES (?,?,?,?,?)",
                    (robot, cell, now, grant_id, event),
                )

    def note(self, event: str, now: int, *, robot: str = "", task: str = "", detail: str = "") -> None:
        """Add a line to the log of events that changes nothing, such as a conflict that a person should see."""
        with self.transaction():
            self._log(now, event, task, 0, robot, detail)

    def bind(self, floor: str) -> None:
        """Say of which floor (its content hash) the store's cells are; the first word holds.

        Raises StoreError when they are another floor's: held cells and legs would be other places there.
        """
        row = self.connection.execute("SELECT detail FROM events WHERE event = 'floor' ORDER BY seq LIMIT 1").fetchone()
        if row is None:
            self.note("floor", self.newest_stamp(), detail=floor)
        elif row[0] != floor:
            raise StoreError(
                f"{self.path} belongs to floor {row[0][:12]}, this is floor {floor[:12]}; "
                "give the same --site or another run directory"
            )

    def begin(self) -> int:
        """A coordinator begins a life on this store: the life's number, from 1, for its grants to carry as epoch."""
        row = self.connection.execute("SELECT count(*) FROM events WHERE event = 'life'").fetchone()
        self.note("life", self.newest_stamp(), detail=str(row[0] + 1))
        return row[0] + 1

    def holdings(self, robot: str | None = None) -> dict[str, list[Holding]]:
        """The cells that each robot (or one) holds, in the order in which they were granted."""
        where, values = ("", ()) if robot is None else (" WHERE robot = ?", (robot,))
        held: dict[str, list[Holding]] = {}
        query = f"SELECT robot, cell, since, grant_id FROM holdings{where} ORDER BY rowid"
        for name, cell, since, grant_id in self.connection.execute(query, values):
            held.setdefault(name, []).append(Holding(cell, since, grant_id))
        return held

    def last_grant_id(self) -> int:
        """The largest grant id ever given; 0 before the first. Ids go on from here after a restart."""
        return self.connection.execute("SELECT coalesce(max(grant_id), 0) FROM grant_log").fetchone()[0]

    def newest_stamp(self) -> int:
        """The largest stamp among the last entries of both logs, ns; 0 in a new store."""
        stamps = "SELECT stamp FROM {} ORDER BY seq DESC LIMIT 1"
        rows = (self.connection.execute(stamps.format(table)).fetchone() for table in ("events", "grant_log"))
        return max((row[0] for row in rows if row), default=0)

    # pods ------------------------------------------------------------------------------------------------------

    def pods(self) -> Mapping[int, Pod]:
        """Where each pod is, by its home; another mapping after every change."""
        return self._pods

    def keep_pods(self, homes: Iterable[int], *, anew: bool = False) -> None:
        """Pods that are not known yet stand at home; with `anew` all of them do."""
        homes = [int(home) for home in homes if anew or int(home) not in self._pods]
        with self.transaction():
            self.connection.executemany(
                "INSERT OR REPLACE INTO pods (home, cell, robot) VALUES (?,?,'')", [(home, home) for home in homes]
            )
            self._pods = {**self._pods, **{home: Pod(home) for home in homes}}

    def place_pod(self, home: int, cell: int, robot: str, now: int) -> None:
        """A pod stands in a cell now, or a robot carries it (cell -1)."""
        with self.transaction():
            self.connection.execute("UPDATE pods SET cell = ?, robot = ? WHERE home = ?", (cell, robot, home))
            where = f"stands in cell {cell}" if cell >= 0 else f"is carried by {robot}"
            self._log(now, "pod", robot=robot, detail=f"the pod of cell {home} {where}")
            self._pods = {**self._pods, home: Pod(cell, robot)}

    # emergency stop --------------------------------------------------------------------------------------------

    def latch(self) -> Latch:
        """The emergency stop as it stands on disk."""
        return self._latch

    def set_latch(self, stopped: bool, stop_epoch: int, now: int, by: str, reason: str = "") -> Latch:
        """Put the emergency stop's state on disk; what may change it is `estop`'s to say."""
        latch = Latch(stopped, stop_epoch, now, by, reason)
        with self.transaction():
            self.connection.execute(
                "INSERT OR REPLACE INTO latch (id, stopped, stop_epoch, stamp, by, reason) VALUES (1,?,?,?,?,?)",
                (int(stopped), stop_epoch, now, by, reason),
            )
            self._log(now, "stop" if stopped else "stop_reset", detail=f"{stop_epoch} by {by}: {reason}")
            self._latch = latch
        return latch

    # inside ----------------------------------------------------------------------------------------------------

    def _live(self, task: str, attempt: int) -> TaskRecord | None:
        record = self._open.get(task)
        if record is None or record.attempt != attempt:
            return None
        return record if record.state in (TaskState.ASSIGNED, TaskState.RUNNING) else None

    def _apply(self, record: TaskRecord, event: TaskEvent, now: int, reason: str = "", *, detail: str = "") -> bool:
        state = transition(record.state, event)
        if state is None:
            return False
        live = state in (TaskState.ASSIGNED, TaskState.RUNNING)
        with self.transaction():
            self._log(now, event.name.lower(), record.task.id, record.attempt, record.robot, detail or reason)
            if record.robot and not live:
                self.connection.execute(
                    "UPDATE attempts SET ended = ?, outcome = ? WHERE task = ? AND attempt = ?",
                    (now, reason or state.name.lower(), record.task.id, record.attempt),
                )
            ended = replace(
                record, state=state, changed=now, reason=reason or record.reason, robot=record.robot if live else ""
            )
            self._write(ended)
            if state in TERMINAL:
                del self._open[record.task.id]
                self._ended[state] = self._ended.get(state, 0) + 1
        return True

    def _write(self, record: TaskRecord) -> None:
        self.connection.execute(
            "UPDATE tasks SET state=?, attempt=?, robot=?, legs_done=?, changed=?, reason=? WHERE id=?",
            (
                int(record.state),
                record.attempt,
                record.robot,
                record.legs_done,
                record.changed,
                record.reason,
                record.task.id,
            ),
        )
        self._open[record.task.id] = record

    def _log(self, now: int, event: str, task: str = "", attempt: int = 0, robot: str = "", detail: str = "") -> None:
        self.connection.execute(
            "INSERT INTO events (stamp, event, task, attempt, robot, detail) VALUES (?,?,?,?,?,?)",
            (now, event, task, attempt, robot, detail),
        )


_COLUMNS = "id, body, state, attempt, robot, legs_done, submitted, changed, reason"


def _record(row: tuple) -> TaskRecord:
    _, body, state, attempt, robot, legs_done, submitted, changed, reason = row
    task = msgspec.msgpack.decode(body, type=Task)
    return TaskRecord(task, TaskState(state), attempt, robot, legs_done, submitted, changed, reason)
