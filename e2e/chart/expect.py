"""What checks about the chart are made of.

In: what was found and what was wanted, or rendered objects. Out: an AssertionError that says both, or the part asked for.
Pure: values only.
"""


def same(found, wanted):
    """Both are equal."""
    assert found == wanted, f"found {found!r}, not {wanted!r}"


def says(text, *parts):
    """A message has all these parts."""
    for part in parts:
        assert part in text, f"{part!r} is not in {text.strip()!r}"


def capabilities(objects):
    """What the agent's container drops and adds."""
    return objects.agent()["containers"][0]["securityContext"]["capabilities"]


def rules(role):
    """A role as sorted (group/resource, verbs, names)."""
    return sorted(
        (",".join(rule.get("apiGroups", [])) + "/" + resource, " ".join(sorted(rule["verbs"])), *rule.get("resourceNames", []))
        for rule in role["rules"] for resource in rule.get("resources", rule.get("nonResourceURLs")))


def env_of(pod):
    """The environment of a pod's only container."""
    return {each["name"]: each.get("value") for each in pod["containers"][0]["env"]}


def pods(objects):
    """The pod templates: what is different here restarts pods."""
    return [each["spec"]["template"] for each in objects if each["kind"] in ("DaemonSet", "Deployment")]
