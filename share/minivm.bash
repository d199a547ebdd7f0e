# Completion of minivm and minivm-client in bash. What there is to choose from is what the programs' own --help says, so
# it is never behind them.

# Lines "  --option VALUE   text" of a help.
_minivm_options() { sed -nE 's/^  (--[a-z-]+)( .*)?$/\1/p' <<<"$help"; }

# Lines "  command   text", and those of "usage: minivm image command ...".
_minivm_commands() { sed -nE "s/^(  |usage: ${command[*]} )([a-z]+) .*/\\2/p" <<<"$help"; }

# What may follow option $1: "a|b|c" is a choice, words in capitals are files or anything.
_minivm_value() {
    local value=$(sed -nE "s/^  $1 ([^ ]+) .*/\\1/p" <<<"$help" | head -n 1)
    case $value in
    "") return 1 ;;
    *[a-z]\|*[a-z]*) COMPREPLY=($(compgen -W "$(grep -oE '[a-z0-9]+' <<<"$value")" -- "$word")) ;;
    *FILE* | *PATH* | *ISO* | *FOLDER* | *FIFO*) COMPREPLY=($(compgen -f -- "$word")) ;;
    esac
}

_minivm_complete() {
    local program=$1 word=${COMP_WORDS[COMP_CWORD]} last=${COMP_WORDS[COMP_CWORD - 1]} at=1 help
    local -a command=("$program")

    compopt -o filenames 2>/dev/null
    # Commands, and commands of commands, as far as they are complete.
    help=$("$program" --help 2>/dev/null)
    while ((at < COMP_CWORD)) && _minivm_commands | grep -qxF -- "${COMP_WORDS[at]}"; do
        command+=("${COMP_WORDS[at++]}")
        help=$("${command[@]}" --help 2>/dev/null)
    done
    [[ $last == --* ]] && _minivm_value "$last" && return
    if [[ $word == -* ]]; then
        COMPREPLY=($(compgen -W "--help $(_minivm_options)" -- "$word"))
    elif [[ -n $(_minivm_commands) ]]; then
        COMPREPLY=($(compgen -W "$(_minivm_commands | sort -u)" -- "$word"))
    elif grep -qE "^usage: ${command[*]}.* NAME" <<<"$help"; then
        COMPREPLY=($(compgen -W "$("$program" list 2>/dev/null)" -- "$word"))
    else
        COMPREPLY=($(compgen -f -- "$word"))
    fi
}

complete -F _minivm_complete minivm minivm-client
