"""Models that are not Kangaroo, by name. Nothing is imported before its name is asked for."""

MODELS = {
    "blind": "kangaroo_eval.backends.blind:load",
    "constant": "kangaroo_eval.backends.baselines:constant",
    "hf": "kangaroo_eval.backends.hf:load",
    "majority": "kangaroo_eval.backends.baselines:majority",
    "openai": "kangaroo_eval.backends.remote:load",
    "random": "kangaroo_eval.backends.baselines:random",
    "release": "kangaroo_eval.backends.release:load",
    "shuffled": "kangaroo_eval.backends.shuffled:load",
}
