"""What kube-score finds in the chart, for each file of ci/, against the exceptions that are explained in exceptions.yaml.

In: a Helm, kube-score. Out: lines that begin with PASS or FAIL; exits with 1 on a FAIL. It must not judge the chart itself.
I/O: runs Helm and kube-score.

    score.py HELM KUBE_SCORE
"""

import json
import pathlib
import subprocess
import sys

import yaml

from chart import BASE, CHART, CI_VALUES, KUBERNETES, LOADER, MONITORING

EXCEPTIONS = pathlib.Path(__file__).parent / "exceptions.yaml"
# Grades of kube-score: 1 critical, 5 warning, 7 almost, 10 fine.
FINE = 10
# Without a version of Kubernetes it takes an old one's rules for what is deprecated.
RULES = ("--output-format", "json", "--kubernetes-version", "v1.36")


def found(helm, score, path):
    """{(check, kind): what is said} of a file of values."""
    words = [helm, "template", "probelet", str(CHART), "--namespace", "probelet", "--kube-version", KUBERNETES, *BASE, "--values", str(path)]
    words += [word for api in MONITORING for word in ("--api-versions", api)]
    objects = subprocess.run(words, capture_output=True, check=True).stdout
    # Exit code 1 is what it says of findings; what it cannot read is no JSON.
    said = subprocess.run([score, "score", *RULES, "-"], input=objects, capture_output=True, check=False)
    judged = json.loads(said.stdout)
    assert judged, "kube-score was given nothing to judge"
    return {(check["check"]["id"], each["type_meta"]["kind"]): "; ".join(one["summary"] for one in check["comments"] or [])
            for each in judged for check in each["checks"] if not check["skipped"] and check["grade"] < FINE}


def main():
    helm, score = sys.argv[1:3]
    exceptions = yaml.load(EXCEPTIONS.read_text(), LOADER)
    used, failed = set(), False
    for path in CI_VALUES:
        name, wrong = path.name.removesuffix("-values.yaml"), []
        for (check, kind), said in sorted(found(helm, score, path).items()):
            meant = [at for at, row in enumerate(exceptions)
                     if row["check"] == check and kind in row["kinds"] and name in row.get("only", [name])]
            used |= {(at, kind) for at in meant}
            if not meant:
                wrong.append(f"{kind}: {check}: {said}")
        failed |= bool(wrong)
        print("\n  ".join([f"{'FAIL' if wrong else 'PASS'}: ci/{name}: kube-score finds nothing that exceptions.yaml does not explain", *wrong]))
    idle = [f"{row['check']} of {kind}" for at, row in enumerate(exceptions) for kind in row["kinds"] if (at, kind) not in used]
    print("\n  ".join([f"{'FAIL' if idle else 'PASS'}: every exception of exceptions.yaml is needed", *idle]))
    return 1 if failed or idle else 0


sys.exit(main())
