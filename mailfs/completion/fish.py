"""Completion for fish."""

from collections.abc import Iterator, Sequence

from mailfs.completion.row import FORMS, Choice, OptionRow
from mailfs.man.synopsis import Option

_SCRIPT = r"""# fish completion for mailfs(1), written from the verbs' parsers.

# Print the operands on the line so far; $argv are options that take an argument.
function __mailfs_operands
    set -l tokens (commandline -opc)[2..]
    set -l want 0
    for token in $tokens
        if test $want = 1
            set want 0
        else if contains -- $token $argv
            set want 1
        else if not string match -q -- '-?*' $token
            printf '%s\n' $token
        end
    end
end

# Whether the verb is $argv[1]; the others are those of $argv[1]'s options that take
# an argument, and behind -- its verb.
function __mailfs_at
    set -l row (string split ' ' -- $argv[1])
    set -l found (__mailfs_operands $argv[2..])
    test (count $found) -ge (count $row); or return 1
    test "$found[1..$(count $row)]" = "$argv[1]"
end

# Whether the operand being typed is number $argv[2] of the verb $argv[1], or later if
# that ends with a +.
function __mailfs_operand
    __mailfs_at $argv[1] $argv[3..]; or return 1
    set -l above (count (string split ' ' -- $argv[1]))
    set -l count (math (count (__mailfs_operands $argv[3..])) - $above + 1)
    if string match -q '*+' -- $argv[2]
        test $count -ge (string trim -c + -- $argv[2])
    else
        test $count -eq $argv[2]
    end
end

function __mailfs_none
    test (count (__mailfs_operands)) -eq 0
end

function __mailfs_service
    set -l ns $NAMESPACE
    if test -z "$ns"
        set -l display :0
        test -n "$DISPLAY"; and set display (string replace -r '\.0$' '' -- $DISPLAY)
        set display (string replace -a / _ -- $display)
        set ns /tmp/ns.$USER.$display
    end
    for socket in $ns/*
        test -S $socket; and path basename $socket
    end
end

# Print what the server says is in the directory of the 9P path being typed.
function __mailfs_path
    set -l typed (commandline -ct)
    set -l dir (string match -r '^.*/' -- $typed)
    set -l tokens (commandline -opc)
    set -l nine
    for i in (seq 2 (count $tokens))
        if contains -- $tokens[$i] -a -A -u
            set -a nine $tokens[$i] $tokens[(math $i + 1)]
        end
    end
    if test -z "$dir" -a -z "$nine"
        printf '%s/\n' (__mailfs_service)
        return
    end
    set -l ahead command
    command -q timeout; and set ahead timeout 5
    set -l list $dir
    test -n "$list"; or set list /
    $ahead mailfs 9p $nine ls -l $list 2>/dev/null </dev/null | while read -la row
        set -l name (string join ' ' -- $row[10..])
        string match -q 'd*' -- $row[1]; and set name $name/
        printf '%s%s\n' $dir $name
    end
end

# Print mailboxes: the forms of accounts, and files.
function __mailfs_mailbox
    set -l typed (commandline -ct)
    set -l name (string match -r '^[^/=]+=' -- $typed)
    set -l rest (string replace -- "$name" '' $typed)
    for form in @FORMS@
        printf '%s/%s/\n' "$name" $form
    end
    printf "$name%s\n" (__fish_complete_path $rest | string replace -r '\t.*' '')
end

complete -c mailfs -f
complete -c mailfs -n __mailfs_none -l help -d 'show the verbs'
complete -c mailfs -n __mailfs_none -l version -d 'show the version'
@LINES@
"""

_KINDS = {
    "file": "-F -r",
    "dir": "-x -a '(__fish_complete_directories)'",
    "mailbox": "-x -a '(__mailfs_mailbox)'",
    "path": "-x -a '(__mailfs_path)'",
    "service": "-x -a '(__mailfs_service)'",
    "none": "-x",
}


def script(table: Sequence[OptionRow], pages: Sequence[str]) -> str:
    """Return the whole script."""
    kinds = _KINDS | {"page": f"-x -a '{' '.join(pages)}'"}
    lines = [line for row in table for line in _lines(row, table, kinds)]
    text = _SCRIPT.replace("@FORMS@", " ".join(FORMS))
    return text.replace("@LINES@", "\n".join(lines))


def _lines(
    row: OptionRow, table: Sequence[OptionRow], kinds: dict[str, str]
) -> Iterator[str]:
    path = " ".join(row.path)
    takers = _takers(row, table)
    if len(row.path) == 1:
        yield (
            f"complete -c mailfs -n __mailfs_none -a {path} -d {_quote(row.summary)}"
        )
    at = _quote(f"__mailfs_at {_quote(path)} {takers}".rstrip())
    yield f"complete -c mailfs -n {at} -l help -d 'tell more'"
    for option, choice in row.options:
        tail = f" {_argument(choice, kinds)}" if choice else ""
        told = _quote(option.help)
        yield f"complete -c mailfs -n {at}{_names(option)}{tail} -d {told}"
    operands = row.operands
    if row.verbs:
        operands = (Choice("words", row.verbs),)
    for i, choice in enumerate(operands):
        again = "+" if row.many and i == len(operands) - 1 else ""
        where = f"__mailfs_operand {_quote(path)} {i + 1}{again} {takers}".rstrip()
        if choice.kind != "none":
            yield f"complete -c mailfs -n {_quote(where)} {_argument(choice, kinds)}"


def _takers(row: OptionRow, table: Sequence[OptionRow]) -> str:
    """Return the options that take an argument, of a row and of those above it."""
    above = [one for one in table if row.path[: len(one.path)] == one.path]
    return " ".join(
        _bare(name)
        for one in above
        for option, choice in one.options
        if choice
        for name in option.names
    )


def _names(option: Option) -> str:
    return "".join(
        f" -l {name[2:]}" if name.startswith("--") else f" -s {_bare(name[1:])}"
        for name in option.names
    )


def _argument(choice: Choice, kinds: dict[str, str]) -> str:
    if choice.words:
        return f"-x -a '{' '.join(choice.words)}'"
    return kinds[choice.kind]


def _bare(name: str) -> str:
    return _quote(name) if "#" in name else name


def _quote(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
