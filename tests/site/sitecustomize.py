"""Lets torchvision's wheel for CUDA torch import under CPU torch, in every process that the tests start.

The two packages' versions fit, but the CPU build of torch lacks two operators that the wheel registers kernels for.
Without a declaration of them its import fails, and `import transformers` with it. Loaded by Python itself where this
folder is on PYTHONPATH (tests/conftest.py puts it there); it costs nothing until torchvision is imported.
"""

from __future__ import annotations

import importlib.abc
import importlib.metadata
import sys

OPERATORS = ("nms", "qnms")
kept: list[object] = []  # the declarations last as long as the object that made them


class Declare(importlib.abc.MetaPathFinder):
    """Finds nothing; declares the operators just before torchvision is looked for."""

    def find_spec(self, fullname, path=None, target=None):
        """None, so that the usual finders go on."""
        if fullname == "torchvision" and not kept:
            sys.meta_path.remove(self)
            import torch

            try:
                version = importlib.metadata.version("torchvision")
            except importlib.metadata.PackageNotFoundError:
                return None
            cpu = torch.version.cuda is None and "+cpu" not in version
            # pytest may load this file twice, as it does a conftest.py that tests import from.
            if cpu and not hasattr(torch.ops.torchvision, "nms"):
                library = torch.library.Library("torchvision", "DEF")
                for name in OPERATORS:
                    library.define(name + "(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
                kept.append(library)
        return None


sys.meta_path.insert(0, Declare())
