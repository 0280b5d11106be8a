# SPDX-License-Identifier: GPL-2.0
"""Documents that verbs write: a text of Documentation/templates/ with what was found, and its tables."""

import difflib

from gup import cli
from gup.cli import ROOT

FOLDER = ROOT / "Documentation"
TEMPLATES = FOLDER / "templates"


def filled(name, **values):
    """The template of that name with each value, or its lines, in the place of @KEY@."""
    text = (TEMPLATES / name).read_text()
    for key, value in values.items():
        text = text.replace(f"@{key}@", str(value) if isinstance(value, (str, int)) else "\n".join(value))
    return text


def fill(name, **values):
    cli.write(FOLDER / name, filled(name, **values))
    cli.note(f"wrote Documentation/{name}")


def difference(path, text):
    """Lines of a diff to what a file must be."""
    return list(difflib.unified_diff(cli.text_of(path).splitlines(), text.splitlines(), path.name, "as it must be",
                                     lineterm="", n=0))


def table(head, rows, rule=" ---: |"):
    """Lines of one with a head as "| | a | b |". rule: of each column but the first, or the whole of it."""
    yield head
    yield rule if rule.startswith("|") else "| --- |" + rule * (head.count("|") - 2)
    for row in rows:
        yield f"| {' | '.join(map(str, row))} |"


def cell(text):
    return text.replace("|", "\\|")
