"""What an account's key sees, as one short text: the identity of an account to the outside.

Two exporters that see the same have the same view, whatever their accounts are called; two that
see something else differ, even where both left their account's name at ``default``.
"""

from __future__ import annotations

from collections.abc import Collection
from hashlib import sha256

from trainwave_exporter.model import Project
from trainwave_exporter.polling.watch_scope import WatchScope

LONGEST = 80
"""Characters of a view; what is longer becomes a hash."""


def view_of(
    scope: WatchScope, organizations: Collection[str] = (), projects: Collection[Project] = ()
) -> str:
    """Return the view: ids in order, separated by commas; empty where nothing is known.

    A configured project or organization wins. Else it is the ids of all organizations that the API
    lists, or, where it lists none, those that projects name, or else the projects' own.
    """
    configured = scope.project or scope.organization
    if configured is not None:
        ids = {configured}
    else:
        named = {project.organization_id for project in projects if project.organization_id}
        ids = {*organizations} or named or {project.id for project in projects}
    view = ",".join(sorted(ids))
    return view if len(view) <= LONGEST else f"sha256:{sha256(view.encode()).hexdigest()[:16]}"
