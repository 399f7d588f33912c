# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_probelet_agent_global_optspecs
    string join \n config= listen= probe-listen= source= node-name= docker= kubernetes= kubeconfig= feed= feed-token= feed-fallback node-probe state-dir= rights= auth= token-audience= accept-api-server-tokens token-file= client-ca= tls= debug-pprof web= log-format= log-level= h/help V/version
end

function __fish_probelet_agent_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_probelet_agent_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_probelet_agent_using_subcommand
    set -l cmd (__fish_probelet_agent_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l config -d 'YAML file with the spec of a `ProbeConfig`; read again whenever it changes. Without it the defaults are in force' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l listen -d 'Where to serve the report, metrics and health: an address and port, `unix:/PATH` for a socket that only this user may open, or `off`' -r
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l probe-listen -d 'Where to answer /healthz and /readyz and nothing else, in plain HTTP, for the kubelet or another supervisor that restarts the agent: an address and port, or `off`. No reader can take the places there' -r
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l source -d 'How to read the kernel; overrides the configuration\'s `source`' -r -f -a "auto\t''
bpf\t''
bpf-compat\t''
netlink\t''
procfs\t''"
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l node-name -d 'What this node is called in the report; the host\'s name if not given' -r
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l docker -d 'Where Docker names its containers: `auto` is /var/run/docker.sock if it is there, or `off`, or `unix:///PATH`' -r
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l kubernetes -d 'Whether to ask a Kubernetes API server for names: `auto` is in a pod or with --kubeconfig; `on` takes the kubeconfig of KUBECONFIG or of the home directory if there is nothing else' -r -f -a "auto\t''
off\t''
on\t''"
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l kubeconfig -d 'Kubeconfig to reach the API server with, instead of the pod\'s service account' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l feed -d 'The operator\'s feed, which hands out this node\'s pods, as https://SERVICE.NAMESPACE.svc:PORT: the API server is asked for the Service\'s address and for the ConfigMap SERVICE-tls with the authorities of its certificate. Without it pods are watched at the API server, which takes a right to list those of all nodes' -r
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l feed-token -d 'File with the token to show there: a projected one of this pod, for the audience of the feed' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l state-dir -d 'Where the last good configuration of the `NodeProbe` is kept, for starts without an API server' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l rights -d 'What becomes of the agent\'s rights after its first full report: `drop` gives back what its source does not need and holds it to the system calls and files that it uses; `keep` leaves all as it is, to look for a fault' -r -f -a "drop\t'They are given back'
keep\t'They are kept'"
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l auth -d 'Which clients need a bearer token that the API server accepts: none (`off`), all but those that come through the loopback of a pod\'s own network (`token`), or all (`always`); /healthz and /readyz are open. Its holder needs the right to `get` `nodeprobes/report`, `nodeprobes/metrics` or `nodeprobes/profile` of the node, or `pods` in the namespaces that the query names. `off` is the default where --listen is loopback; elsewhere the flag is required' -r -f -a "off\t'No client'
token\t'Everybody but who comes through the loopback of a pod\'s own network: who forwards a port'
always\t'Everybody'"
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l token-audience -d 'The audience that clients\' tokens have to be made for: such a token is of no use anywhere else' -r
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l token-file -d 'Which clients may read where there is no API server: those that send one of this file\'s tokens (one on each line; mode 0600), from everywhere, loopback too; /healthz and /readyz are open. Read again when it changes' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l client-ca -d 'Let only clients connect that show a certificate of one of these authorities (PEM); needs --tls. Probes can use --probe-listen' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l tls -d 'Serve HTTPS: `off`, `self-signed`, or a directory with tls.crt and tls.key, which are read again when they change' -r
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l web -d 'Serve a page for browsers at /, which shows what the report holds: `auto` does so where --listen is loopback' -r -f -a "auto\t''
off\t''
on\t''"
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l log-format -d 'Log format on stderr' -r -f -a "text\t'Lines for people; coloured on a terminal'
json\t'One JSON object a line'"
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l log-level -d 'Log level: error, warn, info, debug, trace or off; or by module, as `info,hyper=warn`' -r
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l feed-fallback -d 'While the feed has been away for a minute, watch this node\'s pods at the API server, if the role allows it'
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l node-probe -d 'Take the configuration from this node\'s `NodeProbe`, as the operator decides it, and write a summary of the node into its status'
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l accept-api-server-tokens -d 'Accept clients\' tokens for the API server itself as well, such as those of OIDC and of kubeconfigs: an agent that was taken over could use these against the API server'
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -l debug-pprof -d 'Serve profiles of the agent itself under /debug/pprof'
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -s V -l version -d 'Print version'
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -f -a "run" -d 'Observe until stopped, and serve what is seen (the default)'
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -f -a "once" -d 'Scan once and print the result'
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -f -a "top" -d 'Watch processes and connections in the terminal'
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -f -a "doctor" -d 'Check what this host allows, what is missing and what is lost without it'
complete -c probelet-agent -n "__fish_probelet_agent_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l config -d 'YAML file with the spec of a `ProbeConfig`; read again whenever it changes. Without it the defaults are in force' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l listen -d 'Where to serve the report, metrics and health: an address and port, `unix:/PATH` for a socket that only this user may open, or `off`' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l probe-listen -d 'Where to answer /healthz and /readyz and nothing else, in plain HTTP, for the kubelet or another supervisor that restarts the agent: an address and port, or `off`. No reader can take the places there' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l source -d 'How to read the kernel; overrides the configuration\'s `source`' -r -f -a "auto\t''
bpf\t''
bpf-compat\t''
netlink\t''
procfs\t''"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l node-name -d 'What this node is called in the report; the host\'s name if not given' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l docker -d 'Where Docker names its containers: `auto` is /var/run/docker.sock if it is there, or `off`, or `unix:///PATH`' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l kubernetes -d 'Whether to ask a Kubernetes API server for names: `auto` is in a pod or with --kubeconfig; `on` takes the kubeconfig of KUBECONFIG or of the home directory if there is nothing else' -r -f -a "auto\t''
off\t''
on\t''"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l kubeconfig -d 'Kubeconfig to reach the API server with, instead of the pod\'s service account' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l feed -d 'The operator\'s feed, which hands out this node\'s pods, as https://SERVICE.NAMESPACE.svc:PORT: the API server is asked for the Service\'s address and for the ConfigMap SERVICE-tls with the authorities of its certificate. Without it pods are watched at the API server, which takes a right to list those of all nodes' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l feed-token -d 'File with the token to show there: a projected one of this pod, for the audience of the feed' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l state-dir -d 'Where the last good configuration of the `NodeProbe` is kept, for starts without an API server' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l rights -d 'What becomes of the agent\'s rights after its first full report: `drop` gives back what its source does not need and holds it to the system calls and files that it uses; `keep` leaves all as it is, to look for a fault' -r -f -a "drop\t'They are given back'
keep\t'They are kept'"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l auth -d 'Which clients need a bearer token that the API server accepts: none (`off`), all but those that come through the loopback of a pod\'s own network (`token`), or all (`always`); /healthz and /readyz are open. Its holder needs the right to `get` `nodeprobes/report`, `nodeprobes/metrics` or `nodeprobes/profile` of the node, or `pods` in the namespaces that the query names. `off` is the default where --listen is loopback; elsewhere the flag is required' -r -f -a "off\t'No client'
token\t'Everybody but who comes through the loopback of a pod\'s own network: who forwards a port'
always\t'Everybody'"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l token-audience -d 'The audience that clients\' tokens have to be made for: such a token is of no use anywhere else' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l token-file -d 'Which clients may read where there is no API server: those that send one of this file\'s tokens (one on each line; mode 0600), from everywhere, loopback too; /healthz and /readyz are open. Read again when it changes' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l client-ca -d 'Let only clients connect that show a certificate of one of these authorities (PEM); needs --tls. Probes can use --probe-listen' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l tls -d 'Serve HTTPS: `off`, `self-signed`, or a directory with tls.crt and tls.key, which are read again when they change' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l web -d 'Serve a page for browsers at /, which shows what the report holds: `auto` does so where --listen is loopback' -r -f -a "auto\t''
off\t''
on\t''"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l log-format -d 'Log format on stderr' -r -f -a "text\t'Lines for people; coloured on a terminal'
json\t'One JSON object a line'"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l log-level -d 'Log level: error, warn, info, debug, trace or off; or by module, as `info,hyper=warn`' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l feed-fallback -d 'While the feed has been away for a minute, watch this node\'s pods at the API server, if the role allows it'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l node-probe -d 'Take the configuration from this node\'s `NodeProbe`, as the operator decides it, and write a summary of the node into its status'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l accept-api-server-tokens -d 'Accept clients\' tokens for the API server itself as well, such as those of OIDC and of kubeconfigs: an agent that was taken over could use these against the API server'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -l debug-pprof -d 'Serve profiles of the agent itself under /debug/pprof'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand run" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l settle -d 'Scan a second time after this long, so that rates are known: 500ms, 2s' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l config -d 'YAML file with the spec of a `ProbeConfig`; read again whenever it changes. Without it the defaults are in force' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l listen -d 'Where to serve the report, metrics and health: an address and port, `unix:/PATH` for a socket that only this user may open, or `off`' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l probe-listen -d 'Where to answer /healthz and /readyz and nothing else, in plain HTTP, for the kubelet or another supervisor that restarts the agent: an address and port, or `off`. No reader can take the places there' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l source -d 'How to read the kernel; overrides the configuration\'s `source`' -r -f -a "auto\t''
bpf\t''
bpf-compat\t''
netlink\t''
procfs\t''"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l node-name -d 'What this node is called in the report; the host\'s name if not given' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l docker -d 'Where Docker names its containers: `auto` is /var/run/docker.sock if it is there, or `off`, or `unix:///PATH`' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l kubernetes -d 'Whether to ask a Kubernetes API server for names: `auto` is in a pod or with --kubeconfig; `on` takes the kubeconfig of KUBECONFIG or of the home directory if there is nothing else' -r -f -a "auto\t''
off\t''
on\t''"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l kubeconfig -d 'Kubeconfig to reach the API server with, instead of the pod\'s service account' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l feed -d 'The operator\'s feed, which hands out this node\'s pods, as https://SERVICE.NAMESPACE.svc:PORT: the API server is asked for the Service\'s address and for the ConfigMap SERVICE-tls with the authorities of its certificate. Without it pods are watched at the API server, which takes a right to list those of all nodes' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l feed-token -d 'File with the token to show there: a projected one of this pod, for the audience of the feed' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l state-dir -d 'Where the last good configuration of the `NodeProbe` is kept, for starts without an API server' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l rights -d 'What becomes of the agent\'s rights after its first full report: `drop` gives back what its source does not need and holds it to the system calls and files that it uses; `keep` leaves all as it is, to look for a fault' -r -f -a "drop\t'They are given back'
keep\t'They are kept'"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l auth -d 'Which clients need a bearer token that the API server accepts: none (`off`), all but those that come through the loopback of a pod\'s own network (`token`), or all (`always`); /healthz and /readyz are open. Its holder needs the right to `get` `nodeprobes/report`, `nodeprobes/metrics` or `nodeprobes/profile` of the node, or `pods` in the namespaces that the query names. `off` is the default where --listen is loopback; elsewhere the flag is required' -r -f -a "off\t'No client'
token\t'Everybody but who comes through the loopback of a pod\'s own network: who forwards a port'
always\t'Everybody'"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l token-audience -d 'The audience that clients\' tokens have to be made for: such a token is of no use anywhere else' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l token-file -d 'Which clients may read where there is no API server: those that send one of this file\'s tokens (one on each line; mode 0600), from everywhere, loopback too; /healthz and /readyz are open. Read again when it changes' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l client-ca -d 'Let only clients connect that show a certificate of one of these authorities (PEM); needs --tls. Probes can use --probe-listen' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l tls -d 'Serve HTTPS: `off`, `self-signed`, or a directory with tls.crt and tls.key, which are read again when they change' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l web -d 'Serve a page for browsers at /, which shows what the report holds: `auto` does so where --listen is loopback' -r -f -a "auto\t''
off\t''
on\t''"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l log-format -d 'Log format on stderr' -r -f -a "text\t'Lines for people; coloured on a terminal'
json\t'One JSON object a line'"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l log-level -d 'Log level: error, warn, info, debug, trace or off; or by module, as `info,hyper=warn`' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l json -d 'Print the full report as JSON instead of a short table'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l feed-fallback -d 'While the feed has been away for a minute, watch this node\'s pods at the API server, if the role allows it'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l node-probe -d 'Take the configuration from this node\'s `NodeProbe`, as the operator decides it, and write a summary of the node into its status'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l accept-api-server-tokens -d 'Accept clients\' tokens for the API server itself as well, such as those of OIDC and of kubeconfigs: an agent that was taken over could use these against the API server'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -l debug-pprof -d 'Serve profiles of the agent itself under /debug/pprof'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand once" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l sort -d 'What stands first; the screen that has it opens [default: flows by connections]' -r -f -a "cpu\t'CPU time since the last look'
memory\t'Resident memory'
fds\t'Open file descriptors'
connections\t'Connections'
bytes\t'Bytes sent and received'"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l filter -d 'Show only rows that contain this text' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l config -d 'YAML file with the spec of a `ProbeConfig`; read again whenever it changes. Without it the defaults are in force' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l listen -d 'Where to serve the report, metrics and health: an address and port, `unix:/PATH` for a socket that only this user may open, or `off`' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l probe-listen -d 'Where to answer /healthz and /readyz and nothing else, in plain HTTP, for the kubelet or another supervisor that restarts the agent: an address and port, or `off`. No reader can take the places there' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l source -d 'How to read the kernel; overrides the configuration\'s `source`' -r -f -a "auto\t''
bpf\t''
bpf-compat\t''
netlink\t''
procfs\t''"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l node-name -d 'What this node is called in the report; the host\'s name if not given' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l docker -d 'Where Docker names its containers: `auto` is /var/run/docker.sock if it is there, or `off`, or `unix:///PATH`' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l kubernetes -d 'Whether to ask a Kubernetes API server for names: `auto` is in a pod or with --kubeconfig; `on` takes the kubeconfig of KUBECONFIG or of the home directory if there is nothing else' -r -f -a "auto\t''
off\t''
on\t''"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l kubeconfig -d 'Kubeconfig to reach the API server with, instead of the pod\'s service account' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l feed -d 'The operator\'s feed, which hands out this node\'s pods, as https://SERVICE.NAMESPACE.svc:PORT: the API server is asked for the Service\'s address and for the ConfigMap SERVICE-tls with the authorities of its certificate. Without it pods are watched at the API server, which takes a right to list those of all nodes' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l feed-token -d 'File with the token to show there: a projected one of this pod, for the audience of the feed' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l state-dir -d 'Where the last good configuration of the `NodeProbe` is kept, for starts without an API server' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l rights -d 'What becomes of the agent\'s rights after its first full report: `drop` gives back what its source does not need and holds it to the system calls and files that it uses; `keep` leaves all as it is, to look for a fault' -r -f -a "drop\t'They are given back'
keep\t'They are kept'"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l auth -d 'Which clients need a bearer token that the API server accepts: none (`off`), all but those that come through the loopback of a pod\'s own network (`token`), or all (`always`); /healthz and /readyz are open. Its holder needs the right to `get` `nodeprobes/report`, `nodeprobes/metrics` or `nodeprobes/profile` of the node, or `pods` in the namespaces that the query names. `off` is the default where --listen is loopback; elsewhere the flag is required' -r -f -a "off\t'No client'
token\t'Everybody but who comes through the loopback of a pod\'s own network: who forwards a port'
always\t'Everybody'"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l token-audience -d 'The audience that clients\' tokens have to be made for: such a token is of no use anywhere else' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l token-file -d 'Which clients may read where there is no API server: those that send one of this file\'s tokens (one on each line; mode 0600), from everywhere, loopback too; /healthz and /readyz are open. Read again when it changes' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l client-ca -d 'Let only clients connect that show a certificate of one of these authorities (PEM); needs --tls. Probes can use --probe-listen' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l tls -d 'Serve HTTPS: `off`, `self-signed`, or a directory with tls.crt and tls.key, which are read again when they change' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l web -d 'Serve a page for browsers at /, which shows what the report holds: `auto` does so where --listen is loopback' -r -f -a "auto\t''
off\t''
on\t''"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l log-format -d 'Log format on stderr' -r -f -a "text\t'Lines for people; coloured on a terminal'
json\t'One JSON object a line'"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l log-level -d 'Log level: error, warn, info, debug, trace or off; or by module, as `info,hyper=warn`' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l feed-fallback -d 'While the feed has been away for a minute, watch this node\'s pods at the API server, if the role allows it'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l node-probe -d 'Take the configuration from this node\'s `NodeProbe`, as the operator decides it, and write a summary of the node into its status'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l accept-api-server-tokens -d 'Accept clients\' tokens for the API server itself as well, such as those of OIDC and of kubeconfigs: an agent that was taken over could use these against the API server'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -l debug-pprof -d 'Serve profiles of the agent itself under /debug/pprof'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand top" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l config -d 'YAML file with the spec of a `ProbeConfig`; read again whenever it changes. Without it the defaults are in force' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l listen -d 'Where to serve the report, metrics and health: an address and port, `unix:/PATH` for a socket that only this user may open, or `off`' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l probe-listen -d 'Where to answer /healthz and /readyz and nothing else, in plain HTTP, for the kubelet or another supervisor that restarts the agent: an address and port, or `off`. No reader can take the places there' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l source -d 'How to read the kernel; overrides the configuration\'s `source`' -r -f -a "auto\t''
bpf\t''
bpf-compat\t''
netlink\t''
procfs\t''"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l node-name -d 'What this node is called in the report; the host\'s name if not given' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l docker -d 'Where Docker names its containers: `auto` is /var/run/docker.sock if it is there, or `off`, or `unix:///PATH`' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l kubernetes -d 'Whether to ask a Kubernetes API server for names: `auto` is in a pod or with --kubeconfig; `on` takes the kubeconfig of KUBECONFIG or of the home directory if there is nothing else' -r -f -a "auto\t''
off\t''
on\t''"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l kubeconfig -d 'Kubeconfig to reach the API server with, instead of the pod\'s service account' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l feed -d 'The operator\'s feed, which hands out this node\'s pods, as https://SERVICE.NAMESPACE.svc:PORT: the API server is asked for the Service\'s address and for the ConfigMap SERVICE-tls with the authorities of its certificate. Without it pods are watched at the API server, which takes a right to list those of all nodes' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l feed-token -d 'File with the token to show there: a projected one of this pod, for the audience of the feed' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l state-dir -d 'Where the last good configuration of the `NodeProbe` is kept, for starts without an API server' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l rights -d 'What becomes of the agent\'s rights after its first full report: `drop` gives back what its source does not need and holds it to the system calls and files that it uses; `keep` leaves all as it is, to look for a fault' -r -f -a "drop\t'They are given back'
keep\t'They are kept'"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l auth -d 'Which clients need a bearer token that the API server accepts: none (`off`), all but those that come through the loopback of a pod\'s own network (`token`), or all (`always`); /healthz and /readyz are open. Its holder needs the right to `get` `nodeprobes/report`, `nodeprobes/metrics` or `nodeprobes/profile` of the node, or `pods` in the namespaces that the query names. `off` is the default where --listen is loopback; elsewhere the flag is required' -r -f -a "off\t'No client'
token\t'Everybody but who comes through the loopback of a pod\'s own network: who forwards a port'
always\t'Everybody'"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l token-audience -d 'The audience that clients\' tokens have to be made for: such a token is of no use anywhere else' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l token-file -d 'Which clients may read where there is no API server: those that send one of this file\'s tokens (one on each line; mode 0600), from everywhere, loopback too; /healthz and /readyz are open. Read again when it changes' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l client-ca -d 'Let only clients connect that show a certificate of one of these authorities (PEM); needs --tls. Probes can use --probe-listen' -r -F
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l tls -d 'Serve HTTPS: `off`, `self-signed`, or a directory with tls.crt and tls.key, which are read again when they change' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l web -d 'Serve a page for browsers at /, which shows what the report holds: `auto` does so where --listen is loopback' -r -f -a "auto\t''
off\t''
on\t''"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l log-format -d 'Log format on stderr' -r -f -a "text\t'Lines for people; coloured on a terminal'
json\t'One JSON object a line'"
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l log-level -d 'Log level: error, warn, info, debug, trace or off; or by module, as `info,hyper=warn`' -r
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l json -d 'Print JSON instead of text'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l feed-fallback -d 'While the feed has been away for a minute, watch this node\'s pods at the API server, if the role allows it'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l node-probe -d 'Take the configuration from this node\'s `NodeProbe`, as the operator decides it, and write a summary of the node into its status'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l accept-api-server-tokens -d 'Accept clients\' tokens for the API server itself as well, such as those of OIDC and of kubeconfigs: an agent that was taken over could use these against the API server'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -l debug-pprof -d 'Serve profiles of the agent itself under /debug/pprof'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand doctor" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand help; and not __fish_seen_subcommand_from run once top doctor help" -f -a "run" -d 'Observe until stopped, and serve what is seen (the default)'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand help; and not __fish_seen_subcommand_from run once top doctor help" -f -a "once" -d 'Scan once and print the result'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand help; and not __fish_seen_subcommand_from run once top doctor help" -f -a "top" -d 'Watch processes and connections in the terminal'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand help; and not __fish_seen_subcommand_from run once top doctor help" -f -a "doctor" -d 'Check what this host allows, what is missing and what is lost without it'
complete -c probelet-agent -n "__fish_probelet_agent_using_subcommand help; and not __fish_seen_subcommand_from run once top doctor help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
