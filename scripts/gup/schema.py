# SPDX-License-Identifier: GPL-2.0
"""Many mutants in one kernel: each is a branch that "gup_mutant=N" on the command line takes.

An expression e becomes (gup_is(7) ? (other) : (e)), a statement an if. Without a number every condition is false,
and the kernel does what it does without them, somewhat slower. No line moves. kunit/mutate.h has gup_is().
"""

import re

from gup.cli import ROOT

HEADER = ROOT / "kunit/mutate.h"
INCLUDE = re.compile("^#include .*$", re.M)


def applied(text, edits):
    """The file with one mutant. No line behind it changes its number."""
    for start, end, new in sorted(edits, reverse=True):
        gone = text.count("\n", start, end) - new.count("\n")
        text = text[:start] + new + "\n" * max(gone, 0) + text[end:]
    return text


def one_line(text):
    """No line of the file behind it may move."""
    return re.sub(r"\s*\n\s*", " ", re.sub(r"/\*.*?\*/", "", text, flags=re.S))


class Place:
    """A range of the file, what may stand there instead, and the places within it."""

    def __init__(self, start, end, kind):
        self.start, self.end, self.kind, self.instead, self.within = start, end, kind, [], []

    def written(self, text):
        found, at = [], self.start
        for place in self.within:
            found += [text[at:place.start], place.written(text)]
            at = place.end
        inner = "".join(found) + text[at:self.end]
        if self.kind == "truth":
            inner = f"!!({inner})"  # it may be a pointer, and what stands instead is a number
        for number, other in reversed(self.instead):
            if self.kind != "stmt":
                inner = f"(gup_is({number}) ? ({one_line(other)}) : ({inner}))"
            else:
                inner = f"{{ if (gup_is({number})) {{ {one_line(other)} }} else {{ {inner} }} }}"
        return inner


def places(mutants, text):
    """A tree of them, below one for the whole file."""
    known = {}
    for mutant in mutants:
        for edit in mutant.edits:
            place = known.setdefault((edit.start, edit.end), Place(edit.start, edit.end, edit.kind))
            place.kind = edit.kind if edit.kind == "truth" else place.kind
            place.instead.append((mutant.number, edit.text))
    root = Place(0, len(text), "file")
    stack = [root]
    for place in sorted(known.values(), key=lambda place: (place.start, -place.end)):
        while place.start >= stack[-1].end:
            stack.pop()
        if place.end > stack[-1].end:
            raise ValueError(f"{text[place.start:place.end]!r} is not within {text[stack[-1].start:stack[-1].end]!r}")
        stack[-1].within.append(place)
        stack.append(place)
    return root


def switched(mutants, text, weak=()):
    """The file with all of them. weak: functions that nothing may define."""
    new = places(mutants, text).written(text)
    last = [match.end() for match in INCLUDE.finditer(text)][-1]
    most = max(mutant.number for mutant in mutants)
    return (f'{new[:last]}\n#define GUP_MUTANTS {most}\n#include "{HEADER}"\n#line {text.count(chr(10), 0, last) + 2}'
            + new[last:] + "".join(f'asm(".weak {name}");\n' for name in weak))
