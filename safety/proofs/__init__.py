"""Machine-checked lemmas behind the shield, proved anew from the parameters that ship. Read `longitudinal.py`."""
