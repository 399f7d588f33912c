"""The agent's pod: what it may do, what it is given, where it runs.

One check a function: in, a Helm; out, nothing or an AssertionError.
I/O: renders the chart.
"""

from chart import CI_VALUES, MONITORING
from expect import capabilities, env_of, pods, same, says


def the_agent_asks_for_named_capabilities_and_no_more(helm):
    # The same lists are tried on a kernel by agent/tests/ways.rs (CHART).
    same(capabilities(helm.template()), {"drop": ["ALL"], "add": ["BPF", "PERFMON", "NET_ADMIN", "NET_BROADCAST", "SETPCAP"]})
    objects = helm.template({"agent": {"capabilities": {"conntrack": False}}})
    same(capabilities(objects), {"drop": ["ALL"], "add": ["BPF", "PERFMON", "SETPCAP"]})


def a_network_of_its_own_takes_the_rights_to_enter_the_nodes(helm):
    objects = helm.template({"agent": {"hostNetwork": False}})
    same(capabilities(objects), {
        "drop": ["ALL"], "add": ["BPF", "PERFMON", "NET_ADMIN", "NET_BROADCAST", "SYS_PTRACE", "SYS_ADMIN", "SETPCAP"]})
    assert "hostNetwork" not in objects.agent()
    objects = helm.template({"agent": {"hostNetwork": False, "capabilities": {"conntrack": False}}})
    same(capabilities(objects), {"drop": ["ALL"], "add": ["BPF", "PERFMON", "SETPCAP"]})


def on_the_nodes_network_one_port_is_open_to_others_and_the_scheduler_knows_both(helm):
    def listens(**agent):
        pod = helm.template({"agent": agent}).agent()
        container = pod["containers"][0]
        env = env_of(pod)
        return (pod.get("hostNetwork"), env["PROBELET_LISTEN"], env["PROBELET_PROBE_LISTEN"],
                [(port["containerPort"], port.get("hostPort")) for port in container["ports"]],
                {container[probe]["httpGet"].get("host") for probe in ("livenessProbe", "readinessProbe")})

    same(listens(), (True, "[::]:9466", "127.0.0.1:9468", [(9466, 9466), (9468, 9468)], {"127.0.0.1"}))
    same(listens(port=19466, probePort=19468, listenAddress="0.0.0.0"),
         (True, "0.0.0.0:19466", "127.0.0.1:19468", [(19466, 19466), (19468, 19468)], {"127.0.0.1"}))
    same(listens(hostNetwork=False), (None, "[::]:9466", "[::]:9468", [(9466, None), (9468, None)], {None}))
    # A broken DNS of the cluster must not blind agents, and the node's own reaches no Service.
    same(helm.template().agent()["dnsPolicy"], "Default")


def two_agents_of_one_node_would_want_the_same_ports(helm):
    surge = {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}
    says(helm.refusal({"agent": {"updateStrategy": surge}}), "agent.updateStrategy: ", "maxSurge", "agent.hostNetwork")
    helm.template({"agent": {"updateStrategy": surge, "hostNetwork": False}})
    helm.template({"agent": {"updateStrategy": {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": "0%", "maxUnavailable": 1}}}})


def the_fallback_is_asked_for(helm):
    objects = helm.template({"agent": {"capabilities": {"fallback": True}}})
    same(capabilities(objects), {"drop": ["ALL"], "add": [
        "BPF", "PERFMON", "NET_ADMIN", "NET_BROADCAST", "SYS_PTRACE", "SYS_ADMIN", "DAC_READ_SEARCH", "SETPCAP"]})


def without_bpf_the_agent_asks_for_the_fallbacks_only(helm):
    objects = helm.template({"agent": {"capabilities": {"bpf": False, "conntrack": False, "fallback": True}}})
    same(capabilities(objects), {"drop": ["ALL"], "add": ["SYS_PTRACE", "SYS_ADMIN", "DAC_READ_SEARCH", "SETPCAP"]})
    says(helm.refusal({"agent": {"capabilities": {"bpf": False, "fallback": False}}}), "could read nothing")
    says(helm.refusal({"agent": {"capabilities": {"extra": ["CAP_SYS_RESOURCE"]}}}), "write SYS_RESOURCE, not CAP_SYS_RESOURCE")


def the_page_for_browsers_is_off_unless_asked_for(helm):
    same(env_of(helm.template().agent()).get("PROBELET_WEB"), "off")
    same(env_of(helm.template({"agent": {"web": {"enabled": True}}}).agent()).get("PROBELET_WEB"), "on")


def no_container_is_privileged_or_may_become_so_or_writes_to_its_root(helm):
    for path in CI_VALUES:
        objects = helm.template(files=[path], apis=MONITORING)
        for pod in [each["spec"] for each in pods(objects)] + [each["spec"] for each in objects.all("Pod")]:
            for container in pod["containers"]:
                context = container["securityContext"]
                assert not context.get("privileged"), container["name"]
                same((context["allowPrivilegeEscalation"], context["readOnlyRootFilesystem"], context["capabilities"]["drop"]),
                      (False, True, ["ALL"]))
                assert container["resources"]["limits"]["memory"], f'{container["name"]} has no memory limit'


def only_the_agent_is_root_or_has_capabilities(helm):
    objects = helm.template()
    for pod in (objects.operator(), objects.get("Pod")["spec"]):
        same(pod["securityContext"], {"runAsNonRoot": True, "runAsUser": 65532, "runAsGroup": 65532,
                                       "seccompProfile": {"type": "RuntimeDefault"}})
        assert "add" not in pod["containers"][0]["securityContext"]["capabilities"]
        assert not pod.get("hostPID") and not pod.get("hostNetwork")


def the_only_host_path_is_the_cgroup_tree_read_only(helm):
    def host_paths(objects):
        pod = objects.agent()
        volumes = {each["name"]: each["hostPath"]["path"] for each in pod["volumes"] if "hostPath" in each}
        mounts = {each["name"]: each for each in pod["containers"][0]["volumeMounts"]}
        return [(path, mounts[name].get("readOnly")) for name, path in volumes.items()]

    same(host_paths(helm.template()), [("/sys/fs/cgroup", True)])
    same(host_paths(helm.template({"agent": {"hostCgroup": False}})), [])


def the_agent_has_no_cpu_limit_unless_asked_for(helm):
    resources = lambda objects: objects.agent()["containers"][0]["resources"]
    same(resources(helm.template()), {"requests": {"cpu": "10m", "memory": "32Mi"}, "limits": {"memory": "128Mi"}})
    same(resources(helm.template({"agent": {"resources": {"limits": {"cpu": "100m"}}}}))["limits"],
          {"memory": "128Mi", "cpu": "100m"})


def agents_run_on_every_node_and_are_replaced_a_tenth_at_a_time(helm):
    objects = helm.template()
    same((objects.get("DaemonSet")["spec"]["minReadySeconds"], objects.get("Deployment")["spec"]["minReadySeconds"]), (30, 10))
    same({objects.get(kind)["spec"]["revisionHistoryLimit"] for kind in ("DaemonSet", "Deployment")}, {5})
    same(objects.agent()["tolerations"], [{"operator": "Exists"}])
    same(objects.agent()["priorityClassName"], "system-node-critical")
    same(objects.agent()["terminationGracePeriodSeconds"], 10)
    same(objects.get("DaemonSet")["spec"]["updateStrategy"],
          {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": "10%"}})


def probes_have_a_port_of_their_own(helm):
    def probed(values):
        container = helm.template(values).agent()["containers"][0]
        ports = {port["name"]: port["containerPort"] for port in container["ports"]}
        return ports, [container[probe]["httpGet"] for probe in ("livenessProbe", "readinessProbe")]

    # Plain HTTP whatever the certificate: there is nothing to read, and a handshake would have to be paid.
    asked = [{"path": path, "port": "probes", "scheme": "HTTP"} for path in ("/healthz", "/readyz")]
    inside = [{"host": "127.0.0.1", **each} for each in asked]
    same(probed({}), ({"https": 9466, "probes": 9468}, inside))
    same(probed({"agent": {"tls": {"mode": "none"}, "port": 1234, "probePort": 1235}}), ({"http": 1234, "probes": 1235}, inside))
    same(probed({"agent": {"hostNetwork": False}}), ({"https": 9466, "probes": 9468}, asked))
    operator = helm.template().get("Deployment")["spec"]["template"]["spec"]["containers"][0]
    same([operator[probe]["httpGet"] for probe in ("livenessProbe", "readinessProbe")], asked)
    says(env_of({"containers": [operator]})["PROBELET_PROBE_LISTEN"],
         ":%d" % {port["name"]: port["containerPort"] for port in operator["ports"]}["probes"])


def a_certificate_of_ones_own_is_mounted(helm):
    objects = helm.template({"agent": {"tls": {"mode": "secret", "secretName": "mine"}}})
    mount = [each for each in objects.agent()["containers"][0]["volumeMounts"] if each["name"] == "tls"][0]
    same(env_of(objects.agent())["PROBELET_TLS"], mount["mountPath"])
    same([each["secret"]["secretName"] for each in objects.agent()["volumes"] if each["name"] == "tls"], ["mine"])
    says(helm.refusal({"agent": {"tls": {"mode": "secret"}}}), "agent.tls.secretName: ")


def the_agent_is_given_its_node_its_certificate_and_whom_to_answer(helm):
    env = env_of(helm.template().agent())
    same({name: value for name, value in env.items() if value}, {
        "PROBELET_LISTEN": "[::]:9466", "PROBELET_PROBE_LISTEN": "127.0.0.1:9468", "PROBELET_NODE_PROBE": "true", "PROBELET_STATE_DIR": "/var/lib/probelet",
        "PROBELET_FEED": "https://probelet-operator.probelet.svc:9470", "PROBELET_FEED_TOKEN": "/var/run/secrets/probelet.io/feed/token",
        "PROBELET_FEED_FALLBACK": "false", "PROBELET_AUTH": "token", "PROBELET_TOKEN_AUDIENCE": "probelet", "PROBELET_ACCEPT_API_SERVER_TOKENS": "false",
        "PROBELET_TLS": "self-signed", "PROBELET_WEB": "off", "PROBELET_DOCKER": "off", "PROBELET_LOG_FORMAT": "json",
        "PROBELET_LOG": "info"})
    assert "PROBELET_NODE_NAME" in env
    env = env_of(helm.template({"agent": {"auth": "none", "tls": {"mode": "none"}, "listenAddress": "0.0.0.0"}}).agent())
    same((env["PROBELET_AUTH"], env["PROBELET_TLS"], env["PROBELET_LISTEN"]), ("off", "off", "0.0.0.0:9466"))


def apparmor_is_in_the_way_of_who_looks_into_other_processes_only(helm):
    profile = lambda **agent: helm.template({"agent": agent}).agent()["containers"][0]["securityContext"].get("appArmorProfile")
    # None is the runtime's default profile wherever there is AppArmor. Asked for by name, a kubelet refuses the pod where there is none.
    same(profile(), None)
    same(helm.template().agent()["containers"][0]["securityContext"]["seccompProfile"], {"type": "RuntimeDefault"})
    same(profile(hostNetwork=False), {"type": "Unconfined"})
    same(profile(hostNetwork=False, capabilities={"conntrack": False}), None)
    same(profile(capabilities={"fallback": True}), {"type": "Unconfined"})
    same(profile(hostNetwork=False, appArmorProfile={"type": "RuntimeDefault"}), {"type": "RuntimeDefault"})
