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

# $1: guards so far.
_hakmem_guards()
{
	local head=''
	[[ $1 == *,* ]] && head=${1%,*},
	[[ ${1##*,} == *=* ]] && return
	mapfile -t COMPREPLY < <(compgen -P "$head" -W 'all misuse reservation held= latency= rss=' -- "${1##*,}")
	compopt -o nospace 2>/dev/null
}

# $1: a list of classes so far, the rest: what else may stand there.
_hakmem_classes()
{
	local head='' word=$1
	shift
	[[ $word == *,* ]] && head=${word%,*},
	mapfile -t COMPREPLY < <(compgen -P "$head" -W "tiny mid large huge $*" -- "${word##*,}")
}

# $1: the word, the rest: what it may be.
_hakmem_words()
{
	local word=$1
	shift
	mapfile -t COMPREPLY < <(compgen -W "$*" -- "$word")
}

# The options of a command; those that end in '=' take an argument.
_hakmem_options()
{
	case $1 in
	run) echo --plan= --plan-file= --control --guard= --record= --record-options= --lib= ;;
	classes) echo --plan= --json ;;
	ps) echo --json ;;
	status) echo --json --each --interval= ;;
	route) echo --dry-run --json --clear ;;
	rollback | unlatch) echo --all --json ;;
	kill-switch | guard) echo --off --json ;;
	top) echo --interval= ;;
	record) echo --dir= --share= --by= --classes= --buffer= --memory= --disk= --ring --raw --json ;;
	watch) echo --json-lines --interval= --count= ;;
	rollout)
		echo --classes= --steps= --hold= --patience= --on-patience= --on-interrupt= --max-latency= \
			--quantile= --alpha= --min-samples= --max-held= --min-live= --interval= --json --quiet
		;;
	esac
	echo --help --usage --version
}

# Whether an option takes an argument. $1: the command, $2: the option.
_hakmem_takes()
{
	local options
	options=$(_hakmem_options "$1")
	[[ $2 == -[pfglrdi] || " ${options//$'\n'/ } " == *" $2= "* ]]
}

# What an option's argument may be. $1: the option, $2: the word.
_hakmem_argument()
{
	case $1 in
	-p | --plan) _hakmem_plan "$2" ;;
	-g | --guard) _hakmem_guards "$2" ;;
	-f | --plan-file | -l | --lib) mapfile -t COMPREPLY < <(compgen -f -- "$2") ;;
	-r | --record | -d | --dir) mapfile -t COMPREPLY < <(compgen -d -- "$2") ;;
	--by) _hakmem_words "$2" block thread ;;
	--classes) _hakmem_classes "$2" ;;
	--on-interrupt | --on-patience) _hakmem_words "$2" rollback leave ;;
	--steps) _hakmem_words "$2" 1%,5%,25%,100% ;;
	--hold | --patience) _hakmem_words "$2" 30s 5m 1h ;;
	esac
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
	local current=${words[last]} previous=${words[last - 1]} command=${words[1]} place=0
	COMPREPLY=()
	if ((last == 1)); then
		_hakmem_words "$current" run classes ps status route rollback unlatch kill-switch guard top \
			rollout watch record trace replay compare advise --help --usage --version
		return
	fi
	case $command in
	trace | replay | compare | advise)
		_hakmem_traces "$command" "$current" "$previous" "$last" "${words[2]}"
		return
		;;
	esac
	# How many words that are no options stand before. Whatever stands behind the program that run starts
	# is the program's own affair.
	for ((at = 2; at < last; at++)); do
		if _hakmem_takes "$command" "${words[at]}"; then
			((at++))
		elif [[ ${words[at]} != -* ]]; then
			((place++))
		fi
	done
	if [[ $command == run ]] && ((place > 0)); then
		compopt -o default 2>/dev/null
		return
	fi

	if _hakmem_takes "$command" "$previous"; then
		_hakmem_argument "$previous" "$current"
		return
	elif [[ $current == --*=* ]]; then
		_hakmem_argument "${current%%=*}" "${current#*=}"
		return
	fi
	case $command,$place,$current in
	*,*,-*)
		_hakmem_words "$current" "$(_hakmem_options "$command")"
		[[ ${#COMPREPLY[@]} == 1 && ${COMPREPLY[0]} == *= ]] && compopt -o nospace 2>/dev/null
		;;
	run,*) mapfile -t COMPREPLY < <(compgen -c -- "$current") ;;
	classes,* | ps,*) _hakmem_words "$current" "$(_hakmem_options "$command")" ;;
	record,0,*) _hakmem_words "$current" start stop dump status ;;
	*,0,* | record,1,*) _hakmem_words "$current" "$(_hakmem_pids)" ;;
	route,1,*) _hakmem_plan "$current" ;;
	guard,1,*) _hakmem_guards "$current" ;;
	rollback,*,* | unlatch,*,*) _hakmem_classes "$current" --all ;;
	rollout,*,*) _hakmem_words "$current" --classes= && compopt -o nospace 2>/dev/null ;;
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
		options+=' --format --process --lib --json'
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
