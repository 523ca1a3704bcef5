"""The evaluations that ship, one file each; `registry.py` finds them."""
