"""The model that a run's configuration names, loaded as it says."""

from __future__ import annotations

from kangaroo_eval.plan import RunConfig
from kangaroo_eval.protocols import Model
from kangaroo_eval.registry import load_model


def load(config: RunConfig) -> Model:
    """The model. `UserError` where it cannot be had."""
    return load_model(
        config.model,
        device=config.device,
        dtype=config.dtype,
        seed=config.seed,
        batch_size=config.batch_size,
        # Only what is asked for: a third party's loader need not know them.
        **({"full_hash": True} if config.full_hash else {}),
        **({"trust_remote_code": True} if config.trust_remote_code else {}),
        **config.model_args,
    )
