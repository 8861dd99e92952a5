"""What a recording can be asked beyond "identical?".

What would another policy, another assumption have done, how would it have gone on, and what happened here, on one page.

Read in this order: walk (recorded steps, decided again), policies (which policy a name means), whatif (one step at a
time, on what was recorded), restore (a floor as it was at a moment), playon (a policy drives on from there), cutting (a
regression test of a few steps), questions (`muster replay`'s options), moment (what an incident's page
shows), timeline and player (its time axis and its picture), page (`muster incident`). Plain replay is fleet/replay.py.
"""
