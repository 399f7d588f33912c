"""Every link of the built site: does it lead to a page, a file or a heading that is there?

In: the folder of HTML, the folder of sources. Out: a line that begins with PASS or FAIL for each kind of thing; exits with 1 on a
FAIL. Links to other servers are not followed: only that they are https, and of a host that is known, is checked, so that no page
leads to a place that was made up. I/O: reads files.

    check.py HTML DOCS
"""

import html.parser
import pathlib
import re
import sys
import urllib.parse

# Where pages may lead outside of the site: the project's own place (PROBELET_HOME).
HOSTS = {"github.com", "docs.sigstore.dev", "olm.operatorframework.io", "slsa.dev"}


class Page(html.parser.HTMLParser):
    """Links and ids of a page."""

    def __init__(self, text):
        super().__init__()
        self.ids, self.links = set(), set()
        self.feed(text)

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        if "id" in attrs:
            self.ids.add(attrs["id"])
        for name in ("href", "src"):
            if attrs.get(name):
                self.links.add((tag, attrs[name]))


def wrong(site):
    """Yields (page, link, why) of each link that is bad."""
    pages = {path: Page(path.read_text()) for path in site.rglob("*.html")}
    for path, page in pages.items():
        # The page for what is not found has links from the site's top; the print page holds all others once more.
        if path.name in ("404.html", "print.html", "toc.html"):
            continue
        for tag, link in sorted(page.links):
            parts = urllib.parse.urlsplit(link)
            if parts.scheme or parts.netloc:
                if tag in ("script", "img", "link"):
                    yield path, link, "is fetched from another server"
                elif parts.hostname == "127.0.0.1":
                    continue  # what an agent serves on the reader's own machine
                elif parts.scheme not in ("https", "mailto") or (parts.netloc and parts.netloc not in HOSTS):
                    yield path, link, "leads to a host that check.py does not know"
                continue
            target = (path.parent / urllib.parse.unquote(parts.path)).resolve() if parts.path else path
            if target.is_dir():
                target /= "index.html"
            if not target.is_relative_to(site) or not target.exists():
                yield path, link, "is not in the site"
            elif parts.fragment and target in pages and urllib.parse.unquote(parts.fragment) not in pages[target].ids:
                yield path, link, "has no such heading"


def unlisted(docs):
    """Yields pages that are not in the table of contents, and those that are there twice."""
    listed = re.findall(r"\]\(([^)]+)\)", (docs / "SUMMARY.md").read_text())
    pages = {path.relative_to(docs).as_posix() for path in docs.rglob("*.md")} - {"SUMMARY.md"}
    yield from (f"{page} is not in SUMMARY.md" for page in sorted(pages - set(listed)))
    yield from (f"{page} is in SUMMARY.md and not in docs" for page in sorted(set(listed) - pages))
    yield from (f"{page} is in SUMMARY.md twice" for page in sorted(set(page for page in listed if listed.count(page) > 1)))


def main():
    site, docs = (pathlib.Path(word).resolve() for word in sys.argv[1:3])
    failed = False

    def says(what, found):
        nonlocal failed
        found = list(found)
        failed |= bool(found)
        print("\n  ".join([f"{'FAIL' if found else 'PASS'}: {what}", *found]))

    says("every page of docs is in SUMMARY.md, once", unlisted(docs))
    count = len(list(site.rglob("*.html")))
    says("the site has pages", [] if count > 50 else [f"only {count}"])
    says(f"every link of {count} pages leads somewhere",
         (f"{path.relative_to(site)}: {link} {why}" for path, link, why in wrong(site)))
    return 1 if failed else 0


sys.exit(main())
