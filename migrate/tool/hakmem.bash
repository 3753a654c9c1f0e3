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
		-W 'all tiny mid large huge old salt' -- "$item")
	compopt -o nospace 2>/dev/null
}

# The processes that the command can steer.
_hakmem_pids()
{
	local pid rest
	while read -r pid rest; do
		[[ $pid == [0-9]* && $rest != *'no control page' ]] && echo "$pid"
	done < <("${COMP_WORDS[0]}" ps 2>/dev/null)
}

# $1: a list of classes so far.
_hakmem_classes()
{
	local head=''
	[[ $1 == *,* ]] && head=${1%,*},
	mapfile -t COMPREPLY < <(compgen -P "$head" -W 'tiny mid large huge --all' -- "${1##*,}")
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
		_hakmem_words "$current" run classes ps status route rollback unlatch kill-switch watch \
			trace replay compare advise \
			--help --usage --version
		return
	fi
	case $command in
	trace | replay | compare | advise)
		_hakmem_traces "$command" "$current" "$previous" "$last" "${words[2]}"
		return
		;;
	esac
	if [[ $command != run ]]; then
		_hakmem_other "$command" "$current" "$previous" "$last"
		return
	fi
	# Whatever stands behind the program that run starts is the program's own affair.
	for ((at = 2; at < last; at++)); do
		case ${words[at]} in
		-p | --plan | -f | --plan-file | -l | --lib) ((at++)) ;;
		-*) ;;
		*)
			compopt -o default 2>/dev/null
			return
			;;
		esac
	done

	case $previous in
	-p | --plan) _hakmem_plan "$current" ;;
	-f | --plan-file | -l | --lib) mapfile -t COMPREPLY < <(compgen -f -- "$current") ;;
	*)
		case $current in
		--plan=*) _hakmem_plan "${current#--plan=}" ;;
		--plan-file=*) mapfile -t COMPREPLY < <(compgen -f -- "${current#--plan-file=}") ;;
		--lib=*) mapfile -t COMPREPLY < <(compgen -f -- "${current#--lib=}") ;;
		-*) _hakmem_words "$current" --plan --plan-file --control --lib --help --usage --version ;;
		*) mapfile -t COMPREPLY < <(compgen -c -- "$current") ;;
		esac
		;;
	esac
}

# Every command but run. $1: which, $2: the word, $3: the one before, $4: its place.
_hakmem_other()
{
	local options='--help --usage --version'
	case $1 in
	classes) options+=' --plan --json' ;;
	ps) options+=' --json' ;;
	status) options+=' --json --each' ;;
	route) options+=' --dry-run --json --clear' ;;
	rollback | unlatch) options+=' --all' ;;
	kill-switch) options+=' --off' ;;
	watch) options+=' --json-lines --interval --count' ;;
	esac
	case $1,$3,$2 in
	classes,-p,* | classes,--plan,*) _hakmem_plan "$2" ;;
	classes,*,--plan=*) _hakmem_plan "${2#--plan=}" ;;
	*,*,-*) _hakmem_words "$2" "$options" ;;
	classes,* | ps,*) _hakmem_words "$2" "$options" ;;
	*)
		if (($4 == 2)); then
			_hakmem_words "$2" "$(_hakmem_pids)"
		elif [[ $1 == route ]]; then
			_hakmem_plan "$2"
		elif [[ $1 == rollback || $1 == unlatch ]]; then
			_hakmem_classes "$2"
		fi
		;;
	esac
}

# The commands on traces. $1: which, $2: the word, $3: the one before, $4: its place, $5: the word behind the command.
_hakmem_traces()
{
	local options='--help --usage --version'
	case $1,$5 in
	trace,import) options+=' --output --format --process' ;;
	trace,info) options+=' --json --picture --format --process' ;;
	trace,export) options+=' --output --format --process' ;;
	replay,*) options+=' --plan --flip --preload --threads --pace --order=recorded --format --process --lib --json' ;;
	compare,*)
		options+=' --old --new --peer --rounds --html --guardrails --print-guardrails --threads --pace'
		options+=' --format --lib --json'
		;;
	advise,*) options+=' --json' ;;
	esac
	case $1,$3,$2 in
	trace,*,*) if (($4 == 2)); then
		_hakmem_words "$2" import info export --help
		return
	fi ;;&
	*,-p,* | *,--plan,* | *,--old,* | *,--new,*) _hakmem_plan "$2" ;;
	*,*,--plan=* | *,*,--old=* | *,*,--new=*) _hakmem_plan "${2#*=}" ;;
	*,--format,*) _hakmem_words "$2" memory_replay mtrace logalloc ;;
	*,*,--format=*) _hakmem_words "${2#*=}" memory_replay mtrace logalloc ;;
	*,*,--*=*) mapfile -t COMPREPLY < <(compgen -f -- "${2#*=}") ;;
	*,*,-*) _hakmem_words "$2" "$options" ;;
	*) mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
	esac
}

complete -F _hakmem hakmem
