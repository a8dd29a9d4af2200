"""A node for ComfyUI that fills masked parts of images with Lacuna, at their own size, on the processor."""

from __future__ import annotations

import lacuna_inpaint
from comfy.model_management import throw_exception_if_processing_interrupted
from comfy.utils import ProgressBar
from comfy_api.latest import ComfyExtension, io

METHODS = ["guided", "patchmatch", "network"]
# Masks are fractions; from here on a pixel is filled.
HOLE = 0.5
SEEDS = 1 << 63


def pairs(image, mask):
    """Each image with its mask: as many masks as images, or one for all."""
    images, height, width = image.shape[:3]
    if mask.ndim == 2:
        mask = mask[None]
    masks, mask_height, mask_width = mask.shape
    if (mask_width, mask_height) != (width, height):
        raise ValueError(f"the mask has {mask_width} x {mask_height} pixels, the image {width} x {height}")
    if masks not in (1, images):
        raise ValueError(f"there are {masks} masks for {images} images: expected one, or one each")
    return [(image[index], mask[index % masks]) for index in range(images)]


class LacunaInpaint(io.ComfyNode):
    """Fills holes; pixels outside keep their values."""

    @classmethod
    def define_schema(cls):
        return io.Schema(
            node_id="LacunaInpaint",
            display_name="Inpaint (Lacuna)",
            category="image/inpaint",
            description="Fills the masked part of an image, at its own size, on the processor.",
            inputs=[
                io.Image.Input("image"),
                io.Mask.Input("mask", tooltip="Filled where it is at least 0.5. One mask, or one for each image."),
                io.Combo.Input("method", options=METHODS, default=METHODS[0]),
                io.Int.Input("seed", default=0, min=0, max=SEEDS - 1, control_after_generate=True),
                io.Int.Input("expand", default=0, min=0, max=1024, tooltip="Pixels by which the hole grows."),
                io.Int.Input("feather", default=0, min=0, max=1024, tooltip="Pixels of the soft edge."),
                io.Int.Input("refine", default=0, min=0, max=200, tooltip="Passes that fit the network to the image."),
            ],
            outputs=[io.Image.Output()],
        )

    @classmethod
    def execute(cls, image, mask, method, seed, expand, feather, refine):
        settings = {"method": method, "seed": seed, "expand": expand, "feather": feather, "refine": refine or None}
        fill = lacuna_inpaint.Inpainter(**settings)
        result = image.clone()
        work = pairs(image, mask)
        progress = ProgressBar(len(work))
        for index, (picture, hole) in enumerate(work):
            throw_exception_if_processing_interrupted()
            filled = fill(picture.cpu().numpy(), (hole >= HOLE).cpu().numpy())
            result[index] = image.new_tensor(filled)
            progress.update(1)
        return io.NodeOutput(result)


class LacunaExtension(ComfyExtension):
    """What ComfyUI loads."""

    async def get_node_list(self):
        return [LacunaInpaint]


async def comfy_entrypoint():
    return LacunaExtension()
