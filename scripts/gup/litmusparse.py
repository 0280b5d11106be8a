# SPDX-License-Identifier: GPL-2.0
"""Litmus tests in C as tools/memory-model has them: what lkmm.py needs of the language, and linux-kernel.def.

Statements and expressions are tuples that begin with what they are. A call is replaced by the body of its macro, so
that only what begins with "__" is left.
"""

import re

from gup.cat import Unsupported, without_comments

TOKEN = re.compile(r"__\w+\{[\w-]+\}|\w+|&~|[=!<>]=|&&|\|\||/\\|\\/|[-+*/&|^~!<>=(){};:,\[\]]")
LEVELS = (("||",), ("&&",), ("|",), ("^",), ("&",), ("==", "!="), ("<", "<=", ">", ">="), ("+", "-"), ("*", "/"))
OPERATORS = ("+", "-", "&", "|", "^", "&~")
TYPE = re.compile(r"(?:int|long|atomic_t|spinlock_t|u?intptr_t|char)$")

# The name, init, threads and the condition.
PARTS = re.compile(r"\s*C\s+(\S+)(?:\s+\"[^\"]*\")?\s*\{(.*?)\}(.*?)(?:locations\s*\[[^]]*\]\s*)?\bexists\b(.*)$", re.S)


class Parser:
    def __init__(self, text, macros):
        self.tokens, self.index, self.macros = TOKEN.findall(text) + ["end"], 0, macros
        left = TOKEN.sub("", text).strip()
        if left:
            raise Unsupported(f"C: {left.split()[0]}")

    def peek(self, ahead=0):
        return self.tokens[self.index + ahead]

    def next(self, wanted=None):
        token = self.tokens[self.index]
        if wanted and token != wanted:
            raise Unsupported(f"C: '{wanted}' expected, not '{token}'")
        self.index += 1
        return token

    def took(self, token):
        if self.peek() == token:
            self.index += 1
            return True
        return False

    def block(self, end="}"):
        found = []
        while not self.took(end):
            found.append(self.statement())
        return ("block", found)

    def statement(self):
        if self.took("{"):
            return self.block()
        if self.took("if"):
            self.next("(")
            condition = self.expression()
            self.next(")")
            return ("if", condition, self.statement(), self.statement() if self.took("else") else ("block", []))
        if self.peek() in ("while", "for", "do", "goto", "return"):
            raise Unsupported(f"C: {self.peek()}")
        if TYPE.match(self.peek()):
            self.next()
            while self.took("*"):
                pass
        left = self.expression()
        right = self.expression() if self.took("=") else None
        self.next(";")
        if right is None:
            return ("do", left)
        return ("assign", left, right)

    def expression(self, level=0):
        if level == len(LEVELS):
            return self.unary()
        found = self.expression(level + 1)
        while self.peek() in LEVELS[level]:
            found = ("binary", self.next(), found, self.expression(level + 1))
        return found

    def unary(self):
        token = self.next()
        if token == "(" and self.peek() == "void":
            self.next()
            self.next(")")
            return self.unary()
        if token == "(":
            found = self.expression()
            self.next(")")
            return found
        if token == "*":
            return ("load", "", self.unary())
        if token == "&":
            found = self.unary()
            return found[2] if found[0] == "load" else found
        if token in ("-", "!"):
            return ("binary", "-" if token == "-" else "==", ("number", 0), self.unary())
        if token.isdigit():
            return ("number", int(token))
        if not re.match(r"\w", token) or token == "end":
            raise Unsupported(f"C: {token}")
        if token.startswith("__fence{"):
            return (token,)
        return self.call(token) if self.peek() == "(" else ("name", token)

    def call(self, name):
        self.next("(")
        arguments = []
        while not self.took(")"):
            operator = self.peek() in OPERATORS and self.peek(1) == ","
            arguments.append(("operator", self.next()) if operator else self.expression())
            if self.peek() != ")":
                self.next(",")
        if name.startswith("__"):
            return (name, *arguments)
        if name not in self.macros:
            raise Unsupported(f"C: {name}()")
        parameters, body = self.macros[name]
        if len(parameters) != len(arguments):
            raise Unsupported(f"C: {name}() with {len(arguments)} arguments")
        return replaced(body, dict(zip(parameters, arguments)))


def replaced(node, arguments):
    if isinstance(node, tuple):
        if node[0] == "name" and node[1] in arguments:
            return arguments[node[1]]
        return tuple(replaced(part, arguments) for part in node)
    return [replaced(part, arguments) for part in node] if isinstance(node, list) else node


def read_macros(text):
    """{name: (parameters, body)} of linux-kernel.def. A macro may use those before it."""
    macros = {}
    for name, parameters, body in re.findall(r"(?m)^(\w+)\(([^)]*)\)\s*(\S.*)$", text):
        parser = Parser(body, macros)
        try:
            found = parser.block() if parser.took("{") else parser.expression()
        except Unsupported:  # whoever uses it is told that it is not there
            continue
        macros[name] = (parameters.replace(" ", "").split(",") if parameters else [], found)
    return macros


# -------------------------------------------------------------------------- conditions

def alternatives(parser):
    found = conjunction(parser)
    while parser.took("\\/"):
        found = ("or", found, conjunction(parser))
    return found


def conjunction(parser):
    found = atom(parser)
    while parser.took("/\\"):
        found = ("and", found, atom(parser))
    return found


def atom(parser):
    """A parenthesis, or THREAD:REGISTER=VALUE, or PLACE=VALUE."""
    if parser.took("~") or parser.took("not"):
        return ("not", atom(parser))
    if parser.took("("):
        found = alternatives(parser)
        parser.next(")")
        return found
    bracket, name = parser.took("["), parser.next()
    if bracket:
        parser.next("]")
    if parser.took(":"):
        name = (int(name), parser.next())
    parser.next("=")
    return ("is", name, value(parser))


def value(parser):
    """A number, or the address of what is named."""
    parser.took("&")
    sign, token = parser.took("-"), parser.next()
    return (-int(token) if sign else int(token)) if token.isdigit() else token


class Program:
    """init: {name: value}; threads: [(names of shared variables, block)]; exists: the condition."""

    def __init__(self, text, macros):
        text = without_comments(re.sub(r"/\*.*?\*/", " ", text, flags=re.S))
        text = re.sub(r"\bATOMIC_INIT\((-?\d+)\)", r"\1", text)
        match = PARTS.match(text)
        if not match or re.search(r"\bfilter\b|[~]\s*$", match[3]):
            raise Unsupported("C: not a test with init, threads and 'exists'")
        self.name, self.init = match[1], {}
        for one in filter(str.strip, match[2].split(";")):
            found = re.fullmatch(r"\s*(?:\w+\s+)?\**\s*(\w+)\s*=\s*(&?-?\w+)\s*", one)
            if found:
                self.init[found[1]] = value(Parser(found[2], {}))
            elif "=" in one or ":" in one:
                raise Unsupported(f"C: {one.strip()}")
        self.threads = [(frozenset(re.findall(r"(\w+)\s*(?:,|$)", parameters)), Parser(body, macros))
                        for parameters, body in re.findall(r"(?m)^P\d+\s*\(([^)]*)\)\s*\{(.*?)^\}", match[3], re.S)]
        self.threads = [(names, parser.block("end")) for names, parser in self.threads]
        self.exists = alternatives(Parser(match[4], {}))
