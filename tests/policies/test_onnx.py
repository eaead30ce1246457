"""Laws of ONNX policies whose weights stand in files beside them."""

import hashlib
import json
from pathlib import Path

import numpy as np
import pytest

from sim2real import policies
from sim2real.errors import Sim2RealError
from sim2real.policies import Contract, Mlp
from sim2real.policies import onnx as ours
from sim2real.study import Study, run

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")
WEIGHTS = "policy.onnx.data"


def trained(folder: Path, seed: int) -> Mlp:
    """Write a network twice: as one file, and as torch does, the weights beside a graph."""
    rng = np.random.default_rng(seed)
    sizes = ((16, 3), (1, 16))
    network = Mlp([(rng.normal(size=size), rng.normal(size=size[0])) for size in sizes], "tanh", squash=True)
    x = rng.normal(size=3)
    folder.mkdir()
    ours.save(folder / "single.onnx", network, Contract(), golden=(x, network(x)))
    graph = onnx.load(folder / "single.onnx")
    del graph.metadata_props[:]
    beside = {"save_as_external_data": True, "location": WEIGHTS, "size_threshold": 0}
    onnx.save_model(graph, folder / "policy.onnx", **beside)
    return network


def external(location: str, name: str = "w") -> "onnx.TensorProto":
    tensor = onnx.TensorProto(name=name, data_type=onnx.TensorProto.FLOAT, dims=[1])
    tensor.data_location = onnx.TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value=location)
    tensor.external_data.add(key="length", value="4")
    return tensor


def test_a_policy_runs_with_its_own_weights(tmp_path, monkeypatch):
    """Two trainings with one graph stay two, wherever one stands and whatever stands there."""
    networks = {name: trained(tmp_path / name, seed) for seed, name in enumerate("ab")}
    a, b = tmp_path / "a", tmp_path / "b"
    assert (a / "policy.onnx").read_bytes() == (b / "policy.onnx").read_bytes()
    x = np.linspace(-1, 1, 3, dtype=np.float32)
    for place in (tmp_path, a, b):
        monkeypatch.chdir(place)
        found = {name: policies.file(tmp_path / name / "policy.onnx") for name in networks}
        assert found["a"].sha256 != found["b"].sha256
        for name, network in networks.items():
            truth = onnxruntime.InferenceSession(str(tmp_path / name / "policy.onnx")).run(
                None, {"obs": x[None]}
            )
            output = found[name].load()(x)
            np.testing.assert_array_equal(output, truth[0][0])
            np.testing.assert_allclose(output, network(x), atol=1e-5)


def test_the_hash_covers_the_weights(tmp_path):
    """Name and content of every file that the graph names decide the sha256; other files do not."""
    trained(tmp_path / "a", 0)
    path, weights = tmp_path / "a" / "policy.onnx", tmp_path / "a" / WEIGHTS
    declared, content = policies.file(path), weights.read_bytes()
    (tmp_path / "a" / "other.data").write_bytes(b"")
    assert policies.file(path) == declared
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    assert policies.file(path).sha256 != declared.sha256
    with pytest.raises(Sim2RealError, match="policy.onnx' has changed since it was declared: declare it ag"):
        declared.load()
    weights.write_bytes(content)
    declared.load()
    weights.unlink()
    sentence = f"policy.onnx' keeps weights in '{WEIGHTS}', which cannot be read: No such file or directory.$"
    for use in (lambda: policies.file(path), declared.load):
        with pytest.raises(Sim2RealError, match=sentence):
            use()


def test_a_single_file_keeps_its_name(tmp_path):
    """A policy that is one file has the sha256 that earlier records know it by; what `save` writes is one."""
    trained(tmp_path / "a", 0)
    data = (tmp_path / "a" / "single.onnx").read_bytes()
    assert ours.beside(tmp_path / "a" / "single.onnx", data) == {}
    terms = Contract().to_dict()
    known = hashlib.sha256(data + json.dumps([terms, "", "{}"], sort_keys=True).encode()).hexdigest()
    assert policies.file(tmp_path / "a" / "single.onnx").sha256 == known


@pytest.mark.parametrize(
    "location", ["/etc/hostname", "../b/w", "in/../../b/w", "C:\\w", "..\\b\\w", "link", "linked/w", "w\0"]
)
def test_weights_elsewhere_are_refused(tmp_path, location):
    """No location leads out of the policy's folder, however it is spelt."""
    a, b = tmp_path / "a", tmp_path / "b"
    for folder in (a / "in", b):
        folder.mkdir(parents=True)
    (b / "w").write_bytes(b"1234")
    (a / "link").symlink_to(b / "w")
    (a / "linked").symlink_to(b)
    graph = onnx.ModelProto(graph=onnx.GraphProto(initializer=[external(location)]))
    (a / "policy.onnx").write_bytes(graph.SerializeToString())
    with pytest.raises(Sim2RealError, match=r"which is not in its own folder: put it there, or export a sin"):
        policies.file(a / "policy.onnx")
    with pytest.raises(Sim2RealError, match="a/policy.onnx' keeps weights in '"):
        policies.file(a / "policy.onnx")


def test_links_within_the_folder_are_followed(tmp_path):
    """A link to a file of the same folder is that file, and a folder below is part of the policy's."""
    trained(a := tmp_path / "a", 0)
    policy = policies.file(a / "policy.onnx")
    (a / "in").mkdir()
    (a / WEIGHTS).rename(a / "in" / "w")
    (a / WEIGHTS).symlink_to(Path("in", "w"))
    assert policies.file(a / "policy.onnx") == policy
    policy.load()


def test_tensors_are_found_wherever_they_stand(tmp_path):
    """Every message of the format that leads to a tensor is gone into; onnx's own description says which do."""

    def below(kind, found):
        if kind.name not in found:
            found[kind.name] = {part.number: part.message_type for part in kind.fields if part.message_type}
            for part in found[kind.name].values():
                below(part, found)
        return found

    messages, leading = below(onnx.ModelProto.DESCRIPTOR, {}), {"TensorProto"}
    for _ in messages:
        leading |= {
            name for name, parts in messages.items() if {part.name for part in parts.values()} & leading
        }
    assert {
        name: {number: part.name for number, part in messages[name].items() if part.name in leading}
        for name in leading - {"TensorProto"}
    } == ours.LEADS

    fields = onnx.AttributeProto(t=external("attribute"), tensors=[external("attributes")])
    sparse = onnx.SparseTensorProto(values=external("values"), indices=external("indices"))
    branch = onnx.GraphProto(initializer=[external("branch")], sparse_initializer=[sparse])
    fields.g.CopyFrom(
        onnx.GraphProto(node=[onnx.NodeProto(attribute=[onnx.AttributeProto(graphs=[branch])])])
    )
    function = onnx.FunctionProto(node=[onnx.NodeProto(attribute=[fields])])
    model = onnx.ModelProto(
        functions=[function], graph=onnx.GraphProto(initializer=[external("initializer")])
    )
    embedded = external("unused")
    embedded.data_location = onnx.TensorProto.DEFAULT
    model.graph.initializer.append(embedded)
    places = ["attribute", "attributes", "branch", "indices", "initializer", "values"]
    for place in places:
        (tmp_path / place).write_text(place)
    path, data = tmp_path / "a.onnx", model.SerializeToString()
    assert ours.beside(path, data) == {place: place.encode() for place in places}
    for end in range(len(data)):  # damaged anywhere, it names no others and raises nothing
        assert set(ours.beside(path, data[:end])) <= {*places}


def test_subgraphs_load_their_weights(tmp_path, monkeypatch):
    """A branch of an `If` has its weights from its own folder."""
    helper = onnx.helper
    out = helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [1, 1])
    put = helper.make_node("Add", ["obs", "w"], ["y"])
    branches = [helper.make_graph([put], name, [], [out], [external(name)]) for name in ("yes", "no")]
    model = helper.make_model(
        helper.make_graph(
            [
                helper.make_node("ReduceSum", ["obs"], ["total"], keepdims=0),
                helper.make_node("Cast", ["total"], ["is"], to=onnx.TensorProto.BOOL),
                helper.make_node("If", ["is"], ["y"], then_branch=branches[0], else_branch=branches[1]),
            ],
            "policy",
            [helper.make_tensor_value_info("obs", onnx.TensorProto.FLOAT, [1, 1])],
            [out],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    (tmp_path / "policy.onnx").write_bytes(model.SerializeToString())
    for name, value in (("yes", 3.0), ("no", 5.0)):
        (tmp_path / name).write_bytes(np.float32(value).tobytes())
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    policy = policies.file(tmp_path / "policy.onnx").load()
    assert (policy([1.0]), policy([0.0])) == (4.0, 5.0)


def test_a_study_does_not_mix_trainings(tmp_path, monkeypatch):
    """Episodes of two trainings, played by workers from within one's folder, are those of their single files."""
    for seed, name in enumerate("ab"):
        trained(tmp_path / name, seed)
    monkeypatch.chdir(tmp_path / "a")
    rows = {}
    for file in ("policy.onnx", "single.onnx"):
        study = Study(
            name="mix",
            env="Pendulum-v1",
            policies={name: policies.file(Path("..", name, file)) for name in "ab"},
            episodes=2,
            max_steps=20,
            metric="return",
            competent=-1e4,
        )
        store = run(study, tmp_path / file, workers=2)
        found = {row["key"]: row["return"] for row in store.rows()}
        rows[file] = [found[cell.trial.key] for cell in study.cells()]
    assert len(set(rows["policy.onnx"])) == 4
    np.testing.assert_allclose(rows["policy.onnx"], rows["single.onnx"], rtol=1e-6)


def test_weights_are_read_once(tmp_path, monkeypatch):
    """What was hashed is what runs: after it was read a policy has no more use for its files."""
    trained(a := tmp_path / "a", 0)
    policy = policies.file(a / "policy.onnx")
    expected = policy.load()([1, 2, 3])
    open_session = onnxruntime.InferenceSession

    def late(*args, **kwargs):
        (a / WEIGHTS).write_bytes(bytes((a / WEIGHTS).stat().st_size))
        return open_session(*args, **kwargs)

    monkeypatch.setattr(onnxruntime, "InferenceSession", late)
    np.testing.assert_array_equal(policy.load()([1, 2, 3]), expected)
