"""The README shows what really happens, and its commands are the ones that CI runs."""
import contextlib
import io
import re
import subprocess

import pytest
from project_layout import ROOT, fenced_blocks

import chainrule

README = (ROOT / "README.md").read_text()


def test_every_python_block_prints_the_output_shown_below_it():
    blocks = fenced_blocks(README)
    namespace: dict[str, object] = {"__name__": "__main__"}
    compared = 0
    for (language, source), (next_language, shown) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if language != "python":
            continue
        printed = io.StringIO()
        with contextlib.redirect_stdout(printed):
            exec(compile(source, "README.md", "exec"), namespace)
        assert printed.getvalue() == (shown if next_language == "text" else "")
        compared += next_language == "text"
    assert compared, "the README shows no output"


@pytest.mark.parametrize(("which", "last_program"), [("run", "python -m chainrule"), ("test", "python -m pytest")])
def test_ci_takes_its_commands_from_the_readme(which, last_program):
    script = ROOT / ".ci" / "readme-command"
    printed = subprocess.run([script, which], capture_output=True, text=True, check=True).stdout
    commands = [text for language, text in fenced_blocks(README) if language == "bash"]
    assert printed in commands
    assert len(commands) == 2
    assert last_program in printed


def test_every_file_that_the_readme_links_to_exists():
    targets = [part.split(")")[0] for part in README.split("](")[1:]]
    local = [target for target in targets if not target.startswith("http")]
    assert local
    assert not [target for target in local if not (ROOT / target).exists()]


def limit(beginning, end):
    """The names, in backquotes, of one sentence of the limits."""
    (sentence,) = re.findall(rf"{beginning}(.*?){end}", README.partition("\n## Limits\n")[2], flags=re.DOTALL)
    return re.findall(r"`([\w.]+)(?:\(\))?`", sentence)


def test_torch_modules_that_are_said_to_be_missing_are():
    named = limit("there are no", ", packed")
    assert named
    assert not [name for name in named if hasattr(chainrule, name)]
