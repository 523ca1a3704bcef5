"""How long the compiler takes on graphs of many nodes, beside Lark's own tree building on the same text.

    python benchmarks/compile.py --quick
    python benchmarks/compile.py --nodes 100 1000 10000

Each cell runs in a process of its own and counts CPU seconds (user and system). Three shapes: `layered` (ten layers over
one struct; a node needs its layer and one of two topics, and gives the next layer and a topic), `chain` (node i needs
step i and gives step i + 1), `structs` (ten layers, each a struct of its own, so that facts of early layers linger). The
baseline is Lark building its plain tree, without positions, with the same grammar, and with the garbage collector held as
a compilation holds it (collecting, as Lark does by itself, it takes up to twice as long). The last line is one JSON
object; `ratio` is our parse over Lark's tree at the largest size, `ratio_collecting` over the tree with collection.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

LAYERS = 10
TOPICS = 40


def layered(count: int) -> str:
    width = max(2, count // LAYERS)
    topics_used = min(width, TOPICS)
    layers = " | ".join(f'"l{i}"' for i in range(LAYERS + 1))
    topics = " | ".join(f'"t{i}"' for i in range(TOPICS))
    nodes = [
        f"""node n{layer}_{k} {{
  takes Doc
  gives Doc
  pre   Doc.layer == "l{layer}", Doc.topic in {{"t{k % topics_used}", "t{(k + 1) % topics_used}"}}, words(Doc.text) >= {20 + k % 3}
  post  words(Doc.text) >= {22 + k % 5}
  ask writer {{ prompt "Rewrite this: {{{{ Doc.text }}}}"  into Doc.text }}
  set Doc.layer = "l{layer + 1}"
  set Doc.topic = "t{(k * 3 + layer) % topics_used}"
}}"""
        for layer in range(LAYERS)
        for k in range(width)
    ]
    return f"""struct Doc {{ text: str  layer: {layers} = "l0"  topic: {topics} = "t0" }}
generator writer
{chr(10).join(nodes)}
graph main {{
  from Doc where Doc.layer == "l0", Doc.topic == "t0", words(Doc.text) >= 40
  to Doc where Doc.layer == "l{LAYERS}"
  nodes *
  emit {{ user "?"  assistant "{{{{ Doc.text }}}}" }}
}}
"""


def chain(count: int) -> str:
    nodes = [
        f"""node n{i} {{
  takes Doc
  gives Doc
  pre   Doc.step == {i}
  post  words(Doc.text) >= 1
  ask writer {{ prompt "Go on: {{{{ Doc.text }}}}"  into Doc.text }}
  set Doc.step = {i + 1}
}}"""
        for i in range(count)
    ]
    return f"""struct Doc {{ text: str  step: int = 0 }}
generator writer
{chr(10).join(nodes)}
graph main {{
  from Doc where Doc.step == 0
  to Doc where Doc.step == {count}
  nodes *
  emit {{ user "?"  assistant "{{{{ Doc.text }}}}" }}
}}
"""


def structs(count: int) -> str:
    width = max(2, count // LAYERS)
    topics_used = min(width, TOPICS)
    topics = " | ".join(f'"t{i}"' for i in range(TOPICS))
    declared = [f'struct S{i} {{ text: str  topic: {topics} = "t0" }}' for i in range(LAYERS + 1)]
    nodes = [
        f"""node n{layer}_{k} {{
  takes S{layer}
  gives S{layer + 1}
  pre   S{layer}.topic in {{"t{k % topics_used}", "t{(k + 1) % topics_used}"}}, words(S{layer}.text) >= {20 + k % 3}
  post  words(S{layer + 1}.text) >= {22 + k % 5}
  ask writer {{ prompt "Rewrite this: {{{{ S{layer}.text }}}}"  into S{layer + 1}.text }}
  set S{layer + 1}.topic = "t{(k * 3 + layer) % topics_used}"
}}"""
        for layer in range(LAYERS)
        for k in range(width)
    ]
    return f"""{chr(10).join(declared)}
generator writer
{chr(10).join(nodes)}
graph main {{
  from S0 where S0.topic == "t0", words(S0.text) >= 40
  to S{LAYERS}
  nodes *
  emit {{ user "?"  assistant "{{{{ S{LAYERS}.text }}}}" }}
}}
"""


SHAPES = {"layered": layered, "chain": chain, "structs": structs}


def measure(shape: str, count: int) -> dict[str, object]:
    """One cell, in this process: every stage by itself."""
    import resource

    began = time.process_time()
    from dataforge.domain import resolve
    from dataforge.lang import store
    from dataforge.lang.collection import held_collection
    from dataforge.lang.diagnostics import Report, Source
    from dataforge.lang.parse import parse
    from dataforge.plan.artifact import Plan
    from dataforge.plan.link import link
    from dataforge.project import load_project

    imports = time.process_time() - began
    text = SHAPES[shape](count)
    # As `compile_program` does for a whole compilation.
    with tempfile.TemporaryDirectory() as folder, held_collection():
        path = Path(folder) / "main.forge"
        path.write_text(text)
        report = Report()
        parse(Source("x", "generator warm"), report)  # builds the parser tables, which every start pays once
        t0 = time.process_time()
        tree = parse(Source("main.forge", text), report)
        t1 = time.process_time()
        store.parse_stored(Source("main.forge", text), report)  # fills the cache
        t2 = time.process_time()
        store.parse_stored(Source("main.forge", text), report)  # reads it
        t3 = time.process_time()
        resolve.parse_stored = lambda source, report: tree  # resolving alone, without the parse
        project = load_project(path)
        t4 = time.process_time()
        program = resolve.load_program(path, project, report)
        t5 = time.process_time()
        assert program is not None
        linked = link(program.graph, program.terms, program.structs, report)
        t6 = time.process_time()
        assert linked is not None, [d.message for d in report.diagnostics][:3]
        plan = Plan(program, linked, load_project(path), (), path)
        size = len(plan.json())
        t7 = time.process_time()
    stored, parsed, after = t3 - t2, t1 - t0, t7 - t4
    return {
        "shape": shape,
        "nodes": count,
        "parse": parsed,
        "stored": stored,
        "resolve": t5 - t4,
        "link": t6 - t5,
        "plan": t7 - t6,
        "after_parse": after,
        "whole": (t0 - began) + parsed + after,
        "warm": imports + stored + after,
        "states": len(linked.steps),
        "vertices": len(linked.vertices),
        "edges": linked.edge_count,
        "paths": f"{linked.paths:.2e}" if linked.paths < 10**300 else f"1e{len(str(linked.paths)) - 1}",
        "plan_mb": size / 1e6,
        "rss_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


def baseline(shape: str, count: int) -> dict[str, object]:
    """Lark's own tree on the same text, positions off: as Lark does it, and with the collector held, as our parse has it."""
    from lark import Lark

    from dataforge.lang.collection import held_collection
    from dataforge.lang.parse import grammar_text

    lark = Lark(grammar_text(), parser="lalr", lexer="contextual", maybe_placeholders=True)
    text = SHAPES[shape](count)
    lark.parse("generator warm")
    with held_collection():
        t0 = time.process_time()
        tree = lark.parse(text)
        t1 = time.process_time()
    del tree
    t2 = time.process_time()
    lark.parse(text)
    t3 = time.process_time()
    return {"tree": t1 - t0, "tree_collecting": t3 - t2, "tokens": sum(1 for _ in lark.lex(text))}


def in_a_process(cell: str, shape: str, count: int) -> dict[str, object]:
    with tempfile.TemporaryDirectory() as cache:
        done = subprocess.run(
            [sys.executable, __file__, "--cell", cell, shape, str(count)],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "XDG_CACHE_HOME": cache},
        )
    return json.loads(done.stdout)  # type: ignore[no-any-return]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--quick", action="store_true", help="100 and 1,000 nodes only: well under a minute")
    parser.add_argument("--nodes", type=int, nargs="+", default=[100, 1_000, 10_000])
    parser.add_argument("--shapes", nargs="+", default=list(SHAPES), choices=list(SHAPES))
    parser.add_argument("--cell", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.cell:
        cell, shape, count = options.cell
        print(json.dumps((measure if cell == "measure" else baseline)(shape, int(count))))
        return
    sizes = [100, 1_000] if options.quick else options.nodes
    print(
        "CPU seconds. tree: Lark's own tree (baseline); after: all after the parse; warm: whole, parse from the cache"
    )
    columns = [
        "shape",
        "nodes",
        "tokens",
        "tree",
        "parse",
        "ratio",
        "resolve",
        "link",
        "plan",
        "after",
        "whole",
        "warm",
        "states",
        "vertices",
        "edges",
        "paths",
        "MB",
    ]
    print(" ".join(f"{c:>9}" for c in columns))
    rows = []
    for shape in options.shapes:
        for count in sizes:
            ours, theirs = in_a_process("measure", shape, count), in_a_process("baseline", shape, count)
            row = {**ours, **theirs, "ratio": ours["parse"] / theirs["tree"]}  # type: ignore[operator]
            rows.append(row)
            shown = [row["shape"], row["nodes"], row["tokens"]]
            shown += [
                f"{row[k]:.2f}"
                for k in ("tree", "parse", "ratio", "resolve", "link", "plan", "after_parse", "whole", "warm")
            ]
            shown += [row["states"], row["vertices"], row["edges"], row["paths"], f"{row['rss_mb']:.0f}"]
            print(" ".join(f"{x!s:>9}" for x in shown), flush=True)
    largest = max(sizes)
    at_largest = [r for r in rows if r["nodes"] == largest]
    print(
        json.dumps(
            {
                "benchmark": "compile",
                "baseline": "lark tree, no positions, collector held",
                "nodes": largest,
                "ratio": round(sum(r["parse"] for r in at_largest) / sum(r["tree"] for r in at_largest), 3),  # type: ignore[misc]
                "ratio_collecting": round(
                    sum(r["parse"] for r in at_largest) / sum(r["tree_collecting"] for r in at_largest), 3
                ),  # type: ignore[misc]
                "after_parse_s": {str(r["shape"]): round(float(r["after_parse"]), 3) for r in at_largest},  # type: ignore[arg-type]
                "whole_1000_s": {
                    str(r["shape"]): round(float(r["whole"]), 3) for r in rows if r["nodes"] == 1_000
                },  # type: ignore[arg-type]
            }
        )
    )


if __name__ == "__main__":
    main()
