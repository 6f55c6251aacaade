"""Models that are not Kangaroo, by name. Nothing is imported before its name is asked for."""

MODELS = {
    "constant": "kangaroo_eval.backends.baselines:constant",
}
