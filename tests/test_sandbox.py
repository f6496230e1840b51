"""The sandbox keeps a hostile program from the machine, and ends it: real processes, real namespaces.

What needs namespaces is skipped where the system does not give them.
"""

from __future__ import annotations

import json
import os
import select
import socket
import subprocess
import sys
import textwrap
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_notebook

from ragcourse.grading import sandbox
from ragcourse.grading.sandbox import Ended, Limits, run, start

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="the sandbox needs Linux or macOS")
JAIL = not any(protection.missing for protection in sandbox.available())
needs_jail = pytest.mark.skipif(not JAIL, reason="no namespaces on this machine")
ROOT = Path(__file__).parents[1]
MB = 1 << 20


@pytest.fixture(params=[pytest.param("jail", marks=needs_jail), "without namespaces"])
def either(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    if request.param != "jail":
        monkeypatch.setattr(sandbox, "_why_no_jail", lambda: "the test says so")
    return str(request.param)


def python(code: str) -> list[str]:
    return [sys.executable, "-I", "-u", "-c", textwrap.dedent(code)]


def tried(code: str, work: Path, **more: object) -> Ended:
    return run(python(code), cwd=work, writable=[work], **more)  # type: ignore[arg-type]


def alive(marker: str) -> list[int]:
    """The processes with `marker` in their command line."""
    if sys.platform != "linux":
        listed = subprocess.run(["ps", "-axo", "pid=,command="], capture_output=True, text=True, check=True)
        return [int(line.split()[0]) for line in listed.stdout.splitlines() if marker in line]
    found = []
    for folder in Path("/proc").iterdir():
        try:
            if folder.name.isdigit() and marker.encode() in (folder / "cmdline").read_bytes():
                found.append(int(folder.name))
        except OSError:
            continue
    return found


# ---- both ways ----


def test_a_program_runs_and_its_end_is_reported(either: str, tmp_path: Path) -> None:
    ended = tried("import sys; print('out'); print('err', file=sys.stderr); sys.exit(3)", tmp_path)
    assert (ended.returncode, ended.reason) == (3, "")
    assert sorted(ended.output.split()) == ["err", "out"]
    assert ("network" in ended.protections) == (either == "jail")
    assert "memory" in ended.protections


def test_a_signal_is_reported_as_a_negative_code(either: str, tmp_path: Path) -> None:
    ended = tried("import os, signal; os.kill(os.getpid(), signal.SIGTERM)", tmp_path)
    assert (ended.returncode, ended.reason) == (-15, "")


def test_the_environment_is_clean(either: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("API_KEY", "secret")
    code = """
        import json, os, sys, tempfile
        open(os.path.expanduser("~/mine"), "w").close()
        tempfile.TemporaryFile().close()
        print(json.dumps([dict(os.environ), sys.stdin.read()]))
    """
    ended = tried(code, tmp_path, env={"RAGCOURSE_JUDGE": "/x"})
    environment, stdin = json.loads(ended.output)
    assert "API_KEY" not in environment and stdin == ""
    assert environment["RAGCOURSE_JUDGE"] == "/x"
    assert Path(environment["HOME"]).is_relative_to(tmp_path)
    assert Path(environment["JUPYTER_RUNTIME_DIR"]).is_relative_to(environment["HOME"])


def test_time_is_limited_though_sigterm_is_ignored(either: str, tmp_path: Path) -> None:
    code = "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\nwhile True: pass"
    ended = tried(code, tmp_path, limits=Limits(seconds=0.5))
    assert (ended.returncode, ended.reason) == (None, "ran longer than 0.5 s")


@pytest.mark.parametrize("children", [0, 3], ids=["one process", "a tree"])
def test_memory_is_limited(either: str, children: int, tmp_path: Path) -> None:
    code = f"""
        import os
        for _ in range({children}):
            if not os.fork():
                break
        kept = []
        while len(kept) < 1_000 // ({children} or 1):
            kept.append(os.urandom(10 << 20))
        while True: os.wait() if {children} else None
    """
    ended = tried(code, tmp_path, limits=Limits(seconds=60, memory=300 * MB))
    assert ended.reason == "used more than 300 MiB of memory"


def test_pages_shared_by_fork_are_counted_once(either: str, tmp_path: Path) -> None:
    code = """
        import os, time
        kept = os.urandom(100 << 20)
        ready, done = os.pipe()
        for _ in range(4):
            if not os.fork():
                time.sleep(0.4)  # several looks
                os._exit(0)
        for _ in range(4): os.wait()
    """
    if sys.platform != "linux":
        pytest.skip("ps cannot tell")
    assert tried(code, tmp_path, limits=Limits(seconds=60, memory=300 * MB)).reason == ""


def test_the_number_of_processes_is_limited(either: str, tmp_path: Path) -> None:
    code = """
        import os, subprocess, sys
        for _ in range(60):
            child = [sys.executable, "-I", "-S", "-c", "input()", os.getcwd()]
            subprocess.Popen(child, stdin=subprocess.PIPE)
        while True: pass
    """
    ended = tried(code, tmp_path, limits=Limits(seconds=60, processes=20))
    assert ended.reason == "started more than 20 processes"
    assert alive(str(tmp_path)) == []


def test_output_is_limited_and_its_end_kept(either: str, tmp_path: Path) -> None:
    code = "import os\nwhile True: os.write(1, b'x' * 65536)"
    ended = tried(code, tmp_path, limits=Limits(seconds=60, output=MB))
    assert ended.reason == "printed more than 1 MiB"
    assert 0 < len(ended.output) <= 64 << 10


def test_what_was_printed_before_a_quick_end_counts(either: str, tmp_path: Path) -> None:
    ended = tried("print('x' * 5_000 + 'end')", tmp_path, limits=Limits(output=1_000))
    assert ended.reason == "printed more than 1000 bytes"


def test_the_size_of_a_file_is_limited(either: str, tmp_path: Path) -> None:
    code = "open('big', 'wb').write(b'x' * 3_000_000)"
    assert tried(code, tmp_path, limits=Limits(file_size=MB)).returncode != 0
    assert (tmp_path / "big").stat().st_size <= MB


@pytest.mark.parametrize("unlink", ["", "os.unlink(str(i))"], ids=["in folders", "unlinked"])
def test_disk_is_limited(either: str, unlink: str, tmp_path: Path) -> None:
    if unlink and sys.platform != "linux":
        pytest.skip("needs /proc")
    code = f"""
        import os
        kept = []
        for i in range(100):
            kept.append(open(str(i), "wb", 0))
            kept[-1].write(os.urandom(1 << 20))
            {unlink}
        while True: pass
    """
    ended = tried(code, tmp_path, limits=Limits(seconds=60, disk=20 * MB))
    assert ended.reason == "wrote more than 20 MiB to disk"


def test_what_was_on_disk_before_does_not_count(either: str, tmp_path: Path) -> None:
    (tmp_path / "given").write_bytes(os.urandom(3 * MB))
    several_looks = "import time; time.sleep(0.4)"
    assert tried(several_looks, tmp_path, limits=Limits(disk=MB)).reason == ""


def test_address_space_is_limited(either: str, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("macOS has no such limit")
    ended = tried("bytearray(1 << 30)", tmp_path, limits=Limits(address_space=500 * MB))
    assert "MemoryError" in ended.output


def test_a_daemon_dies_with_the_program(either: str, tmp_path: Path) -> None:
    if either != "jail" and sys.platform != "linux":
        pytest.skip("macOS loses sight of a process whose parent is gone")
    code = """
        import os, sys
        if not os.fork():
            os.setsid()
            if not os.fork():
                os.execv(sys.executable, [sys.executable, "-I", "-c", "while True: pass", os.getcwd()])
            os._exit(0)
        os.wait()
    """
    assert tried(code, tmp_path).returncode == 0
    assert alive(str(tmp_path)) == []


def test_a_program_that_cannot_be_started_is_an_error(either: str, tmp_path: Path) -> None:
    with pytest.raises(OSError, match="cannot start no-such-program"):
        run(["no-such-program"], cwd=tmp_path, writable=[tmp_path])
    with pytest.raises(FileNotFoundError):
        run(["true"], cwd=tmp_path, writable=[tmp_path / "missing"])
    with pytest.raises(ValueError, match="cannot be made writable"):
        run(["true"], cwd=tmp_path, writable=[tmp_path], hidden=[tmp_path])


def test_lines_are_read_while_it_runs_and_stop_ends_it(either: str, tmp_path: Path) -> None:
    code = "import sys; print('ready', flush=True); print('é', flush=True)\nwhile True: pass"
    with start(python(code), cwd=tmp_path, writable=[tmp_path]) as running:
        lines = running.lines()
        assert [next(lines), next(lines)] == ["ready", "é"]
        running.stop()
        ended = running.wait()
    assert (ended.returncode, ended.reason) == (None, "stopped")
    assert list(lines) == [] and list(running.lines()) == []


def test_stop_after_the_end_changes_nothing(either: str, tmp_path: Path) -> None:
    with start(python("print('a\\nb')"), cwd=tmp_path, writable=[tmp_path]) as running:
        assert list(running.lines()) == ["a", "b"]
        running.wait()
        running.stop()
        assert running.wait().returncode == 0


GRADER = """
import sys
from pathlib import Path
from ragcourse.grading import sandbox
if sys.argv[2] != "jail":
    sandbox._why_no_jail = lambda: "the test says so"
work = Path(sys.argv[1])
code = "import os; os.fork(); os.fork(); print('up', flush=True)\\nwhile True: pass"
running = sandbox.start([sys.executable, "-I", "-c", code, str(work)], cwd=work, writable=[work])
for line in running.lines():
    print(line, running.pid, flush=True)
"""


def test_if_the_grader_is_killed_all_die(either: str, tmp_path: Path) -> None:
    if sys.platform != "linux":
        pytest.skip("the test waits for the launcher by its pidfd")
    grader = subprocess.Popen(
        [sys.executable, "-c", GRADER, str(tmp_path), either], stdout=subprocess.PIPE, cwd=ROOT
    )
    assert grader.stdout is not None
    *_, up = (grader.stdout.readline() for _ in range(4))
    launcher = int(up.split()[1])
    launcher_ends = os.pidfd_open(launcher)
    assert alive(str(tmp_path))
    grader.kill()
    grader.wait()
    grader.stdout.close()
    assert select.select([launcher_ends], [], [], 20)[0]
    os.close(launcher_ends)
    assert alive(str(tmp_path)) == []


# ---- with namespaces only ----


def test_the_jail_is_there_where_the_system_allows_it() -> None:
    options = ["--user", "--map-root-user", "--mount", "--pid", "--ipc", "--net", "--fork", "--mount-proc"]
    try:
        subprocess.run(["unshare", *options, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("unshare cannot do it either")
    assert [protection.missing for protection in sandbox.available()] == [""] * 8


@needs_jail
def test_the_network_is_closed_but_for_its_own_loopback(tmp_path: Path) -> None:
    code = """
        import socket, sys
        with socket.create_server(("127.0.0.1", 0)) as own:
            socket.create_connection(own.getsockname(), 5).close()
        print("own")
        for address in (("127.0.0.1", int(sys.argv[1])), ("1.1.1.1", 53)):
            try:
                socket.create_connection(address, 5)
            except OSError as error:
                print(error.strerror)
        try:
            with socket.socket(socket.AF_UNIX) as abstract:
                abstract.connect("\\0" + sys.argv[2])
        except OSError as error:
            print(error.strerror)
    """
    name = f"ragcourse-{os.getpid()}"
    with socket.create_server(("127.0.0.1", 0)) as listener, socket.socket(socket.AF_UNIX) as abstract:
        abstract.bind("\0" + name)
        abstract.listen()
        argv = [*python(code), str(listener.getsockname()[1]), name]
        ended = run(argv, cwd=tmp_path, writable=[tmp_path])
    assert ended.output.split("\n") == [
        "own", "Connection refused", "Network is unreachable", "Connection refused", ""
    ]  # fmt: skip


@needs_jail
def test_a_socket_in_a_writable_folder_reaches_out(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as judge:
        judge.bind(str(tmp_path / "judge"))
        judge.listen()
        code = "import socket; s = socket.socket(socket.AF_UNIX); s.connect('judge'); s.sendall(b'1.2')"
        assert tried(code, tmp_path).returncode == 0
        assert judge.accept()[0].recv(10) == b"1.2"


@needs_jail
def test_only_writable_folders_can_be_written(tmp_path: Path) -> None:
    (inside := tmp_path / "inside").mkdir()
    (outside := tmp_path / "outside").mkdir()
    (outside / "file").write_text("as it was")
    code = """
        import os, sys
        print(open("mine", "w").write("x"))
        for path in sys.argv[1:]:
            try:
                open(path, "w")
            except OSError as error:
                print(error.__class__.__name__, path, file=sys.stderr)
            else:
                print("written:", path)
        print(open("/tmp/mine", "w").write("x"), os.listdir("/tmp"))
    """
    victims = [
        ROOT / "new", ROOT / "README.md", Path.home() / "new", outside / "file", Path(sys.prefix) / "new",
        Path("/etc/new"), Path("/var/tmp/new"), Path("/run/new"), Path("/dev/new"),
        Path("/proc/sys/kernel/core_pattern"), Path("/proc/self/oom_score_adj"),
    ]  # fmt: skip
    ended = run([*python(code), *victims], cwd=inside, writable=[inside])
    assert "written" not in ended.output
    kept = [path for path in (tmp_path, ROOT, Path(sys.prefix)) if path.is_relative_to("/tmp")]
    seen = json.loads(ended.output.split("\n1 ")[1].split("]")[0].replace("'", '"') + "]")
    assert set(seen) == {"mine", *(path.relative_to("/tmp").parts[0] for path in kept)}
    assert (inside / "mine").read_text() == "x"
    assert (outside / "file").read_text() == "as it was"
    assert not Path("/tmp/mine").exists()


@needs_jail
def test_what_is_hidden_is_empty(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home := tmp_path / "home").mkdir()
    (work := home / "work").mkdir()
    (home / "key").write_text("secret")
    (work / "answers").mkdir()
    (work / "answers" / "1").write_text("secret")
    (work / "answer").write_text("secret")
    (work / "link").symlink_to(home / "key")
    monkeypatch.setenv("HOME", str(home))
    code = f"""
        import os
        print(os.listdir("answers"), repr(open("answer").read()), os.listdir({str(home)!r}))
        print(os.listdir({str(ROOT / "solutions")!r}), os.path.exists("link"))
        os.mkdir("answers/x")
    """
    hidden = [work / "answers", work / "answer", ROOT / "solutions", tmp_path / "missing"]
    ended = run(python(code), cwd=work, writable=[work], hidden=hidden)
    assert ended.output.split("\n")[:2] == ["[] '' ['work']", "[] False"]
    assert "Read-only file system: 'answers/x'" in ended.output
    assert (work / "answers" / "1").read_text() == "secret"


@needs_jail
def test_a_python_behind_a_link_in_the_home_is_found(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (home := tmp_path / "home").mkdir()
    (work := tmp_path / "work").mkdir()
    (home / "secret").mkdir()
    (home / "python").symlink_to(sys.base_prefix)
    (home / "bin").mkdir()
    (home / "bin" / "python").symlink_to(f"../python/bin/{Path(sys.executable).resolve().name}")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setattr(sys, "executable", str(home / "bin" / "python"))
    ended = tried(f"import os; print(sorted(os.listdir({str(home)!r})))", work)
    assert ended.output == "['bin', 'python']\n"


@needs_jail
def test_other_processes_are_out_of_sight_and_reach(tmp_path: Path) -> None:
    code = f"""
        import os, signal
        print(sorted(int(name) for name in os.listdir("/proc") if name.isdigit()), os.getpid())
        for number in ({os.getpid()}, {os.getppid()}):
            try:
                os.kill(number, signal.SIGKILL)
            except ProcessLookupError:
                print("no such process")
        for number in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            os.kill(1, number)  # it does not hear
        try:
            open("/proc/1/mem", "rb")
        except PermissionError:
            print("no memory of 1")
    """
    ended = tried(code, tmp_path)
    assert ended.output.split("\n") == [
        "[1, 2] 2",
        "no such process",
        "no such process",
        "no memory of 1",
        "",
    ]


@needs_jail
def test_no_privilege_is_left_to_undo_it(tmp_path: Path) -> None:
    code = """
        import ctypes, os
        status = dict(line.split(":\\t") for line in open("/proc/self/status").read().splitlines())
        print([status[name] for name in ("CapPrm", "CapEff", "CapBnd", "NoNewPrivs")])
        print(*[line.split()[1] for line in open("/proc/1/status") if line.startswith("CapEff")])
        libc = ctypes.CDLL(None)
        print(libc.umount2(b"/tmp", 2), libc.unshare(0x10000000), libc.mount(b"", b"/", b"", 0x1020, b""))
    """
    ended = tried(code, tmp_path)
    zero = "0" * 16
    assert ended.output.splitlines() == [f"{[zero, zero, zero, '1']}", zero, "-1 -1 -1"]


@needs_jail
def test_a_fork_bomb_leaves_nothing(tmp_path: Path) -> None:
    code = """
        import os
        while True:
            try:
                os.fork()
            except OSError:
                pass
    """
    ended = run([*python(code), str(tmp_path)], cwd=tmp_path, writable=[tmp_path], limits=Limits(seconds=60))
    assert ended.reason == "started more than 256 processes"
    assert alive(str(tmp_path)) == []


@needs_jail
def test_threads_are_limited(tmp_path: Path) -> None:
    code = """
        import threading
        while True:
            try:
                threading.Thread(target=threading.Event().wait).start()
            except RuntimeError:
                pass
    """
    ended = tried(code, tmp_path, limits=Limits(seconds=60, processes=2))
    assert ended.reason == "started more than 16 threads"


@needs_jail
@pytest.mark.parametrize("files", ["'/dev/shm/x', '/tmp/x'", "os.memfd_create('x')"], ids=["tmpfs", "memfd"])
def test_files_in_memory_count_as_memory(files: str, tmp_path: Path) -> None:
    code = f"""
        import os
        files = [open(name, "wb", 0) for name in ({files},)]
        while True:
            for file in files:
                try:
                    file.write(bytes(1 << 20))
                except OSError:
                    pass  # it is full
    """
    ended = tried(code, tmp_path, limits=Limits(seconds=60, memory=100 * MB))
    assert ended.reason == "used more than 100 MiB of memory"


NOTEBOOK = [
    "import numpy as np\nfrom pathlib import Path\nfrom ragcourse import KnowledgeBase, Retriever",
    """
docs = Path("docs")
docs.mkdir()
(docs / "a.md").write_text("# Warm start\\n\\nA warm start skips embedding what has not changed.")
(docs / "b.md").write_text("# Bread\\n\\nFlour, water and salt make a loaf.")
places = {"map": {}, "file": {"dir": "file"}, "chroma": {"dir": "chroma"}, "milvus": {"uri": "milvus.db"}}
for kind, kwargs in [*places.items()] * 2:  # the second time they are opened again
    with KnowledgeBase(docs, {"type": kind, "kwargs": kwargs}, groups=["sentence"]) as kb:
        kb.start()
        hits = Retriever(kb, group="sentence")("What does a warm start skip?", k=1)
        assert "embedding" in hits[0].node.text, (kind, hits)
""",
    "import multiprocessing\nwith multiprocessing.Pool(2) as pool:\n    assert pool.map(abs, [-1]) == [1]",
    "assert not Path('/run/user').exists()\n!ls /proc/1",
]


@needs_jail
def test_a_notebook_runs_with_every_store(tmp_path: Path) -> None:
    cells = [new_code_cell(code) for code in NOTEBOOK]  # type: ignore[no-untyped-call]
    notebook = new_notebook(cells=cells)  # type: ignore[no-untyped-call]
    (tmp_path / "nb.ipynb").write_text(nbformat.writes(notebook))  # type: ignore[no-untyped-call]
    pytest_ = [sys.executable, "-m", "pytest", "--nbval-lax", "--nbval-current-env", "nb.ipynb"]
    ended = run(
        [*pytest_, "-p", "no:cacheprovider", "-q"],
        cwd=tmp_path,
        writable=[tmp_path],
        hidden=[ROOT / "solutions"],
    )
    assert (ended.returncode, ended.reason) == (0, ""), ended.output
    assert f"{len(NOTEBOOK)} passed" in ended.output


def test_the_word_of_a_program_that_ends_at_once_is_not_taken_for_its_start() -> None:
    """Both messages may lie in the socket when the first is read."""
    here, there = socket.socketpair()
    with here, there, Path(os.devnull).open() as file:
        socket.send_fds(there, [b"ready 22699\n"], [file.fileno()])
        there.sendall(b"ended 1\n")
        line, files = sandbox._first_line(here)
        assert line == b"ready 22699\n" and len(files) == 1
        assert here.recv(99) == b"ended 1\n"
        os.close(files[0])
