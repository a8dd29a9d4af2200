#!/usr/bin/env python3
"""A plug-in for GIMP 3: Filters > Enhance > Fill with Lacuna fills the selection by the program `lacuna`.

Not run inside GIMP yet; python/tests/test_gimp.py tests what needs no GIMP.
"""

from __future__ import annotations

import os
import shutil
import struct
import subprocess
import sys
import tempfile
import zlib

# Names another program than the one on the search path.
PROGRAM_VARIABLE = "LACUNA"


class Failed(Exception):
    """What went wrong, for the user."""


def program(environment, find=shutil.which):
    """The program, or an error that says how to name it."""
    name = environment.get(PROGRAM_VARIABLE, "lacuna")
    found = find(name)
    if not found:
        raise Failed(f"The program {name} was not found. Install Lacuna, or name it in the variable {PROGRAM_VARIABLE}.")
    return found


def command(found, image, mask, result, expand=0, seed=0):
    """The command line of a fill."""
    return [found, "inpaint", image, mask, "-o", result, "--expand", str(expand), "--seed", str(seed)]


def grey_png(width, height, values):
    """A PNG file of bytes, row by row."""

    def chunk(kind, data):
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + values[width * row : width * (row + 1)] for row in range(height))
    header = struct.pack(">IIBBBBB", width, height, 8, 0, 0, 0, 0)
    parts = [chunk(b"IHDR", header), chunk(b"IDAT", zlib.compress(rows)), chunk(b"IEND", b"")]
    return b"\x89PNG\r\n\x1a\n" + b"".join(parts)


def run(arguments):
    """Runs the program; its message becomes the error."""
    # No console on Windows.
    hidden = getattr(subprocess, "CREATE_NO_WINDOW", 0)
    done = subprocess.run(arguments, capture_output=True, text=True, creationflags=hidden)
    if done.returncode != 0:
        lines = done.stderr.strip().splitlines() or [f"{arguments[0]} ended with code {done.returncode}"]
        raise Failed(lines[-1])


def main():
    """Registers the plug-in. GIMP's modules exist only inside GIMP."""
    import gi

    gi.require_version("Gimp", "3.0")
    gi.require_version("Gegl", "0.4")
    from gi.repository import Gegl, Gimp, Gio, GLib

    def fill(image, drawable, folder):
        if Gimp.Selection.is_empty(image):
            raise Failed("Nothing is selected: select what should disappear.")
        photo, mask, result = (os.path.join(folder, name) for name in ("photo.png", "mask.png", "result.png"))
        found = program(os.environ)
        width, height = image.get_width(), image.get_height()
        whole = Gegl.Rectangle.new(0, 0, width, height)
        selected = image.get_selection().get_buffer().get(whole, 1.0, "Y' u8", Gegl.AbyssPolicy.CLAMP)
        with open(mask, "wb") as file:
            file.write(grey_png(width, height, selected))
        flat = image.duplicate()
        flat.flatten()
        Gimp.file_save(Gimp.RunMode.NONINTERACTIVE, flat, Gio.File.new_for_path(photo), None)
        flat.delete()
        run(command(found, photo, mask, result))
        filled = Gimp.file_load_layer(Gimp.RunMode.NONINTERACTIVE, image, Gio.File.new_for_path(result))
        filled.set_name("Lacuna")
        image.insert_layer(filled, drawable.get_parent(), image.get_item_position(drawable))

    class Lacuna(Gimp.PlugIn):
        def do_query_procedures(self):
            return ["lacuna-fill"]

        def do_create_procedure(self, name):
            procedure = Gimp.ImageProcedure.new(self, name, Gimp.PDBProcType.PLUGIN, self.run, None)
            procedure.set_image_types("*")
            procedure.set_sensitivity_mask(Gimp.ProcedureSensitivityMask.DRAWABLE)
            procedure.set_menu_label("Fill with Lacuna")
            procedure.add_menu_path("<Image>/Filters/Enhance/")
            procedure.set_documentation("Fills the selection", "Fills the selection so that what was there disappears.", name)
            return procedure

        def run(self, procedure, mode, image, drawables, config, data):
            image.undo_group_start()
            try:
                with tempfile.TemporaryDirectory() as folder:
                    fill(image, drawables[0], folder)
            except (Failed, OSError) as error:
                Gimp.message(str(error))
                failure = GLib.Error(str(error))
                return procedure.new_return_values(Gimp.PDBStatusType.EXECUTION_ERROR, failure)
            finally:
                image.undo_group_end()
            Gimp.displays_flush()
            return procedure.new_return_values(Gimp.PDBStatusType.SUCCESS, None)

    Gimp.main(Lacuna.__gtype__, sys.argv)


if __name__ == "__main__":
    main()
