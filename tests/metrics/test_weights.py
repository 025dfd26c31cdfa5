"""Weights files: found, downloaded, checked and read; downloads come from files of this machine."""

import hashlib
import io
import pickle
import urllib.request

import pytest
import torch
from torch import nn

from sagan.metrics import weights
from sagan.metrics.efficientnet import NAME as LITE0
from sagan.metrics.inception import DOWNLOADS
from sagan.metrics.inception import NAME as INCEPTION
from sagan.metrics.inception import SHA256 as INCEPTION_SHA256
from sagan.metrics.weights import (
    KNOWN_FILES,
    Download,
    KnownFile,
    StateReader,
    WeightsError,
    find_weights,
    is_known,
    read_state_dict,
    weights_folder,
)

CONTENT = b"weights" * 1000
SHA256 = hashlib.sha256(CONTENT).hexdigest()


@pytest.fixture(autouse=True)
def hub(monkeypatch, tmp_path):
    """Keep torch.hub's folder of this machine out of the tests."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    return tmp_path / "torch" / "hub" / "checkpoints"


@pytest.fixture
def address(tmp_path):
    file = tmp_path / "server" / f"net-{SHA256[:8]}.pth"
    file.parent.mkdir()
    file.write_bytes(CONTENT)
    return Download(url=file.as_uri(), sha256=SHA256)


def unreachable(name="other.pth"):
    return Download(url=f"https://nowhere.invalid/{name}", sha256=SHA256)


@pytest.fixture
def no_network(monkeypatch):
    def refuse(*_, **__):
        raise OSError("no network")

    monkeypatch.setattr(urllib.request, "urlopen", refuse)


# ----- Finding and downloading


def test_a_download_is_kept_and_found_again(address, tmp_path, monkeypatch):
    file = find_weights([address], tmp_path / "kept", progress=False)
    assert file == tmp_path / "kept" / address.file_name
    assert file.read_bytes() == CONTENT
    assert list(file.parent.iterdir()) == [file]
    monkeypatch.setattr(urllib.request, "urlopen", None)
    assert find_weights([address], tmp_path / "kept", progress=False) == file


def test_the_second_address_is_tried(address, tmp_path):
    missing = Download(url=(tmp_path / "absent.pth").as_uri(), sha256=SHA256)
    assert find_weights([missing, address], tmp_path / "kept", progress=False).name == address.file_name


def test_a_file_of_torch_hub_is_used(hub, tmp_path, no_network):
    hub.mkdir(parents=True)
    (hub / "other.pth").write_bytes(CONTENT)
    assert find_weights([unreachable()], tmp_path / "kept", progress=False) == hub / "other.pth"


def test_no_network_says_what_to_get_and_where_to_put_it(tmp_path, no_network):
    with pytest.raises(WeightsError) as caught:
        find_weights([unreachable("a.pth"), unreachable("b.pth")], tmp_path / "kept", progress=False)
    message = str(caught.value)
    for part in ("https://nowhere.invalid/a.pth", "https://nowhere.invalid/b.pth", "a.pth or b.pth", "no network"):
        assert part in message
    assert str(tmp_path / "kept") in message


def test_a_wrong_checksum_leaves_nothing_behind(address, tmp_path):
    wrong = Download(url=address.url, sha256="0" * 64)
    with pytest.raises(WeightsError, match=rf"SHA-256 sum {SHA256[:8]}..., expected 00000000"):
        find_weights([wrong], tmp_path / "kept", progress=False)
    assert list((tmp_path / "kept").iterdir()) == []


def test_a_download_that_breaks_off_leaves_nothing_behind(tmp_path, monkeypatch):
    class Breaking(io.BytesIO):
        headers = {"Content-Length": "7000"}  # noqa: RUF012

        def read(self, size=-1):
            raise ConnectionResetError("reset by peer")

    monkeypatch.setattr(urllib.request, "urlopen", lambda *_, **__: Breaking())
    with pytest.raises(WeightsError, match="reset by peer"):
        find_weights([unreachable()], tmp_path / "kept", progress=True)
    assert list((tmp_path / "kept").iterdir()) == []


def test_the_folder_follows_the_cache_of_the_data_sets(monkeypatch, tmp_path):
    from sagan.data import cache_folder

    for variable in ("XDG_CACHE_HOME", "SAGAN_CACHE"):
        monkeypatch.setenv(variable, str(tmp_path / variable))
        assert weights_folder() == cache_folder() / "weights"
    assert weights_folder(str(tmp_path)) == tmp_path / "weights"


@pytest.mark.parametrize(
    ("platform", "place"),
    [("linux", ".cache/sagan"), ("darwin", "Library/Caches/sagan"), ("win32", "AppData/Local/sagan/Cache")],
)
def test_each_platform_has_its_own_place_for_caches(platform, place, monkeypatch, tmp_path):
    for variable in ("SAGAN_CACHE", "XDG_CACHE_HOME", "LOCALAPPDATA"):
        monkeypatch.delenv(variable, raising=False)
    monkeypatch.setattr("pathlib.Path.home", lambda: tmp_path)
    monkeypatch.setattr("sys.platform", platform)
    assert weights_folder() == tmp_path / place / "weights"
    if platform == "win32":
        monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
        assert weights_folder() == tmp_path / "local" / "sagan" / "Cache" / "weights"


# ----- Reading


def saved(tmp_path, state, name="net.pth"):
    torch.save(state, tmp_path / name)
    return tmp_path / name


def test_a_state_dict_is_read_with_its_sum(tmp_path):
    file = saved(tmp_path, {"a": torch.arange(3.0)})
    state, sha256 = read_state_dict(file)
    assert state["a"].tolist() == [0.0, 1.0, 2.0]
    assert sha256 == hashlib.sha256(file.read_bytes()).hexdigest()
    named = file.rename(tmp_path / f"net-{sha256[:8]}.pth")
    assert read_state_dict(named)[1] == sha256


def test_a_truncated_file_is_refused(tmp_path):
    file = saved(tmp_path, {"a": torch.zeros(5000)})
    file.write_bytes(file.read_bytes()[:9000])
    with pytest.raises(WeightsError, match=r"net.pth cannot be read as weights"):
        read_state_dict(file)


def test_a_name_promises_its_checksum(tmp_path):
    file = saved(tmp_path, {"a": torch.zeros(3)}, "net-2015-12-05-6726825d.pth")
    with pytest.raises(WeightsError, match="its name promises 6726825d; it is cut off or another file"):
        read_state_dict(file)


class Harm:
    def __reduce__(self):
        return (print, ("harm",))


def test_code_is_never_run(tmp_path, capsys):
    (tmp_path / "net.pth").write_bytes(pickle.dumps({"a": Harm()}, protocol=2))
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        read_state_dict(tmp_path / "net.pth")
    torch.save({"a": Harm()}, tmp_path / "net.pth")
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        read_state_dict(tmp_path / "net.pth")
    assert "harm" not in capsys.readouterr().out


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"", "cannot be read as weights"),
        (b"<html>not found</html>", "cannot be read as weights"),
        ({"epoch": 3, "model": {}}, "holds a dict with epoch, model; expected a state dict"),
        (torch.zeros(3), "holds one Tensor; expected a state dict"),
    ],
)
def test_other_contents_are_refused(tmp_path, content, told):
    if isinstance(content, bytes):
        (tmp_path / "net.pth").write_bytes(content)
    else:
        saved(tmp_path, content)
    with pytest.raises(WeightsError, match=told) as caught:
        read_state_dict(tmp_path / "net.pth")
    assert "\n" not in str(caught.value)


def test_what_pytorch_says_of_a_file_is_cut_to_its_first_sentence(tmp_path, monkeypatch):
    def fails(*_, **__):
        raise OSError("it is torn. Here are three ways out\nof it")

    saved(tmp_path, {"a": torch.zeros(1)})
    monkeypatch.setattr(torch, "load", fails)
    with pytest.raises(WeightsError, match=r"weights \(OSError: it is torn\); expected a whole state dict"):
        read_state_dict(tmp_path / "net.pth")


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(WeightsError, match="is not a file; give the path"):
        read_state_dict(tmp_path / "absent.pth")


# ----- Known files, and all others


@pytest.fixture(params=["with check sums", "without"])
def known_file(request, tmp_path, monkeypatch):
    """Save a state dict, and let it be a published file."""
    file = tmp_path / "published.pth"
    state = {"a": torch.arange(300.0), "b": torch.ones(7, 5)}
    torch.save(state, file, _use_new_zipfile_serialization=request.param == "with check sums")
    content = file.read_bytes()
    known = KnownFile(network="net", names=(file.name,), sha256=hashlib.sha256(content).hexdigest(), size=len(content))
    monkeypatch.setattr(weights, "KNOWN_FILES", (known,))
    return file


def test_the_known_files_are_the_published_ones():
    by_network = {known.network: known for known in KNOWN_FILES}
    assert set(by_network) == {INCEPTION, LITE0}
    inception = by_network[INCEPTION]
    assert inception.sha256 == INCEPTION_SHA256
    assert inception.names == tuple(download.file_name for download in DOWNLOADS)
    for known in KNOWN_FILES:
        assert all(f"-{known.sha256[:8]}.pth" in name for name in known.names)
        assert is_known(known.network, known.sha256)
    assert not is_known(LITE0, INCEPTION_SHA256)
    assert not is_known(INCEPTION, "")


@pytest.mark.parametrize("name", ["renamed.bin", "of-20230101.pth"])
def test_a_known_file_is_recognised_under_any_name(known_file, name):
    """Also under one that ends like a promised sum and is a date."""
    state, sha256 = read_state_dict(known_file.rename(known_file.with_name(name)))
    assert set(state) == {"a", "b"}
    assert is_known("net", sha256)


def test_a_flipped_byte_anywhere_in_a_known_file_is_refused(known_file):
    """Also one of an archive that no check sum is of, as times and padding."""
    renamed, content = known_file.with_name("mine.bin"), bytearray(known_file.read_bytes())
    for place in [*range(0, len(content), 7), len(content) - 1]:
        content[place] ^= 0xFF
        renamed.write_bytes(content)
        with pytest.raises(WeightsError, match=r"published\.pth, but its SHA-256 sum .* damaged or changed copy"):
            read_state_dict(renamed)
        content[place] ^= 0xFF


def test_lost_and_added_bytes_are_noticed_without_the_length(tmp_path):
    """The length is another then. Without check sums inside, nobody but the known sum could vouch for what is read."""
    file = tmp_path / "mine.pth"
    torch.save({"a": torch.arange(300.0)}, file, _use_new_zipfile_serialization=False)
    content = file.read_bytes()
    for changed in (content, content + b"\n", content[:-900] + b"\r" + content[-900:]):
        file.write_bytes(changed)
        with pytest.raises(WeightsError, match=r"no check sums inside.*write them anew with torch.save"):
            read_state_dict(file)
    file.write_bytes(content[:-1])
    with pytest.raises(WeightsError, match="cannot be read as weights"):
        read_state_dict(file)


def test_own_weights_load_and_their_check_sums_are_looked_at(tmp_path):
    values = torch.linspace(1.0, 2.0, 500)
    file = saved(tmp_path, {"a": values, "b": torch.zeros(3)})
    state, sha256 = read_state_dict(file)
    assert torch.equal(state["a"], values)
    assert not any(is_known(network, sha256) for network in (INCEPTION, LITE0))
    content = bytearray(file.read_bytes())
    start = bytes(content).index(values.numpy().tobytes())
    for place in range(start, start + 2000, 97):
        content[place] ^= 1
        file.write_bytes(content)
        assert torch.load(file, weights_only=True)["a"].isfinite().all()  # PyTorch alone sees nothing
        with pytest.raises(WeightsError, match=r"check sums inside do not agree \(.*data/0\), so it is cut off or dam"):
            read_state_dict(file)
        content[place] ^= 1


def test_folding_equals_convolution_and_batch_norm():
    torch.manual_seed(0)
    convolution, norm = nn.Conv2d(3, 5, 3, bias=False), nn.BatchNorm2d(5, eps=1e-3).eval()
    for parameter in (norm.weight.data, norm.bias.data, norm.running_mean, norm.running_var):
        parameter.uniform_(0.5, 2.0)
    state = {"c.weight": convolution.weight.data} | {f"n.{key}": value for key, value in norm.state_dict().items()}
    folded, x = nn.Conv2d(3, 5, 3), torch.randn(2, 3, 6, 6)
    reader = StateReader(state, "a network", "a.pth")
    reader.take_folded(folded, "c.weight", "n", 1e-3)
    reader.finish()
    torch.testing.assert_close(folded(x), norm(convolution(x)))


@pytest.mark.parametrize(("names", "others"), [("dcba", "; it has a, b, c and so on"), ("", "")])
def test_a_missing_tensor_is_told_with_some_of_those_that_are_there(names, others):
    reader = StateReader({name: torch.zeros(1) for name in names}, "a network", "a.pth")
    with pytest.raises(WeightsError, match=rf"a network: w is missing{others}\. Give that network's own file"):
        reader.take("w", (1,))
