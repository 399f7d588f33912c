"""A Prometheus of our own on loopback: what it scrapes, and what it answers.

In: a folder, a token that agents accept, targets. Out: answers of its HTTP API.
I/O: starts one process, ends it; asks it over loopback.
"""

import json
import pathlib
import re
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request

RULES = pathlib.Path(__file__).resolve().parents[3] / "charts" / "probelet" / "rules" / "probelet.yaml"
CONFIG = """\
global: {scrape_interval: 2s, scrape_timeout: 2s, evaluation_interval: 2s}
rule_files: [rules.yaml]
scrape_configs:
- job_name: probelet-agent
  scheme: https
  tls_config: {insecure_skip_verify: true}
  authorization: {credentials_file: token}
  file_sd_configs: [{files: [agent.json], refresh_interval: 1s}]
- job_name: probelet-operator
  file_sd_configs: [{files: [operator.json], refresh_interval: 1s}]
"""


def scaled(text):
    """The rules with shorter windows, so that a fault shows within seconds; what else is different has its reason below. Alerts are asked for
    by their expressions, so how long they must hold plays no part here; promtool's tests have that."""
    text = re.sub(r"\[10m:1m\]", "[40s:5s]", text)
    text = re.sub(r"\[(5m|10m|15m)\]", "[40s]", text)
    text = text.replace("offset 1h", "offset 2m")
    # The shop's connections live for milliseconds, and of those between two pods of one node only one end leaves a trace: a
    # busier node is needed than 2 a second for coverage to be low for want of looking.
    text = text.replace("connections_opened:rate5m > 2", "connections_opened:rate5m > 20")
    return re.sub(r"(probelet_agent_kubernetes_contact_age_seconds\{.*\)) > 300", r"\1 > 75", text)


class Prometheus:
    """One process; ends with the `with` that it is used in."""

    def __init__(self, folder, port, token=""):
        self.folder, self.url, self.port = pathlib.Path(folder), f"http://127.0.0.1:{port}", port
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "token").write_text(token)
        (self.folder / "rules.yaml").write_text(scaled(RULES.read_text()))
        (self.folder / "prometheus.yaml").write_text(CONFIG)

    def __enter__(self):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", self.port)) == 0:
                raise RuntimeError(f"port {self.port} of loopback is in use, perhaps by the Prometheus of a proof that was killed")
        # It ends with the proof, however that ends: the next one needs the port.
        words = ["setpriv", "--pdeathsig", "KILL", "prometheus", f"--config.file={self.folder}/prometheus.yaml", f"--storage.tsdb.path={self.folder}/data",
                 f"--web.listen-address=127.0.0.1:{self.port}", "--storage.tsdb.retention.time=1d", "--log.level=warn"]
        self.process = subprocess.Popen(words, stdout=(self.folder / "log").open("w"), stderr=subprocess.STDOUT)
        self.until_ready()
        return self

    def targets(self, job, found):
        """What to scrape, as [(address, labels)]: Debian's Prometheus has no discovery of Kubernetes' pods."""
        text = json.dumps([{"targets": [address], "labels": labels} for address, labels in found])
        path = self.folder / f"{job}.json"
        # Renamed into place: half a file would be read.
        (self.folder / f"{job}.new").write_text(text)
        (self.folder / f"{job}.new").rename(path)

    def until_ready(self):
        """Waits for it to serve."""
        for _ in range(200):
            try:
                urllib.request.urlopen(self.url + "/-/ready", timeout=2).close()
                return
            except (urllib.error.URLError, ConnectionError, TimeoutError):
                if self.process.poll() is not None:
                    raise RuntimeError((self.folder / "log").read_text()[-2000:]) from None
                time.sleep(0.1)
        raise RuntimeError("Prometheus is not ready after 20 s")

    def __exit__(self, *_):
        self.process.terminate()
        self.process.wait(30)

    def ask(self, path, **words):
        """An answer of the API."""
        query = urllib.parse.urlencode(words)
        try:
            with urllib.request.urlopen(f"{self.url}/api/v1/{path}?{query}", timeout=60) as answer:
                return json.load(answer)["data"]
        except urllib.error.HTTPError as error:
            raise ValueError(json.load(error)["error"]) from None

    def instant(self, expr, at=None):
        """Series of an instant query that have a number."""
        return [each for each in self.ask("query", query=expr, time=at or time.time())["result"] if each["value"][1] != "NaN"]

    def range(self, expr, seconds, step, until=None):
        """Series of a range query with a number somewhere."""
        end = until or time.time()
        result = self.ask("query_range", query=expr, start=end - seconds, end=end, step=step)["result"]
        return [each for each in result if any(value != "NaN" for _, value in each["values"])]
