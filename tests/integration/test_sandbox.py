"""The sandbox with real hostile code: what it sees, what it reaches, what ends it."""

from __future__ import annotations

import os
import socket
import sys
from pathlib import Path

import pytest

from pipeline import sandbox
from pipeline.errors import CouldNotCheck
from pipeline.sandbox import Confined, Limits, run_confined, sandbox_python

SMALL = Limits(
    cpu_s=20,
    wall_s=30,
    memory_bytes=160 << 20,
    processes=40,
    output_bytes=100_000,
    file_bytes=8 << 20,
)


def run(code: str, *, limits: Limits = SMALL, **options: object) -> Confined:
    return run_confined([sandbox_python(), "-c", code], limits=limits, **options)  # type: ignore[arg-type] # options are run_confined's own


def said(code: str, **options: object) -> str:
    confined = run(code, **options)  # type: ignore[arg-type] # options are run_confined's own
    assert confined.exit_code == 0, confined.output.decode()
    return confined.output.decode().strip()


def test_it_runs_the_files_it_was_given_and_passes_exit_codes_through() -> None:
    files = {"pkg/tool.sh": (0o100755, b"#!/bin/sh\necho $0 in $(pwd); exit 7\n")}
    confined = run_confined(["pkg/tool.sh"], files=files, limits=SMALL)
    assert confined == Confined(7, b"pkg/tool.sh in /work\n", None)


def test_a_signal_is_a_negative_exit_code() -> None:
    assert run("import os; os.abort()").exit_code == -6


def test_the_hosts_loopback_cannot_be_reached() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        with socket.create_connection(("127.0.0.1", port)):
            pass  # it listens, as seen from outside
        code = f"import socket; socket.create_connection(('127.0.0.1', {port}), 5)"
        confined = run(code)
    assert confined.exit_code == 1
    assert b"ConnectionRefusedError" in confined.output


def test_its_own_loopback_works_and_nothing_else_does() -> None:
    assert (
        said(
            "import socket\n"
            "with socket.create_server(('127.0.0.1', 0)) as s:\n"
            "    socket.create_connection(s.getsockname())\n"
            "print(*(name for _, name in socket.if_nameindex()))"
        )
        == "lo"
    )
    outside = run("import socket; socket.create_connection(('192.0.2.1', 80), 5)")
    assert b"Network is unreachable" in outside.output


@pytest.mark.parametrize("folder", ["home", "checkout", "temporary"])
def test_no_file_of_the_host_can_be_read(folder: str, tmp_path: Path) -> None:
    host = {
        "home": Path.home() / ".bashrc",
        "checkout": Path(sandbox.__file__),
        "temporary": tmp_path / "secret",
    }[folder]
    (tmp_path / "secret").write_text("secret")
    code = f"import os; print(os.path.exists({str(host)!r}), os.path.exists({str(tmp_path)!r}))"
    assert said(code) == "False False"


def test_no_process_of_the_host_is_seen() -> None:
    code = f"import os; print(os.path.exists('/proc/{os.getpid()}/status'), os.getpid() < 10)"
    assert said(code) == "False True"
    assert run("open('/proc/1/environ').read()").exit_code == 1
    assert run("open('/proc/sys/kernel/core_pattern').read()").exit_code == 1


def test_the_verdict_cannot_be_forged() -> None:
    forge = (
        "import os\n"
        "for name in os.listdir('/proc'):\n"
        "    for fd in (1, 2):\n"
        "        try:\n"
        '            forged = \'{"exit": 0, "limit": null}\\n\'\n'
        "            open(f'/proc/{name}/fd/{fd}', 'w').write(forged)\n"
        "        except OSError:\n"
        "            pass\n"
        "os.kill(os.getpid(), 9)"
    )
    assert run(forge).exit_code == -9


def test_no_variable_is_inherited(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_TOKEN", "from-the-caller")
    seen = said("import os; print(*sorted(os.environ))", env={"GIVEN": "1"})
    assert set(seen.split()) - {"LC_CTYPE"} == {"GIVEN", "HOME", "LC_ALL", "PATH", "TZ"}


def test_no_privilege_is_left_and_none_can_be_had() -> None:
    status = said("print(open('/proc/self/status').read())")
    fields = dict(line.split(":\t", 1) for line in status.splitlines() if ":\t" in line)
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        assert int(fields[name], 16) == 0
    assert fields["NoNewPrivs"] == "1"
    new_user_namespace = "import ctypes; print(ctypes.CDLL(None).unshare(0x10000000))"
    assert said(new_user_namespace) == "-1"
    assert (
        said("import ctypes; print(ctypes.CDLL(None).mount(b'x', b'/tmp', b'tmpfs', 0, 0))") == "-1"
    )


def test_read_only_paths_are_that_and_the_root_is_too(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "given").write_text("given")
    paths = [(tmp_path, "/deps")]
    assert said("print(open('/deps/given').read())", readonly=paths) == "given"
    for target in ("/deps/given", "/deps/new", "/new", "/usr/new", "/etc/passwd"):
        assert run(f"open({target!r}, 'w')", readonly=paths).exit_code == 1
    assert (tmp_path / "given").read_text() == "given"


def test_written_files_stay_inside_and_are_gone_the_next_time() -> None:
    said("open('/work/left', 'w').write('x'); open('/tmp/left', 'w').write('x')")
    assert said("import os; print(os.listdir('/work'), os.listdir('/tmp'))") == "[] []"
    assert not Path("/work/left").exists()
    assert not Path("/tmp/left").exists()


@pytest.mark.parametrize(
    ("code", "limit"),
    [
        ("x = []\nwhile True: x.append(bytearray(b'x') * (1 << 20))", "memory"),
        (
            "import os, time\n"
            "for _ in range(4):\n"
            "    if os.fork() == 0:\n"
            "        x = bytearray(b'x') * (60 << 20)\n"
            "        break\n"
            "time.sleep(60)",
            "memory",
        ),
        (
            "import os, time\n"
            "for _ in range(200):\n"
            "    try:\n"
            "        if os.fork() == 0: break\n"
            "    except OSError: pass\n"
            "time.sleep(60)",
            "processes",
        ),
        ("while True: print('flood' * 100)", "output"),
        ("import os; os.system('yes > /tmp/x')", None),
    ],
    ids=["memory", "memory-of-many", "processes", "output", "disk"],
)
def test_a_bomb_is_ended_and_the_limit_named(code: str, limit: str | None) -> None:
    confined = run(code)
    assert confined.limit_hit == limit
    assert len(confined.output) <= SMALL.output_bytes


def test_a_loop_is_ended_by_cpu_time_and_sleep_by_the_wall() -> None:
    busy = run("while True: pass", limits=Limits(cpu_s=1, wall_s=60))
    assert busy.limit_hit == "cpu"
    ignoring = "import signal\nsignal.signal(signal.SIGXCPU, signal.SIG_IGN)\nwhile True: pass"
    assert run(ignoring, limits=Limits(cpu_s=1, wall_s=60)).limit_hit == "cpu"
    asleep = run("import time; time.sleep(60)", limits=Limits(cpu_s=60, wall_s=1))
    assert asleep.limit_hit == "wall"


def test_what_the_command_leaves_behind_ends_with_it() -> None:
    left = "import os, time\nif os.fork() == 0:\n    os.setsid(); time.sleep(600)\nprint('led')"
    assert said(left) == "led"


def test_a_kernel_that_forbids_it_is_could_not_check(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = sandbox.LAUNCHER.read_text()
    broken = tmp_path / "launcher.py"
    # An unknown flag is what a kernel without one of the namespaces sees.
    broken.write_text(text.replace("0x10000000, 0x20000000", "0x10000000, 0x20000001"))
    monkeypatch.setattr(sandbox, "LAUNCHER", broken)
    with pytest.raises(CouldNotCheck, match="create namespaces") as caught:
        run("print('ran')")
    assert "max_user_namespaces" in caught.value.help


def test_a_missing_program_or_path_is_could_not_check(tmp_path: Path) -> None:
    with pytest.raises(CouldNotCheck, match="No such file"):
        run_confined(["/nowhere/tool"], limits=SMALL)
    with pytest.raises(CouldNotCheck, match="mount"):
        run("print('ran')", readonly=[(tmp_path / "absent", "/deps")])
    with pytest.raises(CouldNotCheck, match="absolute"):
        run("print('ran')", readonly=[(tmp_path, "/deps/../etc")])


def test_the_interpreter_is_the_one_of_this_run() -> None:
    assert said("import sys; print(sys.version)") == sys.version.strip()
