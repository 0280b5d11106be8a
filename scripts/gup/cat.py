# SPDX-License-Identifier: GPL-2.0
"""The part of herd's language "cat" in which tools/memory-model/linux-kernel.{bell,cat} are written.

A set of events is a number with one bit for each of them; a relation is a tuple with such a number for each event.
Definitions are evaluated when they are first needed, once per execution: most of the model is about what a test does
not have. What is not known here ends in Unsupported, never in a guess.
"""

import re

TOKEN = re.compile(r'"[^"]*"|\'[\w-]+|[A-Za-z_](?:-?\w)*|\^-1|\|\||\+\+|[-|;\\&*+?~()\[\]=,0{}]')
COMMENT = re.compile(r"\(\*(?:(?!\(\*|\*\)).)*\*\)|//[^\n]*", re.S)
NOTHING = 0  # as a set, and as a relation
KEYWORDS = {"let", "acyclic", "irreflexive", "empty", "flag", "show", "include", "enum", "instructions", "with"}
# What herd's stdlib.cat defines, and the model uses.
PRELUDE = """
let po-loc = po & loc
let rfe = rf & ext let rfi = rf & int let coe = co & ext let coi = co & int
let fr = (rf^-1 ; co) \\ id
let fre = fr & ext let fri = fr & int
let fencerel(B) = (po & (_ * B)) ; po
"""


class Unsupported(Exception):
    """Part of a model or of a test that is not known here."""


def without_comments(text):
    """They nest."""
    while True:
        shorter = COMMENT.sub(" ", text)
        if shorter == text:
            return text
        text = shorter


# ------------------------------------------------------------------------- relations

def compose(one, other):
    rows = []
    for row in one:
        found = 0
        while row:
            low = row & -row
            found |= other[low.bit_length() - 1]
            row ^= low
        rows.append(found)
    return tuple(rows)


def closure(relation):
    """Transitive."""
    rows = list(relation)
    for middle, _ in enumerate(rows):
        bit, behind = 1 << middle, rows[middle]
        if behind:
            rows = [row | behind if row & bit else row for row in rows]
    return tuple(rows)


def inverse(relation):
    return tuple(sum(1 << event for event, row in enumerate(relation) if row >> number & 1)
                 for number, _ in enumerate(relation))


def has_loop(relation):
    return any(row >> event & 1 for event, row in enumerate(relation))


def is_empty(value):
    return not (value if isinstance(value, int) else any(value))


def domain(relation):
    return relation and sum(1 << event for event, row in enumerate(relation) if row)


def span(relation):
    found = 0
    if relation == NOTHING:
        return found
    for row in relation:
        found |= row
    return found


CHECKS = {"acyclic": lambda value: not has_loop(closure(value)), "irreflexive": lambda value: not has_loop(value),
          "empty": is_empty}


# ---------------------------------------------------------------------------- parser

class Model:
    """Statements of several files, one after the other. Each name stands for its last definition before: it is
    replaced by the number of that definition."""

    def __init__(self, base, *texts):
        self.scope, self.definitions, self.checks, self.tags = {}, [], [], set()
        self.base = {name: self.define(name, ("base", name)) for name in base}
        for text in (PRELUDE, *texts):
            self.tokens, self.index = TOKEN.findall(without_comments(text)) + ["end"], 0
            while self.peek() != "end":
                self.statement()

    def define(self, name, expression):
        self.definitions.append(expression)
        self.scope[name] = len(self.definitions) - 1
        return self.scope[name]

    def peek(self):
        return self.tokens[self.index]

    def next(self, wanted=None):
        token = self.tokens[self.index]
        if wanted and token != wanted:
            raise Unsupported(f"cat: '{wanted}' expected, not '{token}'")
        self.index += 1
        return token

    def took(self, token):
        if self.peek() == token:
            self.index += 1
            return True
        return False

    def skip(self):
        """To the next statement."""
        skipped = []
        while self.peek() not in KEYWORDS | {"end"}:
            skipped.append(self.next())
        return skipped

    def statement(self):
        token = self.next()
        if token == "let":
            self.let()
        elif token in CHECKS:
            expression = self.union()
            self.next("as")
            self.checks.append((token, expression, self.next()))
        elif token == "flag":  # says that a test is not a good one; see Test in litmusfile.py
            while self.next() != "as":
                pass
            self.next()
        elif token == "enum":
            for tag in (word[1:] for word in self.skip() if word[0] == "'"):
                name = tag[0].upper() + tag[1:]
                self.tags.add(name)
                if name not in self.scope:
                    self.base[name] = self.define(name, ("base", name))
        elif token == "include" and self.peek() == '"lock.cat"':  # see lkmm.py
            self.next()
        elif token in ("instructions", "show") or token[0] == '"':
            self.skip()
        else:
            raise Unsupported(f"cat: {token} {self.peek()}")

    def let(self):
        """One or more definitions. What is recursive is known while it is parsed."""
        if self.took("rec"):
            names = [self.tokens[i + 1] for i in range(self.index - 1, self.end_of_let()) if self.tokens[i] in ("rec", "and")]
            slots = [self.define(name, None) for name in names]
            for number, slot in enumerate(slots):
                self.next(names[number])
                self.next("=")
                self.definitions[slot] = ("rec", slots, self.union())
                if number + 1 < len(slots):
                    self.next("and")
            return
        name, parameters = self.next(), []
        if self.took("("):
            parameters = [self.next()]
            self.next(")")
        before, slots = dict(self.scope), [self.define(p, None) for p in parameters]
        self.next("=")
        body = self.union()
        self.scope = before
        self.define(name, ("function", slots[0], body) if parameters else body)

    def end_of_let(self):
        index = self.index
        while self.tokens[index] not in KEYWORDS | {"end", "in"}:
            index += 1
        return index

    def chain(self, operator, part):
        found = part()
        while self.took(operator):
            found = (operator, found, part())
        return found

    def union(self):
        return self.chain("|", self.sequence)

    def sequence(self):
        return self.chain(";", self.difference)

    def difference(self):
        return self.chain("\\", self.intersection)

    def intersection(self):
        return self.chain("&", self.product)

    def starts(self, token):
        return token in ("(", "[", "~") or token[0].isalpha() and token not in KEYWORDS | {"end", "as", "and", "in"}

    def product(self):
        found = self.postfix()
        while self.peek() == "*":
            self.next()
            found = ("*", found, self.postfix())
        return found

    def postfix(self):
        found = self.primary()
        while self.peek() in ("+", "?", "^-1") or self.peek() == "*" and not self.starts(self.tokens[self.index + 1]):
            found = ({"*": "star"}.get(self.peek(), self.peek()), found)
            self.next()
        return found

    def primary(self):
        token = self.next()
        if token in ("(", "["):
            found = self.union()
            self.next({"(": ")", "[": "]"}[token])
            return ("[]", found) if token == "[" else found
        if token == "~":
            return ("~", self.postfix())
        if token == "let":
            before = dict(self.scope)
            self.let()
            self.next("in")
            found = self.union()
            self.scope = before
            return found
        if token in ("domain", "range") and self.took("("):
            found = self.union()
            self.next(")")
            return (token, found)
        if token not in self.scope:
            raise Unsupported(f"cat: {token} is not known")
        slot = self.scope[token]
        if self.peek() == "(" and self.definitions[slot][0] == "function":
            self.next()
            argument = self.union()
            self.next(")")
            return ("call", slot, argument)
        return ("slot", slot)

    def allows(self, base, size):
        """Do all checks hold?"""
        execution = Execution(self, base, size)
        return all(CHECKS[kind](execution.value(expression)) for kind, expression, _ in self.checks)


# ------------------------------------------------------------------------ evaluation

def pairwise(operation, empty_left):
    """On sets, or on relations. The right side of what is empty is not looked at."""
    def apply(execution, left, right):
        left = execution.value(left)
        if empty_left and is_empty(left):
            return left
        right = execution.value(right)
        if isinstance(left, int) and isinstance(right, int):
            return operation(left, right)
        return tuple(map(operation, execution.relation(left), execution.relation(right)))
    return apply


def sequence(execution, left, right):
    left = execution.relation(execution.value(left))
    return left if is_empty(left) else compose(left, execution.relation(execution.value(right)))


def product(execution, left, right):
    left, right = execution.value(left), execution.value(right)
    return tuple(right if left >> event & 1 else 0 for event in range(execution.size))


def reflexive(execution, relation):
    return tuple(row | 1 << event for event, row in enumerate(relation))


def complement(execution, value):
    every = (1 << execution.size) - 1
    return every & ~value if isinstance(value, int) else tuple(every & ~row for row in value)


UNARY = {
    "+": lambda execution, value: closure(value),
    "star": lambda execution, value: reflexive(execution, closure(value)),
    "?": reflexive,
    "^-1": lambda execution, value: inverse(value),
    "~": complement,
    "[]": lambda execution, value: tuple(1 << event if value >> event & 1 else 0 for event in range(execution.size)),
    "domain": lambda execution, value: domain(value),
    "range": lambda execution, value: span(value),
}
BINARY = {"|": pairwise(lambda a, b: a | b, False), "&": pairwise(lambda a, b: a & b, True),
          "\\": pairwise(lambda a, b: a & ~b, True), ";": sequence, "*": product}


class Execution:
    """Values of the definitions for one candidate execution."""

    def __init__(self, model, base, size):
        self.model, self.base, self.size, self.known = model, base, size, {}

    def relation(self, value):
        if isinstance(value, int) and value != NOTHING:
            raise Unsupported("cat: a set and a relation")
        return value or (0,) * self.size

    def value(self, expression):
        kind, *rest = expression
        if kind == "slot":
            return self.slot(*rest)
        if kind in BINARY:
            return BINARY[kind](self, *rest)
        if kind in UNARY:
            return UNARY[kind](self, self.value(*rest))
        if kind == "call":
            _, parameter, body = self.model.definitions[rest[0]]
            self.known[parameter] = self.value(rest[1])
            return self.value(body)
        raise Unsupported(f"cat: {kind}")

    def slot(self, slot):
        if slot not in self.known:
            definition = self.model.definitions[slot]
            if definition[0] == "base":
                self.known[slot] = self.base[definition[1]]
            elif definition[0] == "rec":
                self.fixpoint(definition[1])
            else:
                self.known[slot] = self.value(definition)
        return self.known[slot]

    def fixpoint(self, slots):
        """From nothing on, until nothing changes."""
        self.known.update(dict.fromkeys(slots, NOTHING))
        while True:
            before = [self.known[slot] for slot in slots]
            for slot in slots:
                self.known[slot] = self.value(self.model.definitions[slot][2])
            if before == [self.known[slot] for slot in slots]:
                return
