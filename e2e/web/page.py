"""The checks about the agent's page, each tried in a browser.

In: a browser, an agent, a folder for pictures. Out: PASS or FAIL a line; exit code 1 on a failure.
I/O: starts the scene and the browser, and ends them.
"""

import json
import os
import socket
import subprocess
import sys
import time
import traceback

from browser import Browser

TRAP = "<img src=x>"
ROWS = "[...document.querySelectorAll('tbody tr')].map(tr => [...tr.cells].map(td => td.textContent))"


class Try:
    def __init__(self, browser, agent, folder):
        with socket.socket() as free:
            free.bind(("127.0.0.1", 0))
            self.address = f"127.0.0.1:{free.getsockname()[1]}"
        here = os.path.dirname(os.path.abspath(__file__))
        # As process 1 of a namespace of its own the scene takes everything with it when it goes.
        apart = ["unshare", "--pid", "--fork", "--kill-child", "--mount-proc"] if os.geteuid() == 0 else []
        command = [*apart, sys.executable, os.path.join(here, "scene.py"), agent, self.address]
        self.scene = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.server = json.loads(self.scene.stdout.readline())[0]
        self.folder, self.page = folder, Browser(browser)

    def tell(self, line):
        self.scene.stdin.write(line + "\n")
        self.scene.stdin.flush()
        return json.loads(self.scene.stdout.readline())

    def picture(self, name):
        self.page.picture(os.path.join(self.folder, name + ".png"))

    def show(self, view):
        self.page.run(f"show('{view}')")

    def filter(self, text):
        self.page.run(f"$('filter').value = {json.dumps(text)}; $('filter').oninput()")

    def end(self):
        self.page.close()
        self.scene.stdin.close()
        self.scene.wait(10)


def it_opens_and_says_whose_report_it_shows(t):
    t.ports = t.tell("open web-client 3")
    t.page.size(1280, 860)
    t.page.call("Page.navigate", url=f"http://{t.address}/")
    t.page.until("document.readyState === 'complete' && typeof head !== 'undefined' && head !== null")
    assert t.page.run("$('node').textContent") == "scene"
    assert "of 300m" in t.page.run("$('cpu').textContent"), t.page.run("$('cpu').textContent")
    assert t.page.until("$('age').textContent === 'live'")


def the_table_shows_a_connection_that_was_made(t):
    t.show("connections")
    for port in t.ports:
        row = t.page.until(f"{ROWS}.find(r => r[4] === '127.0.0.1:{port}')")
        assert (row[0], row[3], row[5]) == ("web-client", "out", f"127.0.0.1:{t.server}"), row


def a_new_connection_appears_by_itself(t):
    port = t.tell("open late-client 1")[0]
    t.page.until(f"{ROWS}.find(r => r[0] === 'late-client' && r[4] === '127.0.0.1:{port}')", 6)


def the_name_of_a_process_stays_text(t):
    for view in ("map", "flows", "connections", "listeners", "processes"):
        t.show(view)
        t.page.until(f"$('pane').textContent.includes({json.dumps(TRAP)})")
        assert t.page.run("document.querySelectorAll('img').length") == 0, view


def the_map_has_an_edge_for_the_flow(t):
    t.show("map")
    title = t.page.until(f"[...document.querySelectorAll('.edge title')].map(e => e.textContent).find(s => s.startsWith('web-client → {TRAP}'))")
    assert f"{t.server}/tcp: 3 open" in title, title


def a_box_of_the_map_lists_its_flows_by_mouse_and_by_keyboard(t):
    t.page.run("[...document.querySelectorAll('.node')].find(n => n.dataset.key === 'process\\nweb-client').dispatchEvent(new MouseEvent('click'))")
    assert t.page.run("document.querySelectorAll('.edge.lit').length") == 1
    assert "web-client" in t.page.run("document.querySelector('.chosen-list').textContent")
    t.page.run("[...document.querySelectorAll('.node')].find(n => n.dataset.key === 'process\\nlate-client').focus()")
    t.page.press("Enter")
    assert t.page.run("document.querySelector('.chosen-list').textContent").startswith("late-client")
    assert t.page.run("document.activeElement.dataset.key") == "process\nlate-client", "the focus is lost when the map is drawn again"
    t.page.press("Escape")
    assert t.page.run("chosen") == ""


def a_flow_that_fails_is_red_and_named(t):
    port = t.tell("fail 20")
    t.show("map")
    title = t.page.until("[...document.querySelectorAll('.edge.sick title')].map(e => e.textContent).find(s => s.includes('failing'))", 25)
    assert "20 attempts failed" in title and f"{port}/tcp" in title, title
    said = t.page.run("[...$('wronglist').children].map(e => e.textContent)")
    assert not t.page.run("$('wrong').hidden") and any(f"port {port}/tcp" in line for line in said), said
    t.picture("sick")
    t.show("flows")
    t.page.until("[...document.querySelectorAll('td.bad')].some(td => td.textContent === 'failing')")


def a_filter_leaves_what_contains_its_words(t):
    t.show("connections")
    t.page.press("/")
    assert t.page.run("document.activeElement.id") == "filter"
    for letter in "late-cl":
        t.page.press(letter)
    rows = t.page.run(ROWS)
    assert rows and all("late-client" in row for row in rows), rows
    t.filter("late-client nothing-like-this")
    assert t.page.run(ROWS) == []
    assert t.page.run("$('count').textContent") == "Nothing contains these words."
    t.filter("")


def a_namespace_is_asked_for_and_stays_in_the_address(t):
    t.show("connections")
    t.page.until(f"{ROWS}.some(r => r[0] === 'web-client')")
    name = lambda text: t.page.run(f"$('namespace').value = {json.dumps(text)}; $('namespace').dispatchEvent(new Event('change'))")
    name(" shop, batch ")
    # Nothing of this scene is in a pod, so nothing is left, and nothing comes later.
    t.page.until("$('age').textContent === 'live' && tag && data.connections.size === 0")
    assert t.page.run("location.search + location.hash") == "?namespace=shop%2Cbatch#connections"
    t.show("flows")
    assert t.page.run("location.search + location.hash") == "?namespace=shop%2Cbatch#flows"
    end = time.monotonic() + 15
    while not any("namespace=shop%2Cbatch&since=" in url for url in t.page.asked()):
        assert time.monotonic() < end, t.page.asked()[-3:]
        t.page.run("0")
        time.sleep(0.2)
    t.page.call("Page.reload")
    t.page.until("document.readyState === 'complete' && typeof head !== 'undefined' && head !== null")
    assert t.page.run("[$('namespace').value, view]") == ["shop,batch", "flows"]
    name("No Such_Name")
    t.page.until("$('notes').textContent.includes('namespace')")
    name("")
    t.show("connections")
    t.page.until(f"{ROWS}.some(r => r[0] === 'web-client') && !$('notes').textContent")
    assert t.page.run("location.search + location.hash") == "#connections"


def who_sees_some_namespaces_only_is_shown_what_there_is(t):
    """The shape of a tenant's report: agent/src/serve/report/render/narrow.rs."""
    part = {"full": True, "namespaces": ["shop"], "losses": {}, "coverage": {"ratio": 1, "windowSeconds": 60}}
    kept = ["version", "level", "freshnessSeconds", "verified", "started", "desiredIntervalSeconds", "effectiveIntervalSeconds"]
    t.page.run("$('rate').value = '0'; $('rate').onchange()")
    t.page.run(f"""(() => {{ const whole = head, a = {{}}; for (const key of {json.dumps(kept)}) a[key] = whole.agent[key];
      head = {{...whole, ...{json.dumps(part)}, agent: a}}; delete head.unresolved; render(); window.whole = whole; }})()""")
    assert t.page.run("$('source').textContent").endswith("; the part of shop"), t.page.run("$('source').textContent")
    assert t.page.run("['cpu', 'memory'].map(id => $(id).textContent)") == ["–", "–"]
    assert "NaN" not in t.page.run("document.body.textContent") and "undefined" not in t.page.run("$('tiles').textContent")
    t.page.run("head = window.whole; $('rate').value = '1'; $('rate').onchange(); render()")


def a_header_sorts_and_says_so(t):
    t.show("connections")
    # Whatever else this machine is connected to stands in the same table, by other addresses.
    own = f"{ROWS}.filter(r => r[4].startsWith('127.0.0.1:'))"
    order = f"document.querySelector('th[data-id=local] button').click(), {own}.map(r => +r[4].split(':')[1])"
    up, down = t.page.run(order), t.page.run(order)
    assert up == sorted(up) and down == sorted(down, reverse=True) and len(up) > 3, (up, down)
    assert t.page.run("document.querySelector('th[data-id=local]').ariaSort") == "descending"


def keys_change_the_view(t):
    t.page.press("5")
    assert t.page.run("document.querySelector('[aria-selected=true]').dataset.view") == "processes"
    t.page.run("document.querySelector('[aria-selected=true]').focus()")
    t.page.press("ArrowRight")
    assert t.page.run("document.activeElement.dataset.view") == "map" == t.page.run("view")


def it_fits_a_narrow_window_and_a_dark_one(t):
    for view in ("flows", "connections", "listeners", "processes", "map"):
        t.show(view)
        t.page.size(400, 800)
        time.sleep(0.3)
        wide = t.page.run("document.documentElement.scrollWidth")
        assert wide <= 400, f"{view} is {wide} wide"
        t.picture(f"narrow-{view}")
    t.page.size(1280, 860)
    t.page.scheme("dark")
    assert t.page.run("getComputedStyle(document.body).backgroundColor") == "rgb(17, 21, 28)"
    t.picture("dark")
    t.page.scheme("light")
    t.picture("few")


def two_hundred_flows_are_a_map_too(t):
    wanted = t.tell("crowd 20 5")
    assert wanted == 200
    t.show("map")
    t.page.until("data.flows.size >= 200", 15)
    time.sleep(1.5)
    edges, nodes = t.page.run("[document.querySelectorAll('.edge').length, document.querySelectorAll('.node').length]")
    assert edges >= 40 and 20 <= nodes <= 90, (edges, nodes)
    overlap = """(() => { const b = [...document.querySelectorAll('.node rect')].map(r => r.getBBox());
      return b.some((p, i) => b.some((q, j) => i < j && p.x < q.x + q.width && q.x < p.x + p.width && p.y < q.y + q.height && q.y < p.y + p.height)); })()"""
    assert t.page.run(overlap) is False, "boxes lie on one another"
    t.picture("many")
    t.show("flows")
    t.picture("many-flows")
    t.show("connections")
    t.picture("many-connections")


def a_page_that_no_one_looks_at_asks_for_nothing(t):
    t.page.run("Object.defineProperty(document, 'hidden', {value: true, configurable: true}); 0")
    time.sleep(5.5)
    before = len(t.page.asked())
    time.sleep(3)
    t.page.run("0")
    assert len(t.page.asked()) == before, "it asks although hidden"
    t.page.run("Object.defineProperty(document, 'hidden', {value: false, configurable: true}); document.dispatchEvent(new Event('visibilitychange'))")
    t.page.until("$('age').textContent === 'live'")


def nothing_went_to_the_console_and_nowhere_else(t):
    elsewhere = [url for url in t.page.asked() if not url.startswith((f"http://{t.address}/", "data:"))]
    assert not elsewhere, elsewhere
    assert len([url for url in t.page.asked() if "since=" in url]) > 5, "it asks for changes only"
    # The browser notes each answer that is a refusal: one namespace above cannot be one.
    complaints = [each for each in t.page.complaints() if "Such_Name" not in str(each)]
    assert not complaints, complaints


def a_policy_keeps_scripts_out_that_are_not_ours(t):
    t.page.run("document.body.append(Object.assign(document.createElement('script'), {textContent: 'window.ran = 1'})); 0")
    assert t.page.run("window.ran") is None
    assert any("Content Security Policy" in str(said) for said in t.page.complaints())


def it_says_stale_when_the_agent_stops_and_recovers(t):
    t.tell("stop")
    t.page.until("$('age').textContent === 'stale' && document.body.classList.contains('stale')", 15)
    t.page.until("$('notes').textContent.startsWith('Stale: the agent has been silent for ')", 15)
    t.picture("stale")
    t.tell("go")
    t.page.until("$('age').textContent === 'live' && !$('notes').textContent", 20)


def after_a_restart_of_the_agent_it_begins_fresh(t):
    old = t.page.run("head.instance")
    t.tell("restart")
    t.page.until(f"head.instance !== '{old}' && $('age').textContent === 'live'", 20)
    t.show("connections")
    t.filter("web-client")
    t.page.until(f"{ROWS}.some(r => r[0] === 'web-client')")
    identities = t.page.run("[new Set([...data.connections.values()].map(c => c.local + c.remote)).size, data.connections.size]")
    assert identities[0] == identities[1], "connections of before are still there"


CHECKS = [
    it_opens_and_says_whose_report_it_shows, the_table_shows_a_connection_that_was_made, a_new_connection_appears_by_itself,
    the_name_of_a_process_stays_text, the_map_has_an_edge_for_the_flow, a_box_of_the_map_lists_its_flows_by_mouse_and_by_keyboard,
    a_flow_that_fails_is_red_and_named, a_filter_leaves_what_contains_its_words, a_namespace_is_asked_for_and_stays_in_the_address,
    who_sees_some_namespaces_only_is_shown_what_there_is, a_header_sorts_and_says_so, keys_change_the_view, it_fits_a_narrow_window_and_a_dark_one,
    two_hundred_flows_are_a_map_too, a_page_that_no_one_looks_at_asks_for_nothing, nothing_went_to_the_console_and_nowhere_else,
    a_policy_keeps_scripts_out_that_are_not_ours, it_says_stale_when_the_agent_stops_and_recovers, after_a_restart_of_the_agent_it_begins_fresh,
]


def main():
    t, failed = Try(*sys.argv[1:]), 0
    try:
        for check in CHECKS:
            name = "web: " + check.__name__.replace("_", " ")
            try:
                t.page.run("typeof $ === 'function' && ($('filter').value = '', $('filter').blur(), chosen = '')")
                check(t)
                print("PASS", name, flush=True)
            except Exception:
                failed += 1
                print("FAIL", name, flush=True)
                traceback.print_exc(file=sys.stdout)
    finally:
        t.end()
    return 1 if failed else 0


sys.exit(main())
