"""Mathematical answers: find one in a response, read it, and say whether it is the same as the truth.

    response ──extraction──► text ──notation──► one spelling ──reading──► value ──equality──► the same or not

Numbers, units, sets, tuples, intervals and matrices are read here, exactly and without floating point. Only formulas go
to `math-verify` (`symbolic`), so most verdicts never start a computer algebra system.
"""
