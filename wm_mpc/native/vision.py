"""The encoder, and the error of the reconstructed image, in machine code; see `vision.h`.

Its numbers equal those of `WorldModel.encode_scene` and `model/familiarity.image_error`, except for
rounding. PyTorch needs several times as long for a single image after a pause, because the code of
its many small operations has then left the processor's cache.
"""

from __future__ import annotations

import ctypes

import torch
from torch import Tensor, nn

from wm_mpc.model.encoder import BlobDecoder, KeypointEncoder
from wm_mpc.model.world_model import WorldModel
from wm_mpc.native.packing import Matrix, Packer

_int, _pointer = ctypes.c_int32, ctypes.c_void_p


class _Convolution(ctypes.Structure):
    _fields_ = (
        *((name, _int) for name in ("size", "stride", "dilation", "groups", "is_row", "outputs")),
        *((name, _pointer) for name in ("taps", "bias", "scale", "shift")),
    )


class _Vision(ctypes.Structure):
    _fields_ = (
        *(
            (name, _int)
            for name in ("height", "width", "keypoints", "robot_points", "fixed_points")
        ),
        ("features", _Convolution * 4), ("heads", _Convolution),
        ("scene", _Convolution * 3), ("robot", _Convolution * 3),
        ("join", _Convolution), ("paint", _Convolution),
        *(
            (name, Matrix)
            for name in ("to_scene", "from_scene", "robot_first", "robot_second", "robot_last")
        ),
        *(
            (name, _pointer)
            for name in (
                "to_scene_bias", "from_scene_bias", "robot_first_bias", "robot_second_bias",
                "robot_last_bias", "sharpness", "robot_sharpness", "fixed", "background",
            )
        ),
    )  # fmt: skip


def declare_vision(library: ctypes.CDLL) -> ctypes.CDLL:
    """Declare the argument types of the functions to ctypes. May be called more than once.

    Args:
        library: The library.

    Returns:
        The library.
    """
    library.wm_mpc_vision_memory.restype = ctypes.c_int64
    library.wm_mpc_vision_memory.argtypes = (_pointer,)
    library.wm_mpc_encode.restype = None
    library.wm_mpc_encode.argtypes = (_pointer,) * 4
    library.wm_mpc_redraw.restype = None
    library.wm_mpc_redraw.argtypes = (_pointer,) * 5
    library.wm_mpc_redraw_error.restype = ctypes.c_float
    library.wm_mpc_redraw_error.argtypes = (_pointer,) * 5
    return library


class NativeVision:
    """Encoder and decoder of a world model in the form of the library, and memory between images.

    Not thread-safe.

    Args:
        library: The library.
        model: The world model, of one camera.
    """

    @torch.no_grad()
    def __init__(self, library: ctypes.CDLL, model: WorldModel) -> None:
        self._library = declare_vision(library)
        self._packer = pack = Packer(int(library.wm_mpc_panel()))
        self._scene_size = model.scene_size
        encoder, decoder = model.encoder, model.decoder
        assert isinstance(encoder, KeypointEncoder)
        assert isinstance(decoder, BlobDecoder)
        image = model.spec.image
        self._shape = (image.height, image.width, 3)
        fixed = decoder.static.shape[1]
        self._struct = s = _Vision(
            height=image.height, width=image.width, keypoints=encoder.keypoints,
            robot_points=len(decoder.robot_log_sharpness), fixed_points=fixed,
        )  # fmt: skip
        *features, heads = encoder.features
        for number, block in enumerate(features):
            s.features[number] = self._convolution(block, is_row=number == 0)
        s.heads = self._convolution(heads, scale=encoder.log_temperature.exp())
        for number in range(3):
            s.scene[number] = self._convolution(decoder.draw_scene[number])
            s.robot[number] = self._convolution(decoder.draw_robot[number])
        s.join = self._convolution(decoder.join[0], parts=2)
        s.paint = self._convolution(decoder.join[1])
        s.to_scene = pack.matrix(model.scene_map)
        s.to_scene_bias = pack.columns(-model.scene_mean @ model.scene_map)
        s.from_scene = pack.matrix(model.scene_unmap)
        s.from_scene_bias = pack.columns(model.scene_mean)
        for index, name in enumerate(("first", "second", "last")):
            layer = decoder.robot[2 * index]  # every second layer is an activation
            assert isinstance(layer, nn.Linear)
            setattr(s, f"robot_{name}", pack.matrix(layer.weight.T))
            setattr(s, f"robot_{name}_bias", pack.columns(layer.bias))
        s.sharpness = pack.floats(decoder.log_sharpness.exp())
        s.robot_sharpness = pack.floats(decoder.robot_log_sharpness.exp())
        s.fixed = pack.floats(decoder.static[0].permute(1, 2, 0))
        s.background = pack.floats(decoder.background[0].permute(1, 2, 0))
        self._memory = torch.zeros(library.wm_mpc_vision_memory(ctypes.byref(s)))

    def _convolution(
        self,
        layers: nn.Module,
        *,
        is_row: bool = False,
        parts: int = 1,
        scale: Tensor | float = 1.0,
    ) -> _Convolution:
        """Pack a convolution, or one with its normalisation.

        `parts` is the number of maps that its channels come from; `scale` multiplies its outputs.
        """
        layer = layers[0] if isinstance(layers, nn.Sequential) else layers
        assert isinstance(layer, nn.Conv2d)
        assert layer.bias is not None
        weight = scale * layer.weight.permute(2, 3, 1, 0)  # (rows, columns, inputs, outputs)
        rows, columns = weight.shape[:2]
        taps = list(weight.flatten(1, 2) if is_row else weight.flatten(0, 1))
        if parts > 1:
            taps = [part for tap in taps for part in tap.chunk(parts)]
        result = _Convolution(
            size=rows, stride=layer.stride[0], dilation=layer.dilation[0], is_row=is_row,
            outputs=layer.out_channels, taps=self._packer.matrices(taps),
            bias=self._packer.columns(scale * layer.bias),
        )  # fmt: skip
        assert rows == columns
        if isinstance(layers, nn.Sequential):
            norm = layers[1]
            assert isinstance(norm, nn.GroupNorm)
            result.groups = norm.num_groups
            result.scale = self._packer.columns(norm.weight)
            result.shift = self._packer.columns(norm.bias)
        return result

    def encode_scene(self, image: Tensor) -> Tensor:
        """Encode one image.

        Args:
            image: uint8 (height, width, 3) rgb.

        Returns:
            (scene size,).

        Raises:
            ValueError: The image has a wrong size or type.
        """
        pixels, scene = self._pixels(image), torch.empty(self._scene_size)
        self._library.wm_mpc_encode(
            ctypes.byref(self._struct), pixels.data_ptr(), scene.data_ptr(), self._memory.data_ptr()
        )
        return scene

    def redraw(self, latent: Tensor) -> Tensor:
        """Reconstruct one image.

        Args:
            latent: (latent size,).

        Returns:
            float32 (height, width, 3), about in [0, 1].
        """
        ready, drawn = latent.detach().contiguous(), torch.empty(self._shape)
        self._library.wm_mpc_redraw(
            ctypes.byref(self._struct), ready.data_ptr(), ready[self._scene_size :].data_ptr(),
            drawn.data_ptr(), self._memory.data_ptr(),
        )  # fmt: skip
        return drawn

    def image_error(self, image: Tensor, latent: Tensor) -> float:
        """Root mean square difference between an image and its reconstruction, in [0, 1].

        Args:
            image: uint8 (height, width, 3) rgb.
            latent: Its latent, (latent size,).

        Raises:
            ValueError: The image has a wrong size or type.
        """
        pixels, ready = self._pixels(image), latent.detach().contiguous()
        error: float = self._library.wm_mpc_redraw_error(
            ctypes.byref(self._struct), pixels.data_ptr(), ready.data_ptr(),
            ready[self._scene_size :].data_ptr(), self._memory.data_ptr(),
        )  # fmt: skip
        return error

    def _pixels(self, image: Tensor) -> Tensor:
        if image.shape != self._shape or image.dtype != torch.uint8:
            raise ValueError(
                f"image is {image.dtype} {tuple(image.shape)}; the model wants uint8 {self._shape}"
            )
        return image.contiguous()
