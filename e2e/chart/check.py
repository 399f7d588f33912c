"""Runs all checks of the chart and prints a line that begins with PASS or FAIL for each.

In: one `--helm=PATH` for each Helm, then words that the name of a check must contain for it to be run.
I/O: runs Helm, writes to stdout; exits with 1 if something failed.
"""

import concurrent.futures
import functools
import importlib
import inspect
import os
import pathlib
import sys
import traceback

import manifests
from chart import BASE, CHART, CI_VALUES, MONITORING, Helm, Refused


def matrix(helm):
    """Lint and manifests, for each file of ci/."""
    for path in CI_VALUES:
        name = path.name.removesuffix("-values.yaml")
        # Lint knows no cluster, so it cannot know prometheus-operator; Helm's lint logs the refusal and goes on.
        yield f"ci/{name}: helm lint --strict finds nothing", lambda path=path: lint(helm, path)
        objects = lambda path=path: helm.template(files=[path], apis=MONITORING)
        for version in manifests.VERSIONS:
            yield (f"ci/{name}: every manifest is one of Kubernetes {version}",
                   lambda objects=objects, version=version: nothing(manifests.against_schema(objects(), version)))
        yield (f"ci/{name}: names, labels and namespaces are allowed",
               lambda objects=objects: nothing(manifests.against_rules(objects(), "probelet")))


def lint(helm, path):
    """Fails unless nothing but the missing icon is found."""
    text = helm.run("lint", "--strict", str(CHART), *BASE, "--values", str(path), "--namespace", "probelet")
    nothing(line for line in text.splitlines() if line.startswith(("[WARNING]", "[ERROR]")))


def nothing(wrong):
    """Fails with what is wrong."""
    wrong = list(wrong)
    assert not wrong, "\n  ".join(wrong[:10])


def of_the_folder():
    """Every function of checks/ whose name has no underscore in front, in the order of the files."""
    for path in sorted((pathlib.Path(__file__).parent / "checks").glob("*.py")):
        module = importlib.import_module(f"checks.{path.stem}")
        for name, value in vars(module).items():
            if inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_"):
                yield value


def judged(helm, name, check):
    """Whether a check held, as the line to print."""
    try:
        check()
        return f"PASS {helm.name}: {name}"
    except Exception as error:  # noqa: BLE001: whatever a check dies of, it has failed
        last = traceback.extract_tb(error.__traceback__)[-1]
        known = isinstance(error, (AssertionError, Refused)) and str(error).strip()
        text = known or f"{type(error).__name__}: {error} ({last.filename}:{last.lineno}: {last.line})"
        return f"FAIL {helm.name}: {name}\n  {text}"


def main():
    helms = [Helm(word.removeprefix("--helm=")) for word in sys.argv[1:] if word.startswith("--helm=")]
    words = [word for word in sys.argv[1:] if not word.startswith("--helm=")]
    checks = []
    for helm in helms:
        checks += [(helm, name, check) for name, check in matrix(helm)]
        checks += [(helm, check.__name__.replace("_", " "), functools.partial(check, helm)) for check in of_the_folder()]
    checks = [check for check in checks if not words or any(word in check[1] for word in words)]
    failed = not checks
    # Nearly all of the time is spent in Helm: threads are enough to use every core.
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for line in pool.map(lambda check: judged(*check), checks):
            print(line, flush=True)
            failed |= line.startswith("FAIL")
    return 1 if failed else 0


sys.exit(main())
