"""Order stage: what is true of an action, and of a collection's action because of its members'."""

from standfest.core.scheduler import colocate
from standfest.core.scheduler.actions import Action, find
from standfest.core.scheduler.entities import Kind, Node, Resource, Role

DONE = {"start": "running", "stop": "stopped", "promote": "promoted", "demote": "demoted"}
BEGUN = {done: begun for begun, done in DONE.items()}


def within(resource: Resource, whole: Resource) -> bool:
    """Return whether `whole` contains `resource`."""
    level = resource.parent
    while level is not None:
        if level is whole:
            return True
        level = level.parent
    # What runs inside a bundle belongs to it, although its instances are not the bundle's children.
    return whole.element.tag == "bundle" and resource.top.bundle is whole


def milestone(first: Action) -> Action:
    """Return what really marks the end of a collection's task."""
    resource = first.resource
    if resource is None or resource.kind is Kind.PRIMITIVE:
        return first
    done = DONE.get(first.task)
    if done is None:
        return first
    found = find(resource, done)
    return found if found is not None else first


def deed(resource: Resource, task: str) -> Action | None:
    """Return the action that marks that a task is done; for a primitive, the task itself."""
    if resource.kind is Kind.PRIMITIVE:
        return find(resource, task)
    return find(resource, DONE.get(task, task)) or find(resource, task)


def interleaved(first: Action, then: Action) -> bool:
    """Return whether two collections' actions are ordered instance by instance."""
    here, there = first.resource, then.resource
    assert here is not None, "checked by the caller"
    assert there is not None, "checked by the caller"
    chosen = here if then.task in ("stop", "demote", "stopped", "demoted") else there
    return chosen.interleave and here.clone_node_max == there.clone_node_max


def flags_of(action: Action, node: Node | None) -> tuple[bool, bool]:
    """Return (optional, runnable): a collection's follow from its members' (rule 5, 6.10)."""
    resource = action.resource
    if resource is None or resource.kind is Kind.PRIMITIVE:
        return action.optional, action.runnable
    task = BEGUN.get(action.task, action.task)
    if resource.kind is Kind.GROUP:
        return group_flags(action, resource, task)
    if action.task not in DONE and action.task not in BEGUN:
        return action.optional, action.runnable
    optional, runnable = _instance_flags(action, resource, task, None)
    if node is not None:
        # Whether it can run counts anywhere, whether it must only where `then` is.
        optional, _ = _instance_flags(action, resource, task, node)
    return optional, runnable


def _instance_flags(
    action: Action, clone: Resource, task: str, node: Node | None
) -> tuple[bool, bool]:
    optional, any_runnable = True, False
    for instance in clone.children:
        if instance.kind is Kind.PRIMITIVE:
            found = find(instance, task, node)
        else:
            found = find(instance, action.task) or find(instance, task)
        if found is None:
            continue
        if node is not None and colocate.place_of(instance) not in (node, None):
            continue
        one_optional, one_runnable = flags_of(found, None)
        # What cannot begin is no reason for anything else to begin again.
        one_optional = one_optional or (not one_runnable and task in ("start", "promote"))
        optional = optional and one_optional
        any_runnable = any_runnable or one_runnable
    if node is None:
        if not optional:
            action.optional = False
        if not any_runnable:
            action.runnable = False
    return optional, any_runnable


def group_flags(action: Action, group: Resource, task: str) -> tuple[bool, bool]:
    """Return (optional, runnable) of a group's action from its members' actions.

    A group may begin what its later members cannot complete; it is done only when all are.
    """
    optional, runnable = True, True
    ends = action.task != task
    for member in group.children:
        found = find(member, task)
        if found is not None:
            if not found.optional:
                optional = False
                action.optional = False
            if ends and not found.runnable and not (found.optional and task in ("stop", "demote")):
                runnable = False
    return optional, runnable


def asymmetric(then: Action) -> None:
    """Block `then` behind a `first` that cannot run, unless it is where it should be already."""
    resource = then.resource
    assert resource is not None, "checked by the caller"
    if then.optional:
        role = colocate.role_of(resource, current=True)
        if role <= Role.STOPPED and then.task == "stop":
            return
        if role >= Role.STARTED and then.task == "start" and resource.assigned in resource.running:
            return
    then.runnable = False


def restart(first: Action, then: Action) -> None:
    """Stop what cannot stay up while `then` is done (rule 8.1 c)."""
    same = first.resource is then.resource and then.resource is not None
    if not (
        not then.optional
        or (same and not then.runnable and then.resource is not None and then.resource.managed)
    ):
        return
    if first.resource is not None and not first.resource.managed:
        if first.task == "stop" and not first.runnable and not same:
            then.runnable = False  # it stays up, and with it what it needs
            return
    elif first.runnable or not then.optional:
        first.optional = False
        first.reason = first.reason or then.reason
    if not then.migratable and first.migratable:
        first.migratable = False
    if not first.optional and not first.runnable:
        then.runnable = False


def comes_back(down: Action) -> bool:
    """Return whether what stops, or is demoted, is up again in the end (rule 11.6).

    Its dependents must be down in between.
    """
    resource = down.resource
    if resource is None:
        return False
    up = "promote" if down.task in ("demote", "demoted") else "start"
    return any(not action.optional for action in resource.by_key.get(f"{resource.id}_{up}_0", ()))
