"""Completion for zsh."""

from collections.abc import Sequence

from mailfs.completion.row import FORMS, Choice, OptionRow
from mailfs.man.synopsis import Option

_SCRIPT = r"""#compdef mailfs
# zsh completion for mailfs(1), written from the verbs' parsers.

# Services in the name space.
_mailfs_service() {
	local ns=$NAMESPACE display=${${DISPLAY:-:0}%.0}
	[[ -n $ns ]] || ns=/tmp/ns.${USER:-$(id -un)}.${display//\//_}
	local -a found
	found=($ns/*(N=:t))
	compadd "$@" -a found
}

# 9P paths: the server says what is there.
_mailfs_path() {
	local dir= mode name
	local -a nine ahead dirs files
	ahead=(command)
	local i
	for ((i = 2; i < $#mailfs_line; i++)); do
		case $mailfs_line[i] in
		-a|-A|-u) nine+=($mailfs_line[i] $mailfs_line[i+1]) ;;
		esac
	done
	[[ $PREFIX == */* ]] && dir=${PREFIX%/*}/
	if [[ -z $dir && -z $nine ]]; then
		_mailfs_service -S /
		return
	fi
	(( $+commands[timeout] )) && ahead=(timeout 5)
	$ahead mailfs 9p $nine ls -l ${dir:-/} 2>/dev/null </dev/null |
		while read -r mode _ _ _ _ _ _ _ _ name; do
			if [[ $mode == d* ]]; then dirs+=($dir$name); else files+=($dir$name); fi
		done
	compadd -S / -q -a dirs
	compadd -a files
}

# Mailboxes: paths, or the forms of accounts.
_mailfs_mailbox() {
	[[ $PREFIX == [^/]*=* ]] && compset -P '*='
	local -a forms
	forms=(@FORMS@)
	compadd -S / -q -a forms
	_files
}

_mailfs_page() {
	compadd "$@" -- @PAGES@
}

_mailfs_verb() {
	case $1 in
@ROWS@
	esac
}

_mailfs() {
	local -a mailfs_line verbs
	local context state state_descr line
	typeset -A opt_args
	mailfs_line=($words)
	_arguments -C '(- *)--help[show the verbs]' '(- *)--version[show the version]' \
		'1:verb:->verb' '*::argument:->argument'
	case $state in
	verb)
		verbs=(
@VERBS@
		)
		_describe -t verbs verb verbs
		;;
	argument) _mailfs_verb $line[1] ;;
	esac
}

if [[ $funcstack[1] == _mailfs ]]; then
	_mailfs "$@"
else
	compdef _mailfs mailfs
fi
"""

_KINDS = {
    "file": "_files",
    "dir": "_files -/",
    "mailbox": "_mailfs_mailbox",
    "path": "_mailfs_path",
    "service": "_mailfs_service",
    "page": "_mailfs_page",
    "none": " ",
}


def script(table: Sequence[OptionRow], pages: Sequence[str]) -> str:
    """Return the whole script."""
    tops = [row for row in table if len(row.path) == 1]
    rows = "\n".join(_case(row, table) for row in tops)
    verbs = "\n".join(f"\t\t\t{_quote(f'{r.path[0]}:{r.summary}')}" for r in tops)
    return (
        _SCRIPT.replace("@ROWS@", rows)
        .replace("@PAGES@", " ".join(pages))
        .replace("@FORMS@", " ".join(f"/{form}" for form in FORMS))
        .replace("@VERBS@", verbs)
    )


def _case(row: OptionRow, table: Sequence[OptionRow]) -> str:
    lines = [f"\t{row.path[0]})", _arguments(row)]
    if row.verbs:
        below = [one for one in table if one.path[:-1] == row.path]
        first = f"'1:verb:({' '.join(row.verbs)})'"
        lines[-1] = _arguments(row, (first, "'*::argument:->below'"))
        lines += ["\t\t[[ $state == below ]] && case $line[1] in"]
        for one in below:
            lines += [f"\t\t{one.path[-1]})", _arguments(one), "\t\t\t;;"]
        lines += ["\t\tesac"]
    return "\n".join([*lines, "\t\t;;"])


def _arguments(row: OptionRow, behind: Sequence[str] = ()) -> str:
    flag = "-C " if behind else ""
    words = [f"\t\t_arguments {flag}-s -S", "'(- *)--help[tell more]'"]
    words += [_option(option, choice) for option, choice in row.options]
    last = len(row.operands) - 1
    for i, choice in enumerate(row.operands):
        where = "*" if row.many and i == last else str(i + 1)
        words.append(_quote(f"{where}:argument:{_kind(choice)}"))
    return " \\\n\t\t\t".join([*words, *behind])


def _option(option: Option, choice: Choice | None) -> str:
    """Return a specification: what excludes what, names, help, argument."""
    told = option.help.translate({ord(c): f"\\{c}" for c in "[]:\\"})
    tail = f"[{told}]"
    if choice is not None:
        name = option.metavar.translate({ord(c): f"\\{c}" for c in ":\\"})
        tail += f":{name}:{_kind(choice)}"
    if len(option.names) == 1:
        many = "*" if option.many else ""
        return _quote(f"{many}{option.names[0]}{tail}")
    names = ",".join(option.names)
    apart = "*" if option.many else f"({' '.join(option.names)})"
    return f"{_quote(apart)}{{{names}}}{_quote(tail)}"


def _kind(choice: Choice) -> str:
    return f"({' '.join(choice.words)})" if choice.words else _KINDS[choice.kind]


def _quote(text: str) -> str:
    quoted = text.replace("'", "'\\''")
    return f"'{quoted}'"
