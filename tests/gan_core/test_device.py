"""The choice of device and arithmetic."""

from __future__ import annotations

import pytest
import torch

from gan_core.device import choose_device, choose_precision, same_bits
from gan_core.errors import ConfigError

CPU = torch.device("cpu")


@pytest.mark.parametrize("present", [True, False])
def test_auto_takes_cuda_where_there_is_one(monkeypatch: pytest.MonkeyPatch, present: bool) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: present)
    assert choose_device("auto").type == ("cuda" if present else "cpu")
    assert choose_device("cpu").type == "cpu"


def test_cuda_where_there_is_none_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ConfigError, match=r"train\.device: cuda was asked for.*use auto or cpu"):
        choose_device("cuda")


@pytest.mark.parametrize(
    ("capabilities", "expected"),
    [({}, torch.float32), ({"avx512_bf16": True}, torch.bfloat16), ({"amx_bf16": True}, torch.bfloat16), ({"avx2": True}, torch.float32)],
)
def test_auto_takes_bf16_for_convolutions_where_the_processor_has_it(
    monkeypatch: pytest.MonkeyPatch, capabilities: dict[str, bool], expected: torch.dtype
) -> None:
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: capabilities)
    assert choose_precision("auto", CPU, convolutional=True) == expected
    assert choose_precision("auto", CPU, convolutional=False) == torch.float32
    assert choose_precision("float32", CPU, convolutional=True) == torch.float32
    assert choose_precision("bf16", CPU, convolutional=False) == torch.bfloat16


@pytest.mark.parametrize("device", ["cpu", "cuda"])
def test_torch_sums_in_one_order_on_cuda_alone_and_is_left_as_it_was(monkeypatch: pytest.MonkeyPatch, device: str) -> None:
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")

    def within() -> None:
        with same_bits(torch.device(device)):
            assert torch.are_deterministic_algorithms_enabled() == (device == "cuda")
            assert torch.is_deterministic_algorithms_warn_only_enabled() == (device == "cuda")
            raise KeyError

    with pytest.raises(KeyError):
        within()
    assert not torch.are_deterministic_algorithms_enabled()
