"""What holds for the sources as a whole: docstrings, scripts, error texts, README."""

import ast
import contextlib
import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from mailfs import errors
from mailfs.cmd.main import VERBS, main
from mailfs.p9 import errstr
from tests.readme import Example, Shell, examples, matches

TOP = Path(__file__).resolve().parents[1]
MODULES = sorted((TOP / "mailfs").rglob("*.py"))
SCRIPTS = [p for p in sorted((TOP / "scripts").iterdir()) if p.is_file()]
SCRIPTS.append(TOP / ".ci/run")
TEXTS = {
    name: text
    for name, text in (vars(errors) | vars(errstr)).items()
    if re.fullmatch("E[A-Z0-9]+", name) and isinstance(text, str)
}


def _name(path: Path) -> str:
    return str(path.relative_to(TOP))


@pytest.mark.parametrize("path", MODULES, ids=_name)
def test_module_says_what_it_is(path: Path) -> None:
    assert ast.get_docstring(ast.parse(path.read_bytes()))


@pytest.mark.parametrize("path", SCRIPTS, ids=_name)
def test_script_is_fit_to_run(path: Path) -> None:
    assert os.access(path, os.X_OK)
    first = path.read_text().partition("\n")[0]
    if "python" in first:
        compile(path.read_bytes(), path, "exec")
        return
    assert first == "#!/bin/sh"
    done = subprocess.run(["sh", "-n", path], capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, b"")


def _told(path: Path) -> set[str]:
    """Return the names and texts that a test may expect an error by."""
    if path.suffix != ".py":
        return set(path.read_text().splitlines())
    nodes = list(ast.walk(ast.parse(path.read_bytes())))
    texts = {n.value for n in nodes if isinstance(n, ast.Constant)}
    return _names(path) | {str(t) for t in texts if isinstance(t, str | bytes)}


def test_error_texts_are_expected_in_tests() -> None:
    """Each is raised by some test, which knows it by name or as a client reads it."""
    tests = [p for p in (TOP / "tests").rglob("*") if p.suffix in (".py", ".txt")]
    told = set().union(*(_told(p) for p in tests if p != Path(__file__)))
    texts = "\n".join(told)
    missing = [n for n in TEXTS if n not in told and TEXTS[n] not in texts]
    assert missing == []


def test_error_texts_differ() -> None:
    assert {text for text, n in Counter(TEXTS.values()).items() if n > 1} == set()


def _names(path: Path) -> set[str]:
    """Return the names that a module uses in an expression; importing is no use."""
    nodes = ast.walk(ast.parse(path.read_bytes()))
    return {
        node.id if isinstance(node, ast.Name) else node.attr
        for node in nodes
        if isinstance(node, ast.Name | ast.Attribute)
    }


def test_error_texts_are_used() -> None:
    own = ("errors.py", "errstr.py")
    used = set().union(*(_names(p) for p in MODULES if p.name not in own))
    by_errno = set(errors._ERRNO.values())
    assert {
        n for n, text in TEXTS.items() if n not in used | {text} & by_errno
    } == set()


DOCUMENT = """\
```console
$ echo one
one
$ printf 'a\\n%s\\n' \\
> b
a
...
$ exit 3
```
```sh
rm -rf /
```
```python
print(1)
```
"""
EXAMPLES = [
    Example(2, "console", "echo one\n", "one\n"),
    Example(4, "console", "printf 'a\\n%s\\n' \\\nb\n", "a\n...\n"),
    Example(8, "console", "exit 3\n", ""),
    Example(14, "python", "print(1)\n", ""),
]


def test_examples_of_a_document() -> None:
    assert list(examples(DOCUMENT)) == EXAMPLES
    with pytest.raises(ValueError, match="line 2: output before"):
        list(examples("```console\noutput\n```\n"))


@pytest.mark.parametrize(
    ("expect", "output", "same"),
    [
        ("a\n", "a\n", True),
        ("a\n", "a", True),
        ("a\n", "a  \n", True),
        ("a\n", "b\n", False),
        ("a\n", "a\nb\n", False),
        ("a\n...\n", "a\n", True),
        ("a\n...\nz\n", "a\nb\nc\nz\n", True),
        ("a\n...\nz\n", "a\nb\n", False),
        ("a.c\n", "abc\n", False),
        ("...\n", "", True),
    ],
)
def test_output_matches(expect: str, output: str, *, same: bool) -> None:
    assert matches(expect, output) == same


@pytest.mark.parametrize(
    ("code", "expect", "complaint"),
    [
        ("echo hello\n", "hello\n", ""),
        ("echo hello\n", "goodbye\n", "printed\nhello\nand not"),
        ("false\n", "", "status 1"),
        ("echo no >&2; false\n", "no\n", ""),
        ("exit 0\n", "", "ended the shell"),
    ],
)
def test_shell_judges(tmp_path: Path, code: str, expect: str, complaint: str) -> None:
    (tmp_path / "ns").mkdir()
    with Shell(tmp_path, tmp_path / "scratch", tmp_path / "ns") as shell:
        shell.run(Example(1, "console", "X=kept; cd /\n"))
        shell.run(Example(2, "console", "echo $X $PWD\n", "kept /\n"))
        if not complaint:
            shell.run(Example(3, "console", code, expect))
            return
        with pytest.raises(AssertionError, match=complaint):
            shell.run(Example(3, "console", code, expect))


def test_shell_waits_for_a_service(tmp_path: Path) -> None:
    (tmp_path / "ns").mkdir()
    with Shell(tmp_path, tmp_path / "scratch", tmp_path / "ns") as shell:
        server = '(sleep 0.2; touch "$NAMESPACE/upasfs"; sleep 60) &\n'
        shell.run(Example(1, "console", server))
        shell.run(Example(2, "console", 'ls "$NAMESPACE"\n', "upasfs\n"))
        shell.run(Example(3, "python", "import sys\nsys.exit(0)\n"))


README = TOP / "README.md"


@pytest.mark.slow
@pytest.mark.skipif(
    not README.exists() or not any(examples(README.read_text())),
    reason="README has no examples",
)
def test_readme_examples_run(tmp_path_factory: pytest.TempPathFactory) -> None:
    scratch = tmp_path_factory.mktemp("r")
    namespace = scratch / "ns"
    namespace.mkdir(mode=0o700)
    with Shell(TOP, scratch / "home", namespace) as shell:
        for example in examples(README.read_text()):
            shell.run(example)


def test_help_lists_each_verb() -> None:
    done = subprocess.run(
        [sys.executable, "-P", "-m", "mailfs", "--help"],
        capture_output=True,
        text=True,
        check=True,
    )
    listed = re.findall(r"^ +([a-z0-9]+) ", done.stdout, re.MULTILINE)
    assert sorted(listed) == sorted(VERBS)
    folder = TOP / "mailfs/cmd"
    modules = {p.stem for p in folder.glob("*.py") if "\nSUMMARY = " in p.read_text()}
    assert modules == set(VERBS.values())


@pytest.mark.parametrize(
    ("name", "verb"),
    [
        ("upas/fs", "fs"),
        ("upas/smtp", "smtp"),
        ("auth/factotum", "factotum"),
        ("auth/secretpem", "secretpem"),
        ("warlock_mail", "setup"),
        ("upas/warlock_mail", "setup"),
        ("/bin/upas/fs", "fs"),
        ("ndb/query", "ndbquery"),
    ],
)
def test_names_of_plan9(
    name: str, verb: str, capsys: pytest.CaptureFixture[str]
) -> None:
    helps = []
    for asked in (name, verb):
        with contextlib.suppress(SystemExit):
            main([asked, "--help"])
        helps.append(capsys.readouterr().out)
    assert helps[0] == helps[1]
    assert f"mailfs {verb}" in helps[0]
