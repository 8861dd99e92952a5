"""The rows of the table of what varies (sim/vary.py) that scenarios bring: the parameters of each family.

`SCENARIO_TABLE` lists them as each family's usual variant has them: FAMILY_PARAMETER, with the range of its source,
which is also as far as any change may lead. `narrowed` gives a scenario whose draws (`scenario.sample`), grid and
searches keep to a changed table.
"""

from __future__ import annotations

from dataclasses import replace

from sim.driving.families import FAMILIES
from sim.driving.scenario import Scenario, ScenarioError, sample
from sim.driving.scenariotext import scenario_of
from sim.vary import Row, Table


def scenario_rows(scenario: Scenario) -> tuple[Row, ...]:
    """The rows of a scenario's parameters."""
    return tuple(each.row(scenario.name, k) for k, each in enumerate(scenario.parameters))


SCENARIO_TABLE = Table(tuple(row for name in FAMILIES for row in scenario_rows(scenario_of(name))))
"""What varies from drive to drive of a scenario; a drive plays one family, so that counters begin anew in each."""


def narrowed(scenario: Scenario, table: Table) -> Scenario:
    """The scenario with the ranges of a table, where that says something else than SCENARIO_TABLE of what is not fixed.

    Raises ScenarioError where nothing is left.
    """
    parameters = list(scenario.parameters)
    for k, parameter in enumerate(parameters):
        name = f"{scenario.name}_{parameter.name}"
        row = table.row(name)
        if row == SCENARIO_TABLE.row(name) or len(set(parameter.values)) == 1:
            continue
        if parameter.choice:
            parameters[k] = replace(parameter, values=parameter.values[int(row.low) : int(row.high) + 1])
            continue
        low, high = max(parameter.low, row.low), min(parameter.high, row.high)
        if low > high:
            raise ScenarioError(
                f"{scenario.name}: {parameter.name}: expected something of {parameter.low:g} to {parameter.high:g} "
                f"{parameter.unit} in the randomization, got {row.low:g} to {row.high:g}; change one of them"
            )
        values = tuple(value for value in parameter.values if low <= value <= high) or tuple(dict.fromkeys((low, high)))
        parameters[k] = replace(parameter, low=low, high=high, values=values, distribution=row.distribution)
    found = replace(scenario, parameters=tuple(parameters))
    if found.parameters != scenario.parameters:
        sample(found, 0, 1)  # raises where the rules leave nothing
    return found
