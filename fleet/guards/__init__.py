"""Guards of serving: when a policy is asked about what it never saw, the hand-made fallback drives instead.

A policy's graph may tell, beside its action, how unlike its training an observation is (agents/novelty.py), and how
much the readings behind it contradict each other (senses, walls). In each control step that is one comparison with
limits that `muster calibrate-guard` measured, recorded and replayed with the step; a skew that is there from the start
is found before anything moves. To read: watch (the rule of one step, pure), senses and walls (pose, odometry, scan and
map), ask (how a policy is asked), golden and preflight (what is looked at before the first step), calibrate and drive
(how limits are made).
"""
