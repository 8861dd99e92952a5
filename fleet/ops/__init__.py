"""What people see of a fleet that runs, and the few things that they can do to it from there.

The operator page shows the floor, who drives and why, tasks, the rollout and alarms, and is read-only unless it was
started with an operator's key. Dashboards and alert rules for Prometheus and Grafana are generated from the metrics
that the code declares, so that no name in them can drift.

Read `places` (where a fleet is), `watch` (what is asked of it), `seen` (what was found), `alarms` (what of it a person
has to know), `access` (who may act), `acts` (what can be done), `server` (the page over HTTP), `command` (`muster
page`); then `declared` (every metric), `burn` and `rules` (alerts), `grafana` (dashboard), `dashboards` (`muster
dashboards`).
"""
