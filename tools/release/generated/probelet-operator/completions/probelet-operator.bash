_probelet__operator() {
    local i cur prev opts cmd
    COMPREPLY=()
    if [[ "${BASH_VERSINFO[0]}" -ge 4 ]]; then
        cur="$2"
    else
        cur="${COMP_WORDS[COMP_CWORD]}"
    fi
    prev="$3"
    cmd=""
    opts=""

    for i in "${COMP_WORDS[@]:0:COMP_CWORD}"
    do
        case "${cmd},${i}" in
            ",$1")
                cmd="probelet__operator"
                ;;
            probelet__operator,help)
                cmd="probelet__operator__subcmd__help"
                ;;
            probelet__operator,run)
                cmd="probelet__operator__subcmd__run"
                ;;
            probelet__operator,selftest)
                cmd="probelet__operator__subcmd__selftest"
                ;;
            probelet__operator__subcmd__help,help)
                cmd="probelet__operator__subcmd__help__subcmd__help"
                ;;
            probelet__operator__subcmd__help,run)
                cmd="probelet__operator__subcmd__help__subcmd__run"
                ;;
            probelet__operator__subcmd__help,selftest)
                cmd="probelet__operator__subcmd__help__subcmd__selftest"
                ;;
            *)
                ;;
        esac
    done

    case "${cmd}" in
        probelet__operator)
            opts="-h -V --listen --probe-listen --namespace --identity --lease --cluster-lease --no-leader-election --seed --no-seed --agents --certify --certify-name --feed-listen --feed-account --feed-audience --feed-certify --feed-certify-name --max-budget --kubeconfig --writes-per-second --log-format --log-level --help --version run selftest help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 1 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --listen)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --probe-listen)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --namespace)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --identity)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --lease)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --cluster-lease)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --seed)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --agents)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --certify)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --certify-name)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --feed-listen)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --feed-account)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --feed-audience)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --feed-certify)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --feed-certify-name)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --max-budget)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --kubeconfig)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --writes-per-second)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log-format)
                    COMPREPLY=($(compgen -W "text json" -- "${cur}"))
                    return 0
                    ;;
                --log-level)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        probelet__subcmd__operator__subcmd__help)
            opts="run selftest help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        probelet__subcmd__operator__subcmd__help__subcmd__help)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        probelet__subcmd__operator__subcmd__help__subcmd__run)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        probelet__subcmd__operator__subcmd__help__subcmd__selftest)
            opts=""
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 3 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        probelet__subcmd__operator__subcmd__run)
            opts="-h --listen --probe-listen --namespace --identity --lease --cluster-lease --no-leader-election --seed --no-seed --agents --certify --certify-name --feed-listen --feed-account --feed-audience --feed-certify --feed-certify-name --max-budget --kubeconfig --writes-per-second --log-format --log-level --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --listen)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --probe-listen)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --namespace)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --identity)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --lease)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --cluster-lease)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --seed)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --agents)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --certify)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --certify-name)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --feed-listen)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --feed-account)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --feed-audience)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --feed-certify)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --feed-certify-name)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --max-budget)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --kubeconfig)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --writes-per-second)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log-format)
                    COMPREPLY=($(compgen -W "text json" -- "${cur}"))
                    return 0
                    ;;
                --log-level)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
        probelet__subcmd__operator__subcmd__selftest)
            opts="-h --timeout --agent-token --listen --probe-listen --namespace --identity --lease --cluster-lease --no-leader-election --seed --no-seed --agents --certify --certify-name --feed-listen --feed-account --feed-audience --feed-certify --feed-certify-name --max-budget --kubeconfig --writes-per-second --log-format --log-level --help"
            if [[ ${cur} == -* || ${COMP_CWORD} -eq 2 ]] ; then
                COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
                return 0
            fi
            case "${prev}" in
                --timeout)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --agent-token)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --listen)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --probe-listen)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --namespace)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --identity)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --lease)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --cluster-lease)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --seed)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --agents)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --certify)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --certify-name)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --feed-listen)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --feed-account)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --feed-audience)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --feed-certify)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --feed-certify-name)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --max-budget)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --kubeconfig)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --writes-per-second)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                --log-format)
                    COMPREPLY=($(compgen -W "text json" -- "${cur}"))
                    return 0
                    ;;
                --log-level)
                    COMPREPLY=($(compgen -f "${cur}"))
                    return 0
                    ;;
                *)
                    COMPREPLY=()
                    ;;
            esac
            COMPREPLY=( $(compgen -W "${opts}" -- "${cur}") )
            return 0
            ;;
    esac
}

if [[ "${BASH_VERSINFO[0]}" -eq 4 && "${BASH_VERSINFO[1]}" -ge 4 || "${BASH_VERSINFO[0]}" -gt 4 ]]; then
    complete -F _probelet__operator -o nosort -o bashdefault -o default probelet-operator
else
    complete -F _probelet__operator -o bashdefault -o default probelet-operator
fi
