"""Random changes of a CIB by Debian's tools and by ours: the same results, the same exit codes.

Each sequence runs on two copies of one file, step by step. What is different on purpose is not
generated, and stands in docs/guide/tools.md. Versions are compared, too; what has no meaning for
us is not: the order of attributes.
"""

import os
import random
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from tests.administering import SHARED, run

from standfest.core.cib import counting, diffxml, objects, places
from standfest.model import xml
from standfest.model.element import Element

SEQUENCES = 300
PARTS = 6
STEPS = 3
FILES = ("web-running.xml", "standby-maint-ticket.xml", "promotable.xml", "node-lost-fencing.xml")
pytestmark = pytest.mark.skipif(
    shutil.which("cibadmin") is None or not SHARED.is_dir(),
    reason="needs Debian's pacemaker-cli-utils and ../shared/facts/formats/samples",
)

Words = list[str]
CHECKED = frozenset(
    [
        *("is-managed", "no-quorum-policy", "notify", "priority", "promotable"),
        *("stonith-enabled", "target-role"),
    ]
)
"""Names whose values we look at, which 2.1.5 does not: they get no random ones."""
AGENT = 'class="ocf" provider="pacemaker" type="Dummy"'


class World:
    """What a random step may name: what is in the file, what was made before, what is nowhere."""

    def __init__(self, rng: random.Random, cib: Element) -> None:
        self.rng = rng
        self.cib = cib
        self.made = 0
        configuration = cib.child("configuration")
        assert configuration is not None
        self.elements = [e for e in configuration.walk() if e.id and e.get("name") not in CHECKED]
        self.nodes = [e.get("uname") or "" for e in configuration.walk() if e.tag == "node"]

    def any(self, *tags: str) -> Element:
        found = [e for e in self.elements if not tags or e.tag in tags]
        return self.rng.choice(found or self.elements)

    def new(self) -> str:
        self.made += 1
        return f"new{self.made}"

    def resource(self) -> str:
        return self.any("primitive", "group", "clone").id

    def node(self) -> str:
        return self.rng.choice([*self.nodes, *self.nodes, "nobody"])


def start_tag(element: Element, names: list[str]) -> str:
    attributes = "".join(f' {name}="{element.get(name)}"' for name in names)
    return f"<{element.tag}{attributes}/>"


def create_resource(world: World) -> Words:
    name = world.rng.choice([world.new(), f"new{world.made}", world.resource()])
    pair = f'<nvpair id="{name}-p" name="priority" value="1"/>'
    inner = f'<meta_attributes id="{name}-m">{pair}</meta_attributes>'
    text = f'<primitive id="{name}" {AGENT}>{world.rng.choice(["", inner])}</primitive>'
    if world.rng.random() < 0.3:
        text = f"<resources>{text}</resources>"
    return ["-C", "-o", "resources", "-X", text]


def create_constraint(world: World) -> Words:
    name = world.rng.choice([world.new(), world.any("rsc_location").id])
    target = world.rng.choice([world.resource(), world.resource(), "nowhere"])
    score = world.rng.choice(["5", "INFINITY", "score++", "score+=7"])
    text = f'<rsc_location id="{name}" rsc="{target}" node="{world.node()}" score="{score}"/>'
    if world.rng.random() < 0.3:
        text = f"<constraints>{text}</constraints>"
    scope = world.rng.choice(["constraints", "constraints", "constraints", "all", "nodes"])
    return ["-C", "-o", scope, "-X", text]


def create_status(world: World) -> Words:
    name = world.rng.choice(["1", "2", world.new()])
    text = f'<node_state id="{name}" uname="{name}"><lrm id="{name}"/></node_state>'
    return ["-C", "-o", "status", "-X", text]


def create_broken(world: World) -> Words:
    return ["-C", "-o", "resources", "-X", f'<primitive id="{world.new()}"/>']


def modify_value(world: World) -> Words:
    pair = world.any("nvpair")
    value = world.rng.choice(["7", "value++", "value+=5", "value+=-INFINITY", "a &lt; b", ""])
    return ["-M", *scope_of(world), "-X", f'<nvpair id="{pair.id}" value="{value}"/>']


def scope_of(world: World) -> Words:
    scope = world.rng.choice(["", "", "configuration", "resources", "crm_config"])
    return ["-o", scope] if scope else []


def modify_score(world: World) -> Words:
    scores = ["score++", "score+=10", "score+=-3", "17", "-INFINITY", "score+=INFINITY"]
    score = world.rng.choice(scores)
    return ["-M", "-X", f'<rsc_location id="{world.any("rsc_location").id}" score="{score}"/>']


def modify_inside(world: World) -> Words:
    target = world.any("primitive")
    name = world.new()
    pair = f'<nvpair id="{name}" name="{name}" value="1"/>'
    inner = f'<meta_attributes id="{target.id}-meta">{pair}</meta_attributes>'
    text = f'<primitive id="{target.id}" description="{name}">{inner}</primitive>'
    return ["-M", *scope_of(world), "-X", text]


def modify_or_create(world: World) -> Words:
    name = world.rng.choice([world.new(), world.any("rsc_location").id])
    text = f'<rsc_location id="{name}" rsc="{world.resource()}" node="node1" score="3"/>'
    return ["-M", "-c", "-o", world.rng.choice(["constraints", "resources"]), "-X", text]


def modify_nowhere(world: World) -> Words:
    return ["-M", "-X", f'<{world.any().tag} id="nowhere"/>']


def modify_at_path(world: World) -> Words:
    pair = world.any("nvpair")
    itself = f"//*[@id='{pair.id}']"
    path = world.rng.choice(["//primitive", "//nvpair", "//configuration", itself, "//nowhere"])
    return ["-M", "-A", path, "-X", f'<nvpair id="{pair.id}" value="8"/>']


def modify_version(world: World) -> Words:
    epochs = ['epoch="epoch++"', 'epoch="2"', 'epoch="50"']
    others = ['admin_epoch="admin_epoch++"', 'have-quorum="0"']
    changed = world.rng.choice([*epochs, *others])
    return ["-M", "-X", f"<cib {changed}/>"]


def replace_object(world: World) -> Words:
    target = world.any("nvpair", "rsc_location", "op", "node")
    changed = target.with_attribute("value" if target.tag == "nvpair" else "description", "new")
    if target.tag == "op":
        changed = target.with_attribute("interval", "47s")
    if target.tag == "rsc_location":
        changed = target.with_attribute("score", "47")
    return ["-R", *scope_of(world), "-X", xml.serialise(changed)]


def replace_section(world: World) -> Words:
    empty = world.rng.choice(["constraints", "constraints", "resources", "nodes", "tags", "status"])
    scope = world.rng.choice([["-o", empty], ["-o", empty], [], ["-o", "crm_config"]])
    return ["-R", *scope, "-X", f"<{empty}/>"]


def replace_at_path(world: World) -> Words:
    pair = world.any("nvpair")
    itself = f"//nvpair[@id='{pair.id}']"
    path = world.rng.choice([itself, "//nvpair", "//rsc_location", "//nowhere"])
    return ["-R", "-A", path, "-X", f'<nvpair id="{world.new()}" name="n" value="v"/>']


def replace_whole(world: World) -> Words:
    cib = world.cib.with_attribute("epoch", world.rng.choice(["11", "12", "90"]))
    if world.rng.random() < 0.5:
        cib = cib.with_attribute("admin_epoch", "3")
    return ["-R", "-X", xml.serialise(cib)]


def delete_object(world: World) -> Words:
    target = world.any("nvpair", "rsc_location", "op", "primitive", "operations", "group")
    names = [name for name, value in target.attributes if "'" not in value]
    kept = world.rng.sample(names, world.rng.randint(0, len(names)))
    if world.rng.random() < 0.5 and "id" not in kept:
        kept.append("id")
    return ["-D", *scope_of(world), "-X", start_tag(target, kept)]


def delete_in_section(world: World) -> Words:
    inner = "".join(start_tag(world.any("rsc_location"), ["id"]) for _ in range(2))
    return ["-D", "-o", "constraints", "-X", f"<constraints>{inner}</constraints>"]


def delete_at_path(world: World) -> Words:
    pair = world.any("nvpair", "op")
    itself = f"//{pair.tag}[@id='{pair.id}']"
    others = ["//lrm_rsc_op", "//op", "//nowhere", "//nvpair/@id", "//constraints/*"]
    path = world.rng.choice([itself, *others])
    return [*world.rng.choice([["-D"], ["-d", "-f"], ["-d"]]), "-A", path]


def bump(world: World) -> Words:
    return ["-B"]


def erase(world: World) -> Words:
    return world.rng.choice([["-E"], ["-E", "-f"]])


CHANGES: tuple[Callable[[World], Words], ...] = (
    *(create_resource, create_constraint, create_constraint, create_status, create_broken),
    *(modify_value, modify_value, modify_score, modify_inside, modify_nowhere, modify_at_path),
    *(modify_version, replace_object, replace_object, replace_section, replace_at_path),
    *(replace_whole, delete_object, delete_object, delete_in_section, delete_at_path, bump),
    modify_or_create,
)


def attribute(world: World) -> Words:
    """Return a change or a question of crm_attribute."""
    rng = world.rng
    name = rng.choice(["standby", "rack", "fresh", "cluster-name", "a#b"])
    where = rng.choice(
        [["-N", world.node()], ["-N", world.node(), "-l", "reboot"], [], ["-N", world.node(), "-z"]]
    )
    what = rng.choice([["-v", "5"], ["-v", "value++"], ["-v", "on"], ["-D"], ["-G"], ["-G", "-q"]])
    if rng.random() < 0.1:
        what = ["-v", "value+=3", "-s", "another"]
    return ["crm_attribute", *where, "-n", name, *what]


def step(world: World) -> Words:
    if world.rng.random() < 0.25:
        return attribute(world)
    if world.rng.random() < 0.02:
        return ["cibadmin", *erase(world)]
    return ["cibadmin", *world.rng.choice(CHANGES)(world)]


def canonical(element: Element) -> Element:
    children = tuple(canonical(child) for child in element.children)
    return Element(element.tag, tuple(sorted(element.attributes)), children)


def without_version(cib: Element) -> Element:
    for name in ("epoch", "num_updates"):
        cib = cib.with_attribute(name, None)
    return cib


def by_debian(words: Words, cib: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        words,
        env={**os.environ, "CIB_file": str(cib)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )


def one_sequence(seed: int, folder: Path) -> tuple[str, list[str]]:
    """Return what differed, empty if nothing did, and the steps."""
    rng = random.Random(seed)
    name = rng.choice(FILES)
    theirs, ours = folder / "theirs.xml", folder / "ours.xml"
    for copy in (theirs, ours):
        copy.unlink(missing_ok=True)
        copy.write_bytes((SHARED / "cibs" / name).read_bytes())
    world = World(rng, xml.parse(theirs.read_bytes(), name))
    steps = []
    created = False  # by --modify --allow-create, after which 2.1.5 does not raise the epoch
    for _ in range(STEPS):
        words = step(world)
        steps.append(" ".join(words)[:300])
        created = created or "-c" in words
        done, ran = by_debian(words, theirs), run(words, {"CIB_file": str(ours)})
        told = f"{done.returncode} {done.stderr[-300:]}, we with {ran.code} {ran.text[-300:]}"
        if ran.code != done.returncode:
            return f"{name}: they end with {told}", steps
        if words[0] == "crm_attribute" and done.returncode == 0 and done.stdout != ran.text:
            return f"{name}: they say {done.stdout!r}, we {ran.text!r}", steps
    left, right = (canonical(xml.parse(file.read_bytes(), file.name)) for file in (theirs, ours))
    if created:
        left, right = without_version(left), without_version(right)
    lines = zip(xml.serialise(left).splitlines(), xml.serialise(right).splitlines(), strict=False)
    differing = [f"theirs {one}, ours {other}" for one, other in lines if one != other][:5]
    return "" if left == right else "\n".join([f"{name} differs", *differing]), steps


@pytest.mark.slow
@pytest.mark.parametrize("part", range(PARTS))
def test_the_same_changes_make_the_same_cib(part: int, tmp_path: Path) -> None:
    each = SEQUENCES // PARTS
    for seed in range(part * each, (part + 1) * each):
        difference, steps = one_sequence(seed, tmp_path)
        assert not difference, "\n".join([f"seed {seed}", difference, *steps])


def changed(rng: random.Random, cib: Element) -> Element:
    """Return a CIB after some changes that our own functions make, the version counted."""
    after = cib
    for _ in range(rng.randint(1, 5)):
        configuration = after.child("configuration")
        assert configuration is not None
        elements = [one for one in configuration.walk() if one.id]
        target = rng.choice(elements or [Element("node", (("id", "1"),))])
        where = next(path for path, one in places.paths(after) if one is target or not elements)
        match rng.randint(0, 4):
            case 0:
                after = objects.delete_at(after, [where]) if where else after
            case 1:
                after = places.put_at(after, where, target.with_attribute("new", f"{rng.random()}"))
            case 2:
                inner = tuple(rng.sample(target.children, len(target.children)))
                after = places.put_at(after, where, target.with_children(inner))
            case 3:
                section = rng.choice(configuration.children)
                inner = tuple(rng.sample(section.children, len(section.children)))
                after = objects.replace(after, section.with_children(inner), section.tag)
            case _:
                made = Element("x", (("id", f"made{rng.randint(0, 99)}"),), (target,))
                around = list(target.children)
                around.insert(rng.randint(0, len(around)), made)
                if all(one.id != made.id for one in target.children):
                    after = places.put_at(after, where, target.with_children(tuple(around)))
    return counting.counted(cib, after)


@pytest.mark.parametrize("seed", range(60))
def test_patches_are_understood_both_ways(seed: int, tmp_path: Path) -> None:
    rng = random.Random(seed)
    name = rng.choice(FILES)
    old = xml.parse((SHARED / "cibs" / name).read_bytes(), name)
    new = changed(rng, old)
    (tmp_path / "old.xml").write_text(xml.serialise(old))
    (tmp_path / "new.xml").write_text(xml.serialise(new))
    files = ["-o", str(tmp_path / "old.xml")]
    ours = diffxml.diff(old, new, digest=rng.random() < 0.5)
    theirs = by_debian(["crm_diff", *files, "-n", str(tmp_path / "new.xml")], tmp_path / "-")
    if ours is None:
        assert (theirs.returncode, theirs.stdout) == (0, "")
        return
    (tmp_path / "ours.patch").write_text(xml.serialise(ours))
    patched = by_debian(["crm_diff", *files, "-p", str(tmp_path / "ours.patch")], tmp_path / "-")
    assert patched.returncode == 0, patched.stderr
    assert canonical(xml.parse(patched.stdout, "theirs")) == canonical(new)
    assert theirs.returncode == 1
    applied = diffxml.apply(old, xml.parse(theirs.stdout, "theirs"))
    assert canonical(applied) == canonical(new)
