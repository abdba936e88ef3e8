"""Completion for bash."""

import shlex
from collections.abc import Sequence

from mailfs.completion.row import FORMS, Choice, OptionRow

_SCRIPT = r"""# bash completion for mailfs(1), written from the verbs' parsers.

# Set options (NAME, or NAME:KIND if it takes an argument) and operands (KINDS) of the
# verb $1; a KIND with commas is a list of words, a last operand of ... repeats.
_mailfs_row() {
	case $1 in
@ROWS@
	*) options= operands= ;;
	esac
}

_mailfs_pages=@PAGES@
_mailfs_forms=@FORMS@

# Print the services in the name space.
_mailfs_services() {
	local ns=${NAMESPACE:-} display=${DISPLAY:-:0} socket
	display=${display%.0}
	[ -n "$ns" ] || ns=/tmp/ns.${USER:-$(id -un)}.${display//\//_}
	for socket in "$ns"/*; do
		[ -S "$socket" ] && printf '%s\n' "${socket##*/}"
	done
}

# Print what the server says is in the directory of the 9P path $1; directories end
# with a slash.  The words behind it are options for mailfs 9p.
_mailfs_9p() {
	local dir= wait=command mode name
	case $1 in
	*/*) dir=${1%/*}/ ;;
	esac
	shift
	if [ -z "$dir" ] && [ $# -eq 0 ]; then
		_mailfs_services | while read -r name; do printf '%s/\n' "$name"; done
		return
	fi
	command -v timeout >/dev/null && wait='timeout 5'
	$wait mailfs 9p "$@" ls -l "${dir:-/}" 2>/dev/null </dev/null |
		while read -r mode _ _ _ _ _ _ _ _ name; do
			case $mode in
			d*) printf '%s%s/\n' "$dir" "$name" ;;
			*) printf '%s%s\n' "$dir" "$name" ;;
			esac
		done
}

# Complete $cur with the lines on standard input.
_mailfs_lines() {
	local line
	while IFS= read -r line; do
		[[ $line == "$cur"* ]] && COMPREPLY+=("$line")
	done
}

# Complete $cur with what is of kind $1.
_mailfs_kind() {
	local prefix= form
	case $1 in
	file) compopt -o filenames 2>/dev/null; _mailfs_lines < <(compgen -f -- "$cur") ;;
	dir) compopt -o filenames 2>/dev/null; _mailfs_lines < <(compgen -d -- "$cur") ;;
	mailbox)
		case $cur in
		[!/]*=*) prefix=${cur%%=*}= cur=${cur#*=} ;;
		esac
		compopt -o filenames 2>/dev/null
		_mailfs_lines < <(compgen -f -- "$cur")
		for form in $_mailfs_forms; do
			[[ /$form/ == "$cur"* ]] && COMPREPLY+=("/$form/") && compopt -o nospace
		done
		COMPREPLY=("${COMPREPLY[@]/#/$prefix}") cur=$prefix$cur
		;;
	path) _mailfs_lines < <(_mailfs_9p "$cur" "${nine[@]}") ;;
	service) _mailfs_lines < <(_mailfs_services) ;;
	page) _mailfs_lines < <(printf '%s\n' $_mailfs_pages) ;;
	*,*) _mailfs_lines < <(printf '%s\n' ${1//,/ }) ;;
	esac
	case ${COMPREPLY[0]} in
	*/) compopt -o nospace 2>/dev/null ;;
	esac
}

# Find out where $cur stands, and complete it.
_mailfs_word() {
	local word row= want= kind= count=0 options= operands= one
	local -a nine=() kinds=()
	for word in "${words[@]:1:${#words[@]}-2}"; do
		if [ -n "$want" ]; then
			case $kind:$row in
			-[aAu]*:9p*) nine+=("$word") ;;
			esac
			want= kind=
		elif [ -z "$row" ]; then
			case $word in
			-*) ;;
			*) row=$word; _mailfs_row "$row" ;;
			esac
		elif [[ $word == -?* ]]; then
			for one in $options; do
				if [ "${one%%:*}" = "$word" ] && [ "$one" != "$word" ]; then
					want=${one#*:} kind=$word
					case $row:$word in
					9p*:-[aAu]) nine+=("$word") ;;
					esac
				fi
			done
		elif [[ $operands == verb:* ]]; then
			row="$row $word"
			_mailfs_row "$row"
		else
			count=$((count + 1))
		fi
	done
	if [ -n "$want" ]; then
		_mailfs_kind "$want"
	elif [ -z "$row" ]; then
		_mailfs_lines < <(printf '%s\n' @VERBS@ --help --version)
	elif [[ $cur == -* ]]; then
		_mailfs_lines < <(
			printf '%s\n' --help
			for one in $options; do printf '%s\n' "${one%%:*}"; done
		)
	elif [[ $operands == verb:* ]]; then
		_mailfs_kind "${operands#verb:}"
	else
		read -r -a kinds <<<"$operands"
		one=${#kinds[@]}
		if [ "$one" -gt 0 ] && [ "${kinds[one-1]}" = ... ]; then
			one=$((one - 1))
			[ "$count" -lt "$one" ] || count=$((one - 1))
		fi
		[ "$count" -lt "$one" ] && _mailfs_kind "${kinds[count]}"
	fi
}

_mailfs() {
	local cur skip i
	local -a words
	# Words as blanks part them: bash parts them at = and : too.
	read -r -a words <<<"${COMP_LINE:0:COMP_POINT}"
	[[ ${COMP_LINE:0:COMP_POINT} == *[[:blank:]] ]] && words+=('')
	cur=${words[${#words[@]}-1]}
	COMPREPLY=()
	_mailfs_word
	# What stands before its own parting is not given back.
	case $cur in
	*[=:]*)
		skip=${cur%"${cur##*[=:]}"}
		for i in "${!COMPREPLY[@]}"; do
			COMPREPLY[i]=${COMPREPLY[i]#"$skip"}
		done
		;;
	esac
}

complete -F _mailfs mailfs
"""


def script(table: Sequence[OptionRow], pages: Sequence[str]) -> str:
    """Return the whole script."""
    rows = "\n".join(_case(row) for row in table)
    verbs = " ".join(row.path[0] for row in table if len(row.path) == 1)
    return (
        _SCRIPT.replace("@ROWS@", rows)
        .replace("@PAGES@", shlex.quote(" ".join(pages)))
        .replace("@FORMS@", shlex.quote(" ".join(FORMS)))
        .replace("@VERBS@", verbs)
    )


def _case(row: OptionRow) -> str:
    options = [
        f"{name}:{_kind(choice)}" if choice else name
        for option, choice in row.options
        for name in option.names
    ]
    operands = " ".join(map(_kind, row.operands)) + (" ..." if row.many else "")
    if row.verbs:
        operands = f"verb:{','.join(row.verbs)}"
    path = shlex.quote(" ".join(row.path))
    named = shlex.quote(" ".join(options))
    return f"\t{path}) options={named} operands={shlex.quote(operands)} ;;"


def _kind(choice: Choice) -> str:
    return ",".join(choice.words) + "," * (len(choice.words) == 1) or choice.kind
