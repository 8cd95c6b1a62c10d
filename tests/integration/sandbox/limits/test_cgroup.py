"""The sandbox's cgroup v2, in a folder that imitates one: this machine may delegate none."""

import os
from pathlib import Path

from pipeline.sandbox.limits.cgroup import Cgroup, find_parent


def test_the_nearest_cgroup_with_a_memory_controller_is_used(tmp_path: Path) -> None:
    mounted, own = tmp_path / "cgroup", tmp_path / "own"
    inner = mounted / "app.slice" / "job.scope"
    inner.mkdir(parents=True)
    own.write_text("4:memory:/elsewhere\n0::/app.slice/job.scope\n")
    assert find_parent(mounted, own) is None
    for folder, given in ((inner, ""), (inner.parent, "cpu memory pids"), (mounted, "memory")):
        (folder / "cgroup.subtree_control").write_text(given)
        (folder / "cgroup.procs").write_text("")
    assert find_parent(mounted, own) == inner.parent
    own.write_text("4:memory:/elsewhere\n")
    assert find_parent(mounted, own) is None


def test_a_process_killed_for_its_memory_is_reported(tmp_path: Path) -> None:
    group = Cgroup(tmp_path)
    (tmp_path / "memory.events").write_text("low 0\nmax 3\noom 0\noom_kill 0\n")
    assert group.over_limit() is None
    (tmp_path / "memory.events").write_text("low 0\nmax 3\noom 1\noom_kill 1\n")
    assert group.over_limit() == "memory"
    (tmp_path / "cgroup.procs").touch()
    assert str(tmp_path / "cgroup.procs") == group.joining()[-1]
    assert os.path.isabs(group.joining()[0])  # noqa: PTH117 # a word of a command
