"""Published baselines, as data files; nothing to import."""
