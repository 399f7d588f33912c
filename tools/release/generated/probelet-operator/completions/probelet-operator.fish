# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_probelet_operator_global_optspecs
    string join \n listen= probe-listen= namespace= identity= lease= cluster-lease= no-leader-election seed= no-seed agents= certify= certify-name= feed-listen= feed-account= feed-audience= feed-certify= feed-certify-name= max-budget= kubeconfig= writes-per-second= log-format= log-level= h/help V/version
end

function __fish_probelet_operator_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_probelet_operator_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_probelet_operator_using_subcommand
    set -l cmd (__fish_probelet_operator_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l listen -d 'Where to serve metrics and health: an address and port, or `off`' -r
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l probe-listen -d 'Where to answer /healthz and /readyz and nothing else, for the kubelet or another supervisor: an address and port, or `off`. No reader of metrics can take the places there' -r
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l namespace -d 'Namespace of the Lease; that of the pod or of the kubeconfig if not given' -r
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l identity -d 'Name of this process in the Lease and in events; the host\'s name if not given' -r
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l lease -d 'Name of the Lease for leader election' -r
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l cluster-lease -d 'Lease, as NAMESPACE/NAME, of the one installation that operates the cluster: a second one waits. Or `off`' -r
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l seed -d 'YAML file with the spec of the `ProbeConfig` that is made where there is none named `default`' -r -F
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l agents -d '`DaemonSet` of the agents, in the namespace of the Lease: where it wants no pod no agent is waited for. Without it that is so on Windows, Fargate and virtual nodes only' -r
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l certify -d 'Secret and `ConfigMap`, in the namespace of the Lease, in which the agents\' certificate and its authorities are kept and renewed; both must be there. Without it the operator makes no certificate' -r
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l certify-name -d 'The name that the agents\' certificate is for' -r
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l feed-listen -d 'Where to hand out to each node\'s agent the pods of its node, over HTTPS: an address and port, or `off`' -r
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l feed-account -d 'The agents\' service account, in the namespace of the Lease: whose tokens are accepted there, each for the node that it is bound to' -r
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l feed-audience -d 'The audience that agents\' tokens have to be made for there' -r
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l feed-certify -d 'Secret and `ConfigMap`, in the namespace of the Lease, in which the certificate that is shown there and its authorities are kept and renewed; both must be there' -r
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l feed-certify-name -d 'The name that this certificate is for' -r
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l max-budget -d 'Maximum CPU budget that a `ProbeConfig` may set, such as `100m`; one with more is rejected' -r
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l kubeconfig -d 'Kubeconfig to reach the API server with, instead of the pod\'s service account' -r -F
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l writes-per-second -d 'Maximum API writes per second, 1 to 1000' -r
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l log-format -d 'Log format on stderr' -r -f -a "text\t'Lines for people; coloured on a terminal'
json\t'One JSON object a line'"
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l log-level -d 'Log level: error, warn, info, debug, trace or off; or by module, as `info,hyper=warn`' -r
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l no-leader-election -d 'Work without a Lease; there must be no second operator then'
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -l no-seed -d 'Make no `ProbeConfig` named `default`; where none matches the built-in configuration is in force'
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -s V -l version -d 'Print version'
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -f -a "run" -d 'Operate until stopped (the default)'
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -f -a "selftest" -d 'Check that the installation works: one line a check, exit code 1 if one fails'
complete -c probelet-operator -n "__fish_probelet_operator_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l listen -d 'Where to serve metrics and health: an address and port, or `off`' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l probe-listen -d 'Where to answer /healthz and /readyz and nothing else, for the kubelet or another supervisor: an address and port, or `off`. No reader of metrics can take the places there' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l namespace -d 'Namespace of the Lease; that of the pod or of the kubeconfig if not given' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l identity -d 'Name of this process in the Lease and in events; the host\'s name if not given' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l lease -d 'Name of the Lease for leader election' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l cluster-lease -d 'Lease, as NAMESPACE/NAME, of the one installation that operates the cluster: a second one waits. Or `off`' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l seed -d 'YAML file with the spec of the `ProbeConfig` that is made where there is none named `default`' -r -F
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l agents -d '`DaemonSet` of the agents, in the namespace of the Lease: where it wants no pod no agent is waited for. Without it that is so on Windows, Fargate and virtual nodes only' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l certify -d 'Secret and `ConfigMap`, in the namespace of the Lease, in which the agents\' certificate and its authorities are kept and renewed; both must be there. Without it the operator makes no certificate' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l certify-name -d 'The name that the agents\' certificate is for' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l feed-listen -d 'Where to hand out to each node\'s agent the pods of its node, over HTTPS: an address and port, or `off`' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l feed-account -d 'The agents\' service account, in the namespace of the Lease: whose tokens are accepted there, each for the node that it is bound to' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l feed-audience -d 'The audience that agents\' tokens have to be made for there' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l feed-certify -d 'Secret and `ConfigMap`, in the namespace of the Lease, in which the certificate that is shown there and its authorities are kept and renewed; both must be there' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l feed-certify-name -d 'The name that this certificate is for' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l max-budget -d 'Maximum CPU budget that a `ProbeConfig` may set, such as `100m`; one with more is rejected' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l kubeconfig -d 'Kubeconfig to reach the API server with, instead of the pod\'s service account' -r -F
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l writes-per-second -d 'Maximum API writes per second, 1 to 1000' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l log-format -d 'Log format on stderr' -r -f -a "text\t'Lines for people; coloured on a terminal'
json\t'One JSON object a line'"
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l log-level -d 'Log level: error, warn, info, debug, trace or off; or by module, as `info,hyper=warn`' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l no-leader-election -d 'Work without a Lease; there must be no second operator then'
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -l no-seed -d 'Make no `ProbeConfig` named `default`; where none matches the built-in configuration is in force'
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l timeout -d 'How long to wait for the first nodes to report: 500ms to 10m' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l agent-token -d 'File with the token that agents are shown, made for the audience that they accept; without it the token for the API server' -r -F
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l listen -d 'Where to serve metrics and health: an address and port, or `off`' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l probe-listen -d 'Where to answer /healthz and /readyz and nothing else, for the kubelet or another supervisor: an address and port, or `off`. No reader of metrics can take the places there' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l namespace -d 'Namespace of the Lease; that of the pod or of the kubeconfig if not given' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l identity -d 'Name of this process in the Lease and in events; the host\'s name if not given' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l lease -d 'Name of the Lease for leader election' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l cluster-lease -d 'Lease, as NAMESPACE/NAME, of the one installation that operates the cluster: a second one waits. Or `off`' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l seed -d 'YAML file with the spec of the `ProbeConfig` that is made where there is none named `default`' -r -F
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l agents -d '`DaemonSet` of the agents, in the namespace of the Lease: where it wants no pod no agent is waited for. Without it that is so on Windows, Fargate and virtual nodes only' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l certify -d 'Secret and `ConfigMap`, in the namespace of the Lease, in which the agents\' certificate and its authorities are kept and renewed; both must be there. Without it the operator makes no certificate' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l certify-name -d 'The name that the agents\' certificate is for' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l feed-listen -d 'Where to hand out to each node\'s agent the pods of its node, over HTTPS: an address and port, or `off`' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l feed-account -d 'The agents\' service account, in the namespace of the Lease: whose tokens are accepted there, each for the node that it is bound to' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l feed-audience -d 'The audience that agents\' tokens have to be made for there' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l feed-certify -d 'Secret and `ConfigMap`, in the namespace of the Lease, in which the certificate that is shown there and its authorities are kept and renewed; both must be there' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l feed-certify-name -d 'The name that this certificate is for' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l max-budget -d 'Maximum CPU budget that a `ProbeConfig` may set, such as `100m`; one with more is rejected' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l kubeconfig -d 'Kubeconfig to reach the API server with, instead of the pod\'s service account' -r -F
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l writes-per-second -d 'Maximum API writes per second, 1 to 1000' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l log-format -d 'Log format on stderr' -r -f -a "text\t'Lines for people; coloured on a terminal'
json\t'One JSON object a line'"
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l log-level -d 'Log level: error, warn, info, debug, trace or off; or by module, as `info,hyper=warn`' -r
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l no-leader-election -d 'Work without a Lease; there must be no second operator then'
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -l no-seed -d 'Make no `ProbeConfig` named `default`; where none matches the built-in configuration is in force'
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand selftest" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand help; and not __fish_seen_subcommand_from run selftest help" -f -a "run" -d 'Operate until stopped (the default)'
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand help; and not __fish_seen_subcommand_from run selftest help" -f -a "selftest" -d 'Check that the installation works: one line a check, exit code 1 if one fails'
complete -c probelet-operator -n "__fish_probelet_operator_using_subcommand help; and not __fish_seen_subcommand_from run selftest help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
