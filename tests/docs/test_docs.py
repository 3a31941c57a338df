"""What the docs show runs, and says what they say; what they list is what there is."""

import inspect
import re
import subprocess
import sys
import warnings
from pathlib import Path

import pytest
from _helpers.support import ROOT, SPEC

import pickleseal

PAGES = [ROOT / "README.md", *sorted((ROOT / "docs").glob("*.md")), ROOT / "SECURITY.md", ROOT / "CONTRIBUTING.md"]
BLOCK = re.compile(r"^```python\n(.*?)^```\n(?:\n```text\n(.*?)^```\n)?", re.MULTILINE | re.DOTALL)


def blocks() -> list[object]:
    found = []
    for page in PAGES:
        for number, (code, output) in enumerate(BLOCK.findall(page.read_text("utf-8"))):
            found.append(pytest.param(code, output, id=f"{page.name}-{number}"))
    assert len(found) >= 4
    return found


@pytest.mark.parametrize(("code", "output"), blocks())
def test_every_block_runs_as_a_script_and_prints_what_the_page_says(code: str, output: str, tmp_path: Path) -> None:
    script = tmp_path / "block.py"
    script.write_text(code, "utf-8")
    done = subprocess.run([sys.executable, str(script)], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    if output:
        assert done.stdout == output


def test_doctests() -> None:
    import doctest

    names = {name: getattr(pickleseal, name) for name in pickleseal.__all__}
    examples = 0
    for module in [m for n, m in list(sys.modules.items()) if n.startswith("pickleseal") and m is not None]:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            result = doctest.testmod(module, extraglobs=names)
        assert result.failed == 0, module.__name__
        examples += result.attempted
    assert examples > 10


@pytest.mark.parametrize("name", ["pack", "dump", "load", "unpack", "Serializer"])
def test_help_stands_alone(name: str) -> None:
    """Each argument has its line, and help says what comes back, what is raised, what can run, with an example."""
    value = getattr(pickleseal, name)
    text = inspect.getdoc(value)
    assert text is not None
    arguments = re.search(r"^Args:\n((?:    .*\n|\n)+)", text, re.MULTILINE)
    assert arguments is not None
    described = set(re.findall(r"^    ([a-z][\w, ]*): ", arguments[1], re.MULTILINE))
    assert {each for names in described for each in names.split(", ")} == set(inspect.signature(value).parameters)
    for word in ("\nRaises:\n", "\n>>> "):
        assert word in text
    assert name == "Serializer" or "\nReturns:\n" in text
    assert re.search(r"\b[Rr]uns?\b.*\b(code|methods)\b|\bcode of\b.*\bruns\b", text.replace("\n", " "))
    assert "as for" not in text  # which would send the reader elsewhere
    assert value.__module__ == "pickleseal"


def anchors(page: Path) -> set[str]:
    """Return the anchors of the headings of a page."""
    headings = re.findall(r"^#+ (.*)$", page.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


def test_links_lead_to_files_and_headings() -> None:
    for page in [*PAGES, SPEC / "format.md"]:
        for link, anchor in re.findall(r"\]\(([^)#]*)#?([^)]*)\)", page.read_text("utf-8")):
            if "://" not in link:
                target = page.parent / link if link else page
                assert target.exists(), f"{page.name}: {link}"
                assert not anchor or anchor in anchors(target), f"{page.name}: {link}#{anchor}"


def test_the_map_for_contributors_names_what_there_is() -> None:
    text = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
    rows = text.split("\n## Map\n")[1].split("\nThe way of the data")[0]
    named = set(re.findall(r"(?<= )(\w+\.py|\w+/)(?= )", rows))
    source = ROOT / "src" / "pickleseal"
    modules = [path.relative_to(source).parts for path in source.rglob("*.py")]
    assert named == {parts[0] + "/" * (len(parts) > 1) for parts in modules}
    table = text.split("\n## Tests\n")[1].split("\nTest behaviour")[0]
    files = [path.relative_to(ROOT / "tests").parts for path in (ROOT / "tests").rglob("*.*")]
    there = {parts[0] for parts in files if len(parts) > 1} - {"__pycache__"}
    assert set(re.findall(r"`(\w+)/`", table)) - {"tests"} == there
    for path in re.findall(r"`((?:src|tests|docs|spec)/[\w./]+)`", text):
        assert (ROOT / path).exists(), path


def test_the_reference_lists_the_allow_list() -> None:
    from pickleseal._trust.allow_list import VALUE_TYPES

    listed = {**VALUE_TYPES, "re": ("_compile",)}
    listed["builtins"] = (*listed["builtins"], "every subclass of Exception there")
    lines = [f"- `{m}`: {', '.join(sorted(listed[m], key=str.lower))}" for m in sorted(listed) if m != "pathlib._local"]
    text = (ROOT / "docs" / "reference.md").read_text("utf-8")
    shown = text.split("<!-- allow-list:begin -->\n")[1].split("<!-- allow-list:end -->")[0]
    assert shown.split() == " ".join(lines).split()


def test_the_reference_lists_codes_families_and_whether_an_error_is_retryable() -> None:
    text = (ROOT / "docs" / "reference.md").read_text("utf-8")
    found = re.findall(
        r"^\| `(\w+Error)` \| `([a-z-]+)` \|[^|]*\|(?: `(\w+)`)? \|(?: (yes|no))? \|$", text, re.MULTILINE
    )
    rows = {name: code for name, code, _, _ in found}
    for name, _, family, retryable in found:
        cls = getattr(pickleseal.errors, name)
        if issubclass(cls, pickleseal.errors.ReadError):
            assert issubclass(cls, getattr(pickleseal.errors, family)), name
            assert cls.is_retryable == (retryable == "yes"), name
    in_code = {
        cls.__name__: cls.code
        for cls in vars(pickleseal.errors).values()
        if isinstance(cls, type)
        and issubclass(cls, pickleseal.errors.PicklesealError)
        and cls.code not in ("error", "read-error")
    }
    assert rows == in_code
    readme = (ROOT / "README.md").read_text("utf-8")
    for name, code in in_code.items():
        if issubclass(getattr(pickleseal.errors, name), pickleseal.errors.ReadError):
            assert f"`{code}`" in readme, code


def test_the_picture_is_drawn_from_real_bytes() -> None:
    import importlib.util

    spec = importlib.util.spec_from_file_location("frame_picture", ROOT / "docs" / "frame_picture.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    assert module.draw(module.VECTOR.read_bytes()) == (ROOT / "docs" / "frame.svg").read_text("utf-8")


def test_the_tour_runs() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "examples" / "tour.py")], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    assert "no longer yours" not in done.stdout
    row = re.search(r"pickleseal +refused: 400 +loaded, right: +0 +loaded, WRONG: +0", done.stdout)
    assert row is not None, done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 120


def test_the_version_is_the_same_everywhere() -> None:
    minor = ".".join(pickleseal.__version__.split(".")[:2])
    assert f"## {pickleseal.__version__}" in (ROOT / "CHANGELOG.md").read_text("utf-8")
    assert f"This library, version {minor}, reads" in (SPEC / "format.md").read_text("utf-8")


def test_the_readme_shows_the_figures_of_the_benchmarks() -> None:
    text = (ROOT / "README.md").read_text("utf-8")
    shown = text.split("<!-- benchmark:begin -->\n")[1].split("<!-- benchmark:end -->")[0]
    assert len(re.findall(r"^\|.*\| \d+\.\d+ \|$", shown, re.MULTILINE)) >= 8


def test_the_benchmarks_page_shows_figures_and_a_plot() -> None:
    import xml.etree.ElementTree as ElementTree

    text = (ROOT / "docs" / "benchmarks.md").read_text("utf-8")
    shown = text.split("<!-- storage:begin -->\n")[1].split("<!-- storage:end -->")[0]
    assert re.search(r"^\| pickleseal \|( [^|]+\|){8}$", shown, re.MULTILINE)
    assert re.search(r"^\| 1 GiB \|( \d+\.\d+ s/GiB \|){3}", shown, re.MULTILINE)
    plot = (ROOT / "docs" / "benchmarks.svg").read_text("utf-8")
    nodes = ElementTree.fromstring(plot).iter()  # noqa: S314  # our own
    said = ["".join(node.itertext()) for node in nodes if node.tag.endswith("text")]
    ratio = re.search(r"^\| pickleseal \| (\d+\.\d+) \|", shown, re.MULTILINE)
    assert ratio is not None
    assert ratio[1] in said  # of the same run
