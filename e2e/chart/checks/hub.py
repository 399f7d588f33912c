"""What Chart.yaml says to Artifact Hub: known annotations, well-formed, and true of this chart.

Artifact Hub's own linter (`ah lint`) is not served by Go's module proxy; the rules are those of its documentation.
One check a function: in, a Helm; out, nothing or an AssertionError. I/O: reads the chart.
"""

import re

import jsonschema
import yaml

from chart import CHART, LOADER, about
from expect import same

# Annotations of Helm charts, and whether the value is YAML in itself.
KNOWN = {"category": False, "license": False, "operator": False, "operatorCapabilities": False, "prerelease": False, "containsSecurityUpdates": False,
         "changes": True, "crds": True, "crdsExamples": True, "images": True, "links": True, "maintainers": True, "recommendations": True,
         "screenshots": True, "signKey": True, "alternativeName": False}
CATEGORIES = {"ai-machine-learning", "database", "integration-delivery", "monitoring-logging", "networking", "security", "storage", "streaming-messaging"}
CAPABILITIES = {"Basic Install", "Seamless Upgrades", "Full Lifecycle", "Deep Insights", "Auto Pilot"}
CHANGES = {"added", "changed", "deprecated", "removed", "fixed", "security"}


def _notes():
    notes = {key.removeprefix("artifacthub.io/"): value for key, value in about()["annotations"].items() if key.startswith("artifacthub.io/")}
    return {key: yaml.load(value, LOADER) if KNOWN.get(key) else value for key, value in notes.items()}


def _definitions():
    return {path.stem: yaml.load(path.read_text(), LOADER) for path in (CHART / "files" / "crds").glob("*.yaml")}


def what_artifact_hub_is_given_is_known_to_it_and_of_the_right_form(helm):
    del helm
    notes = _notes()
    assert not notes.keys() - KNOWN.keys(), notes.keys() - KNOWN.keys()
    assert all(isinstance(value, str) for key, value in about()["annotations"].items()), "an annotation that is no text"
    assert notes["category"] in CATEGORIES and notes["operatorCapabilities"] in CAPABILITIES, notes
    same({notes["operator"], notes["prerelease"]} - {"true", "false"}, set())
    for change in notes["changes"]:
        assert change["kind"] in CHANGES and change["description"].strip(), change
    for links in (notes.get("links", []), *(change.get("links", []) for change in notes["changes"])):
        assert all(link["name"] and re.match("https://", link["url"]) for link in links), links


def artifact_hub_is_given_each_definition_and_examples_that_hold(helm):
    del helm
    notes, definitions = _notes(), _definitions()
    reported = sorted((each["name"], each["kind"], each["version"]) for each in notes["crds"])
    same(reported, sorted((each["metadata"]["name"], each["spec"]["names"]["kind"], version["name"])
                      for each in definitions.values() for version in each["spec"]["versions"]))
    assert all(each["displayName"] and each["description"] for each in notes["crds"])
    kinds = {each["spec"]["names"]["kind"]: each["spec"]["versions"][0]["schema"]["openAPIV3Schema"] for each in definitions.values()}
    shown = {example["kind"] for example in notes["crdsExamples"]}
    assert "ProbeConfig" in shown, "people write ProbeConfigs, so one is to be shown"
    for example in notes["crdsExamples"]:
        jsonschema.validate(example, kinds[example["kind"]])
