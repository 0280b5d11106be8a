# SPDX-License-Identifier: GPL-2.0
"""Pictures of what scripts/bench measured, by gnuplot."""

import itertools
import pathlib
import subprocess
import tempfile

from gup.cli import Failure
from gup.figures import SIDES

SPDX = "<!-- SPDX-License-Identifier: GPL-2.0 -->"
NAMES = {"slow_pin": "pin_user_pages()", "fast_pin": "pin_user_pages_fast()"}
ORDERS = ("order0", "order2", "order4", "order6", "order9", "pmd")
LABELS = ("0", "2", "4", "6", "9", "PMD")

HEAD = """\
set terminal svg size {width},{height} dynamic noenhanced font "sans-serif,13" background "white"
set output "{output}"
set style line 1 lc rgb "#c03020" lw 2 pt 4 dt 2
set style line 2 lc rgb "#c03020" lw 2 pt 5
set style line 3 lc rgb "#2060b0" lw 2 pt 6 dt 2
set style line 4 lc rgb "#2060b0" lw 2 pt 7
set grid ytics lc rgb "#c8c8c8" dt 1
set border 3
set tics nomirror
set logscale y
set ylabel "instructions per page"
set key at screen 0.5,0.01 center bottom horizontal Left reverse maxrows 2 width 3
set bmargin 7
"""


def curves(rows, group, x_of, layouts):
    """{(row, side): [(x, y)]} of write accesses."""
    found = {}
    for row in rows:
        if row["group"] == group and row["layout"] in layouts and row["row"] in NAMES and row["access"] == "write":
            for side in SIDES:
                found.setdefault((row["row"], side), []).append((x_of(row), row[side]))
    return {key: sorted(points) for key, points in found.items()}


def blocks(found, prefix):
    """The data, and the plot command for it."""
    data, parts = "", []
    for style, (name, side) in enumerate(itertools.product(NAMES, SIDES), 1):
        if (name, side) in found:
            block = f"${prefix}_{name}_{side}"
            data += f"{block} << EOD\n" + "".join(f"{x} {y:.4f}\n" for x, y in found[name, side]) + "EOD\n"
            parts.append(f'{block} using 1:2 with linespoints ls {style} title "{NAMES[name]}, {side}"')
    return data, "plot " + ", \\\n     ".join(parts) + "\n"


def gnuplot(script, path, width=760, height=460, head=HEAD):
    """Draw it, and put the licence into the file."""
    with tempfile.TemporaryDirectory() as top:
        output = pathlib.Path(top, "picture.svg")
        text = head.format(output=output, width=width, height=height) + script
        done = subprocess.run(["gnuplot", "-"], input=text, text=True, capture_output=True, check=False)
        if done.returncode or not output.exists() or not output.stat().st_size:
            path.with_suffix(".gnuplot").write_text(text)
            raise Failure("environment", f"gnuplot cannot draw {path.name}: {done.stderr.strip()[:200]}",
                          f"try it by hand: gnuplot {path.with_suffix('.gnuplot')}")
        head, _, rest = output.read_text().partition("?>\n")
        path.write_text(f"{head}?>\n{SPDX}\n{rest}")


def draw_layouts(rows, path):
    found = curves(rows, "layout", lambda row: ORDERS.index(row["layout"]), ORDERS)
    if not found:
        return False
    data, plot = blocks(found, "d")
    tics = ", ".join(f'"{label}" {index}' for index, label in enumerate(LABELS))
    gnuplot(data + f'set title "4096 anonymous pages in one call"\n'
            f'set xlabel "folio order, mapped by PTEs; PMD: order 9, mapped by one entry"\nset xtics ({tics})\n'
            f"set xrange [-0.2:{len(ORDERS) - 0.8}]\nset yrange [1:*]\n" + plot, path)
    return True


def draw_panels(rows, path, group, x_of, settings):
    """Two pictures side by side, for small and for large folios."""
    script, plots = settings + "set yrange [10:2000]\nset bmargin 9\n", ""
    for layout, title in (("order0", "order 0"), ("order4", "order 4, mapped by PTEs")):
        found = curves(rows, group, x_of, (layout,))
        if not found:
            return False
        if group == "call":
            # All pages in one call are a group of their own.
            for key, points in curves(rows, "layout", x_of, (layout,)).items():
                found[key] += points
        data, plot = blocks(found, layout)
        script += data
        plots += f'set title "Folios of {title}"\n{plot}unset key\n'
    gnuplot(script + f"set multiplot layout 1,2\n{plots}unset multiplot\n", path, 900)
    return True


BARS = """\
set terminal svg size {width},{height} dynamic noenhanced font "sans-serif,12" background "white"
set output "{output}"
set style fill solid
set border 1
set tics nomirror
set ytics scale 0
set grid xtics lc rgb "#c8c8c8" dt 1
set key at screen 0.5,0.005 center bottom horizontal maxrows 1 width 3
set bmargin 5
"""


def bars(rows, titles, path):
    """Lying ones of several parts: rows of a name and its numbers, the first at the top."""
    data = "$d << EOD\n" + "".join(" ".join(map(str, row)) + "\n" for row in reversed(rows)) + "EOD\n"
    parts = []
    for part, (title, colour) in enumerate(zip(titles, ("#2060b0", "#e0a030", "#c03020"))):
        low, high = ("+".join(["0", *(f"${column}" for column in range(2, 2 + number))]) for number in (part, part + 1))
        parts.append(f'$d using ({low}):0:({low}):({high}):($0-0.4):($0+0.4):ytic(1) with boxxyerror lc rgb "{colour}" '
                     f'title "{title}"')
    gnuplot(f"{data}set yrange [-0.6:{len(rows) - 0.4}]\nset xrange [0:*]\nplot " + ", \\\n     ".join(parts) + "\n",
            path, height=120 + 15 * len(rows), head=BARS)


CALLS = """\
set logscale x 2
set xtics (1, 8, 64, 512, 4096)
set xlabel "pages per call"
set xrange [0.8:5200]
"""
GROWTH = """\
set logscale x 4
set xtics ("4 MiB" 4, "16" 16, "64" 64, "256" 256, "1 GiB" 1024, "4 GiB" 4096)
set xlabel "resident memory, 1024 pages per call"
set xrange [3:5500]
"""
PICTURES = {
    "layouts.svg": ("Instructions per page by the order of the folios", draw_layouts),
    "calls.svg": ("Instructions per page by pages per call",
                  lambda rows, path: draw_panels(rows, path, "call", lambda row: row["per_call"], CALLS)),
    "growth.svg": ("Instructions per page by how much memory is resident",
                   lambda rows, path: draw_panels(rows, path, "growth", lambda row: row["pages"] // 256, GROWTH)),
}


def draw(rows, folder):
    """[(name, title)] of the pictures that these rows make."""
    return [(name, title) for name, (title, function) in PICTURES.items() if function(rows, folder / name)]
