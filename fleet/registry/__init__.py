"""What may drive: immutable policy versions, the releases that pin them together, and who changed what when.

A version is the sha256 of its manifest, which names every file by its own sha256; nothing that is registered is ever
changed, and what lies in the store is checked whenever it is read. Shadow, rollout and rollback act on a *release*: one
manifest that pins meta, skills and motor with what they were trained on, robot, shield and configuration. One that does
not close is refused. Aliases (production, candidate, shadow) say per site and embodiment which release is meant; each
change of anything is a line in an append-only, hash-chained log.

Reading order: manifest.py (what is written down), objects.py (files by content), store.py (the registry), audit.py (its
log), command.py (`muster registry`).
"""
