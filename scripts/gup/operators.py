# SPDX-License-Identifier: GPL-2.0
"""What a mutant is: the operators, each a function over the nodes of a function.

Most are those of Agrawal and others, Design of Mutant Operators for the C Programming Language
(1989), whose names stand in TABLE; relations as Kaminski, Ammann and Offutt found sufficient (2013),
dropped operands as Delamaro, Offutt and Ammann (2014). The rest is for what the kernel lives of:
flags, error codes, pairs, order.
"""

import collections
import hashlib
import re

from gup import cparse
from gup.cparse import LOOPS

# An edit replaces text[start:end]. kind: expr, truth if only whether it is 0 counts, or stmt, a statement with
# its semicolon.
Edit = collections.namedtuple("Edit", "start end text kind")
TABLE = {}  # {operator: (function, what it does, its name in the literature)}
INTEGERS = {"BOOL", "CHAR_U", "UCHAR", "CHAR_S", "SCHAR", "USHORT", "SHORT", "UINT", "INT", "ULONG", "LONG", "ULONGLONG",
            "LONGLONG", "ENUM"}
NAMED = re.compile(r"(FOLL_|FAULT_FLAG_|VM_FAULT_|VM_|MMF_|NR_|E)[A-Z0-9_]+")
RELATIONS = {"<": ("<=", "!="), "<=": ("<", "=="), ">": (">=", "!="), ">=": (">", "=="), "==": ("<=", ">="),
             "!=": ("<", ">")}
ARITHMETIC = {"+": "-", "-": "+", "*": "/", "/": "*", "%": "*", "<<": ">>", ">>": "<<", "&": "|", "|": "&", "^": "&"}
PAIRS = (("lock", "unlock"), ("begin", "end"), ("save", "restore"), ("disable", "enable"), ("map", "unmap"),
         ("lock_killable", "unlock"))


class Mutant:
    """number: given by who runs it. key: of what it changes, in the text of its function. One without
    edits is the original."""

    def __init__(self, function, operator, edits, source):
        self.function, self.operator, self.edits, self.number = function, operator, sorted(edits), 0
        self.key, self.change = "original", ""
        if edits:
            self.describe(source, source.functions[function])

    def describe(self, source, node):
        place = [(edit.start - node.start, edit.end - node.start, edit.text) for edit in self.edits]
        what = repr((source.text[node.start:node.end], self.operator, place))
        self.key = hashlib.sha256(what.encode()).hexdigest()[:16]
        self.change = " and ".join(f"{squeezed(source.text[edit.start:edit.end])} -> {squeezed(edit.text) or '(nothing)'}"
                                   for edit in self.edits)


def squeezed(text, most=60):
    text = re.sub(r"\s+", " ", re.sub(r"/\*.*?\*/", "", text, flags=re.S)).strip()
    return text if len(text) <= most else f"{text[:most - 3]}..."


def operator(name, what, known=""):
    def add(function):
        TABLE[name] = (function, what, known)
        return function
    return add


def is_flag_test(function, node):
    """flags & FLAG as a condition: with another operator, or without one of the two, it is forced."""
    if function.source.between(node.children[0].end, node.children[-1].start) != ["&"]:
        return False
    while node and node.kind in ("BINARY_OPERATOR", "PAREN_EXPR", "UNEXPOSED_EXPR"):
        if (node.start, node.end) in function.conditions:
            return True
        node = function.parent(node)
    return bool(node) and node.kind == "UNARY_OPERATOR" and bool(re.match(r"!|(un)?likely\(", function.of(node)))


def is_returned(function, node):
    while node.kind in ("INTEGER_LITERAL", "DECL_REF_EXPR", "PAREN_EXPR", "UNEXPOSED_EXPR", "UNARY_OPERATOR"):
        node = function.parent(node)
    return node.kind == "RETURN_STMT"


def is_integer(node):
    return node.type().kind.name in INTEGERS


def is_constant(function, node):
    text = function.of(node.bare())
    return bool(re.fullmatch(r"-?\(?[A-Z0-9_]+\)?|-?\d\w*|0x\w+|true|false|NULL", text)) or text.startswith("IS_ENABLED(")


def expr(node, text):
    return [Edit(node.start, node.end, text, "expr")]


def truth(node, text):
    return [Edit(node.start, node.end, text, "truth")]


def stmt(place, text):
    return Edit(*place, text, "stmt")


# ------------------------------------------------------------------------------ statements

LABELS = ("LABEL_STMT", "CASE_STMT", "DEFAULT_STMT")


@operator("delete", "a statement is deleted", "SSDL")
def delete(function):
    for place in deletable(function):
        yield [stmt(place, ";")]


def deletable(function):
    """(start, end) of each."""
    last = function.body.children[-1] if function.body.children else None
    for _, children in function.statements():
        for child in children:
            while child.kind in LABELS and child.children:
                child = child.children[-1]
            if child.kind in ("DECL_STMT", "NULL_STMT", "COMPOUND_STMT") or (child is last and child.kind == "RETURN_STMT"):
                continue
            yield function.whole(child)
    for node in function.nodes:
        # Both ways of an if with else, but not what else if is; and what a loop does.
        bodies = node.children[1:] if node.kind == "IF_STMT" and len(node.children) == 3 else (
            node.children[-1:] if node.kind in ("FOR_STMT", "WHILE_STMT") else [])
        if node.real:
            yield from (function.whole(child) for child in bodies if child.kind != "COMPOUND_STMT" or node.kind == "IF_STMT")


@operator("early", "a call without a value, or an if around one, goes before the statement that it follows")
def early(function):
    for _, children in function.statements():
        for before, child in zip(children, children[1:]):
            if is_action(function, child) and before.kind not in ("DECL_STMT", "RETURN_STMT") and can_move(function, before):
                first, second = function.whole(before), function.whole(child)
                yield [stmt(first, f"{function.text[slice(*second)]} {function.text[slice(*first)]}"), stmt(second, ";")]


@operator("late", "a call without a value, or an if around one, goes to the end of its block")
def late(function):
    ends = ("RETURN_STMT", "BREAK_STMT", "CONTINUE_STMT", "GOTO_STMT")
    for _, children in function.statements():
        for number, child in enumerate(children):
            behind = children[number + 1:]
            if not behind or not is_action(function, child) or not can_move(function, behind[-1]):
                continue
            if behind[-1].kind in ends and len(behind) == 1:
                continue
            moved, last = function.whole(child), function.whole(behind[-1])
            text = [function.text[slice(*last)], function.text[slice(*moved)]]
            yield [stmt(moved, ";"), stmt(last, " ".join(reversed(text) if behind[-1].kind in ends else text))]


def can_move(function, node):
    """Its text may stand twice, and in one line."""
    return not any(one.kind in LABELS for one in node.walk()) and not re.search(r"//|\n#", function.of(node))


def is_action(function, node):
    """A call that is a statement, or an if without else around one."""
    if node.kind == "IF_STMT" and len(node.children) == 2:
        node = node.children[1]
        if node.kind == "COMPOUND_STMT" and len(node.children) == 1:
            node = node.children[0]
    return node.kind == "CALL_EXPR" or (node.kind in ("StmtExpr", "PAREN_EXPR", "DO_STMT") and bool(
        re.fullmatch(r"\w+\(.*\)", function.of(node), re.S)) and "WARN" not in function.of(node))


@operator("pair", "both ends of a pair are deleted: lock and unlock, begin and end, save and restore")
def pair(function):
    found = collections.defaultdict(list)
    for node in function.nodes:
        name = re.match(r"(\w+)\(", function.of(node))
        if not name or node.kind not in ("CALL_EXPR", "StmtExpr", "DO_STMT", "PAREN_EXPR"):
            continue
        parent = function.parent(node)
        if parent.kind == "BINARY_OPERATOR" and function.parent(parent).kind == "COMPOUND_STMT":
            node = parent  # its value is kept
        elif parent.kind not in ("COMPOUND_STMT", "IF_STMT", "LABEL_STMT") or node is parent.children[0] and parent.kind == "IF_STMT":
            continue
        found[name[1]].append(function.whole(node))
    for opens, closes in PAIRS:
        for name in [name for name in found if name.endswith(opens)]:
            other = name[:-len(opens)] + closes
            if other in found and not name.endswith(closes):
                yield [stmt(place, ";") for place in sorted(set(found[name] + found[other]))]


@operator("jump", "break for continue, continue for break, another label", "SBRC, SCRB, SGLR")
def jump(function):
    labels = sorted({re.match(r"\w+", function.of(node))[0] for node in function.nodes if node.kind == "LABEL_STMT"})
    for node in function.nodes:
        text = function.of(node)
        if text in ("break", "continue") and function.in_loop(node):
            yield [stmt(function.whole(node), "continue;" if text == "break" else "break;")]
        elif text.startswith("goto ") and len(labels) > 1:
            there = labels.index(text.split()[1])
            yield [stmt(function.whole(node), f"goto {labels[(there + 1) % len(labels)]};")]


# ----------------------------------------------------------------------------- conditions

@operator("force", "a condition, or an operand of && and ||, is true, or false", "STRI")
def force(function):
    loops = {id(function.condition_of(node)) for node in function.nodes if node.kind in LOOPS}
    deleted = set(deletable(function))
    for node in function.conditions.values():
        if id(node) not in loops:
            yield truth(node, "1")
        parent = function.parent(node)
        if not (parent and parent.kind == "IF_STMT" and len(parent.children) == 2 and function.whole(parent) in deleted
                and not calls_something(function, node)):  # then "delete" is the same
            yield truth(node, "0")


def calls_something(function, node):
    return "(" in re.sub(r"\b(un)?likely\(|[(!&|]\(|^\(", "", function.of(node))


@operator("negate", "a condition, or an operand of && and ||, is negated", "OCNG, OLNG")
def negate(function):
    for node in function.conditions.values():
        yield truth(node, f"!({function.of(node)})")


@operator("logic", "&& for ||, || for &&", "OLLN")
def logic(function):
    for node, sign, left, right in function.binary("&&", "||"):
        yield expr(node, f"({function.of(left)}) {'||' if sign == '&&' else '&&'} ({function.of(right)})")


@operator("relation", "another relation", "ORRN")
def relation(function):
    for node, sign, left, right in function.binary(*RELATIONS):
        if is_integer(left) or sign[0] in "<>":
            for other in RELATIONS[sign]:
                yield expr(node, f"({function.of(left)}) {other} ({function.of(right)})")


@operator("bound", "a loop ends one earlier")
def bound(function):
    inside = {id(function.condition_of(node)) for node in function.nodes if node.kind in LOOPS}
    for node, sign, left, right in function.binary("<", "<=", "!="):
        if id(node) in inside:
            yield expr(node, f"({function.of(left)}) {sign} ({function.of(right)}) - 1")


# ---------------------------------------------------------------------------- expressions

@operator("arithmetic", "another operator", "OAAN, OBBN, OSSN")
def arithmetic(function):
    for node, sign, left, right in function.binary(*ARITHMETIC):
        if not is_flag_test(function, node) and not (sign == "-" and left.type().kind.name == right.type().kind.name == "POINTER"):
            yield expr(node, f"({function.of(left)}) {ARITHMETIC[sign]} ({function.of(right)})")


@operator("operand", "one operand alone", "ODL")
def operand(function):
    for node, _, left, right in function.binary(*ARITHMETIC):
        for child in () if is_flag_test(function, node) else (left, right):
            if child.type().kind.name == node.type().kind.name or is_integer(node) and is_integer(child):
                yield expr(node, f"({function.of(child)})")


@operator("assign", "another assignment", "OAAA, OBBA, OEBA")
def assign(function):
    for node, sign, left, right in function.binary(*(f"{sign}=" for sign in ARITHMETIC)):
        for other in (f"{ARITHMETIC[sign[:-1]]}=", "="):
            if other != "=" or is_integer(left):
                yield expr(node, f"{function.of(left)} {other} ({function.of(right)})")


@operator("step", "++ for --, -- for ++; an operator with one operand is dropped", "OPPO, OMMO, ODL")
def step(function):
    for node in function.nodes:
        if node.kind == "UNARY_OPERATOR" and node.real:
            child, text = node.children[0], function.of(node)
            before = function.source.between(node.start, child.start)
            behind = function.source.between(child.end, node.end)
            for sign, other in (("++", "--"), ("--", "++")):
                if before == [sign]:
                    yield expr(node, other + function.of(child))
                elif behind == [sign]:
                    yield expr(node, function.of(child) + other)
            if before == ["~"]:
                yield expr(node, f"({text[1:]})")
            elif before == ["!"] and (node.start, node.end) not in function.conditions:
                yield expr(node, f"!!({text[1:]})")


@operator("constant", "a number is 0, one more or one less; a name is 0 or another of its kind; true is false",
          "CRCR, Cccr")
def constant(function):
    kinds = collections.defaultdict(set)
    tokens = [token for _, _, token in function.source.tokens]
    for before, token, behind in zip(tokens, tokens[1:], tokens[2:]):
        if (match := NAMED.fullmatch(token)) and behind != "(" and (before == "-" or match[1] != "E"):
            kinds[match[1]].add(token)
    for node in function.nodes:
        text = function.of(node)
        if node.kind not in ("INTEGER_LITERAL", "DECL_REF_EXPR", "PAREN_EXPR", "UNEXPOSED_EXPR", "BINARY_OPERATOR"):
            continue
        if is_returned(function, node):
            continue  # see "return"
        if text.isdigit():
            yield from (expr(node, value) for value in {"0", str(int(text) + 1), str(max(int(text) - 1, 0))} - {text})
        elif text in ("true", "false"):
            yield expr(node, "false" if text == "true" else "true")
        elif (match := NAMED.fullmatch(text)) and text in kinds[match[1]]:
            others = sorted(kinds[match[1]])
            if len(others) > 1:
                yield expr(node, others[(others.index(text) + 1) % len(others)])
            if match[1] != "E" and not is_flag_test(function, function.parent(node)):
                yield expr(node, "0")


@operator("argument", "an argument is 0, one more, another one of the call, or another variable of its type", "VLSR, VTWD")
def argument(function):
    for call, given in function.calls():
        for one, other in ((one, other) for number, one in enumerate(given) for other in given[number + 1:]):
            if one.type() == other.type() and function.of(one) != function.of(other) and is_name(function, one, other):
                yield expr(call, function.text[call.start:one.start] + function.of(other)
                           + function.text[one.end:other.start] + function.of(one) + function.text[other.end:call.end])
        for node in given:
            yield from (expr(node, text) for text in instead(function, node))
    for node in function.nodes:
        if node.kind == "ARRAY_SUBSCRIPT_EXPR" and node.real:
            yield expr(node.children[1], f"({function.of(node.children[1])}) + 1")


def is_name(function, *nodes):
    return all(re.fullmatch(r"[\w>.-]*[a-z][\w>.-]*", function.of(node)) for node in nodes)


def instead(function, node):
    """What may be given in place of an argument."""
    if is_constant(function, node):
        return
    if is_integer(node):
        yield "0"
        if node.type().kind.name != "BOOL" and "flags" not in function.of(node):
            yield f"({function.of(node)}) + 1"
    if is_name(function, node):
        names = [name for name, kind in function.variables(node).items()
                 if kind == node.bare().type() and name != function.of(node)]
        yield from names[-2:]
        if node.bare().type().spelling == "struct mm_struct *" and function.of(node) != "current->mm":
            yield "current->mm"


@operator("value", "what is assigned is 0, one more, or its negation")
def value(function):
    for node, right in function.assigned():
        kind = node.type().kind.name
        if kind == "BOOL" and not is_constant(function, right):
            yield expr(right, f"!({function.of(right)})")
        elif kind in INTEGERS and right.kind != "INIT_LIST_EXPR":
            if not is_constant(function, right):
                yield expr(right, "0")
                yield expr(right, f"({function.of(right)}) + 1")
        elif kind == "POINTER" and not is_constant(function, right):
            yield expr(right, "NULL")


@operator("return", "another return value", "SRSR")
def returned(function):
    kind = function.node.cursor.result_type.get_canonical().kind.name
    for node in function.nodes:
        if node.kind == "RETURN_STMT" and node.children and function.of(node).startswith("return"):
            text = function.of(node.children[0])
            yield from ([stmt(function.whole(node), f"return {other};")] for other in other_values(kind, text))


def other_values(kind, text):
    if kind == "BOOL":
        values = {"0", "1"} - {{"false": "0", "true": "1"}.get(text, text)}
        return sorted(values) + [f"!({text})"] * (len(values) > 1)
    if kind in INTEGERS:
        return [other for other in ("0", f"({text}) + 1", "-ENXIO")
                if other != text and not (text.startswith("-E") and other[0] == "(")]
    return ["NULL"] * (kind == "POINTER" and text != "NULL")


def mutants(source):
    """All of a file, in its order."""
    found = {}
    for name in source.functions:
        function = cparse.Function(source, name)
        for code, (generate, _, _) in TABLE.items():
            for edits in generate(function):
                one = Mutant(name, code, edits, source)
                found.setdefault(tuple(one.edits), one)
    return sorted(found.values(), key=lambda one: one.edits)
