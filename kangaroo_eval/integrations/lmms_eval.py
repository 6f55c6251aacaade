"""The entry point by which lmms-eval finds our models (its group `lmms_eval.models`): `--model kangaroo`."""

from __future__ import annotations

from typing import Any


def manifests() -> list[Any]:
    """What lmms-eval registers. It is imported here, for it is not there where this package is used without it."""
    from lmms_eval.models.registry_v2 import ModelManifest

    return [
        ModelManifest(
            model_id="kangaroo",
            chat_class_path="kangaroo_eval.integrations.lmms_model.KangarooChat",
            simple_class_path="kangaroo_eval.integrations.lmms_model.KangarooSimple",
            aliases=("kangaroo_eval",),
        )
    ]
