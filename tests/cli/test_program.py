"""The program as a whole: exit codes, streams, start-up, verbs of plugins, and failures as sentences."""

from __future__ import annotations

import json
import os
import pty
import subprocess
import sys

import pytest

import fgbg_zoo
from fgbg_zoo.cli import failures

HEAVY = ("torch", "numpy", "PIL", "timm", "torchmetrics", "huggingface_hub", "torchvision")


@pytest.mark.parametrize(
    "arguments", [["--help"], ["--version"], ["list"], ["plugins", "--json"], ["segment", "--help"]]
)
def test_light_verbs_import_nothing_heavy(arguments):
    code = (
        "import sys; from fgbg_zoo.cli.app import run; "
        f"code = run({arguments!r}); print(code, [name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.stderr.splitlines()[-1] == "0 []"


def test_version_and_help(cli):
    assert cli("--version").out == f"fgbg-zoo {fgbg_zoo.__version__}\n"
    for done in (cli(), cli("--help"), cli("-h")):
        assert done.code == 0
        for verb in ("list", "info", "segment", "generate", "compose", "train", "evaluate", "benchmark", "plugins"):
            assert f"\n  {verb} " in done.out


def test_streams_of_the_real_program(program):
    done = program("list", "--json", toy=True)
    assert done.code == 0
    assert "toy-light" in [row["name"] for row in json.loads(done.out)]
    assert done.err.splitlines() == [  # one sentence, once
        "warning: Plugin 'toy' of fgbg-zoo-toy 0.3 lost 'list' to core (fgbg-zoo 0.1.0); use 'toy:NAME' for it."
    ]


def test_a_plugin_that_does_not_import_costs_only_itself(tmp_path):
    (tmp_path / "broken_plugin.py").write_text("raise RuntimeError('on import')\n")
    (tmp_path / "broken-1.dist-info").mkdir()
    (tmp_path / "broken-1.dist-info" / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (tmp_path / "broken-1.dist-info" / "entry_points.txt").write_text("[fgbg_zoo]\nbroken = broken_plugin\n")

    def run(**environment):
        return subprocess.run(
            [sys.executable, "-m", "fgbg_zoo", "list", "--methods"],
            capture_output=True,
            text=True,
            env={**os.environ, "PYTHONPATH": str(tmp_path), **environment},
            timeout=60,
        )

    done = run()
    assert done.returncode == 0
    assert "grabcut" in done.stdout
    assert done.stderr.startswith("warning: Plugin 'broken' of broken 1 is left out: RuntimeError: on import.")
    strict = run(FGBG_ZOO_STRICT="1")
    assert strict.returncode == 1
    assert strict.stderr == "error: Plugin 'broken' of broken 1: RuntimeError: on import.\n"


def test_a_closed_pipe_is_quiet(toy_site):
    text = f"PYTHONPATH={toy_site} {sys.executable} -m fgbg_zoo list 2>&1 >&3 3>&- | cat"
    closed = f"exec 3> >(exec <&-; sleep 0.1); {text}"
    done = subprocess.run(["bash", "-c", closed], capture_output=True, text=True, timeout=60)
    assert "Traceback" not in done.stdout + done.stderr
    assert "error" not in done.stdout + done.stderr


def test_verbs_of_plugins(cli, toy):
    assert cli("toy-hello", "you", "--times", "2").out == "hello you\nhello you\n"
    assert cli("toy:list", "you").out == "hello you\n"
    assert "--times" in cli("toy-hello", "--help").out
    assert cli("toy-exits").code == 7
    assert "Say hello. (plugin toy)" in cli("--help").out


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("toy-broken",), 1, "No module named 'fgbg_zoo_toy_missing'"),
        (
            ("toy-raises",),
            1,
            "Unexpected ZeroDivisionError: a plugin's own (FGBG_ZOO_TRACEBACK=1 shows the traceback).",
        ),
        (("toy-hello", "a", "--times", "x"), 2, "See 'fgbg-zoo toy-hello --help'."),
        (("toy-fails", "ENOSPC"), 1, "No space left to write /some/where.png"),
        (("toy-fails", "EROFS"), 1, "/some/where.png: the file system is read-only"),
        (("toy-fails", "EACCES"), 1, "Permission denied for /some/where.png"),
        (("toy-fails", "ENOENT"), 1, "No such file or folder: /some/where.png"),
        (("toy-fails", "EISDIR"), 1, "is a folder"),
        (("toy-fails", "ENOTDIR"), 1, "a file is in the way"),
        (("toy-fails", "ELOOP"), 1, "Unexpected OSError"),
    ],
)
def test_failures_of_a_plugins_verb_are_sentences(cli, toy, arguments, code, words):
    done = cli(*arguments)
    assert done.code == code
    assert words in done.sentence


def test_interrupting_is_exit_code_130(cli, toy):
    done = cli("toy-fails", "interrupt")
    assert done.code == 130
    assert done.err.splitlines()[-1] == "Interrupted."


def test_the_traceback_is_there_for_who_wants_it(cli, toy, monkeypatch):
    monkeypatch.setenv("FGBG_ZOO_TRACEBACK", "1")
    done = cli("toy-raises")
    assert "Traceback (most recent call last)" in done.err
    assert done.err.splitlines()[-1].startswith("error: Unexpected ZeroDivisionError")


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (MemoryError(), 1),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried 9 bytes"), 1),
        (RuntimeError("CUDA out of memory. Tried to allocate"), 1),
    ],
)
def test_running_out_of_memory_suggests_a_smaller_batch(error, code):
    text, found = failures.explain(error)
    assert found == code
    assert "--batch-size" in text


@pytest.mark.parametrize("columns", [80, 40])
def test_a_terminal_gets_rules_and_whole_names(toy_site, columns):
    """Where words have room, tables are ruled; elsewhere each row is a record. Nothing of a name is lost."""
    main, worker = pty.openpty()
    with subprocess.Popen(
        [sys.executable, "-m", "fgbg_zoo", "list", "toy-*"],
        stdout=worker,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "PYTHONPATH": str(toy_site), "COLUMNS": str(columns), "TERM": "xterm"},
    ) as process:
        os.close(worker)
        text = ""
        while True:
            try:
                text += os.read(main, 65536).decode()
            except OSError:  # the other end is closed
                break
        assert process.wait(60) == 0
    os.close(main)
    assert ("─" in text) == (columns == 80)
    assert ("weights: unpublished" in " ".join(text.split())) == (columns == 40)
    assert "toy-unpublished" in text
    assert "…" not in text
