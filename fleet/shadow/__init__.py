"""Shadow mode: a candidate decides beside production on the same inputs, and nothing of it reaches a motor.

Each control step that a candidate is asked in gives a pair: what production and the candidate proposed, what the shield
released for each and why, the margins. From pairs comes a summary with a verdict that may be looked at at any time.

Read `pairs` (what is compared), `offline` (on recorded black boxes), `verdict` (the evidence), `summary` (files of
pairs, and what they say), `page` (the report), `candidate`
(what VERSION may be), `command` (`muster shadow`).
"""
