"""Images, names and labels.

One check a function: in, a Helm; out, nothing or an AssertionError.
I/O: renders the chart.
"""

import re

import manifests
from chart import MONITORING, about
from expect import pods, same, says

MONITORS = {"agent": {"tls": {"mode": "cert-manager"}},
            "metrics": {"podMonitor": {"enabled": True, "tokenSecret": {"name": "renewed"}}, "serviceMonitor": {"enabled": True}}}


def a_digest_wins_over_a_tag_and_a_tag_over_the_version(helm):
    image = lambda values: helm.template(values).agent()["containers"][0]["image"]
    digest = "sha256:" + "ab" * 32
    same(image({}), "registry.invalid/probelet/probelet-agent:" + about()["appVersion"])
    same(image({"image": {"registry": "localhost", "tag": "x"}}), "localhost/probelet-agent:x")
    same(image({"image": {"tag": "x"}, "agent": {"image": {"tag": "y"}}}), "registry.invalid/probelet/probelet-agent:y")
    same(image({"image": {"registry": "r.example:5000/a/"}, "agent": {"image": {"tag": "y", "digest": digest}}}),
          "r.example:5000/a/probelet-agent@" + digest)


def without_a_registry_the_chart_is_refused_and_says_what_to_set(helm):
    """No default could be right: a name that is not there would leave every pod in ImagePullBackOff, minutes later."""
    said = helm.refusal({"image": {"registry": ""}})
    says(said, "image.registry: ", "--set image.registry=", "localhost", "docs/user/install.md")
    same(said.count("image.registry: "), 1)


def names_begin_with_the_release_unless_set_otherwise(helm):
    name = lambda release, values=None: helm.template(values, release=release).get("DaemonSet")["metadata"]["name"]
    same(name("probelet"), "probelet-agent")
    same(name("my-probelet"), "my-probelet-agent")
    same(name("node"), "node-probelet-agent")
    same(name("node", {"fullnameOverride": "x"}), "x-agent")


def the_longest_names_are_cut_and_stay_apart(helm):
    for release in ("a" * 53, "probelet-" + "b" * 44, "c" * 37 + "-" + "d" * 15):
        objects = helm.template(MONITORS, release=release, apis=MONITORING)
        wrong = list(manifests.against_rules(objects, "probelet"))
        assert not wrong, wrong[:3]
        longest = max((each["metadata"]["name"] for each in objects), key=len)
        assert len(longest) <= 63, longest


def any_release_and_namespace_that_helm_allows_can_be_installed(helm):
    """Numbers and words that YAML reads as something else than text, dots, a digit in front of a Service's name."""
    for release in ("2048", "true", "on", "null", "1e3", "0x1f", "my.release", "1st", "v1.2", "a" * 30 + "." + "b" * 20):
        objects = helm.template(MONITORS, release=release, namespace="123", apis=MONITORING)
        wrong = list(manifests.against_rules(objects, "123"))
        assert not wrong, wrong[:3]
        for kind in ("DaemonSet", "Deployment"):
            assert re.fullmatch("[a-z].*", objects.get(kind)["metadata"]["name"]), objects.get(kind)["metadata"]["name"]


def names_that_look_like_numbers_stay_names(helm):
    values = {"agent": {"serviceAccount": {"name": "123"}, "priorityClassName": "1e3", "tokens": {"audience": "true"},
                        "tls": {"mode": "secret", "secretName": "456"}},
              "operator": {"serviceAccount": {"name": "0123"}, "priorityClassName": "on"}, "nameOverride": "7",
              "dashboards": {"configMaps": {"enabled": True}, "namespace": "99"},
              "metrics": {"podMonitor": {"enabled": True, "tokenSecret": {"name": "1", "key": "2"}, "tlsConfig": {"insecureSkipVerify": True}}}}
    objects = helm.template(values, apis=MONITORING)
    wrong = [what for each in objects for what in manifests.against_rules([each], each["metadata"].get("namespace", "probelet"))]
    wrong += list(manifests.against_schema(objects, manifests.VERSIONS[0]))
    assert not wrong, wrong[:3]
    same(objects.get("PodMonitor")["spec"]["podMetricsEndpoints"][0]["authorization"]["credentials"], {"name": "1", "key": "2"})


def a_name_that_no_label_can_have_is_refused(helm):
    says(helm.refusal({"nameOverride": "our probelet"}), "/nameOverride")
    says(helm.refusal({"fullnameOverride": "1st"}), "/fullnameOverride")
    for name in ("Our_Probelet.v1", "x" * 62 + "." + "y"):
        assert not list(manifests.against_rules(helm.template({"nameOverride": name}), "probelet"))


def common_labels_are_on_every_object_and_pod(helm):
    objects = helm.template({"commonLabels": {"team": "a"}, **MONITORS}, apis=MONITORING)
    for each in objects + pods(objects):
        same(each["metadata"]["labels"].get("team"), "a")
        same(each["metadata"]["labels"]["app.kubernetes.io/name"], "probelet")


def a_label_of_ours_cannot_be_replaced(helm):
    objects = helm.template({"commonLabels": {"app.kubernetes.io/component": "x"},
                             "agent": {"podLabels": {"app.kubernetes.io/name": "y"}}})
    labels = objects.get("DaemonSet")["spec"]["template"]["metadata"]["labels"]
    same((labels["app.kubernetes.io/component"], labels["app.kubernetes.io/name"]), ("agent", "probelet"))
