# SPDX-License-Identifier: MIT
# migrate/tool/hakmem.bash - completion for hakmem(1); bash alone is enough for it
#
# bash cuts words at '=' and replaces only what stands behind the last one. So the words are put
# together again to see where we are, and a reply holds just the part behind the last '='.

# $1: a plan so far.
_hakmem_plan()
{
	local item=${1##*,} shown=${1##*=} head=''
	if [[ $item == *=* ]]; then
		local targets='next old legacy system'
		[[ $item == old=* ]] && targets='legacy system'
		mapfile -t COMPREPLY < <(compgen -W "$targets" -- "${item#*=}")
		return
	fi
	[[ $shown == *,* ]] && head=${shown%,*},
	mapfile -t COMPREPLY < <(compgen -P "$head" -S = \
		-W 'all tiny mid large huge old' -- "$item")
	compopt -o nospace 2>/dev/null
}

# $1: the word, the rest: what it may be.
_hakmem_words()
{
	local word=$1
	shift
	mapfile -t COMPREPLY < <(compgen -W "$*" -- "$word")
}

_hakmem()
{
	local words=() joins=0 word at
	for word in "${COMP_WORDS[@]:0:COMP_CWORD + 1}"; do
		if ((${#words[@]} > 0)) && { ((joins)) || [[ $word == = ]]; }; then
			words[-1]+=$word
		else
			words+=("$word")
		fi
		[[ $word == = ]] && joins=1 || joins=0
	done

	local last=$((${#words[@]} - 1))
	local current=${words[last]} previous=${words[last - 1]} command=${words[1]}
	COMPREPLY=()
	if ((last == 1)); then
		_hakmem_words "$current" run classes --help --usage --version
		return
	fi
	# Whatever stands behind the program that run starts is the program's own affair.
	for ((at = 2; at < last; at++)); do
		case ${words[at]} in
		-p | --plan | -l | --lib) ((at++)) ;;
		-*) ;;
		*)
			compopt -o default 2>/dev/null
			return
			;;
		esac
	done

	case $previous in
	-p | --plan) _hakmem_plan "$current" ;;
	-l | --lib) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
	*)
		case $command,$current in
		*,--plan=*) _hakmem_plan "${current#--plan=}" ;;
		*,--lib=*) mapfile -t COMPREPLY < <(compgen -f -- "${current#--lib=}") ;;
		run,-*) _hakmem_words "$current" --plan --lib --help --usage --version ;;
		run,*) mapfile -t COMPREPLY < <(compgen -c -- "$current") ;;
		classes,*) _hakmem_words "$current" --plan --json --help --usage --version ;;
		esac
		;;
	esac
}

complete -F _hakmem hakmem
