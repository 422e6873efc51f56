"""Large libraries are imported without searching for garbage."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from tasks.system.imports import quick_imports


def test_garbage_is_collected_again_afterwards() -> None:
    assert gc.isenabled()
    with quick_imports():
        assert not gc.isenabled()
        with quick_imports():
            assert not gc.isenabled()
        assert not gc.isenabled()
    assert gc.isenabled()


def test_where_nothing_was_collected_nothing_is_afterwards() -> None:
    gc.disable()
    try:
        with quick_imports():
            pass
        assert not gc.isenabled()
    finally:
        gc.enable()


def test_after_an_error_too() -> None:
    with pytest.raises(ImportError), quick_imports():
        raise ImportError
    assert gc.isenabled()


# What the validate stage and each of its processes that decode images import, and what `gantry list` reads a data set's specification by.
@pytest.mark.parametrize(
    "module", ["tasks.validation.inspection", "gan_core.data.dataset", "gan_core.kinds.table", "gan_core.kinds.pairs", "tasks.validate"]
)
def test_torch_is_not_imported_to_know_a_kind_of_data(module: str) -> None:
    program = f"import {module}, sys; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize("begins", [False, True])
def test_a_process_of_ours_collects_once_it_has_imported_what_it_needs(begins: bool) -> None:
    """`python -m tasks.NAME` imports the package while the interpreter looks for the module."""
    program = f"import sys, gc; sys.argv = {['-m' if begins else 'a.py']}; from tasks.system.imports import all_imported"
    program += f"; assert gc.isenabled() is {not begins}; all_imported(); assert gc.isenabled(); assert gc.get_freeze_count() > 1000"
    subprocess.run([sys.executable, "-c", program], check=True)


def test_a_module_is_loaded_with_the_first_look_into_it() -> None:
    program = """
import sys
from tasks.system.imports import loaded_when_used
with loaded_when_used("plistlib", "email.mime.text"):
    import plistlib, email.mime.text
    assert "xml.parsers.expat" not in sys.modules and "email.mime.nonmultipart" not in sys.modules
assert not sys.meta_path[0].__class__.__module__.startswith("tasks")
assert plistlib.loads.__name__ == "loads" and "xml.parsers.expat" in sys.modules
from email.mime.text import MIMEText
assert "email.mime.nonmultipart" in sys.modules and MIMEText("a").get_payload() == "a"
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_packages_are_taken_as_missing_by_one_thread_where_they_are_not_there_yet() -> None:
    program = """
import importlib.util, sys, threading
from tasks.system.imports import taken_as_missing
import email
with taken_as_missing("tabnanny", "xml", "email"):
    for name in ("tabnanny", "xml.sax"):
        try:
            __import__(name)
        except ModuleNotFoundError as error:
            assert error.name in (name, "xml"), error.name
        else:
            raise AssertionError(name)
    import email.mime.text
    other = threading.Thread(target=__import__, args=("tabnanny",))
    other.start(); other.join()
    import tabnanny
import xml.sax
"""
    subprocess.run([sys.executable, "-c", program], check=True)


def test_great_expectations_leaves_out_what_tables_in_memory_do_not_need() -> None:
    program = """
import sys
from tasks.validation.expectations import _expectations
assert _expectations().ExpectColumnKLDivergenceToBeLessThan
unused = {"sqlalchemy", "boto3", "google", "psycopg2", *(["scipy.stats.distributions"] if sys.version_info < (3, 13) else [])}
assert not unused & set(sys.modules), sys.modules.keys()
import sqlalchemy, boto3
"""
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("with_triton", [False, True])
def test_nothing_is_collected_at_the_end_unless_triton_would_print_it_as_leaked(with_triton: bool) -> None:
    program = f"""
import gc, sys, types
from tasks.system.imports import all_imported, nothing_to_collect
all_imported()
if {with_triton}:
    sys.modules["triton._C.libtriton"] = types.ModuleType("libtriton")
nothing_to_collect()
assert (gc.get_freeze_count() == 0) is {with_triton}
"""
    subprocess.run([sys.executable, "-c", program], check=True)
