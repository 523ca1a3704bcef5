"""Check answers: a task's hidden facts and a model's response in, a verdict out.

    from dataforge.verifiers import Response, find, verify
    from schemas.task import Task

    verifier = find("maths")
    verdict = verify(verifier, Task(prompt="2/4?", facts={"answer": "1/2"}), Response("It is 0.5."))

To add a verifier, add a file to `library/` (or an entry point `dataforge.verifiers` to a package of your own) and
its gold cases to `gold/`. `dataforge verifiers audit` measures how often each is wrong.
"""

from dataforge.verifiers.checking import CHECKS, Checks, verify
from dataforge.verifiers.protocol import Candidate, Case, Facts, Response, Verdict, Verifier
from dataforge.verifiers.registry import find, names

__all__ = [
    "CHECKS",
    "Candidate",
    "Case",
    "Checks",
    "Facts",
    "Response",
    "Verdict",
    "Verifier",
    "find",
    "names",
    "verify",
]
