# SPDX-License-Identifier: GPL-2.0
"""Makes the manual pages in Documentation/man9/, which man -l shows. src/NAME.9 is what is written
by hand. What the kernel-doc of mm/gup.c has goes into the place of these lines:

    @@synopsis FUNCTION...      the prototypes
    @@arguments FUNCTION
    @@text FUNCTION [WORDS]     the paragraph of the description that has these words, or all
    @@context FUNCTION
    @@return FUNCTION           what it returns, but for the errors
    @@errors FUNCTION...        the errors, each with its cause
    @@example                   src/NAME.c, which scripts/check --kernel compiles
"""

import importlib
import re
import subprocess
import sys
import textwrap

from gup import cli, documents, source
from gup.cli import ROOT, Failure
from gup.packages import need
from gup.workspace import Workspace

PAGES = ROOT / "Documentation/man9"
ERROR = re.compile(r"%-(E[A-Z0-9]+) - (.*)")
# None of them may find anything.
CHECKERS = ("mandoc -Tlint -W style", "groff -man -ww -Tutf8 -z", "man --warnings -E UTF-8 -l")


def options(parser):
    cli.option(parser, "--check", "write nothing; fail if a page is not current, or a checker finds something")


def kernel_docs(tree):
    """{function: what the kernel's own parser of kernel-doc makes of it}"""
    sys.dont_write_bytecode = True  # nothing of ours in the tree
    sys.path.insert(0, str(tree / "tools/lib/python"))
    style = importlib.import_module("kdoc.kdoc_output").RestFormat()
    files = importlib.import_module("kdoc.kdoc_files").KernelFiles(out_style=style)
    sys.path.pop(0)
    path = str(tree / "mm/gup.c")
    files.parse([path])
    return {item.name: item for item in files.results.get(path, [])}


def filled(text):
    """Lines of man(7), none of which begins with what roff takes for a request."""
    text = " ".join(text.split()).replace("\\", "\\e")
    for pattern, new in ((r"%(?=[\w-])", ""), (r"(?<!\w)-(?=E[A-Z])", r"\\-"), (r"@(\w+(?:->\w+)?)", r"\\fI\1\\fP"),
                         (r"\b(\w+\*?)\(\)", r"\\fB\1\\fP()")):
        text = re.sub(pattern, new, text)
    lines = textwrap.wrap(text, 78, break_long_words=False, break_on_hyphens=False)
    return [("\\&" if line[0] in ".'" else "") + line for line in lines]


class Page:
    """The source of a page. Each method makes lines of man(7) for one kind of @@ line."""

    def __init__(self, path, docs):
        self.path, self.docs = path, docs

    def missing(self, what):
        return Failure("check", f"mm/gup.c: {what}, which man9/src/{self.path.name} wants")

    def doc(self, name):
        if name not in self.docs:
            raise self.missing(f"no kernel-doc of {name}()")
        return self.docs[name]

    def items(self, name, section):
        """Of the list that a section is, or its paragraphs."""
        text = self.doc(name).sections.get(section, "")
        found = [" ".join(each.split()) for each in re.split(r"^\* |\n\s*\n", text, flags=re.M) if each.strip()]
        if not found:
            raise self.missing(f"no {section} in the kernel-doc of {name}()")
        return found

    def synopsis(self, *names):
        for name in names:
            doc = self.doc(name)
            head = f"{doc.other_stuff['functiontype']} {name}(".replace("* ", "*").replace(" ", "\0")
            words = ", ".join(doc.parametertypes[each].replace(" ", "\0") for each in doc.parameterlist)
            indent = "\0" * len(head)
            for line in textwrap.wrap(f"{head}{words});", 72, subsequent_indent=indent, break_long_words=False):
                yield '.BI "' + re.sub(r"(\w+)(,|\);)", r'" \1 "\2', line).replace("\0", " ") + '"'

    def arguments(self, name):
        for each in self.doc(name).parameterlist:
            yield from (".TP", f".I {each}", *filled(self.doc(name).parameterdescs[each]))

    def text(self, name, *words):
        found = [each for each in self.items(name, "Description") if " ".join(words) in each]
        if not found:
            raise self.missing(f"no '{' '.join(words)}' in the kernel-doc of {name}()")
        for number, each in enumerate(found):
            yield from [".PP"] * bool(number) + filled(re.sub(rf"\b{name}\b(?!\()", self.path.stem, each))

    def context(self, name):
        text = " ".join(self.items(name, "Context"))
        yield from filled(text[0].upper() + text[1:])

    def returns(self, name):
        for each in self.items(name, "Return"):
            if not ERROR.match(each):
                yield from (".IP \\[u2022] 3", *filled(each))

    def errors(self, *names):
        """Sorted by name, without those about an argument that the last function does not have."""
        known = set(self.doc(names[-1]).parameterlist)
        found = filter(None, (ERROR.match(each) for name in names for each in self.items(name, "Return")))
        for match in sorted(found, key=lambda match: match[1]):
            if known.issuperset(re.findall(r"@(\w+)", match[2])):
                yield from (".TP", f".B \\-{match[1]}", *filled(match[2][0].upper() + match[2][1:] + "."))

    def example(self):
        for line in self.path.with_suffix(".c").read_text().rstrip("\n").split("\n")[2:]:
            yield re.sub(r"^(?=[.'])", r"\\&", line.replace("\\", "\\e").replace("-", "\\-").expandtabs(8))

    def lines(self):
        for line in self.path.read_text().splitlines():
            kind, *words = line.split() or [""]
            if line.startswith("@@"):
                yield from getattr(self, {"@@return": "returns"}.get(kind, kind[2:]))(*words)
            else:
                yield line


def pages(tree):
    """{path: content}"""
    docs = kernel_docs(tree)
    return {PAGES / path.name: "\n".join(Page(path, docs).lines()) + "\n"
            for path in sorted((PAGES / "src").glob("*.9"))}


def wrong(tree):
    """What is not as it must be, as lines."""
    for path, content in pages(tree).items():
        yield from documents.difference(path, content)[:20]
        for checker in CHECKERS:
            done = subprocess.run([*checker.split(), str(path)], check=False, capture_output=True, text=True)
            found = done.stderr + (done.stdout if checker.startswith("mandoc") else "")
            yield from (f"{checker}: {line}" for line in found.splitlines()[:20])


def main(options):
    need("fetch", "manual")
    tree = Workspace(source.choose(), prefix=True).prepare().tree
    if not options.check:
        for path, content in pages(tree).items():
            cli.write(path, content)
        return "Documentation/man9/ is written"
    found = list(wrong(tree))
    cli.indented(found)
    if found:
        raise Failure("check", "Documentation/man9/ is not as it must be, see above",
                      "run scripts/manual, or edit src/")
    return "Documentation/man9/ is current"
