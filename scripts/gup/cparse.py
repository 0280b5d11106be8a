# SPDX-License-Identifier: GPL-2.0
"""A C file of the kernel as clang parses it, with the options that gcc compiled it with.

clang sees what the preprocessor leaves; where that was written is what counts here. Each node
has the range of the file that it was written in: of an argument of a macro that is where the
argument stands, so that what is inside unlikely() or WARN_ON() is seen; of what comes out of the
macro itself it is the invocation as a whole.
"""

import bisect
import ctypes
import re
import shlex
import sys

from gup.cli import Failure
from gup.packages import need

DEBIAN = "/usr/lib/python3/dist-packages"  # another Python does not look there
# What of the options decides how it parses.
OPTION = re.compile(r"-(D|I|U|std=|nostdinc$|m64$|fshort-wchar|funsigned-char|fms-extensions)")

# Not looked into: what must be constant, or is not evaluated.
CLOSED = {"CXX_UNARY_EXPR", "ASM_STMT", "GENERIC_SELECTION_EXPR", "TYPE_REF"}
CONSTANT = re.compile(r"\b(BUILD_BUG\w*|static_assert|compiletime_assert)\(")
LOOPS = ("FOR_STMT", "WHILE_STMT", "DO_STMT")


def words_of(command):
    """Those of gcc's options that clang needs."""
    words, found = shlex.split(command), []
    for word, behind in zip(words, words[1:] + [""]):
        if word in ("-include", "-isystem"):
            found += [word, behind]
        elif OPTION.match(word):
            found.append(word)
    return found


class Node:
    """start and end are offsets; "real" is false of what a macro made."""
    __slots__ = ("kind", "start", "end", "children", "cursor", "real")

    def __init__(self, kind, start, end, children, cursor, real):
        self.kind, self.start, self.end = kind, start, end
        self.children, self.cursor, self.real = children, cursor, real

    def walk(self):
        yield self
        for child in self.children:
            yield from child.walk()

    def bare(self):
        """Without parentheses and conversions."""
        node = self
        while node.kind in ("UNEXPOSED_EXPR", "PAREN_EXPR") and len(node.children) == 1:
            node = node.children[0]
        return node

    def type(self):
        return self.cursor.type.get_canonical()


def library():
    need("clang")
    if DEBIAN not in sys.path:
        sys.path.append(DEBIAN)
    import clang.cindex as clang  # pylint: disable=import-outside-toplevel
    return clang


class Source:
    """One file in one configuration. functions: {name: Node}; the last child is the body."""

    def __init__(self, path, text, folder, command):
        clang = library()
        if not text.isascii():  # clang counts bytes
            raise Failure("internal", f"{path} is not plain ASCII", "count bytes in cparse.py")
        self.path, self.text = str(path), text
        self.offset = clang.conf.lib.clang_getFileLocation
        self.offset.argtypes = [clang.SourceLocation] + [ctypes.c_void_p] * 4
        self.unit = clang.Index.create().parse(
            self.path, [f"-working-directory={folder}", *words_of(command), "-w", "-ferror-limit=0"],
            unsaved_files=[(self.path, text)])
        wrong = [found for found in self.unit.diagnostics if found.severity >= clang.Diagnostic.Error]
        if wrong:
            raise Failure("internal", f"clang does not parse {path}: {wrong[0]}")
        self.read_tokens()
        self.functions = {cursor.spelling: self.node(cursor) for cursor in self.unit.cursor.get_children()
                          if cursor.kind.name == "FUNCTION_DECL" and cursor.is_definition()
                          and cursor.location.file and cursor.location.file.name == self.path}

    def read_tokens(self):
        """[(start, end, text)] without comments."""
        self.tokens = [(token.extent.start.offset, token.extent.end.offset, token.spelling)
                       for token in self.unit.get_tokens(extent=self.unit.cursor.extent) if token.kind.name != "COMMENT"]
        self.starts = [token[0] for token in self.tokens]

    def at(self, offset):
        """Index of the first token that does not begin before."""
        return bisect.bisect_left(self.starts, offset)

    def between(self, start, end):
        return [text for _, _, text in self.tokens[self.at(start):self.at(end)]]

    def invocation(self, offset):
        """End of the macro that is invoked there, with its arguments."""
        index = self.at(offset)
        end = self.tokens[index][1]
        if self.tokens[index + 1][2] != "(" or self.tokens[index + 1][0] != end:
            return end
        depth = 0
        for _, end, text in self.tokens[index + 1:]:
            depth += (text == "(") - (text == ")")
            if not depth:
                return end
        raise ValueError(f"{self.path}: a macro without an end")

    def place(self, location):
        value = ctypes.c_uint()
        self.offset(location, None, None, None, ctypes.byref(value))
        return value.value

    def node(self, cursor):
        start, end = self.place(cursor.extent.start), self.place(cursor.extent.end)
        children = [self.node(child) for child in cursor.get_children()]
        real = end > start
        if not real:  # inside a macro that is an argument of another one
            end = self.invocation(start)
        start = min([start, *(child.start for child in children)])
        end = max([end, *(child.end for child in children)])
        return Node(cursor.kind.name, start, end, children, cursor, real)


class Function:
    """One, with what the operators ask about its nodes."""

    def __init__(self, source, name):
        self.source, self.text, self.name, self.node = source, source.text, name, source.functions[name]
        self.body = self.node.children[-1]
        self.parents, self.nodes = {}, []
        self.collect(self.body)
        self.blocks = [node for node in self.nodes if node.kind == "COMPOUND_STMT" and node.real and self.of(node)[:1] == "{"]
        self.conditions = {(node.start, node.end): node for node in self.find_conditions()}

    def collect(self, node):
        if node.kind in CLOSED or CONSTANT.match(self.of(node)):
            return
        self.nodes.append(node)
        for number, child in enumerate(node.children):
            if not (node.kind == "CASE_STMT" and number == 0):
                self.parents[id(child)] = node
                self.collect(child)

    def of(self, node):
        return self.text[node.start:node.end]

    def parent(self, node):
        return self.parents.get(id(node))

    def binary(self, *operators):
        """(node, its operator, left, right) of those that stand in the file."""
        for node in self.nodes:
            if node.kind in ("BINARY_OPERATOR", "COMPOUND_ASSIGNMENT_OPERATOR") and len(node.children) == 2:
                left, right = node.children
                between = self.source.between(left.end, right.start)
                if len(between) == 1 and between[0] in operators:
                    yield node, between[0], left, right

    def find_conditions(self):
        for node in self.nodes:
            if node.kind == "IF_STMT" and re.match(r"if\b", self.of(node)):
                yield node.children[0]
            elif node.kind == "CONDITIONAL_OPERATOR" and self.source.between(
                    node.children[0].end, node.children[1].start) == ["?"]:
                yield node.children[0]
            elif node.kind in LOOPS and self.condition_of(node):
                yield self.condition_of(node)
        for _, _, left, right in self.binary("&&", "||"):
            yield from (left, right)

    def condition_of(self, node):
        """Of a loop, or None. Of for libclang leaves out what is not there."""
        if node.kind != "FOR_STMT":
            word, child = ("while", node.children[0]) if node.kind == "WHILE_STMT" else ("do", node.children[-1])
            return child if re.match(word + r"\b", self.of(node)) else None
        header = node.children[:-1]
        for child in header:
            before = self.source.between(node.start, child.start)
            if before.count(";") == 1 and before[:2] == ["for", "("]:
                return child
        return None

    def statements(self):
        """(block, [statements])"""
        for block in self.blocks:
            yield block, [child for child in block.children if not CONSTANT.match(self.of(child))]

    def whole(self, node):
        """A statement with its semicolon, as (start, end)."""
        index = self.source.at(node.end)
        if not self.of(node).endswith((";", "}")) and self.source.tokens[index][2] == ";":
            return node.start, self.source.tokens[index][1]
        return node.start, node.end

    def in_loop(self, node):
        """With no switch between."""
        while node and node.kind not in (*LOOPS, "SWITCH_STMT"):
            node = self.parent(node)
        return bool(node) and node.kind in LOOPS

    def calls(self):
        """(node, arguments) of what is written as a call and is no macro."""
        for node in self.nodes:
            if node.kind == "CALL_EXPR" and node.children and self.of(node.children[0]) == node.cursor.spelling \
                    and self.of(node).startswith(f"{node.cursor.spelling}("):
                yield node, node.children[1:]

    def variables(self, node):
        """{name: type} of what is in scope there."""
        found = {}
        for child in self.node.children:
            if child.kind == "PARM_DECL":
                found[child.cursor.spelling] = child.type()
        for block in self.blocks:
            if block.start <= node.start < block.end:
                for child in block.children:
                    if child.kind == "DECL_STMT" and child.end <= node.start:
                        found |= {one.cursor.spelling: one.type() for one in child.children if one.kind == "VAR_DECL"}
        return found

    def assigned(self):
        """What is assigned: initial values and right sides."""
        for node in self.nodes:
            if node.kind == "VAR_DECL" and node.children and node.cursor.storage_class.name != "STATIC":
                if self.source.between(node.start, node.children[-1].start)[-1:] == ["="]:
                    yield node, node.children[-1]
        for node, _, _, right in self.binary("="):
            yield node, right
