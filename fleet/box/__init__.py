"""The black box: what happened, kept so that nothing that breaks a machine or a file can make it lie.

Read in this order: layout (what a chunk holds), chain (how it is tied and sealed), boxfile (one file that is written),
keep (rotation, quota, locked events), trigger (what locks), recover (whatever is left of a file), verify (whether it
was changed), window (files of a robot, an event's segment), mcapwriter (MCAP in all its variants).
fleet/blackbox.py is the writer that a robot's loop appends to, fleet/salvage.py what replay reads; docs/blackbox.md
has the format.
"""
