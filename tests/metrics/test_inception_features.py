"""With random weights: the published ones are not at hand everywhere."""

import hashlib

import pytest
import torch

from metrics.inception_features import InceptionFeatures


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file with random weights of torch-fidelity's network, and its SHA-256."""
    network = pytest.importorskip("torch_fidelity.feature_extractor_inceptionv3")
    path = tmp_path_factory.mktemp("inception") / "weights.pth"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(network.FeatureExtractorInceptionV3, "load_state_dict", lambda *_: None)
        patch.setattr(network, "load_state_dict_from_url", lambda *_, **__: {})
        torch.manual_seed(0)
        made = network.FeatureExtractorInceptionV3("inception-v3-compat", ["2048"])
    torch.save(made.state_dict(), path)
    return str(path), hashlib.sha256(path.read_bytes()).hexdigest()


@pytest.mark.slow
def test_features_are_those_of_torch_fidelity(weights):
    from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

    path, sha256 = weights
    network = InceptionFeatures(path, sha256).load([3, 32, 32])
    images = torch.randint(256, (3, 3, 32, 32), generator=torch.Generator().manual_seed(0)).byte()
    (theirs,) = FeatureExtractorInceptionV3("inception-v3-compat", ["2048"], path)(images)
    with torch.no_grad():
        torch.testing.assert_close(network.features(images), theirs)
        grey = images[:, :1]
        torch.testing.assert_close(network.features(grey), network.features(grey.repeat(1, 3, 1, 1)))
    assert not network.network.training
    assert network.device == torch.device("cpu")


def test_other_weights_are_refused_before_they_are_read(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"something else")
    found = hashlib.sha256(b"something else").hexdigest()
    with pytest.raises(ValueError, match=f"its SHA-256 begins with {found[:16]}, and not with 6726825d"):
        InceptionFeatures(str(path))
    assert InceptionFeatures(str(path), found[:8]).weights == str(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"there is no file .*nothing\.pth; FID in Inception features needs"):
        InceptionFeatures(str(tmp_path / "nothing.pth"))


@pytest.mark.parametrize("sha256", ["", "6726825", "6726825D", "not a hash"])
def test_what_is_no_hash_is_refused(sha256, tmp_path):
    with pytest.raises(ValueError, match="at least 8 hexadecimal digits"):
        InceptionFeatures(str(tmp_path), sha256)


def test_images_of_other_channels_are_refused(tmp_path):
    path = tmp_path / "weights.pth"
    path.write_bytes(b"")
    features = InceptionFeatures(str(path), hashlib.sha256(b"").hexdigest())
    with pytest.raises(ValueError, match="1 or 3 channels; the data's have 4"):
        features.load([4, 32, 32])
