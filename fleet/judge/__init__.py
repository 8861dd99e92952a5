"""Which release drives better: guardrails over missions, tested at any time, with one stated level of false rollbacks.

A candidate drives some missions, its baseline others, at the same time and place. The judge reads them one by one and
may be asked after each; however often, it rolls an innocent candidate back with at most the probability that its
settings state, over all guardrails together. It promotes only what it has shown to be no worse than a tolerance; what
it lacks (missions, robots, a metric that no longer arrives, a clock that can be believed) is a hold that says so.

Read `missions` (what is judged), `driven` and `near` (how it follows from control steps), `settings` (guardrails and
levels), `judge` (the judge), then the mathematics:
`eprocess` (evidence that may be looked at whenever one likes), `clusters` (missions that are not independent),
`boundaries` (reference formulae of confidence sequences); `verdict` (a decision as a file that replays), `kayenta`
(the baseline judge that this one is compared with), `cli` (`muster judge`).
"""
