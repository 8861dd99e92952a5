"""How a new release comes to drive: stage by stage, by evidence, and back at once.

A candidate goes from draft over offline evaluation, simulation suite, shadow and a closed course to 1, 5, 25, 50 and
100 % of the fleet; 5 % stay on the old release until an operator confirms. Every change is an event on disk before it
acts; the state is what the events say, so a crash loses nothing. What a robot drives by is a lease of two seconds at
most: a robot that hears nothing goes back to the old release by itself, and so does one whose own guard trips.

Read `plan` (what is asked of each stage), `record` (events, commands, state), `stages` (the state machine, pure),
`assign` (who drives which release), `events` (the store), `authority` (operators and their signatures), `lease` (both
sides of it, pure), `leasing` (the same over the wire), `conduct` (what runs it), `serve` (as a service), `command`
(`muster rollout`); then the demo: `makers` (policies), `floor` (simulated robots), `trials` (what precedes the fleet),
`demo`, `show` (its page).
"""
