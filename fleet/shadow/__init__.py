"""Shadow mode: a candidate decides beside production on the same inputs, and nothing of it reaches a motor.

Each control step that a candidate is asked in gives a pair: what production and the candidate proposed, what the shield
released for each and why, the margins. From pairs comes a summary with a verdict that may be looked at at any time.

Read `pairs` (what is compared), `live` (when a candidate is asked), `floor` (a robot's) and `offline` (on its black
boxes), `road`, `cars`, `drives` and `drivelogs` (the same of cars), `record` (files of pairs), `verdict` (the
evidence), `summary` (what the pairs say), `page` (the report), `candidate` (what VERSION may be), `command` (`muster
shadow`); `bag`, `bagdrive` and `importbag` (`muster import`: a rosbag2 recording as a log).
"""
