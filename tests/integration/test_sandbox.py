"""What tenant code cannot do in the sandbox, tried from inside, and how each limit ends it.

As root, everything runs twice: stepping down to a user that owns nothing, and by a user namespace
as for an ordinary user.
"""

import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest

from pipeline import sandbox
from pipeline.errors import CouldNotCheck
from pipeline.sandbox import Confined, Limits, python_inside, run_confined, sandbox_problem

ROOT = Path(__file__).resolve().parents[2]
MIB = 1024 * 1024
# Small enough to be reached at once, large enough for Python itself.
SMALL = Limits(
    cpu_s=20, wall_s=60, memory_bytes=256 * MIB, processes=32, output_bytes=MIB, file_bytes=8 * MIB
)
MODES = ["steps-down", "user-namespace"] if os.geteuid() == 0 else ["user-namespace"]

pytestmark = pytest.mark.usefixtures("mode")


@pytest.fixture(params=MODES)
def mode(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """How privileges are given up."""
    if request.param == "user-namespace":
        monkeypatch.setattr(sandbox, "_user_to_become", lambda: None)
    return str(request.param)


def confine(
    code: str,
    *arguments: str,
    limits: Limits = SMALL,
    files: Mapping[str, tuple[int, bytes]] | None = None,
    env: Mapping[str, str] | None = None,
    readonly: tuple[tuple[Path, str], ...] = (),
) -> Confined:
    return run_confined(
        [python_inside(), "-c", textwrap.dedent(code), *arguments],
        files=files or {},
        env=env or {},
        limits=limits,
        readonly=readonly,
    )


def words(code: str, *arguments: str, **more: object) -> list[str]:
    """What the code printed, having ended well."""
    ended = confine(code, *arguments, **more)  # type: ignore[arg-type] # passed on as it is
    assert (ended.exit_code, ended.limit_hit) == (0, None), ended
    return ended.output.decode().split()


@pytest.fixture
def listener() -> Iterator[int]:
    """The port of a server of the host that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        yield port


# What it cannot reach


def test_it_works_here() -> None:
    assert sandbox_problem() == ""


def test_the_host_s_network_is_not_there(listener: int) -> None:
    code = """
        import socket, sys
        print([name for _, name in socket.if_nameindex()])
        for host in ("127.0.0.1", "192.0.2.1"):
            try:
                socket.create_connection((host, int(sys.argv[1])), timeout=5)
                print("reached")
            except OSError as error:
                print(type(error).__name__, error.errno)
        try:
            print("reached", socket.getaddrinfo("example.com", 80))
        except OSError:
            print("no-names")
    """
    assert (
        " ".join(words(code, str(listener)))
        == "['lo'] ConnectionRefusedError 111 OSError 101 no-names"
    )


def test_tests_may_talk_to_themselves() -> None:
    code = """
        import socket
        server = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(server.getsockname())
        server.accept()[0].send(b"hello")
        print(client.recv(5).decode())
    """
    assert words(code) == ["hello"]


def test_files_of_the_host_are_not_there(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_text("secret")
    home = pwd.getpwuid(os.getuid()).pw_dir
    hidden = [
        str(secret),
        str(tmp_path),
        str(ROOT / "pyproject.toml"),
        str(ROOT),
        f"{home}/.bashrc",
        f"{home}/.ssh",
        os.environ["HOME"],
        "/etc/shadow",
        "/etc/hostname",
        "/etc/ssl",
        "/var",
        "/run",
        "/sys",
        "/mnt",
        "/proc/sys",
        "/proc/sysrq-trigger",
        "/proc/kcore",
        "/proc/cmdline",
        "/proc/1",
        f"/proc/{os.getpid()}/cmdline",
        "/dev/mem",
        "/dev/shm/../vda",
        "/dev/tty",
    ]
    assert os.path.exists("/etc/shadow")  # noqa: PTH110 # as it is asked inside
    code = """
        import os, sys
        for path in sys.argv[1:]:
            if os.path.exists(path):
                print(path)
    """
    assert words(code, *hidden) == []


def test_only_its_own_processes_are_there() -> None:
    code = """
        import os
        print([name for name in os.listdir("/proc") if name.isdigit()] == [str(os.getpid())])
        for victim in (1, os.getppid()):
            try:
                os.kill(victim, 9)
            except OSError as error:
                print(error.errno)
        print("alive")
    """
    assert words(code)[0] == "True"
    assert words(code)[-1] == "alive"


def test_nothing_of_the_environment_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGE_TOKEN", "secret")
    ended = run_confined(
        ["/usr/bin/env"], files={}, env={"ONLY": "this"}, limits=SMALL, readonly=()
    )
    assert ended == Confined(0, b"ONLY=this\n", None)


def test_privileges_are_gone_for_ever() -> None:
    code = """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        lines = (line.rstrip().partition(":\\t") for line in open("/proc/self/status"))
        status = {name: value for name, _, value in lines}
        sets = ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")
        print(*(int(status[name], 16) for name in sets))
        print(status["NoNewPrivs"], *set(status["Uid"].split()))
        for flag in (0x10000000, 0x00020000, 0x40000000):
            print(libc.unshare(flag))
        print(libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None), libc.sethostname(b"x", 1))
        print(libc.umount2(b"/usr", 2), libc.chroot(b"/tmp"))
    """
    assert " ".join(words(code)) == "0 0 0 0 0 1 65534 -1 -1 -1 -1 -1 -1 -1"


def test_only_scratch_space_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "given").write_text("given")
    tmp_path.chmod(0o755)
    code = """
        import os, sys
        for path in ("/x", "/etc/passwd", "/usr/x", "/given/given", "/given/x", sys.prefix + "/x",
                     "/dev/x", "/proc/x"):
            try:
                open(path, "w")
                print("wrote", path)
            except OSError:
                pass
        for path in ("/tmp/x", "/primitive/x", "/dev/shm/x", "/dev/null"):
            open(path, "w").write("x")
        print(open("/given/given").read())
    """
    assert words(code, readonly=((tmp_path, "/given"),)) == ["given"]
    assert (tmp_path / "given").read_text() == "given"


def test_packages_of_the_host_are_not_seen() -> None:
    code = """
        import importlib.util
        print([n for n in ("pip", "pytest", "pydantic", "pipeline") if importlib.util.find_spec(n)])
    """
    assert words(code) == ["[]"]


def test_an_ordinary_user_gets_the_same(listener: int) -> None:
    """The whole of it under a user id of its own, since root passes some checks of the kernel."""
    python = shutil.which("python3", path="/usr/bin")
    if os.geteuid() != 0:
        return  # this run as a whole is an ordinary user's
    if python is None or not _is_new_enough(python):
        pytest.skip("the system has no Python 3.11 that another user could run")
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        shutil.copytree(
            ROOT / "pipeline", folder / "pipeline", ignore=shutil.ignore_patterns("templates")
        )
        (folder / "try.py").write_text(
            textwrap.dedent(
                """
                import sys
                from pipeline.sandbox import Limits, python_inside, run_confined
                code = '''
                import os, socket, sys
                print(os.getuid(), os.path.exists(sys.argv[1]), os.path.exists("/etc/shadow"))
                try:
                    socket.create_connection(("127.0.0.1", int(sys.argv[2])))
                except OSError as error:
                    print(error.errno)
                pids = []
                try:
                    while True:
                        pid = os.fork()
                        if pid == 0:
                            import time
                            time.sleep(60)
                            os._exit(0)
                        pids.append(pid)
                except BlockingIOError:
                    print(len(pids) < 32)
                '''
                ended = run_confined(
                    [python_inside(), "-c", code.strip(), *sys.argv[1:]],
                    files={}, env={}, limits=Limits(processes=32),
                )
                print(ended.exit_code, ended.output.decode(), ended.limit_hit)
                """
            )
        )
        subprocess.run(["chmod", "-R", "a+rX", folder], check=True)
        done = subprocess.run(
            (
                *("setpriv", "--reuid=65533", "--regid=65533", "--clear-groups"),
                *(python, "-B", folder / "try.py", str(ROOT), str(listener)),
            ),
            env={"PYTHONPATH": name},
            cwd=name,
            capture_output=True,
            text=True,
            check=False,
        )
    assert " ".join(done.stdout.split()) == "0 65534 False False 111 True None", done.stderr


def _is_new_enough(python: str) -> bool:
    code = "import sys; sys.exit(sys.version_info < (3, 11))"
    return subprocess.run([python, "-c", code], check=False).returncode == 0


# What it is given


def test_files_have_their_modes_and_belong_to_the_command() -> None:
    files = {
        "a/b/plain.txt": (0o100644, b"plain"),
        "run.sh": (0o100755, b"#!/bin/sh\necho ran\n"),
        "link": (0o120000, b"/etc/passwd"),
    }
    code = """
        import os, subprocess
        print(os.getcwd(), open("a/b/plain.txt").read(), oct(os.stat("run.sh").st_mode))
        subprocess.run(["./run.sh"], check=True)
        print(open("link").read().count("\\n"))
        open("a/b/new", "w"); os.remove("run.sh")
    """
    ended = confine(code, files=files)
    assert sorted(ended.output.decode().split()) == sorted(
        ["/primitive", "plain", "0o100755", "ran", "1"]
    )


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a//b", "", "a/./b"])
def test_no_file_lands_elsewhere(path: str) -> None:
    with pytest.raises(CouldNotCheck, match="no plain relative path"):
        confine("", files={path: (0o100644, b"")})


@pytest.mark.parametrize("code", [0, 1, 3, 5, 127, 255])
def test_exit_codes_pass_through(code: int) -> None:
    ended = confine(f"print('said'); raise SystemExit({code})")
    assert ended == Confined(code, b"said\n", None)


def test_signals_pass_through() -> None:
    ended = confine("import os; os.kill(os.getpid(), 11)")
    assert (ended.exit_code, ended.limit_hit) == (-signal.SIGSEGV, None)


def test_a_command_that_is_not_there_is_no_result() -> None:
    with pytest.raises(CouldNotCheck, match="No such file"):
        run_confined(["/nowhere"], files={}, env={}, limits=SMALL)


# What ends it


def with_limits(**changes: float) -> Limits:
    return Limits(**{name: changes.get(name, getattr(SMALL, name)) for name in Limits.__slots__})


def test_memory_of_one_process_is_bounded() -> None:
    ended = confine("x = [bytearray(1 << 20) for _ in range(1 << 12)]")
    assert ended.exit_code == 1
    assert b"MemoryError" in ended.output


def test_memory_of_all_processes_together_is_bounded() -> None:
    code = """
        import os, time
        for _ in range(8):
            if os.fork() == 0:
                x = bytearray(100 << 20)
                for i in range(0, len(x), 4096): x[i] = 1
                time.sleep(60)
        time.sleep(60)
    """
    assert confine(code).limit_hit == "memory"


def test_a_fork_bomb_is_bounded() -> None:
    code = """
        import os, time
        while True:
            try:
                if os.fork() == 0: time.sleep(60); os._exit(0)
            except BlockingIOError:
                raise SystemExit(9)
    """
    ended = confine(code)
    assert (ended.exit_code, ended.limit_hit) in {(9, None), (-9, "processes")}


def test_an_endless_loop_is_ended_by_its_processor_time() -> None:
    ended = confine("while True: pass", limits=with_limits(cpu_s=1))
    assert (ended.exit_code, ended.limit_hit) == (-signal.SIGXCPU, "cpu")


def test_waiting_for_ever_is_ended() -> None:
    ended = confine("import time; time.sleep(3600)", limits=with_limits(wall_s=1))
    assert ended.limit_hit == "time"


def test_a_flood_of_output_is_ended() -> None:
    ended = confine("while True: print('x' * 1000)")
    assert ended.limit_hit == "output"
    assert len(ended.output) <= MIB


@pytest.mark.parametrize("count", [1, 16])
def test_space_is_bounded(count: int) -> None:
    code = f"""
        for number in range({count}):
            with open(f"/tmp/{{number}}", "wb") as file:
                file.write(bytes({16 * MIB // count}))
    """
    ended = confine(code)
    assert ended.exit_code == 1 or ended.limit_hit == "file-size"


@pytest.mark.parametrize("ending", ["", "while True: pass"])
def test_what_it_leaves_running_is_gone(ending: str, tmp_path: Path) -> None:
    marker = f"marker-{os.getpid()}-{tmp_path.name}"
    code = f"""
        import os, time
        come, go = os.pipe()
        if os.fork() == 0:
            os.setsid()
            if os.fork() == 0:
                os.write(go, b"x")
                time.sleep(3600)
            os._exit(0)
        os.wait()
        os.read(come, 1)
        print("left", flush=True)
        {ending}
    """
    ended = confine(code, marker, limits=with_limits(wall_s=5))
    assert ended.output == b"left\n"
    assert ended.limit_hit == ("time" if ending else None)
    assert _processes_with(marker) == []


def _processes_with(text: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if text in path.read_text():
                found.append(path.parent.name)
        except OSError:
            continue  # it ended meanwhile
    return found


# Where no sandbox can be made


@pytest.fixture
def fake_unshare(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a program of this text in the place of `unshare`."""

    def make(script: str) -> None:
        (tmp_path / "unshare").write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / "unshare").chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return make


@pytest.mark.parametrize(
    "script",
    [
        "echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1",
        "exit 0",
        """echo '{"problem": "mount of tmpfs failed"}' >&2""",
    ],
)
def test_what_the_kernel_forbids_is_no_result(
    script: str, fake_unshare: Callable[[str], None]
) -> None:
    fake_unshare(script)
    with pytest.raises(CouldNotCheck, match="no sandbox can be made") as caught:
        confine("print('never')")
    assert caught.value.help
    assert sandbox_problem().startswith("no sandbox can be made: ")


def test_without_unshare_there_is_no_result(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox.shutil, "which", lambda *_, **__: None)
    with pytest.raises(CouldNotCheck, match="unshare"):
        confine("print('never')")


def test_a_refused_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sandbox, "_FORBIDDING", (("kernel/ostype", "Linux", "kernel.x=1"),))
    assert sys.platform == "linux"
    error = sandbox._no_sandbox("EPERM")
    assert error.help == "allow user namespaces: `sysctl -w kernel.x=1`"
