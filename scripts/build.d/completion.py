"""What is made when a wheel is built: the completion of each shell."""

import importlib
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface


class CompletionHook(BuildHookInterface):  # type: ignore[type-arg]
    """Puts the scripts into the package and where shells look for them."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        """Write the scripts, and name them to the builder."""
        if version == "editable":
            return  # a checkout makes them when asked
        sys.path.insert(0, self.root)
        completion = importlib.import_module("mailfs.completion")
        script = importlib.import_module("mailfs.cmd.completion").script
        self._folder = TemporaryDirectory()
        for shell, inside in completion.FILES.items():
            path = Path(self._folder.name) / shell
            path.write_text(script(shell))
            place = inside.relative_to(completion.FOLDER.parents[1])
            build_data["force_include"][str(path)] = str(place)
            build_data["shared_data"][str(path)] = completion.SHARES[shell]

    def finalize(self, version: str, build_data: dict[str, Any], path: str) -> None:
        """Remove them: they are in the wheel."""
        if version != "editable":
            self._folder.cleanup()
