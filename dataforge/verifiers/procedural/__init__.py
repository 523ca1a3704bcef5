"""Procedural tasks of the `reasoning-gym` package behind our protocol, and classes of InternBootcamp where it is installed.

    table ──► making ──► Task (question, how to answer; facts) ··· response ──► answers ──► grading ──► verdict

`table` says of each of the package's tasks how its answers are graded, or why it is left out. Most are graded here, since
many of the package's scorers are wrong or run what the model wrote; `auditing` measures each.
"""
