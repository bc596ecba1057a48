"""The compiled modules and the switches of their build; everything static is in pyproject.toml.

PRONGHORN_BUILD is a comma-separated list of modes:
    annotate   HTML beside the generated C, which shows the lines that touch Python objects
    trace      line tracing for coverage; the C stays beside the .pyx, where the coverage plugin looks for it
    asan       address and undefined-behaviour sanitizers, with bounds checks on
    debug      no optimisation, all checks, full debug information
"""

import os
import sys
import sysconfig
from pathlib import Path

from Cython.Build import cythonize
from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext

ROOT = Path(__file__).resolve().parent
sys.path.insert(0, str(ROOT / "ext"))
import toolchain  # noqa: E402
import vendor  # noqa: E402

MODULES = [
    "octets", "bound", "future", "drive", "output", "window", "wire", "journal", "headers", "target",
    "forwarded", "preface", "section", "head", "request", "response", "repeated", "message", "scope",
    "finished", "exchange", "body", "frames", "utf8", "deflate", "handshake", "session", "service", "websocket", "ahead",
    "writing", "http1", "tls", "entrance", "poll", "memory", "edge", "sockets", "lifeline", "signalstack", "deadline",
]

MODES = set(filter(None, os.environ.get("PRONGHORN_BUILD", "").replace(" ", "").split(",")))
if unknown := MODES - {"annotate", "trace", "asan", "debug"}:
    sys.exit(f"PRONGHORN_BUILD: unknown mode {', '.join(sorted(unknown))}")
CHECKED = bool(MODES & {"asan", "debug"})
BUILD = "/".join(["build", *sorted(MODES - {"annotate"})])  # a folder for each mode: nothing of another one is taken
JOBS = min(len(MODULES), os.cpu_count() or 1)

# `binding` is not here on purpose: what is set here wins over the comment at the head of a file.
DIRECTIVES = {
    "language_level": "3",
    "boundscheck": CHECKED,
    "wraparound": False,
    "cdivision": not CHECKED,
    "initializedcheck": CHECKED,
    "auto_pickle": False,
    "embedsignature": True,
    "embedsignature.format": "clinic",
    "linetrace": "trace" in MODES,
}


# GCC 14 and Clang 16 refuse these by themselves: older compilers must not let them pass.
REFUSED = ["incompatible-pointer-types", "int-conversion", "implicit-function-declaration"]


def flags() -> tuple[list[str], list[str]]:
    """Arguments for the compiler and for the linker."""
    if os.name == "nt":
        return ["/O2"], []
    compile_args = ["-O3", "-fvisibility=hidden", f"-ffile-prefix-map={ROOT}=."]
    compile_args += [f"-Werror={kind}" for kind in REFUSED]
    link_args = []
    if "asan" in MODES:
        link_args = ["-fsanitize=address,undefined"]
        compile_args += ["-O1", "-g", "-fno-omit-frame-pointer", "-fno-sanitize-recover=undefined", *link_args]
    if "debug" in MODES:
        compile_args += ["-O0", "-g3", "-UNDEBUG"]
    return compile_args, link_args


def extension(name: str) -> Extension:
    compile_args, link_args = flags()
    tracing = [("CYTHON_TRACE", "1"), ("CYTHON_TRACE_NOGIL", "1"), ("CYTHON_USE_SYS_MONITORING", "0")]
    return Extension(
        f"pronghorn._core.{name}",
        sources=[f"src/pronghorn/_core/{name}.pyx", *(vendor.SOURCES if name == "head" else [])],
        depends=["setup.py", *vendor.HEADERS],
        include_dirs=[vendor.INCLUDE],
        libraries=["rt"] if name == "deadline" and sys.platform == "linux" else [],  # timers, before glibc 2.34
        define_macros=tracing if "trace" in MODES else [],
        extra_compile_args=compile_args,
        extra_link_args=link_args,
    )


class BuildInPlace(build_ext):
    """An editable install compiles in a directory that stays, so that only what changed is compiled again."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if self.editable_mode:
            place = f"{BUILD}/editable-{sysconfig.get_config_var('EXT_SUFFIX').split('.')[1]}"
            self.build_lib, self.build_temp = f"{place}/lib", f"{place}/temp"


if __name__ == "__main__":
    os.chdir(ROOT)
    toolchain.require(sys.argv)
    vendor.ensure()
    setup(
        cmdclass={"build_ext": BuildInPlace},
        options={"build": {"build_base": BUILD}, "build_ext": {"parallel": JOBS}},
        ext_modules=cythonize(
            [extension(name) for name in MODULES],
            build_dir=None if "trace" in MODES else f"{BUILD}/cython",
            nthreads=2,
            annotate="annotate" in MODES,
            force="annotate" in MODES,
            compiler_directives=DIRECTIVES,
        ),
    )
