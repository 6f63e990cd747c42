"""Drawings by signed distances against Pillow's."""

import numpy as np
import pytest
from PIL import Image, ImageDraw

from envs import t_block
from envs.drawing import Colours, draw


def states(count, seed=0):
    """Pointers (count, 2) and poses (count, 3), some of them beyond a wall."""
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 512, (count, 2)), np.column_stack(
        [rng.uniform(-40, 552, (count, 2)), rng.uniform(0, 2 * np.pi, count)]
    )


def by_pillow(pointer, pose, size, canvas=512, target=(144, 238, 144), larger=0.0):
    """One image, drawn by Pillow on a canvas without partial pixels, and averaged; the T `larger` on every side."""
    scale = canvas / 512
    image = Image.new("RGB", (canvas, canvas), "white")
    pen = ImageDraw.Draw(image)
    outline = t_block.CORNERS[t_block.OUTLINE] + larger * np.array(
        [(-1, -1), (1, -1), (1, 1), (1, 1), (1, 1), (-1, 1), (-1, 1), (-1, 1)]
    )

    def t_shape(pose, colour):
        cos, sin = np.cos(pose[2]), np.sin(pose[2])
        corners = outline @ np.array([[cos, sin], [-sin, cos]]) + pose[:2]
        pen.polygon([tuple(corner * scale) for corner in corners], fill=colour)

    t_shape(t_block.TARGET_POSE, target)
    walls = (3 * scale, 3 * scale, 509 * scale - 1, 509 * scale - 1)
    pen.rectangle(walls, outline=(211, 211, 211), width=round(5 * scale))
    t_shape(pose, (119, 136, 153))
    x, y, radius = *(pointer * scale), (15 + larger) * scale
    pen.ellipse((x - radius, y - radius, x + radius, y + radius), fill=(65, 105, 225))
    return np.asarray(image.resize((size, size), Image.Resampling.BOX))


def test_close_to_a_drawing_of_whole_pixels():
    """Which rounds the corners of the T to whole pixels of a canvas of 512: edges differ by that."""
    pointers, poses = states(40)
    theirs = np.stack([by_pillow(*one, 96) for one in zip(pointers, poses, strict=True)])
    difference = np.abs(draw(pointers, poses, 96) - theirs.astype(float))
    assert difference.mean() < 0.2
    assert (difference > 2).mean() < 0.015
    assert difference.max() < 60


def test_close_to_a_drawing_of_much_smaller_pixels():
    """Where edges of two shapes share no pixel: the T alone on a white ground, and the pointer beside it."""
    _, poses = states(4)
    poses[:, :2] = poses[:, :2].clip(100, 400)
    pointers, white = np.full((4, 2), [40.3, 40.7]), (255, 255, 255)
    poses[:, :2] += 80
    images = draw(pointers, poses, 96, colours=Colours(target=white))
    theirs = [by_pillow(*one, 96, 512 * 8, white, 0.5) for one in zip(pointers, poses, strict=True)]
    difference = np.abs(images - np.stack(theirs).astype(float))
    assert difference.max() < 12


@pytest.mark.parametrize("size", [1, 2, 7, 64, 96, 300])
def test_a_batch_is_its_images(size):
    pointers, poses = states(6)
    images = draw(pointers, poses, size)
    assert (images.shape, images.dtype) == ((6, size, size, 3), np.uint8)
    for i in range(6):
        np.testing.assert_array_equal(draw(pointers[i], poses[i], size), images[i])
    folded = draw(pointers.reshape(2, 3, 2), poses.reshape(2, 3, 3), size)
    np.testing.assert_array_equal(folded.reshape(images.shape), images)


def test_what_is_far_away_is_not_seen():
    empty = draw([-900, 0], [-900, 0, 0], 32, np.full((2, 2), np.nan))
    np.testing.assert_array_equal(draw([1e308, -1e308], [-1e308, 5, 1e308], 32, np.full((2, 2), np.inf)), empty)


def test_no_images():
    assert draw(np.zeros((0, 2)), np.zeros((0, 3)), 8).shape == (0, 8, 8, 3)


def test_dots_of_a_trail():
    trail = np.full((3, 2, 2), np.nan)
    trail[0, 1] = [400, 80]
    images = draw(np.full((3, 2), 60.0), np.full((3, 3), 300.0), 512, trail=trail)
    plain = draw([60, 60], [300, 300, 300], 512)
    assert images[0, 80, 400].tolist() == [255, 99, 71]
    np.testing.assert_array_equal(images[1:], [plain, plain])


def test_colours_of_ones_own():
    pointers, poses = states(3)
    rng = np.random.default_rng(0)
    names = ("background", "wall", "target", "block", "pointer")
    each = {name: rng.integers(0, 256, (3, 3)) for name in names}
    images = draw(pointers, poses, 64, colours=Colours(**each))
    for i in range(3):
        own = Colours(**{name: tuple(colour[i].tolist()) for name, colour in each.items()})
        np.testing.assert_array_equal(draw(pointers[i], poses[i], 64, colours=own), images[i])
    shown = draw([256, 60], [100, 300, 0.0], 512, colours=Colours(block=(1, 2, 3), pointer=(4, 5, 6), wall=(7, 8, 9)))
    assert [shown[y, x].tolist() for x, y in ((100, 310), (256, 60), (5, 200), (200, 470))] == [
        [1, 2, 3],
        [4, 5, 6],
        [7, 8, 9],
        [255, 255, 255],
    ]


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: draw([1, 2], [1, 2, 3], 0), "size=0"),
        (lambda: draw([1, 2], [1, 2, 3], 4097), "4096"),
        (lambda: draw([1, 2, 3], [1, 2, 3], 8), r"pointers \(..., 2\).*got \(3,\), \(3,\)"),
        (lambda: draw(np.zeros((2, 2)), np.zeros((3, 3)), 8), r"got \(2, 2\), \(3, 3\)"),
        (lambda: draw([1, 2], [1, 2, 3], 8, np.zeros(2)), r"a trail"),
        (lambda: draw([1, np.nan], [1, 2, 3], 8), "pointer must hold finite numbers; got nan"),
        (lambda: draw([1, 2], [np.inf, 2, 3], 8), "block_pose must hold finite numbers; got inf"),
        (lambda: Colours(block=(1, 2)), "block=.*must be red, green and blue"),
        (lambda: Colours(wall="red"), "wall=red must be red, green and blue"),
        (lambda: Colours(wall=(0, 0, 256)), "wall must lie between 0 and 255; got 0 to 256"),
        (lambda: Colours(wall=(0, 0, np.nan)), "wall must lie between 0 and 255"),
        (lambda: draw([1, 2], [1, 2, 3], 8, colours=Colours(wall=np.zeros((2, 3)))), "colours of 2 images, and 1"),
    ],
)
def test_mistakes_are_named(call, words):
    with pytest.raises(ValueError, match=words) as caught:
        call()
    assert "\n" not in str(caught.value)
