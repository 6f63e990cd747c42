"""docs/scale.md: its SLURM script is one that bash and sbatch can read."""

import re
import subprocess

from tests.test_train import ROOT

PAGE = (ROOT / "docs/scale.md").read_text()
(SCRIPT,) = re.findall(r"```\n(#!/bin/bash\n.*?)```", PAGE, re.S)


def test_bash_reads_the_script(tmp_path):
    path = tmp_path / "train.sbatch"
    path.write_text(SCRIPT)
    assert subprocess.run(["bash", "-n", str(path)], capture_output=True).returncode == 0


def test_sbatch_reads_its_options():
    """They stand before the first command, where sbatch looks; tasks and GPUs of a node are as many."""
    head, _, rest = SCRIPT.partition("\n\n")
    assert "#SBATCH" not in rest
    options = dict(re.findall(r"#SBATCH --([\w-]+)(?:=(\S+))?", head))
    assert options["ntasks-per-node"] == options["gpus-per-node"]
    assert options["signal"].startswith("TERM@")
    assert "requeue" in options


def test_it_requeues_what_the_clock_stopped_and_nothing_else(tmp_path):
    """With an srun that ends as told, and an scontrol that notes its call."""
    tools = tmp_path / "bin"
    tools.mkdir()
    for name, body in {"srun": 'exit "$CODE"', "scontrol": f'echo "$@" > {tmp_path}/called'}.items():
        (tools / name).write_text(f"#!/bin/bash\n{body}\n")
        (tools / name).chmod(0o755)
    variables = {"SLURM_CPUS_PER_TASK": "8", "SLURM_NTASKS_PER_NODE": "8", "SLURM_NNODES": "1", "SLURM_JOB_ID": "42"}
    for code, requeued in [(0, False), (2, False), (143, True)]:
        environment = {"PATH": f"{tools}:/usr/bin:/bin", "HOME": str(tmp_path), "CODE": str(code)} | variables
        assert subprocess.run(["bash", "-c", SCRIPT], env=environment).returncode == code
        assert (tmp_path / "called").exists() == requeued
    assert (tmp_path / "called").read_text().split() == ["requeue", "42"]


def test_the_estimate_follows_from_its_formula():
    """`t_s`, efficiency and speedup of each row, to the digits shown."""
    compute, size, overlap = 26e-3, 7.66e6 * 4, 0.5
    rows = re.findall(r"^\| (8|64) \| \d \| (\d+) MB \| ([\d.]+) ms \| ([\d.]+) \| ([\d.]+) \|$", PAGE, re.M)
    assert len(rows) == 2
    for gpus, megabytes, milliseconds, efficiency, speedup in rows:
        count = int(gpus)
        sent = 2 * (count - 1) / count * size
        share = sent / {8: 200e9, 64: 25e9}[count]
        kept = compute / (compute + (1 - overlap) * share)
        assert round(sent / 1e6) == int(megabytes)
        assert round(share * 1e3, 1) == float(milliseconds)
        assert round(kept, 3) == float(efficiency)
        assert round(count * kept, 1 if count == 8 else 0) == float(speedup)
