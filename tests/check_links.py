"""Checks that every relative link in the tree's Markdown files leads somewhere.

    check_links.py [ROOT]

Files and the headings behind `#` are looked up; addresses on the web are not visited.
"""

import os
import re
import subprocess
import sys
import urllib.parse

FENCE = re.compile(r"^ {0,3}(```+|~~~+).*?^ {0,3}\1[`~]*\s*$", re.MULTILINE | re.DOTALL)
CODE = re.compile(r"(`+)(?!`).*?(?<!`)\1(?!`)", re.DOTALL)
INLINE = re.compile(r"\]\(\s*<?([^)\s>]+)>?(?:\s+[\"'(][^)]*)?\)")
REFERENCE = re.compile(r"^ {0,3}\[[^\]]+\]:\s*<?(\S+?)>?(?:\s|$)", re.MULTILINE)
HEADING = re.compile(r"^ {0,3}#{1,6}\s+(.+?)\s*#*\s*$", re.MULTILINE)
ANCHOR = re.compile(r"<a\s+(?:id|name)=\"([^\"]+)\"")
SCHEME = re.compile(r"^[a-zA-Z][a-zA-Z0-9+.-]*:")
SKIPPED = {".git", "target", "node_modules", "__pycache__"}


def markdown_files(root):
    """Those that git knows or would add; without git, all."""
    listed = subprocess.run(
        ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard", "*.md"],
        capture_output=True, check=False)
    if listed.returncode == 0:
        names = sorted(set(filter(None, os.fsdecode(listed.stdout).split("\0"))))
        return [path for path in (os.path.join(root, name) for name in names) if os.path.isfile(path)]
    found = []
    for directory, inner, names in os.walk(root):
        inner[:] = [name for name in inner if name not in SKIPPED]
        found += [os.path.join(directory, name) for name in names if name.endswith(".md")]
    return sorted(found)


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def links(text):
    prose = CODE.sub("", FENCE.sub("", text))
    return INLINE.findall(prose) + REFERENCE.findall(prose)


def anchors(text):
    """The names that headings get on the usual forges."""
    prose = FENCE.sub("", text)
    names, seen = set(ANCHOR.findall(prose)), {}
    for heading in HEADING.findall(prose):
        heading = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        name = re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
        count = seen.get(name, 0)
        seen[name] = count + 1
        names.add(f"{name}-{count}" if count else name)
    return names


def fault(root, path, link):
    """Why the link leads nowhere; None if it leads somewhere."""
    if SCHEME.match(link) or link.startswith("//"):
        return None
    target, _, fragment = urllib.parse.unquote(link).partition("#")
    if target.startswith("/"):
        place = os.path.join(root, target.lstrip("/"))
    else:
        place = os.path.join(os.path.dirname(path), target) if target else path
    if not os.path.exists(place):
        return "there is no such file"
    if os.path.relpath(os.path.realpath(place), os.path.realpath(root)).startswith(".."):
        return "leads out of the tree"
    if fragment and place.endswith(".md") and fragment.lower() not in anchors(read(place)):
        return "there is no such heading"
    return None


def main():
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(__file__), "..")
    passed = failed = 0
    for path in markdown_files(root):
        for link in links(read(path)):
            why = fault(root, path, link)
            if why:
                print(f"FAIL {os.path.relpath(path, root)}: {link}: {why}")
            passed, failed = passed + (not why), failed + bool(why)
    print(f"{passed} passed, {failed} failed")
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
