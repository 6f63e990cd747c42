import copy

import pytest
import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer, models, pre_tokenizers

from networks.vocabulary import PAD, Vocabulary, with_eos

SPECIAL = ["<pad>", "<bos>", "<eos>", "<sep>"]


def tokenizer(words=("one", "zwei", "trois", "四")):
    ids = {word: i for i, word in enumerate([*SPECIAL, *words])}
    result = Tokenizer(models.WordLevel(ids, unk_token=SPECIAL[PAD]))
    result.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    return result


def test_text_to_ids_and_back():
    vocabulary = Vocabulary(tokenizer())
    assert vocabulary.size == 8
    ids = vocabulary.encode(["one 四 one", "zwei"])
    assert ids == [[4, 7, 4], [5]]
    assert vocabulary.decode(ids) == ["one 四 one", "zwei"]
    assert vocabulary.decode(torch.tensor([[1, 4, 7, 3, 4, 2, 0]])) == ["one 四 one"]


def test_nothing_to_decode():
    vocabulary = Vocabulary(tokenizer())
    assert vocabulary.encode([]) == []
    assert vocabulary.decode([]) == []
    assert vocabulary.decode([[], [0, 2], [4]]) == ["", "", "one"]
    assert vocabulary.tokens([1, 4]) == ["<bos>", "one"]


def test_eos_stands_behind_the_last_token():
    ids = torch.tensor([[5, 6, 7], [5, 9, 9], [9, 9, 9]])
    mask = torch.tensor([[True, True, True], [True, False, False], [False, False, False]])
    assert with_eos(ids, mask).tolist() == [[5, 6, 7, 2], [5, 2, 0, 0], [2, 0, 0, 0]]
    assert with_eos(ids[:, :0], mask[:, :0]).tolist() == [[2]] * 3


@pytest.mark.parametrize("dtype", [torch.uint8, torch.float32, torch.float16, torch.bfloat16])
def test_the_tokenizer_travels_with_the_weights_in_any_type(tmp_path, dtype):
    module = torch.nn.ModuleDict({"vocabulary": Vocabulary(tokenizer()), "layer": torch.nn.Linear(2, 2)})
    save_file({name: value.to(dtype) for name, value in module.state_dict().items()}, tmp_path / "weights.safetensors")
    torch.save(module.state_dict(), tmp_path / "weights.pt")
    for weights in (
        {name: value.float() for name, value in load_file(tmp_path / "weights.safetensors").items()},
        torch.load(tmp_path / "weights.pt", weights_only=True),
    ):
        other = torch.nn.ModuleDict({"vocabulary": Vocabulary(), "layer": torch.nn.Linear(2, 2)})
        other.load_state_dict(weights)
        assert other["vocabulary"].tokenizer.to_str() == tokenizer().to_str()


def test_a_vocabulary_without_tokenizer_travels_too(tmp_path):
    save_file(torch.nn.Sequential(Vocabulary()).state_dict(), tmp_path / "weights.safetensors")
    module = torch.nn.Sequential(Vocabulary(tokenizer()))
    module.load_state_dict(load_file(tmp_path / "weights.safetensors"))
    assert module[0].size == 8
    assert Vocabulary().size == 0


def test_a_copy_learns_of_the_tokenizer():
    module = torch.nn.Sequential(Vocabulary())
    copied = copy.deepcopy(module)
    module[0].adopt(tokenizer())
    assert copied[0].size == 8


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: Vocabulary(tokenizer()).encode(["one two"]), "'two' in 'one two' is not known"),
        (lambda: Vocabulary().encode(["one"]), "no tokenizer yet"),
        (lambda: Vocabulary().decode([[5]]), "no tokenizer yet"),
        (lambda: Vocabulary().tokens([5]), "no tokenizer yet"),
        (lambda: Vocabulary(tokenizer()).tokens([4, 8]), "ids=8 must be .* at most 7"),
        (lambda: Vocabulary(tokenizer()).encode("one"), "a list of texts.*got 'one'"),
        (lambda: Vocabulary(tokenizer()).encode(None), "a list of texts.*got None"),
        (lambda: Vocabulary(tokenizer()).encode([1]), r"a list of texts.*got \[1\]"),
        (lambda: Vocabulary(tokenizer()).encode(["one", "\udcff"]), "lone surrogate"),
        (
            lambda: Vocabulary(tokenizer()).decode([[4], [4, 8]]),
            "the id 8 is no token: the tokenizer has 8, from 0 to 7",
        ),
        (lambda: Vocabulary().set_extra_state(torch.tensor([123, 5])), "tokenizer that cannot be read"),
        (lambda: Vocabulary().set_extra_state(torch.tensor([255, 254])), "tokenizer that cannot be read"),
        (lambda: Vocabulary(tokenizer()).adopt(tokenizer(["one"])), r"another tokenizer \(8 tokens\).*\(5 tokens\)"),
        (
            lambda: Vocabulary(tokenizer()).set_extra_state(Vocabulary(tokenizer(["one"])).get_extra_state()),
            "another tokenizer",
        ),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words):
        call()
