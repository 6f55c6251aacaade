"""The bundled benchmarks by name. Each is one file; nothing is imported before its name is asked for."""

TASKS = {
    "egoschema": "kangaroo_eval.tasks.egoschema:EGOSCHEMA",
    "egoschema_full": "kangaroo_eval.tasks.egoschema:EGOSCHEMA_FULL",
    "longvideobench": "kangaroo_eval.tasks.longvideobench:LONGVIDEOBENCH",
    "longvideobench_subtitles": "kangaroo_eval.tasks.longvideobench:LONGVIDEOBENCH_SUBTITLES",
    "longvideobench_test": "kangaroo_eval.tasks.longvideobench:LONGVIDEOBENCH_TEST",
    "lvbench": "kangaroo_eval.tasks.lvbench:LVBENCH",
    "mlvu": "kangaroo_eval.tasks.mlvu:MLVU",
    "mlvu_generation": "kangaroo_eval.tasks.mlvu:MLVU_GENERATION",
    "mlvu_test": "kangaroo_eval.tasks.mlvu:MLVU_TEST",
    "mmbench_video": "kangaroo_eval.tasks.mmbench_video:MMBENCH_VIDEO",
    "mvbench": "kangaroo_eval.tasks.mvbench:MVBENCH",
    "seedbench_v1_video": "kangaroo_eval.tasks.seedbench:SEEDBENCH_V1_VIDEO",
    "seedbench_video": "kangaroo_eval.tasks.seedbench:SEEDBENCH_VIDEO",
    "tempcompass": "kangaroo_eval.tasks.tempcompass:TEMPCOMPASS",
    "videomme": "kangaroo_eval.tasks.videomme:VIDEOMME",
    "videomme_subtitles": "kangaroo_eval.tasks.videomme:VIDEOMME_SUBTITLES",
    "videovista": "kangaroo_eval.tasks.videovista:VIDEOVISTA",
    "videovista_relation": "kangaroo_eval.tasks.videovista:VIDEOVISTA_RELATION",
}
ALIASES = {
    "seedbench": "seedbench_video",
    "seedbench2": "seedbench_video",
    "egoschema_subset": "egoschema",
}
"""Other names of a task."""
