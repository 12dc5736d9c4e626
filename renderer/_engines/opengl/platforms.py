"""OpenGL without a display: contexts through EGL or OSMesa. Imports OpenGL, whose library must be
chosen before."""

# mypy: disable-error-code="misc, no-any-return, no-untyped-call"

from __future__ import annotations

import ctypes
import os
from typing import Any

import OpenGL.platform
from OpenGL import GL
from OpenGL.error import Error as OpenGLError
from pyrender.platforms.base import Platform

from renderer._crops import RenderError


def make_platform() -> Platform:
    """An OpenGL context of the kind that PYOPENGL_PLATFORM asks for.

    Raises:
        RenderError: none can be made here.
    """
    name = os.environ.get("PYOPENGL_PLATFORM")
    if name == "egl":
        return _egl()
    if name == "osmesa":
        platform = _OSMesa()
    else:
        from pyrender.platforms.pyglet_platform import PygletPlatform

        platform = PygletPlatform(1, 1)
    platform.init_context()
    return platform


def _egl() -> Platform:
    """A context on the device that EGL_DEVICE_ID names, or on the first one that works."""
    from OpenGL.EGL import eglDestroyContext
    from pyrender.platforms import egl

    class Egl(egl.EGLPlatform):
        def delete_context(self) -> None:
            # pyrender ends the whole display, and with it the contexts of other renderers.
            eglDestroyContext(self._egl_display, self._egl_context)
            self._egl_context: Any = None

    problem = "EGL finds no device"
    device_id = os.environ.get("EGL_DEVICE_ID")
    devices = [egl.get_device_by_index(int(device_id))] if device_id else _egl_devices(egl)
    for device in devices:
        platform = Egl(1, 1, device=device)
        try:
            platform.init_context()
        except (AssertionError, OpenGLError, AttributeError) as error:
            problem = str(error).splitlines()[0] if str(error) else type(error).__name__
        else:
            return platform
    raise RenderError(
        f"no OpenGL context can be made through EGL ({problem}): install the driver, on Debian "
        "and Ubuntu apt install libegl1 libgl1 libgl1-mesa-dri, or set PYOPENGL_PLATFORM=osmesa"
    )


def _egl_devices(egl: Any) -> list[Any]:
    try:
        return list(egl.query_devices())
    except RuntimeError:  # an EGL that cannot count its devices
        return [egl.EGLDevice(None)]


class _OSMesa(Platform):
    """Rendering on the processor through OSMesa; PyOpenGL 3.1.0, on which pyrender insists, cannot
    ask it for a modern context."""

    _FORMAT, _RGBA, _DEPTH_BITS, _PROFILE, _CORE = 0x22, 0x1908, 0x30, 0x33, 0x34
    _MAJOR, _MINOR = 0x36, 0x37

    def __init__(self) -> None:
        super().__init__(1, 1)
        self._library = OpenGL.platform.PLATFORM.OSMesa
        # PyOpenGL keeps things by context, and 3.1.0 does so by a pointer that cannot be a key.
        _ = OpenGL.platform.PLATFORM.GetCurrentContext
        self._library.OSMesaGetCurrentContext.restype = ctypes.c_void_p
        self._buffer = (ctypes.c_ubyte * 4)()
        self._context: Any = None

    def init_context(self) -> None:
        """Make a context of OpenGL 3.3."""
        attributes = [
            self._FORMAT, self._RGBA, self._DEPTH_BITS, 24, self._PROFILE, self._CORE,
            self._MAJOR, 3, self._MINOR, 3, 0,
        ]  # fmt: skip
        create = self._library.OSMesaCreateContextAttribs
        create.restype = ctypes.c_void_p
        create.argtypes = [ctypes.POINTER(ctypes.c_int), ctypes.c_void_p]
        self._context = create((ctypes.c_int * len(attributes))(*attributes), None)
        if not self._context:
            raise RenderError("OSMesa cannot give a context of OpenGL 3.3: install a newer one")

    def make_current(self) -> None:
        """Draw with this context from now on."""
        current = self._library.OSMesaMakeCurrent
        current.argtypes = [ctypes.c_void_p, ctypes.c_void_p, *[ctypes.c_int] * 3]
        if not current(self._context, self._buffer, GL.GL_UNSIGNED_BYTE, 1, 1):
            raise RenderError("OSMesa's context cannot be used: set PYOPENGL_PLATFORM=egl")

    def make_uncurrent(self) -> None:
        """Nothing: the next context takes its place."""

    def delete_context(self) -> None:
        """Free the context."""
        destroy = self._library.OSMesaDestroyContext
        destroy.argtypes = [ctypes.c_void_p]
        destroy(self._context)
        self._context = None

    def supports_framebuffers(self) -> bool:
        """It does; pyrender's own OSMesa platform says no."""
        return True
