"""Completion for shells, written from what the verbs' parsers say.

row     what each verb takes, as rows
bash, zsh, fish   the script of each shell
FILES   where a script lies once mailfs is installed; a checkout makes it when asked
"""

from pathlib import Path

FOLDER = Path(__file__).parent

FILES: dict[str, Path] = {
    "bash": FOLDER / "bash" / "mailfs",
    "zsh": FOLDER / "zsh" / "_mailfs",
    "fish": FOLDER / "fish" / "mailfs.fish",
}
# Where each shell looks for a file of that name, below the prefix.
SHARES = {
    "bash": "share/bash-completion/completions/mailfs",
    "zsh": "share/zsh/site-functions/_mailfs",
    "fish": "share/fish/vendor_completions.d/mailfs.fish",
}
