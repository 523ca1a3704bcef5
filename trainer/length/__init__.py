"""Length control: teaching a reasoning model to close its thinking at a budget.

Traces of the policy that run past the budget are cut exactly there, closed, and answered by the policy itself (`sample`).
Of such a sample the loss sees the closing tag and the end of the turn alone (`strategies`), beside ordinary samples that
keep everything else as it was (`tune`). `report` measures what that changed and what it cost; `run` does all of it as one
resumable command; `demo` is the experiment on a model small enough for two cores, with the controls.

The method is that of the Hermes 4 technical report, section 3.1 and appendix B (Nous Research, 2025).
"""
