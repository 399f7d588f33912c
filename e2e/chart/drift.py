"""Whether what is in Git equals what a real API server keeps, inside of lists: GitOps tools compare those as a whole.

In: a file of manifests, and the words of a kubectl that reaches a cluster. Out: a line that begins with PASS or FAIL for each
object; exits with 1 on a FAIL. Nothing is kept: the API server is asked by dry runs.
I/O: runs kubectl.

    drift.py MANIFESTS KUBECTL...
"""

import json
import subprocess
import sys


def asked(kubectl, *words):
    """What kubectl answers, as objects by kind and name."""
    done = subprocess.run([*kubectl, *words, "-o", "json"], capture_output=True, text=True, timeout=120, check=False)
    if done.returncode:
        raise SystemExit(f"FAIL kubectl {' '.join(words)}: {done.stderr.strip()}")
    found, at, decoder = {}, 0, json.JSONDecoder()
    # One object gives one document, several a List or one document each, by version of kubectl.
    while at < len(done.stdout.rstrip()):
        document, at = decoder.raw_decode(done.stdout, at)
        at += len(done.stdout[at:]) - len(done.stdout[at:].lstrip())
        for each in document["items"] if document["kind"] == "List" else [document]:
            found[each["kind"], each["metadata"]["name"]] = each
    return found


def drift(git, live, path="", whole=False):
    """Where a tool would find a difference. `whole`: inside of a list, where what Git does not have counts too."""
    if isinstance(git, dict) and isinstance(live, dict):
        for key in git:
            if key not in live:
                yield f"{path}.{key} is not kept"
            else:
                yield from drift(git[key], live[key], f"{path}.{key}", whole)
        if whole:
            yield from (f"{path}.{key} is added: {json.dumps(live[key])[:80]}" for key in live if key not in git)
    elif isinstance(git, list) and isinstance(live, list):
        if len(git) != len(live):
            yield f"{path} has {len(live)} entries, not {len(git)}"
        for at, (one, other) in enumerate(zip(git, live, strict=False)):
            yield from drift(one, other, f"{path}[{at}]", True)
    elif git != live:
        yield f"{path} is {json.dumps(live)[:80]}, not {json.dumps(git)[:80]}"


def main():
    manifests, kubectl = sys.argv[1], sys.argv[2:]
    git = asked(kubectl, "create", "--dry-run=client", "--validate=false", "-f", manifests)
    ways = {
        "client-side apply": ("apply", "--dry-run=server", "-f", manifests),
        "server-side apply": ("apply", "--server-side", "--force-conflicts", "--field-manager=argocd-controller", "--dry-run=server", "-f", manifests),
    }
    failed = not git
    for way, words in ways.items():
        live = asked(kubectl, *words)
        for key, each in git.items():
            wrong = list(drift(each, live[key])) if key in live else ["is not there"]
            print(f"{'FAIL' if wrong else 'PASS'} GitOps by {way}: {' '.join(key)}{': ' if wrong else ''}{'; '.join(wrong[:5])}")
            failed |= bool(wrong)
    return 1 if failed else 0


sys.exit(main())
