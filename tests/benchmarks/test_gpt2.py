import pytest
import torch

from benchmarks.gpt2 import gpt2_decoder, load_gpt2


def test_a_gpt2_of_hugging_face_gives_the_same_logits():
    transformers = pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.GPT2Config(
        vocab_size=23, n_positions=40, n_embd=32, n_layer=3, n_head=4, activation_function="gelu"
    )
    theirs = transformers.GPT2LMHeadModel(config).double().eval()
    for parameter in theirs.parameters():
        parameter.data = torch.randn_like(parameter) * 0.2
    ours = gpt2_decoder(23, 32, 3, 4, 40).double().eval()
    load_gpt2(ours, theirs.state_dict())
    ids = torch.randint(23, (3, 20))
    torch.testing.assert_close(ours(ids), theirs(ids).logits, rtol=0, atol=1e-10)
