"""Laws of the native policy file."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.perturb import Uniform, scale
from sim2real.policies import Mlp, native


def layers(*sizes: int, seed: int = 0) -> list[tuple[np.ndarray, np.ndarray]]:
    rng = np.random.default_rng(seed)
    return [
        ((rng.normal(size=(b, a)) / np.sqrt(a)).astype(np.float32), rng.normal(size=b).astype(np.float32))
        for a, b in zip(sizes, sizes[1:], strict=False)
    ]


NETWORKS = {
    "elu": Mlp(layers(15, 32, 16, 4)),
    "tanh, squashed": Mlp(layers(15, 32, 4), "tanh", squash=True),
    "relu, normalised": Mlp(
        layers(15, 8, 4), "relu", mean=np.linspace(-1, 1, 15), std=np.linspace(0.1, 2, 15), clip=5.0
    ),
    "linear": Mlp(layers(15, 4)),
}


@pytest.mark.parametrize("kind", NETWORKS)
def test_saved_networks_load_bit_for_bit(tmp_path, contract, kind):
    """A file gives back the same outputs and contract to the bit, and the same bytes when saved again."""
    network = NETWORKS[kind]
    terms = contract(seen=((scale("parameter:torso.mass", Uniform(0.8, 1.2)),),), training={"seed": 3})
    path = policies.save(tmp_path / "runs" / "a.safetensors", network, terms)
    loaded, found = policies.file(path).load(), policies.file(path)
    for x in np.random.default_rng(1).normal(size=(20, 15)).astype(np.float32) * 3:
        np.testing.assert_array_equal(loaded(x), network(x))
    assert (found.contract, found.seen) == (terms, terms.seen)
    assert policies.save(tmp_path / "b.safetensors", loaded, found.contract).read_bytes() == path.read_bytes()


def test_outputs_are_never_overwritten():
    """An output stays what it was when the network is called again."""
    network = NETWORKS["elu"]
    first = network(np.zeros(15))
    kept = first.copy()
    network(np.ones(15))
    np.testing.assert_array_equal(first, kept)


@settings(max_examples=30, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 64), min_size=2, max_size=4),
    activation=st.sampled_from(sorted(native.ACTIVATIONS)),
    squash=st.booleans(),
    seed=st.integers(0, 99),
)
def test_numpy_agrees_with_torch(sizes, activation, squash, seed):
    """The numpy network computes what torch computes, within 1e-6 of its largest output."""
    torch = pytest.importorskip("torch")
    arrays = layers(*sizes, seed=seed)
    modules = []
    for weight, bias in arrays:
        linear = torch.nn.Linear(*weight.shape[::-1])
        linear.weight.data, linear.bias.data = torch.tensor(weight), torch.tensor(bias)
        modules += [linear, {"elu": torch.nn.ELU, "relu": torch.nn.ReLU, "tanh": torch.nn.Tanh}[activation]()]
    modules[-1] = torch.nn.Tanh() if squash else torch.nn.Identity()
    x = np.random.default_rng(seed).normal(size=sizes[0]).astype(np.float32)
    with torch.inference_mode():
        expected = torch.nn.Sequential(*modules)(torch.tensor(x)).numpy()
    within = 1e-6 * max(1.0, np.abs(expected).max())
    np.testing.assert_allclose(Mlp(arrays, activation, squash=squash)(x), expected, rtol=0.0, atol=within)


def test_golden_output_must_be_met(tmp_path, monkeypatch):
    """An export unlike the trained network is not saved, a file that computes something else not loaded."""
    x, network = np.ones(15), NETWORKS["elu"]
    path = policies.save(tmp_path / "a.safetensors", network, golden=(x, network(x)))
    with pytest.raises(
        Sim2RealError, match=r"a.safetensors' is 0.001 off its golden output, where 1e-05 is allowed.$"
    ):
        policies.save(path, network, golden=(x, network(x) + 1e-3))
    monkeypatch.setitem(native.ACTIVATIONS, "elu", native.ACTIVATIONS["relu"])
    with pytest.raises(Sim2RealError, match="off its golden output"):
        policies.file(path).load()


def test_damage_is_found(tmp_path):
    """A flipped bit in the arrays, another file's bytes, or another format version are told apart."""
    path = policies.save(tmp_path / "a.safetensors", NETWORKS["elu"])
    good = path.read_bytes()
    path.write_bytes(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(
        Sim2RealError, match="is damaged: its arrays do not have the digest written beside them.$"
    ):
        policies.file(path).load()
    path.write_bytes(b"not a policy")
    with pytest.raises(Sim2RealError, match="is not a native policy: its metadata is missing or damaged.$"):
        policies.file(path)
    path.write_bytes(good.replace(b"sim2real-policy/1", b"sim2real-policy/9"))
    with pytest.raises(
        Sim2RealError, match="has format 'sim2real-policy/9'; this version reads 'sim2real-policy/1'.$"
    ):
        policies.file(path)
    path.write_bytes(good[:-4])
    with pytest.raises(Sim2RealError, match="is not a native policy: "):
        policies.file(path).load()


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda: Mlp(layers(3, 2), "rlu"), "A policy has no activation 'rlu'. Did you mean 'relu'?"),
        (lambda: Mlp([]), "A policy network needs at least one layer."),
        (lambda: Mlp(layers(3, 2) + layers(3, 1)), "Layer 1 has weights (1, 3), not (1, 2)."),
        (lambda: Mlp([(np.full((1, 1), np.nan), [0])]), "The arrays of a policy network must be finite."),
        (
            lambda: Mlp(layers(2, 1), mean=[0, 0], std=[1, 0]),
            "The normaliser needs 2 means and as many std other than 0.",
        ),
        (
            lambda: policies.save("a.pt", NETWORKS["elu"]),
            "A native policy file ends in .safetensors, unlike 'a.pt'.",
        ),
    ],
)
def test_networks_that_cannot_be_are_refused(make, sentence):
    """A network that does not fit together says where."""
    with pytest.raises(Sim2RealError) as error:
        make()
    assert str(error.value) == sentence


def test_network_and_contract_must_agree(tmp_path, contract):
    """A network of other sizes than its contract's is not saved."""
    with pytest.raises(Sim2RealError, match="^The network maps 15 values to 3, the contract 15 to 4.$"):
        policies.save(tmp_path / "a.safetensors", Mlp(layers(15, 3)), contract())
