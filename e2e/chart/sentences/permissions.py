"""Roles, bindings, admission policy, flow schema, network policy: no more than is needed, and bound to the right account.

One sentence a function: in, a Helm; out, nothing or an AssertionError.
I/O: renders the chart.
"""

from chart import CI_VALUES, MONITORING
from expect import rules, same, says

OWN_NODE = "probelet-agent-own-node"


def the_agents_role_is_the_least(helm):
    agent = [("/namespaces", "list watch"), ("/pods", "list watch"), ("/services", "list watch"),
             ("authentication.k8s.io/tokenreviews", "create"), ("authorization.k8s.io/subjectaccessreviews", "create"),
             ("discovery.k8s.io/endpointslices", "list watch"), ("probelet.io/nodeprobes", "get watch"),
             ("probelet.io/nodeprobes/status", "patch")]
    same(rules(helm.template().get("ClusterRole", "probelet-agent")), agent)
    open_to_all = helm.template({"agent": {"auth": "none"}}).get("ClusterRole", "probelet-agent")
    same(rules(open_to_all), [rule for rule in agent if "review" not in rule[0]])


def the_operators_roles_are_the_least(helm):
    objects = helm.template()
    same(rules(objects.get("ClusterRole", "probelet-operator")), [
        ("/nodes", "get list watch"), ("events.k8s.io/events", "create patch"),
        ("probelet.io/nodeprobes", "create delete get list patch watch"),
        ("probelet.io/probeconfigs", "create get list watch"), ("probelet.io/probeconfigs/status", "patch")])
    same(rules(objects.get("Role", "probelet-operator")), [
        ("coordination.k8s.io/leases", "create"), ("coordination.k8s.io/leases", "get patch update", "probelet-operator")])
    same(helm.template({"operator": {"replicas": 1, "leaderElection": {"enabled": False}}}).all("Role", "probelet-operator"), [])


def every_binding_binds_an_account_that_is_there(helm):
    for path in CI_VALUES:
        objects = helm.template(files=[path], apis=MONITORING)
        accounts = {each["metadata"]["name"] for each in objects.all("ServiceAccount")} | {"existing-agent"}
        for binding in objects.all("ClusterRoleBinding") + objects.all("RoleBinding"):
            kind = binding["roleRef"]["kind"]
            assert objects.all(kind, binding["roleRef"]["name"]), f'{path.name}: no {kind} {binding["roleRef"]["name"]}'
            for subject in binding["subjects"]:
                assert subject["namespace"] != "probelet" or subject["name"] in accounts, f"{path.name}: {subject}"


def a_viewer_reads_reports_and_metrics_and_nothing_else(helm):
    objects = helm.template({"viewer": {"subjects": [{"kind": "Group", "name": "sre", "apiGroup": "rbac.authorization.k8s.io"}]}})
    same(objects.get("ClusterRole", "probelet-viewer")["rules"], [{"nonResourceURLs": ["/metrics", "/v1/report"], "verbs": ["get"]}])
    same([each["name"] for each in objects.get("ClusterRoleBinding", "probelet-viewer")["subjects"]], ["probelet-viewer", "sre"])


def roles_of_ones_own_take_the_place_of_ours(helm):
    objects = helm.template({"rbac": {"create": False}})
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
        "resources": ["nodeprobes", "nodeprobes/status"]}])
    same(objects.get("ValidatingAdmissionPolicyBinding")["spec"], {"policyName": OWN_NODE, "validationActions": ["Deny"]})


def the_flow_schema_names_the_agents_service_account(helm):
    objects = helm.template({"agent": {"serviceAccount": {"name": "mine"}}})
    flow = objects.get("FlowSchema")["spec"]
    same(flow["rules"][0]["subjects"], [{"kind": "ServiceAccount", "serviceAccount": {"name": "mine", "namespace": "probelet"}}])
    same(objects.get("PriorityLevelConfiguration")["metadata"]["name"], flow["priorityLevelConfiguration"]["name"])


def a_network_policy_opens_the_port_that_is_served(helm):
    objects = helm.template({"networkPolicy": {"enabled": True}, "agent": {"port": 1234}})
    ports = lambda name: [port["port"] for port in objects.get("NetworkPolicy", name)["spec"]["ingress"][0]["ports"]]
    same((ports("probelet-agent"), ports("probelet-operator")), ([1234], [9467]))
    same(objects.get("Deployment")["spec"]["template"]["spec"]["containers"][0]["ports"][0]["containerPort"], 9467)
    same(helm.template().all("NetworkPolicy"), [])
