"""Why rows end before the target, in a few words each; `docs/errors.md` says more."""

MEANINGS = {
    "R101": "the postcondition did not hold after all retries",
    "R102": "the answer was empty, cut off, or stopped by a filter",
    "R103": "the answer could not be read as what was wanted",
    "R104": "a `call` function rejected the row",
    "R105": "a prompt grew too large",
    "R106": "the judge gave no verdict that could be read",
    "R107": "the judge did not accept the work",
    "R108": "a `call` function failed",
    "R109": "a branch's outcome leads nowhere (`else reject`)",
    "R110": "the emitted field held no messages",
    "R005": "the model could not be asked",
    "R006": "the endpoint's rate limit held for too long",
    "R007": "the endpoint kept failing",
    "R008": "the endpoint refused the request",
}
