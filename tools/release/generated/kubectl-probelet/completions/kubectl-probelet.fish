# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_kubectl_probelet_global_optspecs
    string join \n kubeconfig= context= n/namespace= probelet-namespace= account= o/output= color= timeout= cluster= user= s/server= token= as= as-group= as-uid= client-certificate= client-key= certificate-authority= tls-server-name= disable-compression= h/help V/version
end

function __fish_kubectl_probelet_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_kubectl_probelet_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_kubectl_probelet_using_subcommand
    set -l cmd (__fish_kubectl_probelet_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -s V -l version -d 'Print version'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -f -a "status" -d 'The fleet on one screen: cost against budget, levels, coverage, rollouts, nodes that do not follow and why'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -f -a "top" -d 'Live: nodes by the cost of their agents, flows, or processes'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -f -a "conns" -d 'Connections of a pod, a Service, a workload or a node'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -f -a "procs" -d 'Processes of a pod, a workload or a node, with their CPU, memory, open files and sockets'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -f -a "map" -d 'Who talks to whom: a namespace or the whole cluster, as text, dot, mermaid, svg or json'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -f -a "config" -d 'The configuration: what is in force and why, what changed, what a change would do'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -f -a "rollout" -d 'How the newest change reaches its nodes'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -f -a "pause" -d 'Stop collection on the nodes of a ProbeConfig, or on one node'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -f -a "resume" -d 'Resume the collection that `pause` stopped'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -f -a "explain" -d 'Why an agent is at its level or does not follow its configuration, and what it would take'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -f -a "doctor" -d 'What is wrong with a pod, workload or Service; of a node: what its kernel and the rights of its agent allow'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -f -a "netpol" -d 'A NetworkPolicy that allows what was observed of a workload'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -f -a "dump" -d 'A support bundle: objects, logs and metrics of probelet in one .tar.gz'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -f -a "bench" -d 'What the source in use costs on a node, beside the published figure; with --each, what every source costs there'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -f -a "preflight" -d 'Before installing: what this cluster\'s nodes, policies, quotas and network mean for probelet, with the values to set'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -f -a "runbook" -d 'What an alert means and what to do; needs no cluster'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_needs_command" -f -a "completion" -d 'Completion for a shell'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l most -d 'Causes to show; further ones are counted' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l tolerate -d 'Percent of connections that may be unseen or unresolved before that counts as missing' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -l check -d 'Exit with code 1 if anything is wrong, missing or not visible'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l node -d 'Only this node' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l most -d 'Rows to show when the output is not a terminal' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l interval -d 'Time between two refreshes' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -l once -d 'Show it once and exit, as always when the output is not a terminal'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l port -d 'Only those with this port at either end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l interval -d 'Time between two refreshes of --watch' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -s w -l watch -d 'Go on and show what opens (+) and closes (-)'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -l closed -d 'Connections that are closed as well (TIME_WAIT)'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand conns" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand procs" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -s A -l all-namespaces -d 'All namespaces, as without one'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -l all -d 'Flows with an end that has no name as well'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand map" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -f -a "effective" -d 'What is in force on a node, and where each value comes from'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -f -a "diff" -d 'What an edit changed, or how two configurations differ'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and not __fish_seen_subcommand_from effective diff dry-run" -f -a "dry-run" -d 'What would happen if a file were applied: errors, nodes that change, expected cost'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -l changed -d 'Values that are not the default only'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from effective" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -s f -l file -d 'A file instead of the other one' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from diff" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -s f -l file -d 'YAML or JSON with ProbeConfigs; `-` reads standard input' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand config; and __fish_seen_subcommand_from dry-run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -f -a "status" -d 'How far the newest change has come'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -f -a "pause" -d 'Pause the rollout: no further node gets the change until `rollout resume`'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -f -a "resume" -d 'Continue a paused rollout'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and not __fish_seen_subcommand_from status pause resume undo" -f -a "undo" -d 'Put the content before the newest change back into the ProbeConfig'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -s w -l watch -d 'Wait until it is complete (exit code 0) or was rolled back (1)'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from status" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -l dry-run -d 'Show what it would do'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand rollout; and __fish_seen_subcommand_from undo" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l node -d 'This node only, by a ProbeConfig of its own with the highest priority' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand pause" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l node -d 'This node only, by a ProbeConfig of its own with the highest priority' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand resume" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand netpol" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -s f -l file -d 'The file to write; default: probelet-dump-TIME.tar.gz' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l agents -d 'Agents whose logs, metrics and reports are taken: those in trouble first' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -l reports -d 'Full reports as well: they name every process and connection of a node'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand dump" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l time -d 'How long each is measured' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -l each -d 'Every source in turn, not only the one in use'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand bench" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -l values -d 'Only the values, as a file for `helm install -f`'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand preflight" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand runbook" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -l kubeconfig -d 'The kubeconfig to use instead of $KUBECONFIG or ~/.kube/config' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -l context -d 'The context of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -s n -l namespace -d 'The namespace of pods, Services and workloads; default: that of the context' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -l probelet-namespace -d 'The namespace in which probelet runs; default: where an agent is found' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -l account -d 'The service account of the namespace whose token agents are shown, for those who may see some namespaces only; default: that of probelet\'s viewer, else the own token of the kubeconfig' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -s o -l output -d 'Output format' -r -f -a "table\t'Text for people'
wide\t'The same with more columns'
json\t'For programs'
yaml\t'For programs and people'
name\t'Names only, one a line, fit for xargs'
dot\t'`map` only: for Graphviz'
mermaid\t'`map` only: for Markdown pages'
svg\t'`map` only: a picture for browsers'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -l color -d 'When to use colours; `auto` is on a terminal only, unless NO_COLOR is set' -r -f -a "auto\t'On a terminal, unless NO_COLOR is set'
always\t'Always'
never\t'Never'"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -l timeout -d 'How long to wait for a response of the API server; a bare number is seconds, and 0 is without end' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -l cluster -d 'The cluster of the kubeconfig to use' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -l user -d 'The user of the kubeconfig to be' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -s s -l server -d 'The address of the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -l token -d 'The bearer token to show to the API server' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -l as -d 'The user to act as: the API server must allow it, and agents are shown no token of your own' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -l as-group -d 'A group to act as; may be given several times' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -l as-uid -d 'The UID to act as' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -l client-certificate -d 'The certificate that says who you are' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -l client-key -d 'The key of that certificate' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -l certificate-authority -d 'The authority by which the API server is verified' -r -F
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -l tls-server-name -d 'The name that the API server\'s certificate must be for, if not that of its address' -r
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -l disable-compression -d 'Ask for answers that are not compressed' -r -f -a "true\t''
false\t''"
complete -c kubectl-probelet -n "__fish_kubectl_probelet_using_subcommand completion" -s h -l help -d 'Print help (see more with \'--help\')'
