"""Friction that the adapter tells is what a pull measures in the engine's own contacts."""

import mujoco
import numpy as np
import pytest

from sim2real import Sim2RealError
from sim2real.wrappers import Mujoco
from sim2real.wrappers.mujoco_contact import ground_pairs

FLOOR = '<geom name="floor" type="plane" size="99 99 .1" {floor}/>'
SLED = """
<mujoco>
  <option timestep="0.002" cone="elliptic" impratio="10"/>
  <asset><hfield name="flat" nrow="2" ncol="2" size="99 99 .1 .1" elevation="0 0 0 0"/></asset>
  <worldbody>
    {ground}
    <geom name="post" type="box" size=".1 .1 .1" pos="0 8 1" friction="5"/>
    <body name="sled" pos="0 0 .01">
      <freejoint/>
      <inertial mass="10" pos="0 0 0" diaginertia=".2 .2 .3"/>
      <geom name="foot" type="box" size=".2 .2 .01" {foot}/>
      <geom name="shell" type="box" size=".1 .1 .01" friction="3" contype="0" conaffinity="0"/>
    </body>
    {more}
  </worldbody>
  {contact}
</mujoco>
"""
PAIR = '<contact><pair geom1="foot" geom2="floor" friction="0.4 0.4" condim="3"/></contact>'
CASES = {
    "the larger of two": (0.9, {"floor": 'friction="0.9"', "foot": 'friction="0.5"'}),
    "the larger of two, the other's": (0.8, {"floor": 'friction="0.3"', "foot": 'friction="0.8"'}),
    "priority of the foot": (0.6, {"floor": 'friction="1"', "foot": 'friction="0.6" priority="1"'}),
    "priority of the floor": (0.5, {"floor": 'friction="0.5" priority="2"', "foot": 'friction="1" priority="1"'}),
    "a pair of its own": (0.4, {"contact": PAIR}),
    "a pair against masks": (0.4, {"contact": PAIR, "foot": 'contype="0" conaffinity="0"'}),
    "a field": (0.7, {"ground": '<geom name="floor" type="hfield" hfield="flat" friction="0.7"/>',
                      "foot": 'friction="0.2"'}),
    "a box called floor": (0.7, {"ground": '<geom name="floor" type="box" pos="0 0 -1" size="9 9 1" friction="0.7"/>',
                                 "foot": 'friction="0.2"'}),
    "masks on one side": (0.9, {"floor": 'friction="0.9" contype="2" conaffinity="0"',
                                "foot": 'friction="0.5" contype="0" conaffinity="2"'}),
    "dimensions of one side": (1.0, {"floor": 'condim="1"', "foot": 'condim="3"'}),
}  # fmt: skip


def compiled(*, ground=FLOOR, floor="", foot="", more="", contact=""):
    described = SLED.format(ground=ground.format(floor=floor), foot=foot, more=more, contact=contact)
    return mujoco.MjModel.from_xml_string(described)


def pulled(model, body="sled", mass_kg=10.0):
    """Return what the engine's contacts push back per weight they carry, while twice the weight drags a body."""
    data = mujoco.MjData(model)
    mujoco.mj_step(model, data, 200)
    data.xfrc_applied[model.body(body).id, 0] = 2.0 * mass_kg * 9.81
    pushed, carried = np.zeros(2), 0.0
    force = np.zeros(6)
    for _ in range(50):
        mujoco.mj_step(model, data)
        for i, contact in enumerate(data.contact):
            if model.body(body).id in model.geom_bodyid[contact.geom]:
                mujoco.mj_contactForce(model, data, i, force)
                carried += force[0]
                pushed += np.abs((contact.frame.reshape(3, 3)[1:].T @ force[1:3])[:2])
    return pushed[0] / carried


@pytest.mark.parametrize("case", CASES)
def test_the_friction_that_is_told_is_the_one_that_is_measured(case):
    """Nominal, set and scaled, by MuJoCo's rules of priority, of pairs, of masks and of the larger value."""
    friction, described = CASES[case]
    model = compiled(**described)
    parameters = Mujoco(model)
    assert parameters.spec("ground.friction").nominal == pytest.approx(friction)
    for told in (friction, 0.3, 0.5 * friction, friction):
        parameters.set("ground.friction", told)
        assert pulled(model) == pytest.approx(told, abs=0.02)
        assert parameters.get("ground.friction") == pytest.approx(told)


def test_where_nothing_rubs_there_is_no_friction():
    """Contacts of one dimension, and shapes that cannot touch the ground, have no friction to change."""
    for described in (
        {"floor": 'condim="1"', "foot": 'condim="1"'},
        {"floor": 'condim="1" priority="1"', "foot": 'condim="3"'},
        {"floor": 'contype="0" conaffinity="0"'},
        {"contact": '<contact><exclude body1="world" body2="sled"/></contact>'},
    ):
        model = compiled(**described)
        assert not list(ground_pairs(model))
        assert "ground.friction" not in Mujoco(model).names()


OTHER = """<body name="brick" pos="0 3 .01"><freejoint/><inertial mass="10" pos="0 0 0" diaginertia=".2 .2 .3"/>
<geom name="base" type="box" size=".2 .2 .01" friction="{}" {}/></body>"""


def test_shapes_that_differ_on_the_ground_have_names_of_their_own():
    """Each can be changed alone; the ground's coefficient scales all of them by one factor."""
    model = compiled(floor='friction="0.2"', foot='friction="0.6"', more=OTHER.format(0.9, ""))
    parameters = Mujoco(model)
    assert parameters.spec("ground.friction").nominal == 0.9
    assert "'base'" in parameters.spec("ground.friction").doc
    parameters.set("foot.friction", 0.3)
    assert (pulled(model), pulled(model, "brick")) == (
        pytest.approx(0.3, abs=0.02),
        pytest.approx(0.9, abs=0.02),
    )
    parameters.set("ground.friction", 0.45)
    assert (pulled(model), pulled(model, "brick")) == (
        pytest.approx(0.15, abs=0.02),
        pytest.approx(0.45, abs=0.02),
    )
    assert parameters.get("foot.friction") == pytest.approx(0.3)
    with pytest.raises(Sim2RealError, match="outside what is possible, 0.2 to 10"):
        parameters.set("foot.friction", 0.1)  # the ground has more


def test_a_friction_that_the_ground_decides_is_no_parameter_of_the_shape():
    """Where the ground has the larger coefficient, the sentence says so."""
    model = compiled(floor='friction="0.7"', foot='friction="0.6"', more=OTHER.format(0.9, ""))
    with pytest.raises(Sim2RealError, match="The ground decides the friction of 'foot'"):
        Mujoco(model).spec("foot.friction")


def test_friction_comes_back_bit_for_bit():
    """After changes in any order everything is as it was described."""
    model = compiled(floor='friction="0.2"', foot='friction="0.6"', more=OTHER.format(0.9, ""), contact=PAIR)
    before = model.geom_friction.copy(), model.pair_friction.copy()
    parameters = Mujoco(model)
    for name, value in (("ground.friction", 0.37), ("base.friction", 0.7), ("ground.friction", 0.9),
                        ("foot.friction", 0.31), ("base.friction", 0.9), ("foot.friction", 0.4)):  # fmt: skip
        parameters.set(name, value)
    np.testing.assert_array_equal(model.geom_friction, before[0])
    np.testing.assert_array_equal(model.pair_friction, before[1])


@pytest.mark.parametrize(("floor", "foot"), [(0.9, 0.2), (0.2, 0.9)])
def test_a_friction_that_somebody_else_wrote_is_told(floor, foot):
    """What is read is the coefficient between ground and shape, whatever else is the largest in the model."""
    model = compiled(floor=f'friction="{floor}"', foot=f'friction="{foot}"')
    parameters = Mujoco(model)
    parameters.set("ground.friction", 0.6)
    assert parameters.get("ground.friction") == 0.6
    model.geom_friction[[model.geom("floor").id, model.geom("foot").id], 0] = 0.3
    assert parameters.get("ground.friction") == pytest.approx(0.3)
    parameters.set("ground.friction", 0.6)
    assert pulled(model) == pytest.approx(0.6, abs=0.02)


def test_a_friction_that_the_model_overrides_is_no_parameter():
    """No coefficient of a shape acts then."""
    model = compiled()
    model.opt.enableflags |= mujoco.mjtEnableBit.mjENBL_OVERRIDE
    with pytest.raises(Sim2RealError, match="overrides the friction of every contact"):
        Mujoco(model).spec("ground.friction")


def test_what_is_soft_rubs_as_the_ground_does():
    """A flex has a coefficient too, and the larger of two counts."""
    flex = """<flexcomp name="cloth" type="grid" count="3 3 1" spacing=".1 .1 .1" dim="2" mass="1" radius=".01"
    pos="0 3 .01" rigid="false"><edge equality="true"/></flexcomp>"""
    model = compiled(more=flex)
    Mujoco(model).set("ground.friction", 0.25)
    assert model.flex_friction[0, 0] == 0.25
