"""From models to scores: evaluations over one OpenAI-compatible endpoint, with every sample, candidate and error on record.

task.py      what an evaluation is: items from data, and who judges
tasks/       one file an evaluation; registry.py finds them
data.py      where items come from: files, the hub, installed packages, our own verifiers
run.py       ask and judge, side by side, into a log that survives `kill -9`
score.py     what became of a sample, and what a log amounts to
log.py       the log on disk
"""
