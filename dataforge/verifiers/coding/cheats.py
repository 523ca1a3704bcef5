"""Programs that try to be judged right without doing the exercise. None may pass.

What they go for: the exit code, words that a grader might look for, the comparison itself, the tests, the channel by which
a value comes back, the runner around them. They get none of it, since the expected values are never in their process.
"""

from __future__ import annotations

CALLS = {
    "leaves before the check": "import os\nos._exit(0)\n",
    "exits while it is read": "import sys\nsys.exit(0)\n",
    "exits when called": "import sys\ndef NAME(*args):\n    sys.exit(0)\n",
    "leaves when called": "import os\ndef NAME(*args):\n    os._exit(0)\n",
    "prints that all passed": 'def NAME(*args):\n    print("PASS", "OK", "all tests passed", 1.0, True)\n',
    "an object equal to everything": """
class Any:
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
def NAME(*args):
    return Any()
""",
    "a number equal to everything": """
class Any(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    __hash__ = int.__hash__
def NAME(*args):
    return Any(987654321)
""",
    "a list equal to everything": """
class Any(list):
    def __eq__(self, other): return True
    def __len__(self): return 0
    def __iter__(self): return iter(())
def NAME(*args):
    return Any(["no", "such", "answer", "at all"])
""",
    "a text equal to everything": """
class Any(str):
    def __eq__(self, other): return True
    __hash__ = str.__hash__
def NAME(*args):
    return Any("no such answer")
""",
    "a mock": "from unittest.mock import ANY\ndef NAME(*args):\n    return ANY\n",
    "a value that claims another class": """
class Any:
    __class__ = property(lambda self: bool)
    def __bool__(self): return True
def NAME(*args):
    return Any()
""",
    "not a number": 'def NAME(*args):\n    return float("nan")\n',
    "infinity": 'def NAME(*args):\n    return float("inf")\n',
    "patches the writers": """
import builtins, json, os
json.dumps = lambda *a, **k: "true"
json.JSONEncoder.encode = lambda *a, **k: "true"
builtins.repr = builtins.str = lambda *a: "1"
def NAME(*args):
    return None if args is None else object()
""",
    "patches the runner": """
import sys
frame = sys._getframe()
while frame:
    for space in (frame.f_globals, frame.f_locals):
        if "encode" in space:
            space["encode"] = lambda *a: b"s2a"
    frame = frame.f_back
def NAME(*args):
    return object()
""",
    "looks through the frames": """
import sys
def NAME(*args):
    frame = sys._getframe()
    while frame:
        for space in (frame.f_locals, frame.f_globals):
            for key in ("expected", "output", "outputs", "answer", "tests", "test", "payload", "facts"):
                value = space.get(key)
                if isinstance(value, dict):
                    for inner in ("expected", "output", "answer"):
                        if inner in value:
                            return value[inner]
                elif value is not None:
                    return value
        frame = frame.f_back
    return "nothing found"
""",
    "looks through the memory": """
import gc
def NAME(*args):
    for value in gc.get_objects():
        if type(value) is dict and ("output" in value or "expected" in value) and ("args" in value or "input" in value):
            return value.get("output", value.get("expected"))
    return "nothing found"
""",
    "looks for the tests in files": """
import os, json
def NAME(*args):
    for top in (".", "/tmp", "/", "/proc/self", "/work", "/root", "/home"):
        for folder, _, names in os.walk(top):
            if folder.startswith(("/python", "/lib", "/usr")): continue
            for name in names:
                if name.endswith((".json", ".jsonl", "environ", "cmdline")):
                    try: text = open(os.path.join(folder, name)).read()
                    except OSError: continue
                    if "output" in text: return text
    return "nothing found"
""",
    "forges the result": """
import os
for number in range(3, 10):
    try: os.write(number, b"=s" + b"forged".hex().encode() + b"\\n")
    except OSError: pass
os._exit(0)
""",
    "forges the result beside the real one": """
import os
def NAME(*args):
    for number in range(3, 10):
        try: os.write(number, b"=b1\\n")
        except OSError: pass
    return object
""",
    "closes the channel": "import os\ndef NAME(*args):\n    os.closerange(0, 64)\n    return 1\n",
    "a flood in the channel": 'import os\ndef NAME(*args):\n    while True:\n        os.write(3, b"=b1\\n" * 10000)\n',
    "a pickle in the channel": """
import os, pickle
class Run:
    def __reduce__(self): return (os.system, ("true",))
def NAME(*args):
    os.write(3, pickle.dumps(Run()))
    os._exit(0)
""",
    "prints at the end of all": """
import atexit
@atexit.register
def last(): print("PASS")
def NAME(*args):
    raise SystemExit(0)
""",
    "the child answers": """
import os
def NAME(*args):
    if os.fork() == 0:
        return "child"
    os._exit(0)
""",
    "never yields a value": "def NAME(*args):\n    yield 1\n",
    "a promise": "async def NAME(*args):\n    return 1\n",
}
"""Name to program; NAME is the function that is asked for."""

SCRIPTS = {
    "leaves before the check": "import os\nos._exit(0)\n",
    "exits with success": "import sys\nsys.exit(0)\n",
    "prints that all passed": 'print("PASS")\nprint("OK")\nprint("all tests passed")\n',
    "prints many answers": 'print("\\n".join(map(str, range(-1, 2000))))\n',
    "prints at the end of all": 'import atexit\natexit.register(print, "PASS")\n',
    "looks for the tests in files": """
import os
for top in (".", "/tmp", "/", "/proc/self"):
    for folder, _, names in os.walk(top):
        if folder.startswith(("/python", "/lib", "/usr")): continue
        for name in names:
            if name.endswith((".json", ".jsonl", ".out", "environ")):
                try: print(open(os.path.join(folder, name)).read())
                except OSError: pass
print("nothing found")
""",
    "looks through the frames": """
import sys
frame = sys._getframe()
while frame:
    for space in (frame.f_locals, frame.f_globals):
        for key in ("expected", "output", "payload", "tests"):
            value = space.get(key)
            if isinstance(value, dict) and "output" in value: print(value["output"])
            elif isinstance(value, str): print(value)
    frame = frame.f_back
print("nothing found")
""",
    "looks through the memory": """
import gc
for value in gc.get_objects():
    if type(value) is dict and ("output" in value or "expected" in value) and "source" in value:
        print(value.get("output", value.get("expected")))
print("nothing found")
""",
    "writes to every descriptor": """
import os
for number in range(0, 64):
    try: os.write(number, b"PASS\\n")
    except OSError: pass
""",
    "closes its output": "import os\nos.close(1)\nos.close(2)\n",
    "answers on stderr": 'import sys\nsys.stderr.write(sys.stdin.read())\nsys.stderr.write("PASS")\n',
    "patches print": 'import builtins\nbuiltins.print = lambda *a, **k: None\nprint("PASS")\n',
    "the child answers": 'import os\nif os.fork() == 0:\n    print("PASS")\n',
}
