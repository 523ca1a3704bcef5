"""What others read and speak: scored groups, the trajectory API of Atropos, PrimeIntellect's environments, other trainers' files.

    groups          scored groups as JSONL             serving         the trajectory API over HTTP
    prime           a verifier as an environment       rollouts        tasks → responses → verdicts → groups
    export          a corpus as preference pairs, groups or messages

It stands above the corpus, the models and the verifiers, and below the command line. Nothing is imported here: what one
of these needs, such as another package, is no business of the rest.
"""
