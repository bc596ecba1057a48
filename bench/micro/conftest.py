"""Build of probe.pyx, and event loops. Run with: python -m pytest bench/micro"""

import asyncio
import importlib.util
import sys
import sysconfig
from pathlib import Path
from types import ModuleType

import pytest

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]


def build() -> Path:
    """Compile probe.pyx into build/micro when it, or an interface it uses, has changed."""
    from Cython.Build import cythonize
    from setuptools import Distribution, Extension

    import pronghorn._core

    core = Path(pronghorn._core.__file__).parent
    folder = ROOT / "build" / "micro"
    extension = Extension(
        "probe",
        sources=[str((HERE / "probe.pyx").relative_to(ROOT))],
        include_dirs=[str(ROOT / "ext" / "llhttp")],
        depends=[str(path) for path in core.glob("*.so")],
        extra_compile_args=["-O3"],
    )
    modules = cythonize([extension], build_dir=str(folder), include_path=[str(core.parents[1])], quiet=True)
    command = Distribution({"ext_modules": modules}).get_command_obj("build_ext")
    command.build_lib, command.build_temp = str(folder), str(folder)
    command.ensure_finalized()
    command.run()
    return folder / f"probe{sysconfig.get_config_var('EXT_SUFFIX')}"


@pytest.fixture(scope="session")
def probe(pytestconfig: pytest.Config) -> ModuleType:
    pytest.importorskip("Cython", reason="the probe is compiled with Cython")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        path = build()
    spec = importlib.util.spec_from_file_location("probe", path)
    module = importlib.util.module_from_spec(spec)
    sys.modules["probe"] = module
    spec.loader.exec_module(module)
    return module


@pytest.fixture(params=["uvloop", "asyncio"])
def in_loop(request: pytest.FixtureRequest):
    """Call a function inside a running loop and let what it started run; returns what it returns."""
    factory = pytest.importorskip("uvloop").new_event_loop if request.param == "uvloop" else asyncio.new_event_loop
    with asyncio.Runner(loop_factory=factory) as runner:

        def run(function, *arguments):
            async def call():
                result = function(*arguments)
                await asyncio.sleep(0)
                return result

            return runner.run(call())

        run.loop = runner.get_loop()
        yield run
