"""The house: no circle among the files of slimft, and no import upwards between the floors of docs/design.md."""

import ast
import graphlib
import pathlib
import re
from typing import NamedTuple

import pytest

ROOT = pathlib.Path(__file__).parent.parent


class Imports(NamedTuple):
    """The modules of the package that a file imports: when it is loaded, and when a function runs.

    What is imported for types alone counts as the former. That ``a.b.c`` loads ``a.b`` first does not count: else
    each file would be in a circle with its package.
    """

    on_loading: frozenset[str]
    in_functions: frozenset[str]


def modules_in(package):
    """Module name to file, of all that is in the folder `package`."""
    found = {}
    for file in sorted(package.rglob("*.py")):
        parts = file.relative_to(package.parent).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    return found


def imports_in(package):
    """Module name to `Imports`."""
    files = modules_in(package)
    return {name: _imports_of(name, file, files) for name, file in files.items()}


def _imports_of(name, file, modules):
    on_loading, in_functions = set(), set()

    def look(node, found):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.Import):
                found.update(alias.name for alias in child.names)
            elif isinstance(child, ast.ImportFrom):
                assert not child.level, f"{file} has a relative import"
                for alias in child.names:
                    whole = f"{child.module}.{alias.name}"
                    found.add(whole if whole in modules else child.module)
            elif isinstance(child, (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda)):
                look(child, in_functions)
            else:
                look(child, found)

    look(ast.parse(file.read_text(encoding="utf-8")), on_loading)
    return Imports(*(frozenset(found & modules.keys() - {name}) for found in (on_loading, in_functions)))


def circle_in(imports):
    """The files of one circle, in order; None if there is none."""
    try:
        graphlib.TopologicalSorter({name: found.on_loading for name, found in imports.items()}).prepare()
    except graphlib.CycleError as error:
        return error.args[1]
    return None


def room_of(name, floors):
    """The longest of the names on the floors that the module is, or is in; None if it is in none of them."""
    parts = name.split(".")[1:] or [name]
    ways = (".".join(parts[:end]) for end in range(len(parts), 0, -1))
    return next((room for room in ways if room in floors), None)


def upwards_in(imports, floors):
    """The imports of another room that is not on a lower floor, a line each; what has no floor does not count."""
    arrows = [(name, other) for name, found in imports.items() for other in found.on_loading | found.in_functions]
    rooms = {name: room_of(name, floors) for name in imports}
    return sorted(
        f"{name} -> {other}"
        for name, other in arrows
        if rooms[name] != rooms[other]
        and None not in (rooms[name], rooms[other])
        and floors[rooms[other]] >= floors[rooms[name]]
    )


@pytest.fixture(scope="module")
def imports():
    return imports_in(ROOT / "slimft")


@pytest.fixture(scope="module")
def floors():
    """Room to floor, from 0, the lowest: the block of docs/design.md, which has the highest first."""
    text = (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
    lines = re.search(r"^```floors\n(.*?)\n```$", text, re.DOTALL | re.MULTILINE)[1].splitlines()
    listed = [(room, floor) for floor, line in enumerate(reversed(lines)) for room in line.split()]
    assert len(dict(listed)) == len(listed), "a room stands on two floors"
    return dict(listed)


def test_every_room_stands_on_a_floor_and_every_room_there_is(imports, floors):
    lost = [name for name in imports if room_of(name, floors) is None]
    assert not lost, "give them a floor in docs/design.md"
    assert {room_of(name, floors) for name in imports} == floors.keys()


def test_no_import_leads_upwards(imports, floors):
    assert upwards_in(imports, floors) == []


def test_there_is_no_circle_among_the_files(imports):
    assert circle_in(imports) is None


@pytest.fixture
def small_house(tmp_path):
    """A package of three rooms, one of two files; a function writes what is in a file."""
    package = tmp_path / "slimft"

    def write(file, text):
        place = package / file
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        return imports_in(package)

    for file in ("__init__.py", "low.py", "room/__init__.py", "room/one.py", "room/two.py", "high.py"):
        write(file, "")
    return write


SMALL_FLOORS = {"slimft": 0, "low": 0, "room": 1, "high": 2}


def test_a_circle_is_found_wherever_a_file_imports_on_loading(small_house):
    small_house("room/one.py", "from slimft.room import two\n")
    imports = small_house("room/two.py", "def later():\n    import slimft.room.one\n")
    assert imports["slimft.room.two"] == Imports(frozenset(), frozenset({"slimft.room.one"}))
    assert circle_in(imports) is None
    for text in (
        "import slimft.room.one",
        "from slimft.room.one import name",
        "if TYPE_CHECKING:\n    from slimft.room.one import name",
        "class Two:\n    from slimft.room import one",
    ):
        imports = small_house("room/two.py", text)
        assert set(circle_in(imports)) == {"slimft.room.one", "slimft.room.two"}


@pytest.mark.parametrize("text", ["from slimft.high import name", "def later():\n    from slimft import high"])
@pytest.mark.parametrize("file, name", [("low.py", "slimft.low"), ("room/one.py", "slimft.room.one")])
def test_an_import_upwards_is_found_at_every_level(small_house, file, name, text):
    downwards = small_house("high.py", "from slimft.room.one import name\nimport slimft.low")
    assert upwards_in(downwards, SMALL_FLOORS) == []
    assert upwards_in(small_house(file, text), SMALL_FLOORS) == [f"{name} -> slimft.high"]


def test_rooms_of_one_floor_do_not_import_each_other(small_house):
    floors = {**SMALL_FLOORS, "high": 1}
    assert upwards_in(small_house("high.py", "import slimft.room"), floors) == ["slimft.high -> slimft.room"]


def test_a_file_may_stand_on_another_floor_than_its_package():
    assert room_of("slimft.room.one", {"room": 0, "room.one": 1}) == "room.one"
    assert room_of("slimft.rooms", {"room": 0}) is None
    assert room_of("slimft", {"slimft": 0}) == "slimft"
