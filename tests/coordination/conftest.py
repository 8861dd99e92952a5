from collections.abc import Iterator

import pytest

from tests.coordination.rehearsed import Rehearsal, Rehearse


@pytest.fixture
def rehearse() -> Iterator[Rehearse]:
    """Makes rehearsals, and closes what a failed test left open."""
    made: list[Rehearsal] = []

    def make(*arguments: object, **numbers: object) -> Rehearsal:
        made.append(Rehearsal(*arguments, **numbers))  # type: ignore[arg-type]
        return made[-1]

    yield make
    for rehearsal in made:
        rehearsal.store.close()
        rehearsal.auditor.stop()
