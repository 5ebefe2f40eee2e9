"""Code of the user's own: found, made, named and called."""

import functools
import gc
import sys

import pytest

from evalkit.errors import ConfigError, EvalkitError, ObjectError
from evalkit.system.own_code import call, find, made, nameable, needed_arguments, own_identity, own_name


class Weighted:
    def __init__(self, weight=1):
        self.weight = weight


def factory(weight):
    return Weighted(weight)


def no_arguments():
    return Weighted(7)


@pytest.fixture
def module(tmp_path, monkeypatch):
    """Writes a module into the current folder; its name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))

    def write(name, text):
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


def test_a_module_of_the_current_folder_is_found_behind_installed_packages(module):
    module("own_found", "class A:\n    b = 3")
    assert 3 == find("own_found:A.b", "key")
    module("json", "mine = 1")
    with pytest.raises(ObjectError, match=r"key=json:mine: .*json/__init__.py has no mine"):
        find("json:mine", "key")


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("own_lacking", "import nowhere_at_all", r"raised ModuleNotFoundError: .*nowhere_at_all.*own_lacking.py:1\)"),
        ("own_wrong", "def f(:", r"raised SyntaxError: .*own_wrong.py:1\)"),
        ("own_leaving", "import sys\nsys.exit()", r"raised SystemExit \(.*own_leaving.py:2\)"),
        ("own_failing", "\n\n1 / 0", r"raised ZeroDivisionError: division by zero \(.*own_failing.py:3\)"),
    ],
)
def test_a_module_that_cannot_be_imported_names_its_line(module, name, text, message):
    with pytest.raises(ObjectError, match=message):
        find(f"{module(name, text)}:f", "key")


def test_classes_and_factories_are_made_and_objects_are_taken_as_they_are():
    assert 1 == made(Weighted, {}, "own").weight
    assert 2 == made(Weighted, {"weight": 2}, "own").weight
    assert 3 == made(factory, {"weight": 3}, "own").weight
    assert 7 == made(no_arguments, {}, "own").weight
    assert made(factory, {}, "own") is factory
    one = Weighted()
    assert made(one, {}, "own") is one


@pytest.mark.parametrize(
    ("thing", "settings", "message"),
    [
        (Weighted, {"wieght": 2}, r"own raised TypeError: .*'wieght' \(.*test_own_code.py:\d+\)"),
        (factory, {"wieght": 2}, "own is a function and cannot be called with the settings"),
        (Weighted(), {"weight": 2}, "which takes no settings"),
    ],
)
def test_settings_that_do_not_fit_are_refused(thing, settings, message):
    with pytest.raises(ObjectError, match=message):
        made(thing, settings, "own")


def test_errors_of_evalkit_pass_and_others_are_causes():
    def refuses():
        raise ConfigError("no")

    with pytest.raises(ConfigError, match=r"^no$"):
        call("own", refuses)
    with pytest.raises(ObjectError, match=r"own raised ValueError: invalid literal.* \(in compiled code\)") as caught:
        call("own", int, "x")
    assert isinstance(caught.value.__cause__, ValueError)
    with pytest.raises(KeyboardInterrupt):
        call("own", lambda: (_ for _ in ()).throw(KeyboardInterrupt))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [((), r"own raised SystemExit \("), ((3,), r"SystemExit: 3 \("), (("no key",), r"SystemExit: no key \(")],
)
def test_leaving_the_program_is_an_error_like_any_other(arguments, message):
    with pytest.raises(ObjectError, match=message):
        call("own", sys.exit, *arguments)


def test_async_functions_are_refused_and_leave_no_warning(recwarn):
    async def scores(number):
        return [number]

    async def stream(number):
        yield number

    for function in (scores, stream):
        with pytest.raises(ObjectError, match="own: async functions are not supported"):
            call("own", function, 1.0)
    gc.collect()
    assert not recwarn.list


def test_an_error_that_a_library_raises_is_placed_in_the_code_that_called_it():
    import json

    with pytest.raises(ObjectError, match=r"own raised JSONDecodeError: .*test_own_code.py:\d+\)"):
        call("own", lambda: json.loads("{"))


@pytest.mark.parametrize(
    ("thing", "name"),
    [
        (factory, "factory"),
        (Weighted(), "Weighted"),
        (Weighted, "Weighted"),
        (functools.partial(factory, 3), "factory"),
        (lambda: None, "lambda"),
        (type("Named", (), {"name": "my model/v2 (é)"})(), "my_model_v2"),
    ],
)
def test_a_name_can_name_a_folder(thing, name):
    assert name == own_name(thing)


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("", "the name of an object of Odd is '', which cannot name a folder of results. Give one of letters"),
        ("..", "is '..', which cannot name a folder"),
        ("a/../b", "is 'a/../b', which cannot name a folder"),
        ("数据", "which cannot name a folder"),
        (5, "the name of an object of Odd is 5, expected a text"),
    ],
)
def test_a_name_that_can_name_no_folder_is_refused(name, said):
    with pytest.raises(ObjectError, match=said):
        own_name(type("Odd", (), {"name": name})())


def test_long_names_are_cut():
    assert 60 == len(nameable("x" * 200))


def test_arguments_that_are_needed_are_counted():
    assert 2 == needed_arguments(lambda a, b, c=1, *, d=2, **e: None)  # noqa: ARG005
    assert 1 == needed_arguments(functools.partial(lambda a, b: None, 1))  # noqa: ARG005
    assert needed_arguments(lambda a, *b: None) is None  # noqa: ARG005
    assert needed_arguments(lambda a, *, b: None) is None  # noqa: ARG005


def test_an_identity_that_raises_is_one_line():
    class Raises:
        @property
        def identity(self):
            raise RuntimeError("not loaded")

    with pytest.raises(EvalkitError, match=r"own.identity raised RuntimeError: not loaded \(.*test_own_code.py"):
        own_identity(Raises(), "own")
    assert own_identity(Weighted(), "own") is None
