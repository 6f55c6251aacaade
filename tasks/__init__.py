"""The bundled benchmarks by name. Each is one file; nothing is imported before its name is asked for."""

TASKS = {
    "mlvu": "kangaroo_eval.tasks.mlvu:MLVU",
    "videomme": "kangaroo_eval.tasks.videomme:VIDEOMME",
    "videomme_subtitles": "kangaroo_eval.tasks.videomme:VIDEOMME_SUBTITLES",
}
