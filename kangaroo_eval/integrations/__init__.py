"""Other harnesses: their results as run directories of ours, and Kangaroo as a model of theirs.

`FAMILIES` are the beginnings of names of tasks that we have no benchmark for: `lmms:NAME` is whatever lmms-eval calls
NAME, as far as a log of it goes.
"""

FAMILIES = {
    "lmms": "kangaroo_eval.integrations.generic:lmms",
    "vlmeval": "kangaroo_eval.integrations.generic:vlmeval",
}
