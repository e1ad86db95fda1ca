# SPDX-License-Identifier: Apache-2.0
"""peers.py: the servers that stand side by side, what each needs, how it is built and started.

A peer whose packages or toolchain cannot be had is skipped, by name and with the reason; the others go on.
"""

import pathlib
import shutil
import subprocess
import sys

FOLDER = pathlib.Path(__file__).resolve().parent
ROOT = FOLDER.parent.parent
BUILD = FOLDER / "build"
VENV = BUILD / "venv"
NIO = ROOT / "Benchmarks" / ".build" / "release"
SPINDLE = ROOT / ".build" / "release" / "spindle"
BUILD_LIMIT = 1500  # Seconds for one build: SwiftNIO on a slow machine.
REGISTRY = "/usr/share/cargo/registry"  # Where Debian's librust-*-dev packages put their sources.
PYTHON_PACKAGES = {"twisted": "twisted==26.10.0", "uvloop": "uvloop==0.23.0"}


class Skip(Exception):
    """Why a peer cannot take part."""


class Peer:
    """A server on one core: its command with {port}, and what has to be there first."""

    def __init__(self, name, title, command, build=None, packages=()):
        self.name, self.title, self.command = name, title, command
        self.build, self.packages = build, packages

    def prepare(self):
        """Installs and builds; raises Skip when that cannot be."""
        if self.packages:
            run(self.name, [str(ROOT / "tools" / "setup"), *self.packages])
        if self.build:
            self.build(self)


def run(name, command, **options):
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=BUILD_LIMIT, **options
        )
    except FileNotFoundError as error:
        raise Skip(f"{command[0]} is not installed") from error
    except subprocess.TimeoutExpired as error:
        raise Skip(f"`{' '.join(command)}` took more than {BUILD_LIMIT} s") from error
    if done.returncode != 0:
        lines = (done.stderr + done.stdout).strip().splitlines()
        # The first line with an error says more than the last of a compiler's many.
        telling = next((line for line in lines if "error" in line.lower()), lines[-1] if lines else "")
        raise Skip(f"`{' '.join(map(str, command))}` ended with {done.returncode}: {telling.strip()}")


def is_newer(program, *sources):
    return program.exists() and all(program.stat().st_mtime > source.stat().st_mtime for source in sources)


def compiled(source, compiler, *flags):
    def build(peer):
        BUILD.mkdir(exist_ok=True)
        program, text = BUILD / pathlib.Path(source).stem, FOLDER / source
        if not is_newer(program, text, FOLDER / "peer.h"):
            run(peer.name, [*compiler, "-O2", "-Wall", "-Wextra", "-Werror", str(text), "-o", str(program), *flags])

    return build


C, CXX = ["gcc", "-std=c11"], ["g++", "-std=c++17"]


def go(peer):
    BUILD.mkdir(exist_ok=True)
    if not is_newer(BUILD / "go_echo", FOLDER / "go_echo.go"):
        run(peer.name, ["go", "build", "-o", str(BUILD / "go_echo"), str(FOLDER / "go_echo.go")])


def tokio(peer):
    if not shutil.which("cargo"):
        run(peer.name, [str(ROOT / "tools" / "setup"), "cargo"])
    program = BUILD / "cargo" / "release" / "tokio_echo"
    if is_newer(program, FOLDER / "tokio" / "src" / "main.rs", FOLDER / "tokio" / "Cargo.toml"):
        return
    # The lock file would name the versions of whatever Debian this is: it is made outside the source folder.
    shutil.copytree(FOLDER / "tokio", BUILD / "tokio", dirs_exist_ok=True)
    settings = ['source.crates-io.replace-with="debian"', f'source.debian.directory="{REGISTRY}"']
    options = [word for setting in settings for word in ("--config", setting)]
    run(
        peer.name,
        ["cargo", "build", "--release", "--offline", "--quiet", "--target-dir", str(BUILD / "cargo"), *options],
        cwd=BUILD / "tokio",
    )


def python(peer):
    interpreter = VENV / "bin" / "python"
    if not interpreter.exists():
        run(peer.name, [sys.executable, "-m", "venv", str(VENV)])
    has = subprocess.run([str(interpreter), "-c", f"import {peer.name}"], capture_output=True, timeout=60)
    if has.returncode != 0:
        pip = [str(interpreter), "-m", "pip", "install", "--quiet", "--disable-pip-version-check"]
        run(peer.name, [*pip, PYTHON_PACKAGES[peer.name]])


def swift(product):
    def build(peer):
        run(peer.name, ["swift", "build", "-c", "release", "--package-path", str(ROOT / "Benchmarks"), "--product", product])

    return build


def spindle(peer):
    run(peer.name, ["swift", "build", "-c", "release", "--package-path", str(ROOT), "--product", "spindle"])


def program(name):
    return f"{BUILD / name} {{port}}"


def script(name):
    return f"{VENV / 'bin' / 'python'} {FOLDER / name} {{port}}"


# The floor's flags depend on the workload: servers.py knows the word.
FLOOR = Peer("floor", "raw C, epoll", "floor")
PEERS = [
    FLOOR,
    Peer("io_uring", "raw C, io_uring", program("uring_echo"), compiled("uring_echo.c", C, "-luring"), ["liburing-dev"]),
    Peer(
        "spindle",
        "Spindle",
        f"{SPINDLE} echo --cores 1 --cpuset 0 --listen tcp:port={{port}}:interface=127.0.0.1",
        spindle,
    ),
    Peer("libuv", "libuv", program("libuv_echo"), compiled("libuv_echo.c", C, "-luv"), ["libuv1-dev"]),
    Peer("libevent", "libevent", program("libevent_echo"), compiled("libevent_echo.c", C, "-levent"), ["libevent-dev"]),
    Peer("asio", "Boost.Asio", program("asio_echo"), compiled("asio_echo.cpp", CXX), ["g++", "libboost-dev"]),
    Peer("tokio", "Tokio", program("cargo/release/tokio_echo"), tokio, ["librust-tokio-dev"]),
    Peer("go", "Go net", program("go_echo"), go, ["golang-go"]),
    Peer("nio", "SwiftNIO, callbacks", f"{NIO / 'NIOEcho'} {{port}}", swift("NIOEcho")),
    Peer("nio-async", "SwiftNIO, NIOAsyncChannel", f"{NIO / 'NIOAsyncEcho'} {{port}}", swift("NIOAsyncEcho")),
    Peer("uvloop", "asyncio with uvloop", script("uvloop_echo.py"), python, ["python3-venv"]),
    Peer("twisted", "Twisted", script("twisted_echo.py"), python, ["python3-venv"]),
]

# Engines that cannot be built from Debian's packages: figures of another day and machine, ratios to the C of that run.
ELSEWHERE = [
    {
        "title": "Seastar 525fcc86e",
        "measured": "elsewhere by 2026-11, 2-vCPU VM",
        "cpu_64x64x1_over_floor": 1.27,
        "idle_bytes": 1311,
    },
]
