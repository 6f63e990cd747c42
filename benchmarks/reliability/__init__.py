"""How far a run can be trusted: the figures of docs/reliability.md, each in a file of its own.

Both contestants learn digits drawn from fonts by an MLP of 1.9 M parameters: Firstlight by `configs/mnist_mlp.yaml`
(two layers of 1,024), plain Lightning by `benchmarks/reliability/plain_lightning.py`.
"""
