"""Syntax → domain: names resolved, types checked, conditions as sets of values, nodes as actions."""
