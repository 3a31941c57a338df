"""Help in refusals: every hint of the library, in Python for callers and in options for the command line."""

import ast
import pickle
import shlex
from collections.abc import Iterator
from pathlib import Path

import pytest
from _helpers.cli_support import PYTHON, SHELL, cli

import pickleseal
from pickleseal import errors
from pickleseal._cli.main import COMMANDS
from pickleseal._cli.output import help_in_words
from pickleseal.errors import Hint, join_hints

SOURCE = Path(pickleseal.__file__).parent


def text_of(node: ast.AST) -> str:
    """Return the text of a string, with `X` for what an f-string fills in."""
    if isinstance(node, ast.JoinedStr):
        return "".join(part.value if isinstance(part, ast.Constant) else "X" for part in node.values)  # type: ignore[misc]
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else ""


def is_hint(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Hint"


def plain_texts(node: ast.AST) -> Iterator[str]:
    """Yield the strings in an expression that no Hint holds."""
    if is_hint(node):
        return
    if text_of(node):
        yield text_of(node)
        return
    for child in ast.iter_child_nodes(node):
        yield from plain_texts(child)


def modules() -> Iterator[tuple[str, ast.Module]]:
    for path in sorted(SOURCE.rglob("*.py")):
        name = str(path.relative_to(SOURCE))
        if not name.startswith("_cli"):
            yield name, ast.parse(path.read_text("utf-8"))


def hints() -> list[tuple[str, list[str]]]:
    """Return the texts of each Hint in the library."""
    found = []
    for name, tree in modules():
        for node in ast.walk(tree):
            if is_hint(node) and not any(isinstance(one, ast.Starred) for one in node.args):  # type: ignore[attr-defined]
                found.append((name, [text_of(one) for one in node.args]))  # type: ignore[attr-defined]
    return found


def test_a_hint_in_python_has_words_for_the_command_line() -> None:
    count = 0
    for name, tree in modules():
        for node in ast.walk(tree):
            values = [node.value] if isinstance(node, ast.keyword) and node.arg == "hint" else []
            if isinstance(node, ast.Assign | ast.AugAssign | ast.AnnAssign) and node.value is not None:
                targets = node.targets if isinstance(node, ast.Assign) else [node.target]
                if any("hint" in ast.unparse(target) for target in targets):
                    values.append(node.value)
            for text in [text for value in values for text in plain_texts(value)]:
                count += 1
                assert not PYTHON.search(text), (name, text)
                assert not SHELL.search(text), (name, text)
    assert count > 30


def test_each_audience_gets_its_own_words() -> None:
    assert len(hints()) > 20
    for name, (text, *commands) in hints():
        assert text, name
        assert not SHELL.search(text), (name, text)
        for command in commands:
            assert command, name
            assert not PYTHON.search(command), (name, command)


def test_options_and_commands_that_help_names_exist() -> None:
    options = {name: set(SHELL.findall(cli(name, "--help").out)) for name in COMMANDS}
    for _, (_, *commands) in hints():
        for command in commands:
            outside, *lines = [command, *(line for line in command.split("`")[1::2])]
            for line in lines:
                _, name, *arguments = shlex.split(line)
                assert options[name] >= {argument for argument in arguments if argument.startswith("--")}, line
                outside = outside.replace(line, "")
            named = set(SHELL.findall(outside))
            assert any(named <= of_one for of_one in options.values()), command


def test_a_command_shows_the_first_words_whose_options_it_has() -> None:
    hint = Hint("Policy(x=1)", "--trust NAME does", "x = 1 in the --policy file does")
    assert help_in_words(hint, {"--trust", "--policy"}) == "--trust NAME does"
    assert help_in_words(hint, {"--policy"}) == "x = 1 in the --policy file does"
    assert help_in_words(hint, {"--key"}) is None
    assert help_in_words("as it is", ()) == "as it is"
    assert help_in_words(None, ()) is None


def test_command_lines_name_the_file() -> None:
    hint = Hint("seal(path, keys) adds one", "`pickleseal seal FILE --key KEYFILE` adds one to a FILE")
    assert help_in_words(hint, (), "a b") == "`pickleseal seal 'a b' --key KEYFILE` adds one to a FILE"
    for path in ("-", "s3://bucket/name"):
        assert help_in_words(hint, (), path) == hint.commands[0]


def test_hints_can_be_joined_and_pickled() -> None:
    hint = join_hints("; ", ["first", Hint("Policy(x=1)", "--trust it", "--policy it")])
    assert hint == "first; Policy(x=1)"
    error = errors.PolicyError("no", hint=hint)
    again = pickle.loads(pickle.dumps(error)).hint
    assert (again, again.commands) == (hint, ("first; --trust it", "first; --policy it"))
    assert type(join_hints("; ", ["a", "b"])) is str


@pytest.mark.parametrize("command", ["inspect", "seal", "scan"])
def test_no_help_names_an_option_that_the_command_lacks(command: str, tmp_path: Path) -> None:
    path = tmp_path / "torn.pseal"
    pickleseal.append(path, 1)
    path.write_bytes(path.read_bytes()[:-64])
    arguments = ["--remove", "id"] if command == "seal" else []
    said = cli(command, path, *arguments)
    named = set(SHELL.findall(said.out.partition("help:")[2]))
    assert named <= set(SHELL.findall(cli(command, "--help").out))
