"""Formats of source code, comments, configuration and records."""

from __future__ import annotations

from typing import Any

from dataforge.verifiers.formats.fences import Fence
from dataforge.verifiers.formats.form import Form
from dataforge.verifiers.formats.format import Format
from dataforge.verifiers.formats.lexed_code import Comment, Language, Statement
from dataforge.verifiers.formats.python_code import PythonCode, PythonComment, PythonSource
from dataforge.verifiers.formats.records import Assignment, Doctest, Header, Ini, Prefixed, Table

PROSE = ("text", "maths")


def _python(name: str, says: str, form: Form, **more: Any) -> Format:
    return Format(
        f"python_{name}", "Python", f"Reply with Python code alone: {says}.", form, **{"share": 0.95, **more}
    )


PYTHON = (
    _python(
        "assignment",
        "one annotated assignment of your answer to `answer: str`",
        PythonCode("answer: str = ANSWER_HERE"),
    ),
    _python("print", "one call of print with your answer as a string", PythonCode("print(ANSWER_HERE)")),
    _python(
        "return",
        "a function `answer` without arguments that does nothing but return your answer as a string",
        PythonCode("def answer():\n    return ANSWER_HERE"),
    ),
    _python(
        "docstring",
        'a module that is only its docstring, in three double quotes ("""), which is your answer',
        PythonCode("ANSWER_HERE", triple=True),
    ),
    _python(
        "function_docstring",
        'a function `answer` without arguments whose body is only a docstring in three double quotes ("""), your answer',
        PythonCode("def answer():\n    ANSWER_HERE", triple=True),
    ),
    _python(
        "lambda",
        "one assignment to `answer` of a lambda without arguments that gives your answer as a string",
        PythonCode("answer = lambda: ANSWER_HERE"),
    ),
    _python(
        "keyword_call",
        "one call of `Answer` with the keyword `value`, your answer as a string",
        PythonCode("Answer(value=ANSWER_HERE)"),
    ),
    _python(
        "assert",
        "one assertion that `answer` equals your answer as a string",
        PythonCode("assert answer == ANSWER_HERE"),
    ),
    _python(
        "class_attribute",
        "a class `Answer` with one attribute, `value`, your answer as a string",
        PythonCode("class Answer:\n    value = ANSWER_HERE"),
    ),
    _python(
        "subscript",
        "one assignment of your answer, as a string, to `result['answer']`",
        PythonCode("result['answer'] = ANSWER_HERE"),
    ),
    _python(
        "yield",
        "a generator function `answers` without arguments that yields your answer, as a string, and nothing else",
        PythonCode("def answers():\n    yield ANSWER_HERE"),
    ),
    _python(
        "main_guard",
        "a main guard (if __name__ == '__main__') under which your answer is printed",
        PythonCode("if __name__ == '__main__':\n    print(ANSWER_HERE)"),
    ),
    _python(
        "raise",
        "one statement that raises SystemExit with your answer as a string",
        PythonCode("raise SystemExit(ANSWER_HERE)"),
    ),
    _python(
        "comment",
        "one comment, on one line, that begins with `Answer:` and goes on with your answer",
        PythonComment("Answer:"),
        suits=PROSE,
        share=0.5,
    ),
    _python(
        "source",
        "your whole reply is a Python program, with no fence around it",
        PythonSource(),
        suits=("code",),
        share=0.9,
    ),
    Format(
        "python_fenced",
        "Python",
        "Give your program in one fenced code block of the language `python`; it must be Python that parses.",
        Fence("python", PythonSource()),
        suits=("code",),
        share=0.9,
    ),
    Format(
        "python_fenced_print",
        "Python",
        "Give one fenced code block of the language `python` that holds one call of print with your answer as a string.",
        Fence("python", PythonCode("print(ANSWER_HERE)")),
        share=0.9,
    ),
    Format(
        "python_doctest",
        "Python",
        "Reply with one doctest example alone: the prompt `>>> answer`, and your answer on the lines below it.",
        Doctest("answer"),
        share=0.7,
    ),
)

JAVASCRIPT = Language("JavaScript", {'"': "c", "'": "c"}, "//", ("/*", "*/"))
TEMPLATE = Language("JavaScript", {"`": "c"}, "//", ("/*", "*/"), lines=True, special="$")
C = Language("C", {'"': "c"}, "//", ("/*", "*/"))
JAVA = Language("Java", {'"': "c"}, "//", ("/*", "*/"))
RUST = Language("Rust", {'"': "c"}, "//", ("/*", "*/"), lines=True)
GO = Language("Go", {'"': "c"}, "//", ("/*", "*/"))
GO_RAW = Language("Go", {"`": "raw"}, "//", ("/*", "*/"), lines=True)
CSHARP = Language("C#", {'"': "c"}, "//", ("/*", "*/"))
SQL = Language("SQL", {"'": "double"}, "--", ("/*", "*/"), lines=True, folds=True)
LISP = Language("Lisp", {'"': "simple"}, ";", ("#|", "|#"), lines=True)
PHP = Language("PHP", {"'": "simple"}, "//", ("/*", "*/"), lines=True)
RUBY = Language("Ruby", {'"': "c", "'": "simple"}, "#", lines=True, special="#")
LUA = Language("Lua", {'"': "c", "'": "c"}, "--")
R = Language("R", {'"': "c", "'": "c"}, "#", lines=True)
HASKELL = Language("Haskell", {'"': "c"}, "--", ("{-", "-}"))
PROLOG = Language("Prolog", {"'": "double"}, "%", ("/*", "*/"), lines=True)
CPP = Language("C++", {'"': "c"}, "//", ("/*", "*/"))
PASCAL = Language("Pascal", {"'": "double"}, "//", ("{", "}"), folds=True)
BASIC = Language("BASIC", {'"': "double"}, "REM", folds=True)
DOT = Language("DOT", {'"': "simple"}, "//", ("/*", "*/"), lines=True)
LATEX = Language("LaTeX", {}, "%")


def _code(
    name: str,
    language: Language,
    pattern: str,
    says: str,
    optional: str = "",
    also: tuple[str, ...] = (),
    **more: Any,
) -> Format:
    return Format(
        f"code_{name}",
        "other languages",
        f"Reply with {language.title} code alone: {says}, with your answer as a string literal.",
        Statement(language, pattern, optional, also),
        **{"share": 0.95, **more},
    )


def _comment(name: str, language: Language, block: bool, says: str, **more: Any) -> Format:
    settings = {"share": 0.7} if block else {"share": 0.5, "suits": PROSE}
    return Format(
        f"comment_{name}",
        "comments",
        f"Reply with one {says} alone that is your answer.",
        Comment(language, block),
        **{**settings, **more},
    )


CODE = (
    _code(
        "javascript_const",
        JAVASCRIPT,
        "const answer = ANSWER_HERE;",
        "one declaration, `const answer = …;`",
        ";",
    ),
    _code("javascript_log", JAVASCRIPT, "console.log(ANSWER_HERE);", "one call of console.log", ";"),
    _code(
        "javascript_export",
        JAVASCRIPT,
        "export default ANSWER_HERE;",
        "one statement, `export default …;`",
        ";",
    ),
    _code(
        "javascript_arrow",
        JAVASCRIPT,
        "const answer = () => ANSWER_HERE;",
        "one arrow function without arguments, assigned to `const answer`",
        ";",
    ),
    _code(
        "javascript_template",
        TEMPLATE,
        "let answer = ANSWER_HERE;",
        "one declaration, `let answer = …;`, with a template literal in backticks",
        ";",
    ),
    _code(
        "typescript_type",
        JAVASCRIPT,
        "let answer: string = ANSWER_HERE;",
        "one TypeScript declaration, `let answer: string = …;`",
        ";",
    ),
    _code("c_define", C, "#define ANSWER ANSWER_HERE", "one macro, `#define ANSWER …`"),
    _code("c_puts", C, "puts(ANSWER_HERE);", "one call of puts"),
    _code("c_array", C, "const char answer[] = ANSWER_HERE;", "one declaration, `const char answer[] = …;`"),
    _code(
        "cpp_cout",
        CPP,
        "std::cout << ANSWER_HERE << std::endl;",
        "one statement, `std::cout << … << std::endl;`",
    ),
    _code("java_println", JAVA, "System.out.println(ANSWER_HERE);", "one call of System.out.println"),
    _code("java_string", JAVA, "String answer = ANSWER_HERE;", "one declaration, `String answer = …;`"),
    _code("csharp_writeline", CSHARP, "Console.WriteLine(ANSWER_HERE);", "one call of Console.WriteLine"),
    _code("rust_let", RUST, "let answer: &str = ANSWER_HERE;", "one binding, `let answer: &str = …;`"),
    _code("rust_macro", RUST, 'println!("{}", ANSWER_HERE);', 'one statement, `println!("{}", …);`'),
    _code("go_println", GO, "fmt.Println(ANSWER_HERE)", "one call of fmt.Println", ";"),
    _code(
        "go_raw",
        GO_RAW,
        "answer := ANSWER_HERE",
        "one statement, `answer := …`, with a raw string in backticks",
        ";",
        share=0.8,
    ),
    _code("php_echo", PHP, "<?php echo ANSWER_HERE;", "`<?php echo …;` with single quotes", "?>"),
    _code("ruby_puts", RUBY, "puts ANSWER_HERE", "one statement, `puts …`"),
    _code("lua_return", LUA, "return ANSWER_HERE", "one statement, `return …`", ";"),
    _code(
        "lua_table",
        LUA,
        "return { answer = ANSWER_HERE }",
        "one statement, `return { answer = … }`",
        also=("return { answer = ANSWER_HERE, }",),
    ),
    _code("r_assignment", R, "answer <- ANSWER_HERE", "one assignment, `answer <- …`"),
    _code("haskell_main", HASKELL, "main = putStrLn ANSWER_HERE", "one definition, `main = putStrLn …`"),
    _code("sql_select", SQL, "SELECT ANSWER_HERE AS answer;", "one query, `SELECT … AS answer;`", ";"),
    _code(
        "sql_insert",
        SQL,
        "INSERT INTO answers (text) VALUES (ANSWER_HERE);",
        "one statement, `INSERT INTO answers (text) VALUES (…);`",
        ";",
    ),
    _code("lisp_list", LISP, "(answer ANSWER_HERE)", "one list, `(answer …)`"),
    _code("scheme_define", LISP, "(define answer ANSWER_HERE)", "one definition, `(define answer …)`"),
    _code("prolog_fact", PROLOG, "answer(ANSWER_HERE).", "one fact, `answer(…).`, with single quotes"),
    _code(
        "pascal_writeln",
        PASCAL,
        "writeln(ANSWER_HERE);",
        "one call of writeln, with single quotes",
        suits=PROSE,
        share=0.5,
    ),
    _code("basic_print", BASIC, "10 PRINT ANSWER_HERE", "the line `10 PRINT …`", suits=PROSE, share=0.5),
    _code(
        "dot_label", DOT, "digraph { answer [label=ANSWER_HERE] }", "a graph, `digraph { answer [label=…] }`"
    ),
    _comment("slashes", JAVASCRIPT, False, "comment that begins with // and stands on one line"),
    _comment("block", C, True, "comment between /* and */"),
    _comment("sql", SQL, False, "SQL comment that begins with -- and stands on one line"),
    _comment("lisp", LISP, False, "Lisp comment that begins with ; and stands on one line"),
    _comment("haskell_block", HASKELL, True, "Haskell comment between {- and -}"),
    _comment("lisp_block", LISP, True, "Lisp comment between #| and |#"),
    _comment("latex", LATEX, False, "LaTeX comment that begins with % and stands on one line"),
    _comment("basic_rem", BASIC, False, "BASIC comment that begins with REM and stands on one line"),
)


def _record(name: str, group: str, says: str, form: Form, **more: Any) -> Format:
    return Format(name, group, says, form, **{"share": 0.9, **more})


RECORDS = (
    _record(
        "csv_column",
        "records",
        "Reply with CSV alone: the header `answer`, and one row with your answer, quoted where CSV asks for it.",
        Table([["answer"], ["{answer}"]]),
    ),
    _record(
        "csv_pair",
        "records",
        "Reply with one row of CSV alone: the word answer, and your answer, quoted where CSV asks for it.",
        Table([["answer", "{answer}"]]),
    ),
    _record(
        "csv_confidence",
        "records",
        "Reply with CSV alone: the header `id,answer`, and one row: 1 and your answer, quoted where CSV asks for it.",
        Table([["id", "answer"], ["1", "{answer}"]]),
    ),
    _record(
        "csv_semicolons",
        "records",
        "Reply with CSV whose cells are separated by semicolons, and nothing else: the header `key;value`, and one row: answer and your answer.",
        Table([["key", "value"], ["answer", "{answer}"]], ";"),
    ),
    _record(
        "tsv_pair",
        "records",
        "Reply with one row of tab-separated values alone: the word answer, a tab, and your answer.",
        Table([["answer", "{answer}"]], "\t"),
    ),
    _record(
        "ini_section",
        "configuration",
        "Reply with an INI file alone: the section [result] with the single key `answer`, on one line.",
        Ini("result", {"answer": "answer"}),
        suits=PROSE,
        share=0.5,
    ),
    _record(
        "shell_variable",
        "configuration",
        "Reply with one shell assignment alone, ANSWER=…, with your answer quoted as a POSIX shell asks.",
        Assignment((), "ANSWER="),
    ),
    _record(
        "shell_export",
        "configuration",
        "Reply with one shell command alone: export ANSWER=…, with your answer quoted as a POSIX shell asks.",
        Assignment(("export",), "ANSWER="),
    ),
    _record(
        "shell_echo",
        "configuration",
        "Reply with one shell command alone: echo and your answer as one quoted word.",
        Assignment(("echo",)),
    ),
    _record(
        "shell_option",
        "configuration",
        "Reply with one shell command alone: submit --answer=…, with your answer quoted as a POSIX shell asks.",
        Assignment(("submit",), "--answer="),
    ),
    _record(
        "dockerfile_env",
        "configuration",
        "Reply with one Dockerfile instruction alone: ENV ANSWER=…, with your answer quoted.",
        Assignment(("ENV",), "ANSWER=", "a Dockerfile"),
        suits=PROSE,
        share=0.9,
    ),
    _record(
        "mail_header",
        "records",
        "Reply with one mail header alone: X-Answer: and your answer, on one line.",
        Header({"answer": "X-Answer"}),
        suits=PROSE,
        share=0.5,
    ),
    _record(
        "mail_message",
        "records",
        "Reply with a mail message alone: the header Subject: Answer… with a title of one line, an empty line, and your answer as the body.",
        Header({"subject": "Subject"}, "answer"),
    ),
    _record(
        "diff_added",
        "records",
        "Reply with a unified diff alone that creates the file answer: the lines `--- /dev/null` and `+++ answer`, then every line of your answer behind a plus sign.",
        Prefixed("+", "--- /dev/null\n+++ answer"),
    ),
    _record(
        "colon_lines",
        "records",
        "Reply with your answer alone, and begin each of its lines with a vertical bar and a space.",
        Prefixed("| "),
    ),
    _record(
        "quoted_mail",
        "records",
        "Reply with your answer alone, and begin each of its lines with `>> `.",
        Prefixed(">> "),
    ),
)

FORMATS: tuple[Format, ...] = (*PYTHON, *CODE, *RECORDS)
