"""Completion for shells, written from what the verbs' parsers say."""

from pathlib import Path

FOLDER = Path(__file__).parent

# Where each shell looks for a file of that name; below share/ once installed.
FILES: dict[str, Path] = {
    "bash": FOLDER / "bash" / "mailfs",
    "zsh": FOLDER / "zsh" / "_mailfs",
    "fish": FOLDER / "fish" / "mailfs.fish",
}
