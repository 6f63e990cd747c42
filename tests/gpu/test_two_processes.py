"""Two processes that share each step on one GPU."""

import os
import subprocess
import sys

import torch

from tests.gpu.device import DEVICE, FLAGS, ON_A_GPU
from tests.runs import ROOT, words_of
from tests.two_processes import free_port

pytestmark = ON_A_GPU


def test_two_processes_on_one_gpu(tmp_path):
    """By gloo, because NCCL refuses two processes on one device: as two nodes, whose one GPU is the same."""
    strategy = (
        "{class_path: lightning.pytorch.strategies.DDPStrategy, "
        "init_args: {process_group_backend: gloo, find_unused_parameters: true}}"
    )
    diary = f"[{{class_path: tests.two_processes.Diary, init_args: {{folder: {tmp_path}}}}}]"
    words = words_of("mnist_mlp", *FLAGS, "--trainer.num_nodes", "2", "--trainer.strategy", strategy)
    words += ["--trainer.callbacks", diary, "--trainer.limit_val_batches", "0"]
    port, processes = str(free_port()), []
    for rank in range(2):
        nodes = {"MASTER_ADDR": "localhost", "MASTER_PORT": port, "NODE_RANK": str(rank), "LOCAL_RANK": "0"}
        with (tmp_path / f"output-{rank}.txt").open("w") as output:
            processes.append(
                subprocess.Popen(
                    [sys.executable, str(ROOT / "train.py"), *words],
                    cwd=tmp_path,
                    env=os.environ | nodes | {"WORLD_SIZE": "2", "PYTHONPATH": str(ROOT)},
                    stdout=output,
                    stderr=subprocess.STDOUT,
                )
            )
    try:
        codes = [process.wait(60) for process in processes]
    finally:
        for process in processes:
            process.kill()
    assert codes == [0, 0], [(tmp_path / f"output-{rank}.txt").read_text()[-1500:] for rank in range(2)]
    first, second = (torch.load(tmp_path / f"diary-{rank}.pt") for rank in range(2))
    assert {tensor.device.type for tensor in first["gradients"][0].values()} == {DEVICE}
    assert first["rows"] != second["rows"]
    for name, gradient in first["gradients"][0].items():
        assert torch.equal(gradient, second["gradients"][0][name])
        assert torch.equal(first["after"][name], second["after"][name])
