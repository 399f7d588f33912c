"""Roles, bindings, admission policy, flow schema, network policy: no more than is needed, and bound to the right account.

One check a function: in, a Helm; out, nothing or an AssertionError.
I/O: renders the chart.
"""

from chart import CI_VALUES, MONITORING
from expect import env_of, rules, same, says

OWN_NODE = "probelet-agent-own-node"


def the_agents_role_is_the_least(helm):
    agent = [("/services", "list watch"),
             ("authentication.k8s.io/tokenreviews", "create"), ("authorization.k8s.io/subjectaccessreviews", "create"),
             ("discovery.k8s.io/endpointslices", "list watch"), ("probelet.io/nodeprobes", "get watch"),
             ("probelet.io/nodeprobes/status", "patch")]
    objects = helm.template()
    same(rules(objects.get("ClusterRole", "probelet-agent")), agent)
    same(rules(objects.get("Role", "probelet-agent")), [("/configmaps", "get", "probelet-operator-tls")])
    open_to_all = helm.template({"agent": {"auth": "none"}}).get("ClusterRole", "probelet-agent")
    same(rules(open_to_all), [rule for rule in agent if "review" not in rule[0]])


def an_agent_lists_pods_only_where_that_was_asked_for(helm):
    lists = lambda pods: [rule for rule in rules(helm.template({"agent": {"pods": pods}}).get("ClusterRole", "probelet-agent")) if rule[0] == "/pods"]
    same([lists({}), lists({"fallback": True}), lists({"source": "api"})], [[], [("/pods", "list watch")], [("/pods", "list watch")]])
    plain = helm.template({"agent": {"pods": {"source": "api"}}})
    same(rules(plain.get("ClusterRole", "probelet-operator")), [
        rule for rule in rules(helm.template().get("ClusterRole", "probelet-operator"))
        if rule[0] not in ("/pods", "authentication.k8s.io/tokenreviews")])
    same((plain.all("Role", "probelet-agent"), plain.all("Secret"), [name for pod in (plain.agent(), plain.operator()) for name in env_of(pod) if "FEED" in name]),
         ([], [], []))


def the_feed_and_agents_know_each_other(helm):
    objects = helm.template({"agent": {"serviceAccount": {"name": "mine"}, "pods": {"fallback": True}}}, release="x", namespace="there")
    operator, agent = env_of(objects.operator()), env_of(objects.agent())
    service = objects.get("Service", "x-probelet-operator")
    port = [each for each in service["spec"]["ports"] if each["name"] == "feed"][0]["port"]
    same(agent["PROBELET_FEED"], f"https://x-probelet-operator.there.svc:{port}")
    # On the node's network a NetworkPolicy cannot name agents, and landlock knows the port that is connected to.
    same((operator["PROBELET_FEED_LISTEN"], operator["PROBELET_FEED_ACCOUNT"]), (f"[::]:{port}", "mine"))
    same(operator["PROBELET_FEED_CERTIFY_NAME"], "x-probelet-operator.there.svc")
    # What agents look for is called as the Service.
    same(operator["PROBELET_FEED_CERTIFY"], service["metadata"]["name"] + "-tls")
    for kind in ("Secret", "ConfigMap"):
        assert not objects.get(kind, operator["PROBELET_FEED_CERTIFY"]).keys() & {"data", "stringData"}
    sources = [each["projected"]["sources"] for each in objects.agent()["volumes"] if each["name"] == "feed-token"]
    same(sources, [[{"serviceAccountToken": {"audience": operator["PROBELET_FEED_AUDIENCE"], "expirationSeconds": 600, "path": "token"}}]])
    mount = [each["mountPath"] for each in objects.agent()["containers"][0]["volumeMounts"] if each["name"] == "feed-token"]
    same((agent["PROBELET_FEED_TOKEN"], agent["PROBELET_FEED_FALLBACK"]), (f"{mount[0]}/token", "true"))


def the_operators_roles_are_the_least(helm):
    objects = helm.template()
    same(rules(objects.get("ClusterRole", "probelet-operator")), [
        ("/nodes", "get list watch"), ("/pods", "list watch"), ("authentication.k8s.io/tokenreviews", "create"),
        ("probelet.io/nodeprobes", "create delete get list patch watch"), ("probelet.io/nodeprobes/status", "patch"),
        ("probelet.io/probeconfigs", "create"), ("probelet.io/probeconfigs", "get list watch"),
        ("probelet.io/probeconfigs", "patch", "default"), ("probelet.io/probeconfigs/status", "patch")])
    daemonset = ("apps/daemonsets", "get list watch", "probelet-agent")
    feed = [("/configmaps", "get patch", "probelet-operator-tls"), ("/secrets", "get patch", "probelet-operator-tls")]
    same(rules(objects.get("Role", "probelet-operator")), [
        *feed, daemonset, ("coordination.k8s.io/leases", "create"),
        ("coordination.k8s.io/leases", "get patch update", "probelet-operator")])
    events = objects.get("Role", "probelet-operator-events")
    same((events["metadata"]["namespace"], rules(events)), ("default", [("events.k8s.io/events", "create patch")]))
    same(objects.get("RoleBinding", "probelet-operator-events")["metadata"]["namespace"], "default")
    cluster = objects.get("Role", "probelet-operator-lease")
    same((cluster["metadata"]["namespace"], rules(cluster)), ("default", [
        ("coordination.k8s.io/leases", "create"), ("coordination.k8s.io/leases", "get update", "probelet-cluster")]))
    same(objects.get("RoleBinding", "probelet-operator-lease")["metadata"]["namespace"], "default")
    alone = helm.template({"operator": {"replicas": 1, "leaderElection": {"enabled": False}}})
    same(rules(alone.get("Role", "probelet-operator")), [*feed, daemonset])
    same(alone.all("Role", "probelet-operator-lease"), [])
    gitops = rules(helm.template({"operator": {"createDefault": False}}).get("ClusterRole", "probelet-operator"))
    same([rule for rule in gitops if rule[0] == "probelet.io/probeconfigs"], [("probelet.io/probeconfigs", "get list watch")])


def the_operator_knows_the_agents_daemonset_and_what_it_may_not_do(helm):
    objects = helm.template(release="x")
    same(env_of(objects.operator())["PROBELET_AGENTS"], objects.get("DaemonSet")["metadata"]["name"])
    assert "PROBELET_NO_SEED" not in env_of(objects.operator())
    other = env_of(helm.template({"operator": {"createDefault": False, "maxBudget": "100m"}}).operator())
    same((other.get("PROBELET_SEED"), other["PROBELET_NO_SEED"], other["PROBELET_MAX_BUDGET"]), (None, "true", "100m"))


def every_binding_binds_an_account_that_is_there(helm):
    for path in CI_VALUES:
        objects = helm.template(files=[path], apis=MONITORING)
        accounts = {each["metadata"]["name"] for each in objects.all("ServiceAccount")} | {"existing-agent"}
        for binding in objects.all("ClusterRoleBinding") + objects.all("RoleBinding"):
            kind = binding["roleRef"]["kind"]
            assert objects.all(kind, binding["roleRef"]["name"]), f'{path.name}: no {kind} {binding["roleRef"]["name"]}'
            for subject in binding["subjects"]:
                assert subject.get("namespace") != "probelet" or subject["name"] in accounts, f"{path.name}: {subject}"


def a_viewer_reads_reports_and_metrics_and_nothing_else(helm):
    objects = helm.template({"viewer": {"subjects": [{"kind": "Group", "name": "sre", "apiGroup": "rbac.authorization.k8s.io"}]}})
    same(objects.get("ClusterRole", "probelet-viewer")["rules"], [
        {"apiGroups": ["probelet.io"], "resources": ["nodeprobes/metrics", "nodeprobes/report"], "verbs": ["get"]}])
    same([each["name"] for each in objects.get("ClusterRoleBinding", "probelet-viewer")["subjects"]], ["probelet-viewer", "sre"])


def roles_of_ones_own_take_the_place_of_ours(helm):
    objects = helm.template({"rbac": {"create": False}})
    assert "probelet-metrics" in [account["metadata"]["name"] for account in objects.all("ServiceAccount")]
    kinds = {each["kind"] for each in objects}
    assert not kinds & {"ClusterRole", "ClusterRoleBinding", "Role", "RoleBinding"}, kinds
    says(helm.refusal({"agent": {"serviceAccount": {"create": False}}}), "agent.serviceAccount.name: ")


def the_admission_policy_names_the_agents_service_account(helm):
    condition = lambda objects: objects.get("ValidatingAdmissionPolicy", OWN_NODE)["spec"]["matchConditions"][0]["expression"]
    same(condition(helm.template()), "request.userInfo.username == 'system:serviceaccount:probelet:probelet-agent'")
    other = helm.template({"agent": {"serviceAccount": {"name": "mine"}}}, namespace="there")
    same(condition(other), "request.userInfo.username == 'system:serviceaccount:there:mine'")


def the_admission_policy_is_in_force_for_every_way_to_write_a_node_probe(helm):
    objects = helm.template()
    spec = objects.get("ValidatingAdmissionPolicy", OWN_NODE)["spec"]
    same(spec["failurePolicy"], "Fail")
    same(spec["matchConstraints"]["resourceRules"], [{
        "apiGroups": ["probelet.io"], "apiVersions": ["*"], "operations": ["CREATE", "UPDATE", "DELETE"],
        "resources": ["nodeprobes", "nodeprobes/status"], "scope": "*"}])
    same(objects.get("ValidatingAdmissionPolicyBinding")["spec"], {"policyName": OWN_NODE, "validationActions": ["Deny"]})


def the_flow_schema_names_the_agents_service_account(helm):
    objects = helm.template({"agent": {"serviceAccount": {"name": "mine"}}})
    flow = objects.get("FlowSchema")["spec"]
    same(flow["rules"][0]["subjects"], [{"kind": "ServiceAccount", "serviceAccount": {"name": "mine", "namespace": "probelet"}}])
    same(objects.get("PriorityLevelConfiguration")["metadata"]["name"], flow["priorityLevelConfiguration"]["name"])


def a_network_policy_opens_the_port_that_is_served(helm):
    objects = helm.template({"networkPolicy": {"enabled": True}, "agent": {"port": 1234, "hostNetwork": False}})
    ports = lambda name: [port["port"] for port in objects.get("NetworkPolicy", name)["spec"]["ingress"][0]["ports"]]
    same((ports("probelet-agent"), ports("probelet-operator")), ([1234], [9467]))
    same([port["port"] for port in objects.get("NetworkPolicy", "probelet-operator")["spec"]["ingress"][1]["ports"]], [9470])
    served = objects.get("Deployment")["spec"]["template"]["spec"]["containers"][0]["ports"]
    same([port["containerPort"] for port in served], [9467, 9469, 9470])
    same(helm.template({"networkPolicy": {"enabled": False}}).all("NetworkPolicy"), [])


def no_policy_selects_agents_on_the_nodes_network(helm):
    # It would have no effect, or one that differs between network plugins.
    peer = {"podSelector": {"matchLabels": {"app": "prometheus"}}}
    objects = helm.template({"networkPolicy": {"ingressFrom": [peer], "egress": True}})
    same([policy["metadata"]["name"] for policy in objects.all("NetworkPolicy")], ["probelet-operator"])
    metrics, feed = objects.get("NetworkPolicy")["spec"]["ingress"]
    assert peer in metrics["from"]
    # Agents on the nodes' network are no peer that could be named.
    same(feed, {"ports": [{"port": 9470, "protocol": "TCP"}]})


def the_default_network_policies_cannot_cut_the_api_server_off(helm):
    for policy in helm.template({"agent": {"hostNetwork": False}}).all("NetworkPolicy"):
        same((policy["spec"]["policyTypes"], "egress" in policy["spec"]), (["Ingress"], False))
        assert not any("from" in rule for rule in policy["spec"]["ingress"]), policy["spec"]["ingress"]


def a_network_policy_with_egress_leads_to_the_api_server_and_the_operator(helm):
    values = {"agent": {"hostNetwork": False},
              "networkPolicy": {"egress": True, "apiServerPorts": [16443], "apiServerCIDRs": ["192.0.2.7/32"]}}
    for policy in helm.template(values).all("NetworkPolicy"):
        server, operator = policy["spec"]["egress"]
        same(server, {"ports": [{"port": 16443, "protocol": "TCP"}], "to": [{"ipBlock": {"cidr": "192.0.2.7/32"}}]})
        same((operator["ports"], operator["to"][0]["podSelector"]["matchLabels"]["app.kubernetes.io/component"]),
             ([{"port": 9467, "protocol": "TCP"}, {"port": 9470, "protocol": "TCP"}], "operator"))


def a_network_policy_with_named_peers_lets_the_pods_of_the_release_in(helm):
    peer = {"podSelector": {"matchLabels": {"app": "prometheus"}}}
    objects = helm.template({"agent": {"hostNetwork": False}, "networkPolicy": {"ingressFrom": [peer]}, "nameOverride": "x"})
    own, given = objects.get("NetworkPolicy", "probelet-agent")["spec"]["ingress"][0]["from"]
    same(given, peer)
    for labels in (objects.get("Pod")["metadata"]["labels"], objects.get("DaemonSet")["spec"]["template"]["metadata"]["labels"]):
        assert own["podSelector"]["matchLabels"].items() <= labels.items(), labels


def people_get_roles_for_what_they_do(helm):
    objects = helm.template({"plugin": {"subjects": [{"kind": "Group", "name": "sre"}]}})
    labels = lambda name: objects.get("ClusterRole", name)["metadata"]["labels"]
    same(labels("probelet-editor")["rbac.authorization.k8s.io/aggregate-to-edit"], "true")
    same(labels("probelet-view-objects")["rbac.authorization.k8s.io/aggregate-to-view"], "true")
    same(rules(objects.get("ClusterRole", "probelet-editor")), [
        ("probelet.io/nodeprobes", "get list watch"),
        ("probelet.io/probeconfigs", "create delete get list patch update watch")])
    same(rules(objects.get("ClusterRole", "probelet-plugin")), [
        ("/nodes", "get list"), ("/pods", "get list"), ("/services", "get list"),
        ("probelet.io/nodeprobes", "get list watch"), ("probelet.io/probeconfigs", "get list watch")])
    same(rules(objects.get("Role", "probelet-plugin")), [
        ("/pods/proxy", "get"), ("/serviceaccounts/token", "create", "probelet-viewer"),
        ("apps/daemonsets", "get", "probelet-agent"), ("coordination.k8s.io/leases", "get", "probelet-operator")])
    for kind in ("RoleBinding", "ClusterRoleBinding"):
        same(objects.get(kind, "probelet-plugin")["subjects"], [
            {"kind": "Group", "name": "sre", "apiGroup": "rbac.authorization.k8s.io"}])
    plain = helm.template({"rbac": {"aggregateToEdit": False}})
    assert "rbac.authorization.k8s.io/aggregate-to-edit" not in plain.get("ClusterRole", "probelet-editor")["metadata"]["labels"]
    same(plain.all("ClusterRoleBinding", "probelet-plugin"), [])


def no_role_names_a_url_that_other_components_have_too(helm):
    for each in helm.template():
        for rule in each.get("rules") or []:
            assert "nonResourceURLs" not in rule, each["metadata"]["name"]


def who_may_see_some_namespaces_gets_the_way_to_agents_and_no_sight(helm):
    objects = helm.template({"plugin": {"tenants": [{"kind": "Group", "name": "developers"}]}})
    same(rules(objects.get("Role", "probelet-tenant")), [("/pods", "list"), ("/pods/proxy", "get")])
    same(objects.get("RoleBinding", "probelet-tenant")["subjects"], [
        {"kind": "Group", "name": "developers", "apiGroup": "rbac.authorization.k8s.io"}])
    bound = [each["roleRef"]["name"] for each in objects.all("RoleBinding") + objects.all("ClusterRoleBinding")
             if any(subject["name"] == "developers" for subject in each["subjects"])]
    same(bound, ["probelet-tenant"])
    same(helm.template().all("RoleBinding", "probelet-tenant"), [])


def agents_accept_tokens_for_themselves_unless_set_otherwise(helm):
    env = env_of(helm.template().agent())
    same((env["PROBELET_TOKEN_AUDIENCE"], env["PROBELET_ACCEPT_API_SERVER_TOKENS"]), ("probelet", "false"))
    objects = helm.template({"agent": {"tokens": {"audience": "mine", "acceptApiServer": True}}})
    env = env_of(objects.agent())
    same((env["PROBELET_TOKEN_AUDIENCE"], env["PROBELET_ACCEPT_API_SERVER_TOKENS"]), ("mine", "true"))
    pod = objects.get("Pod")["spec"]
    shown = [each["projected"]["sources"] for each in pod["volumes"] if each["name"] == "agent-token"]
    same(shown, [[{"serviceAccountToken": {"audience": "mine", "expirationSeconds": 600, "path": "token"}}]])
    mount = [each["mountPath"] for each in pod["containers"][0]["volumeMounts"] if each["name"] == "agent-token"]
    same([env_of(pod)["PROBELET_AGENT_TOKEN"]], [f"{mount[0]}/token"])


def every_pod_has_a_short_lived_token_and_no_other(helm):
    objects = helm.template()
    for pod, life in ((objects.agent(), 600), (objects.operator(), 3600), (objects.get("Pod")["spec"], 600)):
        same(pod["automountServiceAccountToken"], False)
        sources = [source for volume in pod["volumes"] if volume["name"] == "token" for source in volume["projected"]["sources"]]
        same([source["serviceAccountToken"] for source in sources if "serviceAccountToken" in source],
             [{"expirationSeconds": life, "path": "token"}])
        mount = [each for each in pod["containers"][0]["volumeMounts"] if each["name"] == "token"]
        same(mount, [{"name": "token", "mountPath": "/var/run/secrets/kubernetes.io/serviceaccount", "readOnly": True}])
    for path in CI_VALUES:
        # The one of the feed's certificate is empty, for the operator to fill, and no token.
        secrets = helm.template(files=[path], apis=MONITORING).all("Secret")
        kept = [each["metadata"]["name"] for each in secrets if each["type"] != "Opaque" or each.keys() & {"data", "stringData"}]
        assert not kept, f"{path.name}: {kept}"
