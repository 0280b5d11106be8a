# SPDX-License-Identifier: GPL-2.0
"""Pictures of what scripts/bench measured, by gnuplot."""

import pathlib
import subprocess
import tempfile

from common import Failure

SPDX = "<!-- SPDX-License-Identifier: GPL-2.0 -->"
COLOURS = {"slow_pin": "#c03020", "fast_pin": "#2060b0"}
NAMES = {"slow_pin": "pin_user_pages()", "fast_pin": "pin_user_pages_fast()"}
ORDERS = ("order0", "order2", "order4", "order6", "order9", "pmd")
LABELS = ("0", "2", "4", "6", "9", "9, one PMD")

HEAD = """\
set terminal svg size {width},460 dynamic font "sans-serif,13" background "white"
set output "{output}"
set style line 1 lc rgb "#c03020" lw 2 pt 4 dt 2
set style line 2 lc rgb "#c03020" lw 2 pt 5
set style line 3 lc rgb "#2060b0" lw 2 pt 6 dt 2
set style line 4 lc rgb "#2060b0" lw 2 pt 7
set grid ytics lc rgb "#d8d8d8" dt 1
set border 3
set tics nomirror
set logscale y
set ylabel "instructions per page"
set key outside below horizontal maxrows 2 width 2
"""


def curves(rows, group, x_of, layouts):
    """{(row, side): [(x, y)]} of write accesses."""
    found = {}
    for row in rows:
        if row["group"] == group and row["layout"] in layouts and row["row"] in NAMES and row["access"] == "write":
            for side in ("base", "series"):
                found.setdefault((row["row"], side), []).append((x_of(row), row[side]))
    return {key: sorted(points) for key, points in found.items()}


def blocks(found, prefix):
    """The data, and the plot command for it."""
    data, parts = "", []
    for name in NAMES:
        for side in ("base", "series"):
            points = found.get((name, side))
            if not points:
                continue
            block = f"${prefix}_{name}_{side}"
            data += f"{block} << EOD\n" + "".join(f"{x} {y:.4f}\n" for x, y in points) + "EOD\n"
            style = 1 + 2 * list(NAMES).index(name) + (side == "series")
            parts.append(f'{block} using 1:2 with linespoints ls {style} title "{NAMES[name]}, {side}"')
    return data, "plot " + ", \\\n     ".join(parts) + "\n"


def gnuplot(script, path, width=760):
    """Draw it, and put the licence into the file."""
    with tempfile.TemporaryDirectory() as top:
        output = pathlib.Path(top, "picture.svg")
        text = HEAD.format(output=output, width=width) + script
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
    gnuplot(data + f'set title "A page of 4096 anonymous ones, by the order of their folios"\n'
            f'set xlabel "folio order (0 to 9: mapped by PTEs)"\nset xtics ({tics})\n'
            f"set xrange [-0.2:{len(ORDERS) - 0.8}]\nset yrange [1:*]\n" + plot, path)
    return True


def draw_calls(rows, path):
    def per_call(row):
        return row["per_call"]

    panels = []
    for layout, title in (("order0", "order 0"), ("order4", "order 4, mapped by PTEs")):
        found = curves(rows, "call", per_call, (layout,))
        whole = curves(rows, "layout", per_call, (layout,))
        if not found:
            return False
        for key, points in whole.items():
            found[key] += points
        panels.append((layout, title, *blocks(found, layout)))
    script = 'set logscale x 2\nset xtics (1, 8, 64, 512, 4096)\nset xlabel "pages per call"\n'
    script += "set xrange [0.8:5200]\nset yrange [10:2000]\n"
    script += "".join(data for _, _, data, _ in panels)
    script += 'set multiplot layout 1,2\nset key outside below vertical maxrows 4\n'
    for _, title, _, plot in panels:
        script += f'set title "Folios of {title}"\n{plot}'
    gnuplot(script + "unset multiplot\n", path, 900)
    return True


def draw_growth(rows, path):
    panels = []
    for layout, title in (("order0", "order 0"), ("order4", "order 4, mapped by PTEs")):
        found = curves(rows, "growth", lambda row: row["pages"] // 256, (layout,))
        if not found:
            return False
        panels.append((title, *blocks(found, layout)))
    script = 'set logscale x 4\nset xtics ("4 MiB" 4, "16" 16, "64" 64, "256" 256, "1 GiB" 1024, "4" 4096)\n'
    script += 'set xlabel "resident memory, 1024 pages per call"\nset xrange [3:5500]\nset yrange [10:2000]\n'
    script += "".join(data for _, data, _ in panels)
    script += 'set multiplot layout 1,2\nset key outside below vertical maxrows 4\n'
    for title, _, plot in panels:
        script += f'set title "Folios of {title}"\n{plot}'
    gnuplot(script + "unset multiplot\n", path, 900)
    return True


PICTURES = {"layouts.svg": draw_layouts, "calls.svg": draw_calls, "growth.svg": draw_growth}


def draw(rows, folder):
    """The names of the pictures that these rows make."""
    return [name for name, function in PICTURES.items() if function(rows, folder / name)]
