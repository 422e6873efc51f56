"""Prefect hears of a champion that draws otherwise in use than when it was promoted."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from flows.server import connected
from gan_core.errors import GantryError
from tasks.workspace import Workspace

if TYPE_CHECKING:
    from tasks.watching import Watched

EVENT = "gantry.use.differs"


def tell(workspace: Workspace, found: Watched) -> bool:
    """Send the event, to which an automation can answer; False where PREFECT_API_URL names no server that could hear it.

    Raises:
        GantryError: the server does not answer, or does not take it.
    """
    if not os.environ.get("PREFECT_API_URL"):
        return False
    with connected(workspace):
        import httpx
        from prefect.client.orchestration import get_client
        from prefect.events import Event, Resource

        resource = {
            "prefect.resource.id": f"gantry.generator.{found.name}",
            "prefect.resource.name": found.name,
            "gantry.version": str(found.version),
        }
        event = Event(event=EVENT, resource=Resource(resource), payload={"findings": list(found.findings), "in_words": found.in_words})
        # Not by `emit_event`, whose worker gives up in silence on a busy machine.
        try:
            with get_client(sync_client=True) as client:
                client.request("POST", "/events", json=[event.model_dump(mode="json")]).raise_for_status()
        except httpx.HTTPError as error:
            raise GantryError(f"Prefect's server did not take the event {EVENT} ({error}); look at its log") from None
    return True
