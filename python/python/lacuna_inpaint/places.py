"""Where files are: on this machine, or behind an URL that ``fsspec`` opens, such as ``s3://bucket/photo.jpg``."""

from __future__ import annotations

import hashlib
import os
import posixpath
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import _native
from .errors import Error, TooLarge

if TYPE_CHECKING:
    from .inpainter import FileOptions

Place = str | os.PathLike[str]

# Stores in which an object is either written completely or not at all.
OBJECT_STORES = {"abfs", "az", "gcs", "gs", "memory", "oci", "oss", "r2", "s3", "s3a"}
# The library's limit of a file, for files that are read here.
MOST_BYTES = 1 << 30


def is_url(place: Place) -> bool:
    """Whether this is an URL."""
    return isinstance(place, str) and "://" in place


def exists(place: Place) -> bool:
    """Whether there is a file, or a link."""
    if not is_url(place):
        return os.path.lexists(place)
    system, path = _opened(place)
    return bool(system.exists(path))


def read(place: Place, options: FileOptions) -> bytes:
    """The bytes of a file, within the limits."""
    if not is_url(place):
        return _native.read(place, options)
    system, path = _opened(place)
    length, most = int(system.size(path) or 0), options.max_bytes or MOST_BYTES
    if length > most:
        raise TooLarge(f"{place}: the file has {length} bytes: at most {most} are allowed")
    return bytes(system.cat_file(path))


def read_if_there(place: Place) -> bytes | None:
    """The bytes of a file; none if there is none."""
    try:
        if not is_url(place):
            return Path(place).read_bytes()
        system, path = _opened(place)
        return bytes(system.cat_file(path))
    except FileNotFoundError:
        return None


def sha256(place: Place) -> str | None:
    """The hash of a file; none if there is none."""
    if not is_url(place):
        return _native.sha256(place)
    data = read_if_there(place)
    return None if data is None else hashlib.sha256(data).hexdigest()


def write(place: Place, data: bytes) -> None:
    """Writes a file completely or not at all, with the folders that it is in."""
    if not is_url(place):
        Path(place).parent.mkdir(parents=True, exist_ok=True)
        _native.write(place, data)
        return
    system, path = _opened(place)
    protocol = system.protocol if isinstance(system.protocol, str) else system.protocol[0]
    if protocol in OBJECT_STORES:
        system.pipe_file(path, data)
        return
    folder, name = posixpath.split(path)
    system.makedirs(folder, exist_ok=True)
    temporary = posixpath.join(folder, f".lacuna-{os.urandom(8).hex()}-{name}.part")
    try:
        system.pipe_file(temporary, data)
        system.mv(temporary, path)
    except BaseException:
        if system.exists(temporary):
            system.rm_file(temporary)
        raise


def _opened(url: Place) -> tuple[Any, str]:
    """The file system of an URL, and the path in it."""
    try:
        from fsspec.core import url_to_fs
    except ImportError as error:
        raise Error(f"{url} is an URL, and fsspec, which opens them, is not installed") from error
    system, path = url_to_fs(url)
    return system, path
