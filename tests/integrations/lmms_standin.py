"""A small stand-in for lmms-eval: the classes that a model of it is made of, with their names and behaviour in 0.7.

Written after lmms_eval/api/model.py, api/instance.py and models/registry_v2.py, so that what is ours is tested where
lmms-eval, which wants another PyAV, is not installed.
"""

from __future__ import annotations

from pathlib import Path

FILES = {
    "lmms_eval/__init__.py": "",
    "lmms_eval/api/__init__.py": "",
    "lmms_eval/models/__init__.py": "",
    "lmms_eval/api/model.py": """
import abc

class CacheHook:
    def __init__(self, cachinglm=None):
        self.kept = []
    def add_partial(self, attr, req, res):
        self.kept.append((attr, req, res))

class lmms(abc.ABC):
    is_simple = True
    def __init__(self):
        self._rank, self._world_size = 0, 1
        self.cache_hook, self.task_dict = CacheHook(None), {}
    @abc.abstractmethod
    def loglikelihood(self, requests): ...
    @abc.abstractmethod
    def generate_until(self, requests): ...
    @abc.abstractmethod
    def generate_until_multi_round(self, requests): ...
    @classmethod
    def create_from_arg_string(cls, arg_string, additional_config=None):
        args = dict(pair.split("=", 1) for pair in arg_string.split(",") if pair)
        args = {name: int(value) if value.isdigit() else value for name, value in args.items()}
        more = {name: value for name, value in (additional_config or {}).items() if value is not None}
        return cls(**args, **more)
    @property
    def rank(self):
        return self._rank
    @property
    def world_size(self):
        return self._world_size
    def clean(self):
        self.cleaned = True
""",
    "lmms_eval/api/instance.py": """
from dataclasses import dataclass, field
from typing import Any

@dataclass
class TokenCounts:
    input_tokens: Any = None
    output_tokens: Any = None
    reasoning_tokens: Any = None

@dataclass
class GenerationResult:
    text: str
    token_counts: Any = None

@dataclass
class Instance:
    arguments: tuple = ()
    request_type: Any = None
    idx: int = 0
    metadata: Any = None
    resps: list = field(default_factory=list)
    filtered_resps: dict = field(default_factory=dict)
    @property
    def args(self):
        return self.arguments
""",
    "lmms_eval/tasks/__init__.py": """
import importlib.util
from pathlib import Path

class TaskManager:
    # The tasks of a folder's module tasks.py: name -> what the real one makes of a YAML file.
    def __init__(self, include_path=None):
        spec = importlib.util.spec_from_file_location("included", Path(include_path) / "tasks.py")
        module = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(module)
        self.tasks, groups = module.TASKS, getattr(module, "GROUPS", ())
        self.task_index = {name: {"type": "task"} for name in self.tasks} | {name: {"type": "group"} for name in groups}
        self.all_subtasks = list(self.tasks)
    def load_task_or_group(self, name):
        return {name: self.tasks[name]()}
""",
    "lmms_eval/models/registry_v2.py": """
from dataclasses import dataclass

@dataclass(frozen=True)
class ModelManifest:
    model_id: str
    simple_class_path: str = None
    chat_class_path: str = None
    aliases: tuple = ()
""",
}


def write(root: Path) -> Path:
    """The stand-in as a package under `root`."""
    for name, text in FILES.items():
        file = root / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(text)
    return root
