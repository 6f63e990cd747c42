"""Sorting: numbers in any order to the same numbers in ascending order, duplicates kept.

The source is a list of numbers, one token each; the target is that list sorted. Nothing is read: every epoch is drawn
anew, and the validation and test sets are drawn from seeds of their own.
"""

import torch
from torch import Tensor
from torch.utils.data import DataLoader

from datamodules.device_resident import OnDevice
from datamodules.pairs import Pairs, PairsDataModule
from datamodules.tokenization import number_tokenizer
from limits import number, whole
from networks.vocabulary import PAD, SPECIAL, Vocabulary

NUMBERS = 100  # 0 to 99; number k has the id SPECIAL + k
LENGTHS = (2, 64)
LONG = (33, 64)
LONGEST = 160  # of a test
# Far from seed + epoch of any training. Lists of one length k have the seed LENGTH_TEST_SEED + k.
VAL_SEED, TEST_SEED, LONG_TEST_SEED, LENGTH_TEST_SEED = 2**40, 2**41, 2**42, 2**43


def draw(count: int, min_length: int, max_length: int, seed: int, crowded_share: float = 0.0) -> tuple[Tensor, Tensor]:
    """Ids of `count` random lists and of the same lists sorted, both (count, max_length).

    Lengths are uniform from `min_length` to `max_length`, numbers uniform and independent, from 0 to 99. In a
    share of the lists, `crowded_share`, some numbers are of a narrower range, whose width is log-uniform from 1 to 100,
    and how many are is uniform: such short lists hold a number as often, and neighbours as close, as long ones.
    """
    number("[0, 1]", crowded_share=crowded_share)
    whole(0, count=count)
    whole(1, LONGEST, min_length=min_length)
    whole(min_length, LONGEST, max_length=max_length)
    whole(0, 2**62, seed=seed)
    generator = torch.Generator().manual_seed(seed)
    lengths = torch.randint(min_length, max_length + 1, (count, 1), generator=generator)
    numbers = torch.randint(NUMBERS, (count, max_length), generator=generator)
    if crowded_share:
        crowded, exponent, start, share = torch.rand(4, count, 1, generator=generator)
        width = (NUMBERS**exponent).round()
        first = (start * (NUMBERS - width + 1)).floor()
        draw_one, place = torch.rand(2, count, max_length, generator=generator)
        within = (first + (place * width).floor()).long()
        numbers = torch.where((crowded < crowded_share) & (draw_one < share), within, numbers)
    outside = torch.arange(max_length) >= lengths
    ordered = numbers.masked_fill(outside, NUMBERS).sort(1).values  # what lies outside sorts to the end
    source, target = ((x + SPECIAL).masked_fill(outside, PAD) for x in (numbers, ordered))
    return source, target


class Sorting(PairsDataModule):
    """Lists of numbers from 0 to 99 (see above), {"source", "source_mask", "target", "target_mask"} of (B, S) each.

    The test set `exact_match` has lengths `min_length` to `max_length`; with `test_long` there is a second one,
    `exact_match_long`, of lengths 33 to 64; and for each length k of `test_lengths` one, `exact_match_k`.

    Args:
        min_length, max_length: lengths of the lists, within 2 to 64.
        batch_size: lists in a batch; those of one batch have similar lengths.
        train_size: lists in an epoch, new ones in each epoch.
        crowded_share: share of the training lists that hold some numbers of a narrower range (`draw`).
        val_size, test_size: lists in the validation set and in each test set.
        test_long: whether to test on lists of lengths 33 to 64, too.
        test_lengths: lengths, up to 160, to test on one by one, too; the network must be able to read them.
        seed: epoch e is drawn from seed + e. The validation and test sets are the same for all seeds.
        numbers: a list to sort in `predict`.
        text: the same as text, numbers set apart by blanks.
        on_device: whether pairs are held on the GPU (`datamodules.device_resident`).
    """

    def __init__(
        self,
        min_length: int = 2,
        max_length: int = 32,
        batch_size: int = 128,
        train_size: int = 32_000,
        crowded_share: float = 0.0,
        val_size: int = 1_000,
        test_size: int = 10_000,
        test_long: bool = False,
        test_lengths: tuple[int, ...] = (),
        seed: int = 0,
        numbers: list[int] | None = None,
        text: str | None = None,
        on_device: OnDevice = "auto",
    ):
        super().__init__(on_device)
        if not LENGTHS[0] <= min_length <= max_length <= LENGTHS[1]:
            raise ValueError(
                f"min_length={min_length} and max_length={max_length} must be in this order and within "
                f"{LENGTHS[0]} to {LENGTHS[1]}"
            )
        for length in test_lengths:
            whole(1, LONGEST, test_lengths=length)
        if len(set(test_lengths)) < len(test_lengths):
            raise ValueError(f"test_lengths={list(test_lengths)} holds a length twice; leave one out")
        number("[0, 1]", crowded_share=crowded_share)
        self.save_hyperparameters(logger=False)
        self.tokenizer = number_tokenizer(NUMBERS)
        self.vocab_size = self.tokenizer.get_vocab_size()
        each = [f"exact_match_{length}" for length in test_lengths]
        self.test_names = ["exact_match", *["exact_match_long"] * test_long, *each]
        given: list | None = numbers
        if text is not None and numbers is None:
            given = text.replace(",", " ").split()
        self.texts = [] if given is None else [self._checked(given)]

    def _checked(self, numbers: list) -> str:
        """A user's list as text."""
        if not LENGTHS[0] <= len(numbers) <= LENGTHS[1]:
            raise ValueError(
                f"a list to sort holds {LENGTHS[0]} to {LENGTHS[1]} numbers; got {len(numbers)}; "
                'for example --data.numbers "[5, 3, 9]"'
            )
        for given in map(str, numbers):
            if self.tokenizer.token_to_id(given) is None:
                raise ValueError(f"only whole numbers from 0 to {NUMBERS - 1} can be sorted; got {given}")
        return " ".join(map(str, numbers))

    def make_held_out(self) -> None:
        hp = self.hparams
        self.val_pairs = Pairs(*draw(hp.val_size, hp.min_length, hp.max_length, VAL_SEED))
        ranges = [(hp.min_length, hp.max_length, TEST_SEED), *[(*LONG, LONG_TEST_SEED)] * hp.test_long]
        ranges += [(length, length, LENGTH_TEST_SEED + length) for length in hp.test_lengths]
        self.test_pairs = [Pairs(*draw(hp.test_size, *chosen)) for chosen in ranges]

    def draw_training(self, epoch: int) -> Pairs:
        hp = self.hparams
        return Pairs(*draw(hp.train_size, hp.min_length, hp.max_length, hp.seed + epoch, hp.crowded_share))

    def predict_dataloader(self) -> DataLoader:
        if not self.texts:
            raise ValueError('nothing to sort; say what with --data.numbers "[5, 3, 9]"')
        ids = Vocabulary(self.tokenizer).encode(self.texts)
        return self.loader(Pairs.from_lists(ids, [sorted(row) for row in ids]))
