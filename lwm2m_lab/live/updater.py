"""Object 5 put together: what a Write and an Execute of each of its resources does."""

from __future__ import annotations

from aiocoap.numbers.codes import Code

from lwm2m_lab.errors import IllegalEvent
from lwm2m_lab.live import tree
from lwm2m_lab.live.install import Install
from lwm2m_lab.live.object5 import refused
from lwm2m_lab.spec.firmware import Event

__all__ = ["Updater"]


class Updater(Install):
    """The firmware update of one device from boot to reboot; see `lwm2m_lab.live.object5` for its rooms."""

    def set(self, resource: int, value: tree.Value) -> Code:
        """A Package URI, a setting, or a package that came whole among other values."""
        try:
            if resource == 1:
                self.write_uri(str(value))
            elif resource == 0:
                assert isinstance(value, bytes)
                self.write_whole_package(value)
            else:
                self.set_value(resource, value)
        except IllegalEvent as error:
            raise refused(error) from None
        return Code.CHANGED

    def execute(self, resource: int, arguments: str) -> Code:
        """An Execute of Update or Cancel."""
        if arguments and self.profile.name == "wakaama":
            raise tree.Refusal(Code.BAD_REQUEST, "no arguments are expected")
        try:
            if resource == 2:
                self.update()
            else:
                self.cancel()
        except IllegalEvent as error:
            raise refused(error) from None
        return Code.CHANGED

    def cancel(self) -> None:
        """Execute of Cancel: the update ends before it is installed."""
        if self.step(Event.CANCEL):
            self.drop_package()
