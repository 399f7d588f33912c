"""Dashboards and rules, as the chart delivers them.

One check a function: in, a Helm; out, nothing or an AssertionError.
I/O: renders the chart, reads its dashboards and rules.
"""

import json

import yaml

from chart import CHART, LOADER, MONITORING, ROOT
from expect import same, says

CONFIG_MAPS = {"dashboards": {"configMaps": {"enabled": True}}}
RULE = {"metrics": {"prometheusRule": {"enabled": True}}}


def _boards():
    return {path.stem: json.loads(path.read_text()) for path in (CHART / "dashboards").glob("*.json")}


def _rules(objects):
    return [rule for group in objects.get("PrometheusRule")["spec"]["groups"] for rule in group["rules"]]


def dashboards_come_in_config_maps_that_the_sidecar_finds(helm):
    objects = helm.template(CONFIG_MAPS)
    found = [each for each in objects.all("ConfigMap") if each["metadata"]["labels"].get("grafana_dashboard") == "1"]
    same(sorted(each["metadata"]["name"] for each in found), sorted(f"probelet-dashboard-{name}" for name in _boards()))
    for each in found:
        name = each["metadata"]["name"].removeprefix("probelet-dashboard-")
        same(json.loads(each["data"][f"probelet-{name}.json"]), _boards()[name])
        assert "annotations" not in each["metadata"], each["metadata"]


def dashboards_are_left_out_unless_wanted(helm):
    objects = helm.template()
    same([each["kind"] for each in objects if "dashboard" in each["metadata"]["name"]], [])
    same(objects.all("PrometheusRule"), [])


def the_sidecars_label_and_folder_can_be_chosen(helm):
    chosen = {"dashboards": {"configMaps": {"enabled": True, "label": "team/board", "labelValue": "yes", "folderAnnotation": "dir"}, "folder": "Node agents", "namespace": "grafana"}}
    meta = helm.template(chosen).get("ConfigMap", "probelet-dashboard-agent-cost")["metadata"]
    same((meta["labels"]["team/board"], meta["annotations"], meta["namespace"]), ("yes", {"dir": "Node agents"}, "grafana"))


def grafana_operator_gets_the_same_dashboards(helm):
    objects = helm.template({"dashboards": {"grafanaOperator": {"enabled": True}, "folder": "F"}}, apis=MONITORING)
    for name, board in _boards().items():
        spec = objects.get("GrafanaDashboard", f"probelet-{name}")["spec"]
        same((json.loads(spec["json"]), spec["folder"], spec["instanceSelector"]), (board, "F", {"matchLabels": {"dashboards": "grafana"}}))


def without_their_kinds_they_are_refused_in_a_message(helm):
    says(helm.refusal({"dashboards": {"grafanaOperator": {"enabled": True}}}), "dashboards.grafanaOperator.enabled: ", "install grafana-operator")
    says(helm.refusal(RULE), "metrics.prometheusRule.enabled: ", "install prometheus-operator")


def the_rules_are_those_of_the_plain_file(helm):
    plain = yaml.load((CHART / "rules" / "probelet.yaml").read_text(), LOADER)
    same(helm.template(RULE, apis=MONITORING).get("PrometheusRule")["spec"], plain)


def rules_name_the_jobs_of_their_release(helm):
    text = json.dumps(_rules(helm.template(RULE, release="x", apis=MONITORING)))
    says(text, '(.*/)?x-probelet-agent\\"', '(.*/)?x-probelet-operator\\"')
    assert "?probelet-" not in text, text


def alerts_can_be_left_out_and_labelled(helm):
    alerts = lambda **more: {rule["alert"]: rule for rule in _rules(helm.template({"metrics": {"prometheusRule": {"enabled": True, **more}}}, apis=MONITORING)) if "alert" in rule}
    same(alerts(alerts=False), {})
    assert "ProbeletAgentDown" not in alerts(disabledAlerts=["ProbeletAgentDown"])
    same({rule["labels"]["severity"] for rule in alerts(alertLabels={"severity": "page"}).values()}, {"page"})
    refusal = helm.refusal({"metrics": {"prometheusRule": {"enabled": True, "disabledAlerts": ["ProbeletAgentDwon"]}}}, apis=MONITORING)
    says(refusal, "disabledAlerts: there is no alert ProbeletAgentDwon", "ProbeletAgentDown")
    down = alerts(alertLabels={"team": "a"}, runbookUrl="https://docs.example/books/")["ProbeletAgentDown"]
    same((down["labels"], down["annotations"]["runbook_url"]), ({"severity": "warning", "team": "a"}, "https://docs.example/books/agent-down"))


def alerts_name_a_command_and_link_to_nowhere_unless_set(helm):
    for rule in _rules(helm.template(RULE, apis=MONITORING)):
        if "alert" in rule:
            assert "runbook_url" not in rule["annotations"], rule["alert"]
            page = rule["annotations"]["runbook"].removeprefix("kubectl probelet runbook ")
            assert (ROOT / "docs" / "user" / "runbooks" / f"{page}.md").is_file(), rule["alert"]
