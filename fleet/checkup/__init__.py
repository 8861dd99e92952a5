"""What `muster doctor` looks at: each module gathers facts about a robot's computer (`look`) and judges them (`check`).

A `check` is a pure function of its facts.

Read `finding` first, then `clock`, `transports`, `peers`, `parameters`, `models`, `disk`; `apart` runs what may hang or
crash in a process of its own.
"""
