"""Reports: every part is there, what comes from a user stays text, and nothing is loaded from anywhere."""
import re
import sys
import warnings
from html import escape, unescape
from html.parser import HTMLParser

import numpy as np
import pytest

import chainrule as cr
from chainrule import grad
from chainrule.compiler.formula import Formula
from chainrule.compiler.stages import STAGES
from chainrule.runtime.report import page as page_module
from chainrule.runtime.report.content import NO_SOURCE
from chainrule.runtime.report.page import fragment

X, Y = np.arange(12.0).reshape(4, 3) / 10, np.array([1.0, 0.0, 1.0, 0.0])


def outside(p):
    return np.log(p)


@grad(wrt=("w", "b"))
def loss(w, b, x, y):  # <script>alert("source")</script>
    p = 1 / (1 + np.exp(-(x @ w + b)))
    return -np.mean(y * outside(p) + (1 - y) * outside(1 - p))


@pytest.fixture(scope="module")
def report():
    loss.value_and_grad(np.zeros(3), 0.0, X, Y)
    return loss.explain()


@pytest.fixture(scope="module")
def page(report, tmp_path_factory):
    target = tmp_path_factory.mktemp("report") / "loss.html"
    assert report.save(target) == target
    return target.read_text(encoding="utf-8")


class Elements(HTMLParser):
    """The elements of a page, with their attributes, its text, and whether every element is closed in order."""

    VOID = frozenset({"meta", "br", "img", "link", "hr", "input"})

    def __init__(self, page):
        super().__init__()
        self.found, self.open, self.words = [], [], []
        self.feed(page)
        self.close()

    def handle_starttag(self, tag, attrs):
        self.found.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        if self.open[-1:] not in (["style"], ["script"]):
            self.words.append(data)


# ------------------------------------------------------------------------------------------------ what is in it
COMMON = ["rewrites of the program, by numerical class", "kernels, and why each is apart", "generated code", "operations",
          "memory and arithmetic", "seconds"]
SECTIONS = ["source", "formulas", "what each line made", "derivations", "graphs", *COMMON]
PARTS = ["source, and the operations that each line made", "formulas", "derivation", "ir", *COMMON]


def texts(report):
    content = report.content
    yield from (content.name, content.about)
    yield from (str(formula) for _, formula in content.formulas)
    yield from (step.rule for _, steps in content.derivations for step in steps)
    yield from (row.text.strip() for rows in (content.schedule, content.code, *(p.rows for p in content.pictures)) for row in rows)
    yield from (text for level, uses in content.rewrites for text in (level.value, level.meaning, *(use.rule for use in uses)))
    yield from (made for line in content.lines for made in line.made)
    yield from (stage for stage, _, _ in content.seconds)


def test_the_page_has_every_part(report, page):
    shown = "".join(Elements(page).words)
    assert [title.lower() for title in re.findall("<h2>(.*?)</h2>", page)] == SECTIONS
    for text in texts(report):
        assert text in shown
    for line in loss.source("value_and_gradient").splitlines():
        assert line.strip() in shown
    for boundary in loss.trace(np.zeros(3), 0.0, X, Y).ir("scheduled").boundaries:
        assert boundary in shown


def test_the_terminal_has_every_part(report):
    printed = str(report)
    for part in PARTS:
        assert part in printed.lower()
    assert "\x1b" not in printed
    for line in loss.source("value_and_gradient").splitlines():
        assert line.strip() in printed
    folded = re.sub(r"\s", "", printed)
    for text in texts(report):
        assert re.sub(r"\s", "", text) in folded


def test_the_numbers_are_those_of_the_program(report):
    content = report.content
    assert [title for title, _ in content.formulas] == ["loss", "d loss / d w", "d loss / d b"]
    assert [picture.title for picture in content.pictures] == ["traced", "differentiated", "simplified"]
    counts = dict(content.counts)
    assert sum(counts["simplified"].values()) <= sum(counts["differentiated"].values())
    assert "value and gradient of (w: f64[s0], b: f64[]" in content.about
    assert dict(content.facts)["kernels"] == str(sum(re.match(r"\d+: k\d", row.text) is not None for row in content.schedule)) != "0"
    assert {level.value for level, _ in content.rewrites} == {"exact", "stable"}  # rounding and fastmath would be for others
    assert {stage for stage, _, _ in content.seconds} <= set(STAGES)


def test_each_line_has_what_it_made(report):
    made = {line.text.strip(): line.made for line in report.content.lines}
    assert made["p = 1 / (1 + np.exp(-(x @ w + b)))"] == (
        "x @ w", "x @ w + b", "-(x @ w + b)", "exp(-(x @ w + b))", "1 + exp(-(x @ w + b))", "1/(1 + exp(-(x @ w + b)))")
    assert "log(1/(1 + exp(-(x @ w + b))))" in made["return np.log(p)"]  # of a function that it calls
    assert made["@grad(wrt=(\"w\", \"b\"))"] == ()


def test_lines_steps_and_ir_are_tied_by_their_marks(report, page):
    elements = [(tag, attrs["data-at"].split()) for tag, attrs in Elements(page).found if "data-at" in attrs]
    of_lines = {name for tag, names in elements if tag == "tr" for name in names}
    assert len(of_lines) == sum(bool(line.made) for line in report.content.lines)
    for tag in ("span", "details", "mrow", "g"):  # of source and listings; of steps; of formulas; of pictures
        assert {name for t, names in elements if t == tag for name in names} == of_lines


def test_generated_code_and_kernels_come_from_lines(report):
    line = {text.strip(): {site} for site, text in ((line.site, line.text) for line in report.content.lines)}
    product = line["p = 1 / (1 + np.exp(-(x @ w + b)))"]
    computed = [row for row in report.content.code if re.match(r"\s+(v|acc)\d+ = (?!\w+\[)", row.text)]
    assert len(computed) > 10
    assert all(row.sites for row in computed)
    assert {site for row in computed for site in row.sites} >= set().union(*(line[text] for text in line if "np." in text))
    total = next(row for row in computed if re.search(r"= v\d+ \* v\d+$", row.text))  # of a row of x with w
    assert total.sites & product
    made = [row for row in report.content.schedule if "because" in row.text]
    assert made
    assert all(row.sites for row in made)


def test_without_the_library_that_lays_out_pictures_there_is_text(report, monkeypatch):
    monkeypatch.setitem(sys.modules, "fast_sugiyama", None)
    body = fragment(report.content)
    assert "<svg" not in body
    assert body.count("pip install &#x27;chainrule[report]&#x27;") == 3
    assert escape(report.content.pictures[0].rows[0].text) in body


# ------------------------------------------------------------------------------------------------ what is not in it
def test_the_page_is_closed_and_loads_nothing(page):
    elements = Elements(page)
    assert elements.open == []
    assert "http" not in page
    assert "url(" not in page
    assert "@import" not in page
    assert not [(tag, attrs) for tag, attrs in elements.found if {"src", "href"} & attrs.keys() or tag in ("link", "iframe", "object")]
    assert page.count("<math display='block'") == 3
    assert page.count("<math") == page.count("</math>") > 3


def test_source_stays_text(page):
    assert "alert(" in page
    assert '<script>alert("source")' not in page
    assert [tag for tag, _ in Elements(page).found].count("script") == 1
    assert '<script>alert("source")</script>' in "".join(Elements(page).words)


def test_names_stay_text():
    def plain(x):
        return x * x

    name = "<script>alert('name')</script>&"
    plain.__qualname__ = name
    made = grad(plain)
    made(2.0)
    body = made.explain()._repr_html_()
    assert [tag for tag, _ in Elements(body).found].count("script") == 1
    assert escape(name) in body
    assert name not in body
    assert name in unescape(body)
    assert name in str(made.explain())


def test_the_fragment_for_notebooks_is_in_the_page(report, page):
    assert report._repr_html_() in page
    assert page.startswith("<!DOCTYPE html>")


# ------------------------------------------------------------------------------------------------ other functions
def test_a_function_that_was_never_called():
    @grad
    def f(x):
        return np.sin(x) * x

    printed = str(f.explain())
    assert "d f / d x = x*cos(x) + sin(x)" in printed or "d f / d x = sin(x) + x*cos(x)" in printed


def test_a_function_without_a_gradient():
    @grad
    def double(x):
        return 2 * x

    double(np.ones(3))
    report = double.explain()
    assert [(title, str(made)) for title, made in report.content.formulas] == [("double", "2*x"), ("d double / d x", "2")]
    assert [picture.results for picture in report.content.pictures] == [("double",)] * 3
    assert report.content.about.startswith("value of (x: f64[s0])")


@pytest.mark.parametrize(("function", "names"), [
    (lambda x: (np.sin(x), np.exp(x)), ["<lambda>[0]", "<lambda>[1]"]),
    (lambda x: {"sum": x.sum(), "max": x.max()}, ["<lambda>['sum']", "<lambda>['max']"]),
    (lambda x: x, ["<lambda>"]),
    (lambda x: 3.0, ["<lambda>"]),
    (lambda x: (x, [x, x]), ["<lambda>[0]", "<lambda>[1][0]", "<lambda>[1][1]"]),
])
def test_every_output_has_its_name(function, names):
    made = grad(function)
    made(np.ones(3))
    report = made.explain()
    assert [title for title, _ in report.content.formulas] == [*names, f"d {names[0]} / d x"]
    assert report.content.pictures[0].results == tuple(names)
    body = report._repr_html_()
    assert Elements(body).open == []
    assert body.count("<svg") == 3


def test_an_interpreted_function(monkeypatch):
    monkeypatch.setenv("CHAINRULE_TIER", "interpret")
    made = grad(lambda x: np.exp(x) * x)
    made.grad(1.0)
    report = made.explain()
    assert dict(report.content.facts)["tier"] == "interpreted"
    assert "Generated code" not in report._repr_html_()
    assert "<svg" in report._repr_html_()


def test_lines_of_other_functions_that_share_operations_are_not_shown():
    @grad
    def other(x):
        return np.sin(x) * x  # elsewhere

    @grad
    def here(x):
        y = np.sin(x) * x
        return np.exp(y)

    other.grad(1.0)
    here.grad(1.0)
    assert "elsewhere" not in str(here.explain())
    assert "y = np.sin(x) * x" in str(here.explain())
    assert "elsewhere" in str(other.explain())


@pytest.mark.parametrize("function", [
    lambda x: np.log(np.linalg.det(x)) + np.trace(np.linalg.inv(x)),
    lambda x: np.sum(np.concatenate([x, x]) * np.arange(2 * len(x))[:, None]),
    lambda x: cr.scan(lambda c, t: (np.sin(c) * x, None), x, None, length=5)[0].sum(),
    lambda x: np.sum(x[np.array([0, 1, 1])]),
    lambda x: cr.cond(x[0, 0] > 0, lambda y: np.sum(np.sin(y)), lambda y: np.sum(y * y), (x,)),
])
def test_operations_of_every_kind_can_be_reported(function):
    made = grad(function)
    made.grad(np.eye(2) + 0.5)
    report = made.explain()
    assert Elements(report._repr_html_()).open == []
    assert all(steps for _, steps in report.content.derivations)
    assert [title for title, _ in report.content.derivations][-1] == "d <lambda> / d x"


def test_source_that_is_not_to_be_had():
    space = {"np": np}
    exec("def hidden(x):\n    y = np.exp(x)\n    return y * x", space)
    made = grad(space["hidden"])
    made.grad(1.0)
    body = made.explain()._repr_html_()
    assert "exp(x)" in str(made.explain())
    assert Elements(body).open == []
    assert all(text.count(NO_SOURCE) == 1 for text in (body, str(made.explain())))


def test_the_lines_of_the_package_are_not_those_of_an_expression():
    report = cr.parse("exp(x)*y").explain()
    assert [line.site.file for line in report.content.lines] == [__file__]


def test_the_steps_of_loops_are_reported():
    def step(c, t):
        return 0.5 * c + np.sin(t), c * t

    @grad
    def walk(x, ts):
        last, kept = cr.scan(step, x, ts)
        return last + kept.sum()

    walk.grad(0.3, np.ones(5))
    content = walk.explain().content
    made = {line.text.strip(): line.made for line in content.lines}
    assert made["return 0.5 * c + np.sin(t), c * t"] == (
        "1/2*state[0]", "sin(row[0])", "1/2*state[0] + sin(row[0])", "state[0]*row[0]")
    titles = [title for title, _ in content.formulas]
    assert titles[3].startswith("state[0] after a step of scan in test_report.py:")
    assert str(content.formulas[3][1]) == "state[0]/2 + sin(row[0])"
    assert titles[-1].endswith(", backward")
    assert content.pictures[3].title == titles[3].removeprefix("state[0] after ")


def test_large_functions_are_cut_short(tmp_path):
    @grad
    def deep(x):
        for _ in range(700):
            x = np.sin(x) * x
        return x

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        deep.grad(0.5)
    report = deep.explain()
    target = report.save(str(tmp_path / "deep.html"))
    assert "more steps" in target.read_text(encoding="utf-8")
    assert all(len(picture.rows) <= 401 for picture in report.content.pictures)
    assert target.stat().st_size < 2_000_000


def test_many_formulas_and_steps_share_what_is_drawn(report, monkeypatch):
    monkeypatch.setattr(page_module, "MOST_MATHEMATICS", report.content.formulas[0][1].ops)
    monkeypatch.setattr(page_module, "MOST_STEPS", 9)
    monkeypatch.setattr(page_module, "MOST_DRAWN", 3)
    body = fragment(report.content)
    assert body.count("<math display='block'") == 1
    assert all(escape(str(formula)) in body for _, formula in report.content.formulas)
    assert body.count("more steps") == len(report.content.derivations) == 3


def test_a_report_of_one_signature():
    view = loss.trace(np.zeros(2), 0.0, np.ones((5, 2)), np.ones(5))
    assert isinstance(view.explain().content.formulas[0][1], Formula)


def test_the_text_is_a_string_in_notebooks_too(report, monkeypatch):
    shown = []
    monkeypatch.setattr("rich.console._is_jupyter", lambda: True)
    monkeypatch.setattr("rich.jupyter.display", lambda *parts: shown.append(parts))
    assert "generated code" in str(report)
    assert not shown


@pytest.mark.parametrize(("columns", "width"), [("80", 80), ("20", 60), ("300", 140)])
def test_the_text_is_as_wide_as_the_terminal(report, monkeypatch, columns, width):
    monkeypatch.setenv("COLUMNS", columns)
    widths = [len(line) for line in str(report).splitlines()]
    assert max(widths) == width


def test_print_writes_plain_text_into_files(report, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "100")
    report.print()
    assert "\x1b" not in (printed := capsys.readouterr().out)
    assert [line.rstrip() for line in printed.splitlines()] == str(report).splitlines()
