"""Running robots: control loop, black box, replay, metrics, launch, command line.

Read control, records and guard (the pure step), seat (the loop around it), robot (its process), hardware and watchdog
(its two sides), blackbox, box and header (what it leaves behind), salvage and replay (the same step again); plant,
rounds and membership (the process that simulates), world with placement, traffic, perception, witnesses and history
(its floor and the floor's parts); warehouse, findings and report (a fleet's work and how it went); launch, launchfile,
preflight, processes, rundir and cli (how it all starts).
"""
